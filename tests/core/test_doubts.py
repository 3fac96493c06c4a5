"""A plan calls a step exact only where the whole network computes the same."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli


class Perceptron(nn.Module):
    """Layers of equal width, each behind an activation but the first."""

    def __init__(self, depth: int = 2, act: str = "relu") -> None:
        super().__init__()
        self.act = act
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 4)
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = getattr(torch, self.act)(layer(x))
        return self.last(x)


class Choosing(nn.Module):
    """Channels that a softmax weighs against each other."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, width), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x).softmax(-1))


class Experts(nn.Module):
    """A residual mixture of experts, each its own module."""

    def __init__(self, experts: int = 2, depth: int = 1) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 4)
        self.gates = nn.ModuleList([nn.Linear(8, experts) for _ in range(depth)])
        self.blocks = nn.ModuleList([nn.ModuleList([self._expert() for _ in range(experts)]) for _ in range(depth)])

    def _expert(self) -> nn.Module:
        return nn.Sequential(nn.Linear(8, 6), nn.GELU(), nn.Linear(6, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for gate, experts in zip(self.gates, self.blocks, strict=True):
            weights = gate(x).softmax(-1)
            x = x + sum(weights[:, i : i + 1] * expert(x) for i, expert in enumerate(experts))
        return self.last(x)


class Recurrent(nn.Module):
    def __init__(self, width: int = 8, layers: int = 1) -> None:
        super().__init__()
        self.cells = nn.LSTM(6, width, layers, batch_first=True)
        self.last = nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.cells(x)[0])


class Gated(nn.Module):
    """Gated linear units, and channels that become places."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 2 * width, 3), nn.Conv2d(width, 4 * width, 3)
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(functional.pixel_shuffle(self.second(functional.glu(self.first(x), 1)), 2))


class Depthwise(nn.Module):
    """A depthwise convolution that makes several channels of each."""

    def __init__(self, width: int = 4, times: int = 1) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, width, 3), nn.Conv2d(width * times, 2, 1)
        self.spread = nn.Conv2d(width, width * times, 3, groups=width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.spread(self.first(x))))


VECTORS, SERIES, IMAGES = (3, 6), (3, 5, 6), (2, 3, 8, 8)
KEPT = [
    (Perceptron, {}, {"depth": 4}, VECTORS),
    (Recurrent, {}, {"width": 12}, SERIES),
    (Gated, {}, {"width": 6}, IMAGES),
    (Depthwise, {}, {"times": 2}, IMAGES),
    (Depthwise, {"times": 2}, {"times": 3, "width": 6}, IMAGES),
]
NOT_KEPT = [
    (Perceptron, {}, {"act": "tanh"}, VECTORS),
    (Perceptron, {"act": "tanh"}, {"act": "tanh", "depth": 4}, VECTORS),
    (Choosing, {}, {"width": 16}, VECTORS),
    (Experts, {}, {"experts": 3}, VECTORS),
    (Recurrent, {}, {"layers": 2}, SERIES),
]


def named(case):
    return " ".join([case[0].__name__, *(f"{key}={value}" for key, value in case[2].items())])


def grown(make, source, target, shape):
    given, wanted = randomised(make(**source), 1), randomised(make(**target), 2)
    example = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plan = apply_tli(wanted, given, example=example, options=Options(method="even"))
    return distance(given, wanted, (example,)), plan


@pytest.mark.parametrize("case", KEPT, ids=named)
def test_what_keeps_the_function_is_called_exact(case):
    difference, plan = grown(*case)
    assert difference < 1e-9 and promises(plan)


@pytest.mark.parametrize("case", NOT_KEPT, ids=named)
def test_what_changes_the_function_is_not_called_exact(case):
    difference, plan = grown(*case)
    assert difference > 1e-6 and not promises(plan)


def test_a_step_says_which_activation_differs():
    _, plan = grown(Perceptron, {}, {"act": "tanh"}, VECTORS)
    assert "behind tanh, in the source behind relu" in plan.by_target["last.weight"].reason


class Waves(nn.Module):
    """Two layers of one block, and what they make multiplied by numbers that the constructor works out."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 4)
        if turned:
            self.waves = nn.Module()
            self.waves.register_buffer("inv_freq", 10.0 ** -torch.arange(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(x * self.waves.inv_freq if hasattr(self, "waves") else x)


def test_what_a_constructor_works_out_is_no_scale_to_start_at_one() -> None:
    model, expected = Waves(turned=True), Waves(turned=True).waves.inv_freq
    plan = apply_tli(model, Waves(turned=False), example=torch.randn(2, 6))
    assert torch.equal(model.waves.inv_freq, expected)
    assert not next(step for step in plan.steps if step.target == "waves.inv_freq").exact


class Compared(nn.Module):
    """One branch, which all inputs share, or a head that is run on a map and on what is pooled of it."""

    def __init__(self, *, pooled: bool = False) -> None:
        super().__init__()
        self.stem, self.head, self.pooled = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3), pooled

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        maps = [self.stem(x).relu() for x in inputs]
        maps += [functional.max_pool2d(x, 2) for x in maps if self.pooled]
        return torch.stack([self.head(x).mean((2, 3)) for x in maps]).sum(0)


@pytest.mark.parametrize(("inputs", "pooled"), [(2, False), (3, False), (1, True)])
def test_a_layer_is_exact_that_several_inputs_share_and_not_one_of_several_places(inputs: int, pooled: bool) -> None:
    example = (torch.randn(2, 3, 16, 16),)
    plan = apply_tli(Compared(pooled=pooled), Compared(), example=example * inputs, teacher_example=example)
    head = [step for step in plan.steps if step.target.startswith("head.")]
    assert [step.exact for step in head] == [not pooled] * 2
