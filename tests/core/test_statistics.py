"""What code averages, measures or moves over channels: growth is called exact where copies change nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

Code = Callable[..., torch.Tensor]
EPSILON = 1e-9


class Between(nn.Module):
    """Two layers with `code` between them, which may use a weight and a bias over the channels."""

    def __init__(self, code: Code, tensors: int = 0, width: int = 8, places: bool = False) -> None:
        super().__init__()
        shape = (width, 1, 1) if places else (width,)
        self.code = code
        self.first = nn.Conv2d(3, width, 3, padding=1) if places else nn.Linear(5, width)
        self.held = nn.ParameterList([nn.Parameter(torch.ones(shape)) for _ in range(tensors)])
        self.last = nn.Conv2d(width, 4, 1) if places else nn.Linear(width, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.code(self.first(x), *self.held))


class Scaled(nn.Module):
    """A norm that applies its weight before it divides."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, width), nn.Linear(width, 4)
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        return self.last(self.weight * y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + EPSILON))


class Placed(nn.Module):
    """A layer norm over channels and places together."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, width, 1), nn.LayerNorm([width, 6, 6]), nn.Conv2d(width, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.first(x)))


def mean_square(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return x.pow(2).mean(dim, keepdim=True)


def centred(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return x - x.mean(dim, keepdim=True)


def group_deviation(x: torch.Tensor) -> torch.Tensor:
    cut = x.view(len(x), 4, -1, *x.shape[2:])
    return (x / cut.var((2, 3, 4), keepdim=True, correction=0).sqrt().expand_as(cut).reshape(x.shape)).relu()


def told(source: nn.Module, target: nn.Module, example: Sequence[torch.Tensor]) -> tuple[bool, float]:
    """Return whether the plan promises the source's function, and how far the outputs are apart."""
    given, wanted = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(wanted, given, example=tuple(example), options=Options(method="maps"))
    return promises(plan), distance(given, wanted, tuple(example))


def example_of(*shape: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)


CHANGED: dict[str, tuple[Code, int]] = {
    "length": (lambda x: functional.normalize(x, dim=-1), 0),
    "sizes": (lambda x: functional.normalize(x, p=1, dim=-1), 0),
    "sample": (lambda x, w, b: w * centred(x) / (x.std(-1, keepdim=True) + EPSILON) + b, 2),
    "gate of a length": (lambda x: x * torch.sigmoid(x.norm(dim=-1, keepdim=True)), 0),
    "gate of a product": (lambda x: x * torch.sigmoid(9 * x.prod(-1, keepdim=True)), 0),
    "gate of a sum of powers": (lambda x: x * torch.sigmoid(x.logsumexp(-1, keepdim=True)), 0),
    "third of all": (lambda x: x * torch.sigmoid(x.kthvalue(3, -1, keepdim=True)[0]), 0),
    "logarithm of shares": (lambda x: functional.log_softmax(x, -1), 0),
    "neighbours": (lambda x: functional.avg_pool1d(x[:, None], 3, 1, 1)[:, 0], 0),
    "differences": (lambda x: x + functional.pad(x.diff(dim=-1), (0, 1)), 0),
    "fixed matrix": (lambda x: x @ torch.ones(x.shape[-1], x.shape[-1], dtype=x.dtype, device=x.device).tril(), 0),
    "distances": (lambda x: x * torch.exp(-torch.cdist(x, x.flip(0)).mean(-1, keepdim=True)), 0),
}
EVEN: dict[str, tuple[Code, int]] = {
    "mean square": (lambda x: x * torch.rsqrt(mean_square(x) + EPSILON), 0),
    "of torch": (lambda x: functional.rms_norm(x, x.shape[-1:]), 0),
    "deviation": (lambda x: x / x.var(-1, keepdim=True, correction=0).sqrt(), 0),
    "mean taken off": (centred, 0),
    "gate of squares": (lambda x: x * torch.sigmoid(mean_square(x)), 0),
}
NORMS: dict[str, tuple[Code, int]] = {
    "length and weight": (lambda x, w: functional.normalize(x, dim=-1) * w, 1),
    "weight last": (lambda x, w: x * torch.rsqrt(mean_square(x) + EPSILON) * w, 1),
    "length and root of width": (lambda x, w: functional.normalize(x, dim=-1) * w * x.shape[-1] ** 0.5, 1),
    "root of width first": (lambda x, w: functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * (w + 1), 1),
    "width below": (lambda x, w: w * (x / (x.norm(dim=-1, keepdim=True) * x.shape[-1] ** -0.5)), 1),
    "sum of squares": (lambda x, w: x * (x.square().sum(-1, keepdim=True) / x.shape[-1] + EPSILON).rsqrt() * w, 1),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_copies_change_is_not_called_exact(name):
    code, tensors = CHANGED[name]
    promised, apart = told(Between(code, tensors), Between(code, tensors, 16), example_of(5))
    assert apart > 1e-5
    assert not promised


@pytest.mark.parametrize("name", EVEN)
def test_means_are_kept_by_as_many_copies_of_each_alone(name):
    code, tensors = EVEN[name]
    promised, apart = told(Between(code, tensors), Between(code, tensors, 24), example_of(5))
    assert promised and apart < 1e-9
    promised, apart = told(Between(code, tensors), Between(code, tensors, 12), example_of(5))
    assert not promised and apart > 1e-3


@pytest.mark.parametrize("width", [12, 16])
@pytest.mark.parametrize("name", NORMS)
def test_written_norms_keep_the_function_at_any_width(name, width):
    code, tensors = NORMS[name]
    promised, apart = told(Between(code, tensors), Between(code, tensors, width), example_of(5))
    assert promised and apart < 1e-6


def test_a_norm_may_apply_its_weight_before_it_divides():
    promised, apart = told(Scaled(), Scaled(12), example_of(5))
    assert promised and apart < 1e-6


@pytest.mark.parametrize(
    ("code", "tensors", "width", "kept"),
    [
        (lambda x, w: centred(x, 1) / x.var(1, keepdim=True, correction=0).add(EPSILON).sqrt() * w, 1, 12, True),
        (lambda x, w: x * torch.rsqrt(x.pow(2).mean((2, 3), keepdim=True) + EPSILON) * w, 1, 12, True),
        (lambda x: functional.channel_shuffle(x, 2), 0, 16, True),
        (lambda x: functional.pixel_unshuffle(functional.pixel_shuffle(x, 2).relu(), 2), 0, 16, True),
        (lambda x, w: x / x.var((1, 2, 3), keepdim=True, correction=0).sqrt() * w, 1, 12, False),
        (group_deviation, 0, 12, False),
        (lambda x: x + functional.conv2d(x, torch.ones(1, x.shape[1], 1, 1).to(x)), 0, 16, False),
        (lambda x: functional.avg_pool3d(x[:, None], (3, 1, 1), 1, (1, 0, 0))[:, 0], 0, 16, False),
    ],
)
def test_channels_of_maps(code: Code, tensors: int, width: int, kept: bool):
    source, target = Between(code, tensors, places=True), Between(code, tensors, width, places=True)
    promised, apart = told(source, target, example_of(3, 6, 6))
    assert promised is kept
    assert (apart < 1e-6) is kept


def test_a_norm_over_channels_and_places_takes_as_many_copies_of_each():
    assert told(Placed(), Placed(12), example_of(3, 6, 6))[0] is False
    promised, apart = told(Placed(), Placed(16), example_of(3, 6, 6))
    assert promised and apart < 1e-9
