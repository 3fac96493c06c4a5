"""Layers that stand alike, as the factors of a gate do, are told apart by what is done to them, not by their order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tli_cli import apply_tli, match
from tli_cli.options import Options
from tli_cli.plan import Plan

Join = Callable[[Callable[[], torch.Tensor], Callable[[], torch.Tensor]], torch.Tensor]

FIRST: dict[str, Join] = {
    "gate": lambda a, b: a().tanh() * b().sigmoid(),
    "one activation": lambda a, b: nn.functional.silu(a()) * b(),
    "sum": lambda a, b: a().relu() + b().tanh(),
    "doubled": lambda a, b: 2 * a() + b(),
    "shifted": lambda a, b: a() * (b() + 1),
}
"""Joins of two layers of which the first is run first."""


def turned(join: Join) -> Join:
    """Return `join` with its second layer run first."""

    def other(a: Callable[[], torch.Tensor], b: Callable[[], torch.Tensor]) -> torch.Tensor:
        late = b()
        return join(a, lambda: late)

    return other


class Joined(nn.Module):
    """Two layers of one shape called `names`, run one by one, or as one called `both`, `swapped` or not."""

    def __init__(self, join: Join, names: tuple[str, str] = ("p", "q"), both: str = "", swapped: bool = False) -> None:
        super().__init__()
        self.join, self.names, self.both, self.swapped = join, names, both, swapped
        self.stem, self.norm = nn.Linear(5, 6), nn.LayerNorm(6)
        for name in (both,) if both else names:
            self.add_module(name, nn.Linear(6, 16 if both else 8))
        self.out, self.head = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.norm(x)
        if self.both:
            parts = self.get_submodule(self.both)(y).chunk(2, -1)
            a, b = parts[::-1] if self.swapped else parts
            return self.head(x + self.out(self.join(lambda: a, lambda: b)))
        first, second = (self.get_submodule(name) for name in self.names)
        return self.head(x + self.out(self.join(lambda: first(y), lambda: second(y))))


def learned(target: nn.Module, source: nn.Module) -> tuple[Plan, float]:
    """Return the plan carried out, and the largest difference between what the two then compute."""
    plan = apply_tli(target, source, example=torch.zeros(2, 4, 5))
    x = torch.randn(2, 4, 5)
    with torch.no_grad():
        return plan, float((target(x) - source(x)).abs().max())


@pytest.mark.parametrize("name", FIRST)
def test_the_layer_that_is_run_first_in_one_network_may_be_run_second_in_the_other(name):
    plan, difference = learned(Joined(turned(FIRST[name])), Joined(FIRST[name]))
    assert difference == 0
    assert all(step.exact for step in plan.steps)


@pytest.mark.parametrize("name", ["gate", "one activation", "sum"])
@pytest.mark.parametrize("swapped", [False, True])
def test_parts_of_one_layer_are_told_by_what_is_done_to_them_whatever_they_are_called(name, swapped):
    plan, difference = learned(Joined(FIRST[name], both="w12", swapped=swapped), Joined(turned(FIRST[name])))
    assert difference < 1e-6
    assert all(step.exact for step in plan.steps)


@pytest.mark.parametrize("name", ["doubled", "shifted"])
def test_where_numbers_stand_behind_layers_that_order_alone_tells_apart_nothing_is_claimed(name):
    plan, difference = learned(Joined(turned(FIRST[name]), names=("u", "v")), Joined(FIRST[name]))
    assert difference > 0.01
    assert not all(step.exact for step in plan.steps)


def test_an_activation_that_is_another_one_still_says_which_factor_is_the_gate():
    other = Joined(turned(lambda a, b: nn.functional.gelu(a()) * b()), names=("u", "v"))
    source = Joined(FIRST["one activation"])
    learned(other, source)
    assert torch.equal(other.u.weight, source.p.weight)


@pytest.mark.parametrize("whole", ["source", "target"])
def test_a_bare_file_does_not_say_which_half_of_a_layer_is_the_gate(whole, tmp_path, monkeypatch):
    nets = {
        side: Joined(FIRST["one activation"], ("u", "v"), both="uv" if whole == side else "", swapped=True)
        for side in ("source", "target")
    }
    torch.save(nets["source"].state_dict(), tmp_path / "source.pt")
    monkeypatch.setattr("tests.core.test_apart.made", lambda: nets["target"], raising=False)
    plan = match(tmp_path / "source.pt", "tests.core.test_apart:made", options=Options(input_shape=(4, 5)))
    parts = [s for s in plan.steps if s.target.startswith(("u", "v"))]
    assert parts
    assert not any(step.exact for step in parts)


def test_a_bias_of_the_root_module_is_its_weights(tmp_path):
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.shift = nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(8))
            self.last, self.level = nn.Parameter(torch.randn(8, 3)), nn.Parameter(torch.randn(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x @ self.first + self.shift).relu() @ self.last + self.level

    plan, difference = learned(Functional(), nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)))
    assert difference < 1e-5
    assert all(step.exact for step in plan.steps)
