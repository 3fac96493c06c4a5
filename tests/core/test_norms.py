"""A batch norm goes where the layer before it goes, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

import tli_cli
from tests.core.support import distance, promises
from tests.models import images, randomised
from tli_cli import Options, apply_tli
from tli_cli.catalogue import load
from tli_cli.matching.followers import normalised_layers
from tli_cli.planning.starts.stream_norms import are_alike
from tli_cli.providers.module import describe_live

PAIRS = [
    ("mobilenetv2_050", "resnet18"),
    ("resnet18", "mobilenetv3_small_100"),
    ("resnet50", "regnetx_002"),
    ("densenet121", "resnet26"),
    ("vgg11_bn", "resnet18"),
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_batch_norm_follows_the_layer_before_it(source, target):
    given, wanted = load(source), load(target)
    steps = {step.layer: step for step in tli_cli.match(source, target).steps if step.role == "weight"}
    behind = {linear: norm for norm, linear in normalised_layers(given).items()}
    places = {layer.path: place for place, layer in enumerate(given.layers)}
    moved = 0
    for norm, linear in normalised_layers(wanted).items():
        fed, feeder = steps[wanted.layers[norm].path], steps[wanted.layers[linear].path]
        if not fed.pieces:
            continue
        moved += 1
        assert feeder.pieces, f"{fed.target} is moved, {feeder.target} is not"
        origin = given.layer_of[feeder.pieces[0].source].path
        assert given.layer_of[fed.pieces[0].source] == given.layers[behind[places[origin]]]
    assert moved


def test_a_norm_behind_a_layer_without_one_is_not_moved():
    steps = tli_cli.match("vgg11", "vgg11_bn").steps
    norms = [step for step in steps if step.role == "running_mean"]
    assert norms and all(step.action == "keep" for step in norms)


class Grouped(nn.Module):
    """A residual block whose norms average over groups of channels."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.inlet, self.out = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 1)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = y = self.inlet(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(norm(y).relu())
        return self.out(x + y)


@pytest.mark.parametrize(
    ("width", "groups", "kept"), [(16, 8, True), (24, 8, True), (16, 16, True), (16, 4, False), (16, 2, False)]
)
def test_groups_of_one_channel_grow_into_groups_of_its_copies(width: int, groups: int, kept: bool) -> None:
    source, target = randomised(Grouped(8, 8), 1), randomised(Grouped(width, groups), 2)
    plan = apply_tli(target, source, example=(images(),), options=Options(method="maps"))
    assert promises(plan) == kept
    assert (distance(source, target, (images(),)) < 1e-9) == kept


def test_a_batch_norm_is_not_like_one_that_keeps_no_statistics() -> None:
    """Its counter of batches has no axis at all."""
    norms = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4, affine=True))
    described = describe_live(norms, (2, 3, 8, 8))
    assert not are_alike(described, [i for i, layer in enumerate(described.layers) if layer.kind == "norm"])


class Macaron(nn.Module):
    """Blocks that add two branches, each behind a norm of its own, and end in a norm of the stream itself, as a
    conformer's do (arXiv 2005.08100)."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        norms = ("before_a", "before_b", "final")
        self.blocks = nn.ModuleList(
            nn.ModuleDict({n: nn.LayerNorm(8, eps=1e-12) for n in norms} | {n: nn.Linear(8, 8) for n in "ab"})
            for _ in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + 0.5 * block["a"](block["before_a"](x))
            x = x + torch.relu(block["b"](block["before_b"](x)))
            x = block["final"](x)
        return self.last(x)


def test_added_blocks_that_end_in_a_norm_of_the_stream_change_nothing() -> None:
    given, wanted = randomised(Macaron(2), 1), randomised(Macaron(3), 2)
    example = (torch.randn(4, 6, dtype=torch.float64),)
    assert promises(apply_tli(wanted, given, example=example))
    assert distance(given, wanted, example) < 1e-9


class TwoNorms(nn.Module):
    """One convolution whose output two norms take."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.left, self.right = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.head(torch.cat([self.left(x), torch.relu(self.right(x))], 1).mean((2, 3)))


def test_two_norms_of_one_convolution_keep_their_places():
    given, wanted = randomised(TwoNorms(), 1), randomised(TwoNorms(), 2)
    apply_tli(wanted, given, example=torch.randn(2, 3, 16, 16, dtype=torch.float64))
    assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in given.state_dict().items())


class Joined(nn.Module):
    """A norm over what two layers give, end to end."""

    def __init__(self, first: int, second: int, norm: type[nn.LayerNorm | nn.RMSNorm]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, first), nn.Linear(5, second)
        self.norm, self.head = norm(first + second), nn.Linear(first + second, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(torch.cat([self.first(x), self.second(x)], 1)))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("widths", [(16, 16), (16, 8), (12, 12)])
