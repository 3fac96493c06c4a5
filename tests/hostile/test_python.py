"""What a caller in Python gives that is no model, no option, no path and no state dict: one `TliError`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import tli_cli
from tli_cli import Options, TliError


class Net(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.norm(self.a(x)).relu())  # type: ignore[no-any-return]


def fresh() -> dict[Any, Any]:
    return dict(Net().state_dict())


def circle() -> dict[str, Any]:
    held: dict[str, Any] = {}
    held["state_dict"] = held
    return held


ODD: dict[str, Callable[[], Any]] = {
    "sparse": lambda: torch.ones(8, 4).to_sparse(),
    "sparse rows": lambda: torch.ones(8, 4).to_sparse_csr(),
    "expanded": lambda: torch.ones(1, 1).expand(8, 4),
    "expanded to 2^50": lambda: torch.ones(1, 1).expand(1 << 25, 1 << 25),
    "no values": lambda: torch.empty(8, 4, device="meta"),
    "not a number": lambda: torch.full((8, 4), float("nan")),
    "infinite": lambda: torch.full((8, 4), float("inf")),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "65 axes": lambda: torch.ones([1] * 63 + [8, 4]),
    "lazy": nn.UninitializedParameter,
}
WHOLE: dict[str, Callable[[], Any]] = {
    **{f"a.weight: {kind}": lambda make=make: {**fresh(), "a.weight": make()} for kind, make in ODD.items()},
    "a number as a name": lambda: {**fresh(), 5: torch.ones(2)},
    "an empty name": lambda: {**fresh(), "": torch.ones(2)},
    "control characters": lambda: {**fresh(), "a\x1b[2J": torch.ones(2)},
    "half a character": lambda: {**fresh(), "\ud800": torch.ones(2)},
    "a name of a book": lambda: {**fresh(), "x" * 100_000: torch.ones(2)},
    "nothing": dict,
    "only numbers": lambda: {"a": 1},
    "arrays of objects": lambda: {name: value.numpy().astype(object) for name, value in fresh().items()},
    "arrays of text": lambda: {name: value.numpy().astype("U") for name, value in fresh().items()},
    "a circle": circle,
    "None": lambda: None,
    "a list of a number": lambda: [5],
    "an empty list": list,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_teacher_that_is_none_leaves_the_model_as_it_was(kind: str, width: int) -> None:
    model = Net(width)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TliError) as caught:
        tli_cli.apply_tli(model, WHOLE[kind](), example=torch.zeros(2, 4))
    said = str(caught.value)
    assert len(said) < 1500 and "\x1b" not in said and ("a.weight" in said or ":" not in kind)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


A, B, OUT = "a.safetensors", "b.safetensors", "out.safetensors"
CALLS: dict[str, Callable[[], object]] = {
    "no source": lambda: tli_cli.match([], A),
    "None as a source": lambda: tli_cli.match(None, A),  # type: ignore[arg-type]
    "bytes as a source": lambda: tli_cli.match(b"a.safetensors", A),  # type: ignore[arg-type]
    "a module to write from": lambda: tli_cli.inject(Net(), A, OUT),  # type: ignore[arg-type]
    "a state dict to write from": lambda: tli_cli.inject(fresh(), A, OUT),  # type: ignore[arg-type]
    "a class to match": lambda: tli_cli.match(Net, A),  # type: ignore[arg-type]
    "an empty state dict": lambda: tli_cli.score({}, A),
    "None as a target": lambda: tli_cli.match(A, None),  # type: ignore[arg-type]
    "None as options": lambda: tli_cli.match(A, A, options=None),  # type: ignore[arg-type]
    "a dictionary as options": lambda: tli_cli.inspect(A, options={}),  # type: ignore[arg-type]
    "the class as options": lambda: tli_cli.matrix([A, B], options=Options),  # type: ignore[arg-type]
    "None as a method": lambda: tli_cli.match(A, B, options=Options(method=None)),  # type: ignore[arg-type]
    "a number as a matcher": lambda: tli_cli.score(A, B, options=Options(matcher=5)),  # type: ignore[arg-type]
    "a text as a seed": lambda: Options(seed="x"),  # type: ignore[arg-type]
    "a seed that no plan holds": lambda: Options(seed=1 << 63),
    "no score": lambda: Options(min_score=float("nan")),
    "a device of no kind": lambda: tli_cli.inject(A, B, OUT, options=Options(device="tpu")),
    "a name as a plan": lambda: tli_cli.inject(A, B, OUT, plan="plan.json"),  # type: ignore[arg-type]
    "a number as a place": lambda: tli_cli.inject(A, B, 5),  # type: ignore[arg-type]
    "bytes as a place": lambda: tli_cli.inject(A, B, b"out.safetensors"),  # type: ignore[arg-type]
    "an empty name": lambda: tli_cli.match("", A),
    "nothing to rank": lambda: tli_cli.rank(A, []),
    "None to rank": lambda: tli_cli.rank(A, None),  # type: ignore[arg-type]
    "no matrix": lambda: tli_cli.matrix([]),
    "None in a matrix": lambda: tli_cli.matrix([A, None]),  # type: ignore[list-item]
    "no jobs": lambda: tli_cli.matrix([A, B], jobs=0),
    "a number to go on from": lambda: tli_cli.matrix([A, B], resume=5),  # type: ignore[arg-type]
    "None to verify": lambda: tli_cli.verify(None, A),  # type: ignore[arg-type]
    "a class to verify by": lambda: tli_cli.verify(A, Net),  # type: ignore[arg-type]
    "None to teach": lambda: tli_cli.apply_tli(None, fresh()),  # type: ignore[arg-type]
    "a class to teach": lambda: tli_cli.apply_tli(Net, fresh()),  # type: ignore[arg-type]
    "an example of another width": lambda: tli_cli.apply_tli(Net(), fresh(), example=torch.zeros(2, 5)),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file(Net(8).state_dict(), A)
    save_file(Net(12).state_dict(), B)
    return tmp_path


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_that_cannot_be_followed_is_one_error(home: Path, kind: str) -> None:
    with pytest.raises(TliError):
        CALLS[kind]()
    assert sorted(path.name for path in home.iterdir()) == [A, B]


def test_live_modules_are_scored_and_inspected(home: Path) -> None:
    found = tli_cli.score(Net(8), A, options=Options(input_shape=(4,)))
    assert (found.forward, found.source, found.target) == (1, "Net", A)
    wide = tli_cli.inspect(Net(12))
    assert wide.graph and tli_cli.score(wide, Net(12)).mean == 1
    assert 0 < tli_cli.score(wide, Net(8)).forward < 1
    with pytest.raises(TliError, match="cannot be run"):
        tli_cli.inspect(Net(), options=Options(input_shape=(5,)))


def test_a_live_target_is_matched_as_it_would_be_injected_into_and_ranked_for(home: Path) -> None:
    model, source = Net(12), Net(8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = Options(input_shape=(4,))
    plans = [tli_cli.match(given, model, options=options) for given in (source, source.state_dict(), A)]
    assert plans[0].steps == tli_cli.apply_tli(Net(12), source, options=options).steps
    assert all(plan.coverage == 1 for plan in plans)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert tli_cli.rank(Net(8).to("meta"), [A, B], options=options).candidates[0].source == A
    with pytest.raises(TliError, match="live modules"):
        tli_cli.inject(source, A)  # type: ignore[arg-type]
    with pytest.raises(TliError, match="cannot be run"):
        tli_cli.match(source, model, options=Options(input_shape=(5,)))


def test_live_models_and_state_dicts_are_looked_at_wherever_no_values_are_read(home: Path) -> None:
    options = Options(input_shape=(4,))
    for given in (Net(8), Net(8).state_dict(), tli_cli.inspect(A)):
        plan = tli_cli.match(given, B, options=options)
        assert plan.relation == "wider" and plan.coverage == 1
        assert tli_cli.score(given, A, options=options).mean == 1
        assert not tli_cli.verify(A, given, options=options).problems[1:]  # tli did not write it
    ranked = tli_cli.rank(A, [Net(12), Net(8), B], options=options).candidates
    assert [candidate.source for candidate in ranked] == ["Net 2", "Net", B]
    found = tli_cli.matrix([Net(8), A, Net(12)], options=options)
    assert found.names == ("Net", A, "Net 2") and found.values[0][1] == 1 and found.values[0][2] < 1
    assert tli_cli.rank(A, nn.Sequential(nn.Linear(4, 8))).candidates[0].source == "Sequential"


def test_a_model_without_values_is_planned_for(home: Path) -> None:
    hollow = Net(12).to("meta")
    plans = [tli_cli.match(A, net, options=Options(input_shape=(4,))) for net in (hollow, Net(12))]
    assert plans[0] == plans[1] and all(value.is_meta for value in hollow.state_dict().values())
    with pytest.raises(TliError, match="has no values"):
        tli_cli.apply_tli(hollow, A)


def test_a_name_that_no_file_holds_is_told(home: Path) -> None:
    odd = nn.Sequential()
    odd.add_module("a\nb", nn.Linear(4, 4))
    with pytest.raises(TliError, match="control characters"):
        tli_cli.inspect(odd)


def test_one_source_needs_no_list(home: Path) -> None:
    assert tli_cli.rank(A, B) == tli_cli.rank(A, [Path(B)]) and tli_cli.matrix(A).values == ((1.0,),)
