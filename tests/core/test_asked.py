"""Pairs that the user asks for hold, whatever the matcher would have found, and claim nothing that no graph shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tli_cli import Options, TliError, apply_tli, match
from tli_cli.plan import Plan
from tli_cli.planning.asked import ASKED


def tower(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, width), nn.LayerNorm(width), nn.GELU(), nn.Linear(width, width))


class One(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.encoder, self.head = tower(width), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(x))  # type: ignore[no-any-return]


class Two(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.a, self.b = tower(width), tower(width)
        self.first, self.second = nn.Linear(width, 4), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.first(self.a(x)), self.second(self.b(x))


BOTH = ("a=encoder", "b=encoder", "first=head", "second=head")


def sources_of(plan: Plan) -> dict[str, list[str]]:
    return {step.target: [piece.source for piece in step.pieces] for step in plan.steps}


@pytest.mark.parametrize("width", [16, 24])
def test_modules_are_fed_layer_by_layer_and_keep_the_function(width: int) -> None:
    source, target, x = One(), Two(width), torch.randn(5, 8)
    plan = apply_tli(target, source, example=x, options=Options(pair=BOTH))
    assert plan.coverage == 1 and all(torch.allclose(out, source(x), atol=1e-5) for out in target(x))
    asked = [step for step in plan.steps if step.reason.endswith(ASKED)]
    assert any(step.layer.startswith("b.") for step in asked) and not any(step.exact for step in asked)


def test_no_step_of_an_odd_pair_or_behind_it_is_called_exact() -> None:
    def planned(*pair: str) -> Plan:
        first, second = (nn.Sequential(*(nn.Linear(8, 8) for _ in range(3))) for _ in range(2))
        return match(first, second, options=Options(pair=pair, input_shape=(8,)))

    assert planned("1=1") == planned() and all(step.exact for step in planned().steps)
    assert sources_of(planned("0=1"))["0.weight"] == ["1.weight"]
    assert not any(step.exact for step in planned("0=1").steps)


def test_projections_of_an_attention_are_paired_by_what_they_make(tmp_path: Path) -> None:
    names = {"kv.pt": ("k_proj", "v_proj", "q_proj", "out_proj"), "qk.pt": ("q_lin", "k_lin", "v_lin", "out_lin")}
    for file, own in names.items():
        torch.save({f"layer.{name}.weight": torch.randn(8, 8) for name in own}, tmp_path / file)
    source, target = (str(tmp_path / file) for file in names)
    plan = match(source, target, options=Options(pair=("layer=layer",)))
    assert all(name.replace("lin", "proj") == taken for name, [taken] in sources_of(plan).items())


def test_all_weights_of_a_recurrent_layer_are_paired() -> None:
    class Reads(nn.Module):
        def __init__(self, *names: str) -> None:
            super().__init__()
            self.inner = nn.ModuleDict({name: nn.LSTM(8, 8, 2, batch_first=True) for name in names})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.inner.values():
                x = layer(x)[0]
            return x

    target, source = Reads("a", "b"), Reads("x", "y")
    plan = match(source, target, options=Options(pair=("inner.a=inner.y", "inner.b=inner.x"), input_shape=(5, 8)))
    swapped = {"a": "y", "b": "x"}
    assert all(taken[6] == swapped[name[6]] and taken[7:] == name[7:] for name, [taken] in sources_of(plan).items())


def test_the_source_that_has_the_module_feeds_it_alone(tmp_path: Path) -> None:
    torch.save(One().state_dict(), tmp_path / "one.pt")
    torch.save({name.replace("head", "exit"): value for name, value in One().state_dict().items()}, tmp_path / "two.pt")
    sources, target = [str(tmp_path / name) for name in ("one.pt", "two.pt")], str(tmp_path / "one.pt")
    plan = match(sources, target, options=Options(pair=("head=exit",)))
    assert sources_of(plan)["head.weight"] == ["exit.weight"]


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("b", "expected TARGET=SOURCE"),
        ("c=tower", "the target has no 'c' and no source has 'tower'"),
        ("b=head", "of each kind in both, found 2 dense, 1 norm for 1 dense"),
    ],
)
def test_what_cannot_be_paired_is_told(pair: str, said: str) -> None:
    with pytest.raises(TliError, match=said):
        match(One(), Two(), options=Options(pair=(pair,), input_shape=(8,)))