def test_a_norm_over_parts_is_kept_where_all_grow_by_one_whole_factor(widths, norm):
    source, target = randomised(Joined(8, 8, norm), 1), randomised(Joined(*widths, norm), 2)
    example = (torch.randn(4, 5, dtype=torch.float64),)
    plan = apply_tli(target, source, example=example, options=Options(method="maps"))
    kept = distance(source, target, example) < 1e-12
    assert kept == plan.by_target["norm.weight"].exact == (widths == (16, 16))


class Convolved(nn.Module):
    """A convolution behind another one, with a batch norm behind it."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, kernel, padding=kernel // 2)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(self.stem(x).relu())).relu().mean((2, 3)))


@pytest.mark.parametrize(("kernels", "exact"), [((5, 3), False), ((3, 5), True)])
def test_a_batch_norm_behind_a_layer_that_is_not_kept_is_not_exact(kernels, exact):
    source, target = (randomised(Convolved(kernel), seed) for seed, kernel in enumerate(kernels))
    for given in (source, source.state_dict()):
        norm = apply_tli(target, given, example=(images(),), options=Options(method="maps")).by_target["norm.weight"]
        assert norm.resizer == "copy" and norm.exact == exact, norm.reason


class Normed(nn.Module):
    """A norm of channels at each place, or over all places."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.stem, self.norm, self.head = nn.Conv2d(3, 8, 3), norm, nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        last = self.norm(x.movedim(1, -1)).movedim(-1, 1) if not isinstance(self.norm, nn.GroupNorm) else self.norm(x)
        return self.head(last.relu().mean((2, 3)))


NORMS = {
    "layer": lambda: nn.LayerNorm(8, 1e-5),
    "rms": lambda: nn.RMSNorm(8, 1e-5),
    "one group": lambda: nn.GroupNorm(1, 8),
    "groups": lambda: nn.GroupNorm(4, 8),
}


@pytest.mark.parametrize("given", NORMS)
@pytest.mark.parametrize("wanted", NORMS)
def test_norms_that_average_over_other_values_are_not_exact(given: str, wanted: str) -> None:
    source, target = (randomised(Normed(NORMS[name]()), seed) for seed, name in enumerate((given, wanted)))
    plan = apply_tli(target, source, example=(images(),), options=Options(method="maps"))
    assert plan.by_target["norm.weight"].exact == (given == wanted)


class Bent(nn.Module):
    """A norm, and something between it and the next layer that gives something for nothing."""

    def __init__(self, width: int, norm: type[nn.Module], between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, width), norm(width, eps=1e-12), nn.Linear(width, 3)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.between(self.norm(self.first(x))))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("between", [torch.sigmoid, torch.cos, lambda x: 1 - x, torch.tanh])
def test_channels_left_over_are_read_by_nothing_where_they_do_not_stay_at_zero(norm, between) -> None:
    given, wanted = (randomised(Bent(width, norm, between), width) for width in (8, 12))
    example = (torch.randn(2, 5, dtype=torch.float64),)
    plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, example) < 1e-9


class Each(nn.Module):
    """An instance norm over the places of values whose channels come last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm1d(width, affine=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.transpose(-1, -2)).transpose(-1, -2)


@pytest.mark.parametrize(
    "norms", [("batch", "rms"), ("rms", "batch"), ("layer", "batch"), ("rms", "each"), ("layer", "each")]
)
def test_a_norm_of_each_channel_makes_up_for_no_channels_beside_those_of_a_norm_over_all(
    norms: tuple[str, str],
) -> None:
    made = {
        "batch": nn.BatchNorm1d,
        "each": Each,
        "rms": partial(nn.RMSNorm, eps=1e-12),
        "layer": partial(nn.LayerNorm, eps=1e-12),
    }
    parts = ([made[name](width) for name in norms] for width in (8, 12))
    given, wanted = (
        randomised(nn.Sequential(nn.Linear(5, width), *own, nn.Linear(width, 3)), width).double().eval()
        for width, own in zip((8, 12), parts, strict=True)
    )
    example = (torch.randn(*((2, 4, 5) if "each" in norms else (2, 5)), dtype=torch.float64),)
    plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, example) < 1e-9


class Largest(nn.Module):
    """A norm, and the largest of its channels, or of what goes into it."""

    def __init__(self, width: int, norm: type[nn.Module], before: bool) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(5, width), norm(width, eps=1e-12), nn.Linear(width, 3)
        self.other, self.before = nn.Linear(1, 3), before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.norm(x)
        return self.last(y) + self.other((x if self.before else y).amax(-1, keepdim=True))


@pytest.mark.parametrize(
    ("norm", "before", "kept"),
    [(nn.LayerNorm, True, True), (nn.LayerNorm, False, False), (nn.RMSNorm, True, False), (nn.RMSNorm, False, False)],
)
def test_channels_beside_copies_may_be_the_largest(norm: type[nn.Module], before: bool, kept: bool) -> None:
    given, wanted = (randomised(Largest(width, norm, before), width) for width in (8, 12))
    example = (torch.randn(2, 5, dtype=torch.float64),)
    plan = apply_tli(wanted, given, example=example, options=Options(method="maps"))
    assert promises(plan) == kept and (not kept or distance(given, wanted, example) < 1e-9)
