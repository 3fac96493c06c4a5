"""Biases of queries, keys and values that code lays end to end, or that one tensor holds beside three weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli import apply_tli, match

WIDTH = 8


class Laid(nn.Module):
    """Attention of torch's function, whose biases are three parameters laid end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).transpose(0, 1)
        biases = torch.cat((self.q_proj.bias, self.k_proj.bias, self.v_proj.bias))
        made, _ = nn.functional.multi_head_attention_forward(
            x, x, x, WIDTH, 2, torch.empty(0), biases, None, None, False, 0.0, self.out_proj.weight,
            self.out_proj.bias, training=False, need_weights=False, use_separate_proj_weight=True,
            q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight, v_proj_weight=self.v_proj.weight,
        )  # fmt: skip
        return self.last(made.transpose(0, 1))


class Module(nn.Module):
    """The same of torch's module; keys of another width have a weight of their own and share the bias."""

    def __init__(self, keys: int = WIDTH) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        self.before = nn.Linear(WIDTH, keys) if keys != WIDTH else nn.Identity()
        self.attention = nn.MultiheadAttention(WIDTH, 2, kdim=keys, vdim=keys, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        keys = self.before(x)
        return self.last(self.attention(x, keys, keys, need_weights=False)[0])


class Apart(Module):
    """The same with a linear layer for each part."""

    def __init__(self, keys: int) -> None:
        super().__init__(keys)
        del self.attention
        self.q_proj, self.out_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k_proj, self.v_proj = nn.Linear(keys, WIDTH), nn.Linear(keys, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        keys = self.before(x)
        made = (self.q_proj(x), self.k_proj(keys), self.v_proj(keys))
        q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in made)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.last(self.out_proj(mixed))


def drawn(model: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=generator)
    return model.eval()


@pytest.mark.parametrize(("source", "target"), [(Laid, Module), (Module, Laid)])
def test_biases_that_are_laid_end_to_end_are_those_of_their_layers(source, target):
    giver, taker = drawn(source(), 1), drawn(target(), 2)
    plan = apply_tli(taker, giver, example=(2, 5, WIDTH))
    sample = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    assert all(step.exact for step in plan.steps)
    torch.testing.assert_close(taker.double()(sample), giver.double()(sample))


def test_a_bias_of_three_weights_is_missed_where_it_is_not_read(tmp_path: Path):
    for name, model in (("source", Module(keys=6)), ("target", Apart(keys=6))):
        save_file(drawn(model, 1).state_dict(), tmp_path / f"{name}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    assert {"q_proj.weight", "v_proj.weight"} <= {step.target for step in plan.steps if not step.exact}


class Halves(nn.Module):
    """Attention with one weight for all and biases of queries and values alone, under names that tell nothing."""

    def __init__(self, names: tuple[str, str]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)
        self.all, self.names = nn.Linear(WIDTH, 3 * WIDTH, bias=False), names
        for name in sorted(names):
            self.register_parameter(name, nn.Parameter(torch.zeros(WIDTH)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        of_queries, of_values = (getattr(self, name) for name in self.names)
        biases = torch.cat((of_queries, torch.zeros_like(of_values), of_values))
        made = nn.functional.linear(self.first(x), self.all.weight, biases).unflatten(-1, (3, 2, -1))
        q, k, v = made.permute(2, 0, 3, 1, 4)
        return self.last(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def test_where_code_lays_biases_tells_which_part_each_is_of():
    giver, taker = drawn(Halves(("zeta", "eta")), 1), drawn(Halves(("q_bias", "v_bias")), 2)
    plan = apply_tli(taker, giver, example=(2, 5, WIDTH))
    assert plan.by_target["q_bias"].pieces[0].source == "zeta"
    sample = torch.randn(2, 5, WIDTH, dtype=torch.float64)
    assert all(step.exact for step in plan.steps)
    torch.testing.assert_close(taker.double()(sample), giver.double()(sample))
