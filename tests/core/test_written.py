"""Networks as researchers write them, whose tensors are used in ways that few layers of torch use theirs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models import randomised
from tli_cli import Options, apply_tli
from tli_cli.plan import Plan

VECTORS = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SIGNALS = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Products(nn.Module):
    """All products of two vectors, weighed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, width), nn.Linear(5, width + 2)
        self.pairs, self.out = nn.Bilinear(width, width + 2, 6), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.pairs(self.a(x).tanh(), self.b(x).tanh()).relu())


class Kernel(nn.Module):
    """A long convolution whose kernel three parameters make up (S4D, arXiv 2206.11893)."""

    def __init__(self, width: int, first: str = "rate", second: str = "mix") -> None:
        super().__init__()
        self.names = first, second
        self.entry, self.out = nn.Conv1d(3, width, 1), nn.Linear(width, 4)
        setattr(self, first, nn.Parameter(torch.randn(width, 6)))
        setattr(self, second, nn.Parameter(torch.randn(width, 6)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rate, mix = (getattr(self, name) for name in self.names)
        x = self.entry(x)
        steps = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
        kernel = (mix[..., None] * torch.exp(-rate.exp()[..., None] * steps)).sum(1)
        y = torch.fft.irfft(torch.fft.rfft(x, n=18) * torch.fft.rfft(kernel, n=18), n=18)[..., :9]
        return self.out((x + y).mean(-1))


class Joined(nn.Module):
    """A group norm over two maps that lie end to end, as where a decoder meets what skipped it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(3, width, 1), nn.Conv1d(3, width, 1)
        self.norm, self.out = nn.GroupNorm(4, 2 * width), nn.Conv1d(2 * width, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(torch.cat([self.a(x), self.b(x).relu()], 1)))


def taught(source: nn.Module, target: nn.Module, example: torch.Tensor) -> tuple[Plan, float]:
    source, target = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(target, source, example=example, options=Options(method="maps"))
    with torch.no_grad():
        return plan, float((source(example) - target(example)).abs().max())


@pytest.mark.parametrize(("made", "example"), [(Products, VECTORS), (Kernel, SIGNALS), (Joined, SIGNALS)])
@pytest.mark.parametrize("width", [8, 16])
def test_the_same_and_a_wider_network_keep_the_function_and_say_so(made, example, width):
    plan, apart = taught(made(8), made(width), example)
    assert all(step.exact for step in plan.steps) and not plan.unused
    assert apart < 1e-12


def test_parameters_that_make_one_weight_are_told_apart_by_what_is_done_with_them():
    plan, apart = taught(Kernel(8), Kernel(8, "mu", "rate"), SIGNALS)
    assert all(step.exact for step in plan.steps) and apart == 0
    assert {s.target: s.pieces[0].source for s in plan.steps if s.target in ("mu", "rate")} == {
        "mu": "rate",
        "rate": "mix",
    }
