"""Sums of linear branches over one input are one layer in evaluation mode: in both directions the function is kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli, inject, matrix, score

IMAGES = torch.randn(2, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Same(nn.Module):
    """What a branch that adds its input is: nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def normed(inputs: int, outputs: int, kernel: int | tuple[int, int] = 1, dilation: int = 1, **options) -> nn.Sequential:
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = [side // 2 * dilation for side in sides]
    conv = nn.Conv2d(inputs, outputs, sides, padding=padding, dilation=dilation, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Sum(nn.Module):
    """Branches that are added up, in the order in which they are given."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(branch(x) for branch in self.branches[1:]) + self.branches[0](x)


class Mixer(nn.Module):
    """A sum of which a norm is taken off, scaled by channel and added to what it takes, as FastViT mixes tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mixed = Sum(
            nn.BatchNorm2d(width), normed(width, width, 3, groups=width), normed(width, width, groups=width)
        )
        self.norm, self.scale = nn.BatchNorm2d(width), nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * (self.mixed(x) - self.norm(x))


class Around(nn.Module):
    """A sum of branches that is added to what it takes, in whichever form."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Attended(nn.Module):
    """An attention over places, of which all layers have batch norms, or none has."""

    def __init__(self, width: int, made: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.qkv, self.out = made(width, 3 * width), made(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).flatten(2).chunk(3, dim=1)
        return x + self.out((v @ (0.5 * q.mT @ k).softmax(-1).mT).reshape(x.shape))


def conv(inputs: int, outputs: int, kernel: int, **options) -> nn.Conv2d:
    dilation = options.get("dilation", 1)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2 * dilation, **options)


TRAINED = {
    "three": (lambda w: Sum(normed(w, w, 3), normed(w, w), nn.BatchNorm2d(w)), lambda w: conv(w, w, 3)),
    "strided": (lambda w: Sum(normed(w, 2 * w, 3, stride=2), normed(w, 2 * w, stride=2)),
                lambda w: conv(w, 2 * w, 3, stride=2)),
    "crossed": (lambda w: Sum(normed(w, w, (1, 3)), normed(w, w, 3), normed(w, w, (3, 1))), lambda w: conv(w, w, 3)),
    "wide": (lambda w: Sum(normed(w, w, 7, groups=w), normed(w, w, 3, 2, groups=w), normed(w, w, 5, groups=w)),
             lambda w: conv(w, w, 7, groups=w)),
    "dilated": (lambda w: Sum(normed(w, w), normed(w, w, 3, 2)), lambda w: conv(w, w, 3, dilation=2)),
    "grouped": (lambda w: Sum(normed(w, w, 3, groups=2), nn.BatchNorm2d(w)), lambda w: conv(w, w, 3, groups=2)),
    "mixer": (Mixer, lambda w: conv(w, w, 3, groups=w)),
    "around": (lambda w: nn.Sequential(Sum(Same(), normed(w, w, 3), nn.BatchNorm2d(w)), nn.BatchNorm2d(w)),
               lambda w: conv(w, w, 3)),
    "beside": (lambda w: Around(Sum(normed(w, w, 3), normed(w, w, (3, 1)), normed(w, w, (1, 3)))),
               lambda w: Around(conv(w, w, 3))),
    "attended": (lambda w: Attended(w, normed), lambda w: Attended(w, partial(conv, kernel=1))),
    "normed": (lambda w: normed(w, w, 3), lambda w: conv(w, w, 3)),
}  # fmt: skip
"""By name, what is trained of some channels, and what it is in evaluation mode."""


class Net(nn.Module):
    """Two blocks of a kind between a stem and a head, each behind an activation."""

    def __init__(self, kind: str, trained: bool, width: int = 4, classes: int = 5) -> None:
        super().__init__()
        made = TRAINED[kind][0 if trained else 1]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.first = made(width)
        wider = 2 * width if kind == "strided" else width
        self.second = made(wider)
        self.head = nn.Linear(4 * width if kind == "strided" else width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(torch.relu(self.stem(x))))
        return self.head(torch.relu(self.second(x)).mean((2, 3)))


def injected(source: nn.Module, target: nn.Module, **options):
    source, target = randomised(source, 1).double().eval(), randomised(target, 2).double().eval()
    plan = apply_tli(target, source, example=IMAGES, options=Options(method="maps", **options))
    return plan, distance(source, target, (IMAGES,))


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("trained", [True, False])
def test_what_is_trained_and_what_it_is_are_one_function(kind, trained):
    plan, far = injected(Net(kind, trained), Net(kind, not trained))
    assert promises(plan) and far < 1e-12
    assert not plan.unused or kind in ("normed", "attended")


def test_a_wider_target_takes_the_layers_that_sums_are():
    plan, far = injected(Net("three", True), Net("three", False, width=8))
    assert promises(plan) and far < 1e-12
    assert "3 sums" not in plan.notes[0] and "2 sums of linear branches" in plan.notes[0]


def test_sums_that_both_have_are_left_as_they_are():
    plan, far = injected(Net("grouped", True), Net("grouped", True))
    assert promises(plan) and far < 1e-12
    assert not plan.notes and all(step.resizer == "copy" for step in plan.steps)


def trained() -> Net:
    return Net("three", True)


def deployed() -> Net:
    return Net("three", False)


@pytest.mark.parametrize("forms", [(trained, deployed), (deployed, trained)])
def test_files_are_worked_out_as_they_are_read(forms, tmp_path):
    source, target = (f"{__name__}:{form.__name__}" for form in forms)
    save_file(randomised(forms[0](), 1).state_dict(), tmp_path / "source.safetensors")
    options = Options(source_arch=source, input_shape=(3, 9, 9), verify=True)
    report = inject(tmp_path / "source.safetensors", target, tmp_path / "out.safetensors", options=options)
    assert report.verification < 1e-6 and promises(report.plan)
    alone = score(source, target, options=Options(input_shape=(3, 9, 9)))
    assert report.plan.score == alone.forward < 1
    assert alone.forward == pytest.approx(matrix([source, target], options=Options(input_shape=(3, 9, 9))).values[0][1])


class Halved(Net):
    """Half of what one branch gives is added."""

    def __init__(self, trained: bool) -> None:
        super().__init__("three", False)
        if trained:
            self.beside = nn.ModuleList([normed(4, 4), normed(4, 4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for i, layer in enumerate((self.first, self.second)):
            x = torch.relu(layer(x) + 0.5 * self.beside[i](x) if hasattr(self, "beside") else layer(x))
        return self.head(x.mean((2, 3)))


class ReadTwice(Halved):
    """What one branch gives is read behind the sum too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for i, layer in enumerate((self.first, self.second)):
            other = self.beside[i](x) if hasattr(self, "beside") else 0
            x = torch.relu(layer(x) + other) + other
        return self.head(x.mean((2, 3)))


class Ahead(Net):
    """A norm stands before a convolution that puts zeros around what it takes."""

    def __init__(self, trained: bool) -> None:
        super().__init__("three", False)
        self.before = nn.ModuleList([nn.BatchNorm2d(4) if trained else Same() for _ in range(2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for layer, before in zip((self.first, self.second), self.before, strict=True):
            x = torch.relu(layer(before(x)))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("kind", [Halved, ReadTwice, Ahead])
def test_what_is_no_plain_sum_is_not_promised(kind):
    plan, far = injected(kind(trained=True), kind(trained=False))
    assert far > 1e-3 and not promises(plan)
