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

FRAMES = torch.randn(2, 2, 3, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


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


class Messages(nn.Module):
    """Messages along edges, added up where they arrive."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.entry, self.message = nn.Linear(5, width), nn.Linear(2 * width, width)
        self.update, self.out = nn.GRUCell(width, width), nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.entry(x)
        start, end = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]], device=x.device)
        sent = self.message(torch.cat([h[start], h[end]], -1)).relu()
        return self.out(self.update(torch.zeros_like(h).index_add(0, end, sent), h))


class Spectral(nn.Module):
    """A few frequencies are mixed and written into an empty spectrum (FNO, arXiv 2010.08895)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.entry, self.out = nn.Conv1d(3, width, 1), nn.Conv1d(width, 4, 1)
        self.modes, self.past = nn.Parameter(torch.randn(width, width, 3, 2)), nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        found = torch.fft.rfft(x)
        mixed = torch.zeros(x.shape[0], self.modes.shape[1], found.shape[-1], dtype=found.dtype, device=x.device)
        mixed[..., :3] = torch.einsum("bix,iox->box", found[..., :3], torch.view_as_complex(self.modes))
        return self.out((torch.fft.irfft(mixed, n=x.shape[-1]) + self.past(x)).relu())


class Frames(nn.Module):
    """A state of maps that takes one frame after the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.step, self.out = width, nn.Conv1d(3 + width, 2 * width, 3, padding=1), nn.Conv1d(width, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.new_zeros(x.shape[0], self.width, x.shape[-1])
        for t in range(2):
            gate, value = self.step(torch.cat([x[:, t], h], 1)).chunk(2, 1)
            h = gate.sigmoid() * h + value.tanh()
        return self.out(h)


class Words(nn.Module):
    """Kernels as wide as the embedding of a word (arXiv 1408.5882)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words, self.conv, self.out = nn.Linear(3, width), nn.Conv2d(1, 6, (2, width)), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.conv(self.words(x.mT)[:, None]).relu().squeeze(-1).amax(-1))


class Timed(nn.Module):
    """Residual blocks in two stages, each of which reads one and the same embedding of the time."""

    def __init__(self, width: int, depth: int = 2) -> None:
        super().__init__()
        self.time, self.entry = nn.Linear(9, 6), nn.Conv1d(3, width, 1)
        self.wider, self.out = nn.Conv1d(width, 2 * width, 1), nn.Conv1d(2 * width, 4, 1)
        widths = [width] * depth + [2 * width] * depth
        self.first = nn.ModuleList([nn.Conv1d(w, w, 3, padding=1) for w in widths])
        self.read = nn.ModuleList([nn.Linear(6, w) for w in widths])
        self.second = nn.ModuleList([nn.Conv1d(w, w, 3, padding=1) for w in widths])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time, x = self.time(x[:, 0]).relu(), self.entry(x)
        for i, (first, read, second) in enumerate(zip(self.first, self.read, self.second, strict=True)):
            x = self.wider(x) if 2 * i == len(self.first) else x
            x = x + second((first(x.relu()) + read(time)[..., None]).relu())
        return self.out(x)


class Rms(nn.Module):
    """A root mean square norm, written out."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.scale, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Normed(nn.Sequential):
    def __init__(self, norm: nn.Module) -> None:
        super().__init__(nn.Linear(5, 8), norm, nn.Linear(8, 4))


def taught(source: nn.Module, target: nn.Module, example: torch.Tensor) -> tuple[Plan, float]:
    source, target = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(target, source, example=example, options=Options(method="maps"))
    with torch.no_grad():
        return plan, float((source(example) - target(example)).abs().max())


@pytest.mark.parametrize(
    ("made", "example"),
    [
        (Products, VECTORS), (Kernel, SIGNALS), (Joined, SIGNALS), (Messages, VECTORS), (Spectral, SIGNALS),
        (Frames, FRAMES), (Words, SIGNALS), (Timed, SIGNALS),
    ],
)  # fmt: skip
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


def test_blocks_that_all_read_one_value_are_added_where_they_stand():
    plan, apart = taught(Timed(8), Timed(8, 3), SIGNALS)
    assert all(step.exact for step in plan.steps) and apart < 1e-12


@pytest.mark.parametrize("norms", [(Rms, Rms), (Rms, nn.RMSNorm), (nn.RMSNorm, Rms)])
def test_what_a_norm_that_is_written_out_adds_to_the_squares_counts(norms):
    for mine, theirs in ((1e-5, 1e-5), (1e-2, 1e-2), (1e-5, 6e-4), (1e-3, 1e-5)):
        plan, apart = taught(Normed(norms[0](8, eps=mine)), Normed(norms[1](8, eps=theirs)), VECTORS)
        assert all(step.exact for step in plan.steps) == (mine == theirs) == (apart < 1e-12)
