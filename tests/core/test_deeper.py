"""More blocks of one kind: what stands in the blocks goes to the right ones, whatever it is."""

from __future__ import annotations

from copy import deepcopy
from functools import partial

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Biased(nn.Module):
    """Attention with a table of biases, which nothing feeds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.biases = nn.Parameter(torch.zeros(2, 16))
        self.register_buffer("index", torch.arange(256).reshape(16, 16) % 16, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + self.biases[:, self.index]
        return x + self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Serial(nn.Module):
    """A branch, and behind it a convolution that no shortcut goes around."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch, self.conv = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x + self.branch(torch.tanh(x)))


class Cut(nn.Module):
    """Channels of which a part each takes its own way, behind a sequence that ends in a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList([nn.Conv2d(width // 4, width // 4, 3, padding=1) for _ in range(3)])
        self.gamma = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, *others = x.chunk(4, 1)
        return x + self.gamma * torch.cat([kept, *(way(o) for way, o in zip(self.ways, others, strict=True))], 1)


class Staged(nn.Module):
    def __init__(self, block: type[nn.Module], depth: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 4, 4))
        self.down = nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1))
        self.blocks = nn.Sequential(*(block(8) for _ in range(depth)))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(self.stem(x))
        if isinstance(self.blocks[0], Biased):
            return self.head(self.blocks(x.flatten(2).transpose(1, 2)).mean(1))
        return self.head(self.blocks(x).mean((2, 3)))


class Stage(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1))
        self.blocks = nn.Sequential(*(Cut(8) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.down(x))


class CutStages(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)
        self.stages = nn.Sequential(Stage(2), Stage(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x)).mean((2, 3)))


class Branched(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.outer(torch.relu(self.inner(x)))


class RowStages(nn.Module):
    """Stages that are rows: what halves the map, and then the blocks."""

    def __init__(self, *depths: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.stages = nn.Sequential(*(self._stage(depth) for depth in depths))
        self.head = nn.Linear(8, 5)

    @staticmethod
    def _stage(depth: int) -> nn.Sequential:
        down = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8))
        return nn.Sequential(down, *(Branched(8) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages(self.stem(x)).mean((2, 3)))


class TwoNorms(nn.Module):
    """One convolution whose output two norms take."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.left, self.right = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.head = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.head(torch.cat([self.left(x), torch.relu(self.right(x))], 1).mean((2, 3)))


def deeper(make):
    given, wanted = randomised(make(3), 1), randomised(make(4), 2)
    plan = apply_tli(wanted, given, example=IMAGES)
    return distance(given, wanted, (IMAGES,)), plan


class Around(nn.Module):
    """What runs within goes around it too."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class Nested(nn.Module):
    """Groups of residual blocks, each closed by a convolution, all within one more sum."""

    def __init__(self, groups: int, inner: int = 2) -> None:
        super().__init__()

        def conv() -> nn.Conv2d:
            return nn.Conv2d(8, 8, 3, padding=1)

        def block() -> nn.Module:
            return Around(conv(), nn.ReLU(), conv()) if inner else conv()

        rows = [Around(*(block() for _ in range(inner or 2)), conv()) for _ in range(groups)]
        self.stem, self.body, self.last = nn.Conv2d(3, 8, 3, padding=1), Around(*rows, conv()), conv()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.body(self.stem(x)))


class Padded(nn.Module):
    """Stages whose shortcuts put channels of zeros around those that they pass on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, width, 3, padding=1), nn.Linear(4 * width, 5)
        self.convs = nn.ModuleList(nn.Conv2d(width << i, width << i + 1, 3, 2, 1) for i in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for conv in self.convs:
            around = x.shape[1] // 2
            x = torch.relu(conv(x)) + functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, around, around))
        return self.head(x.mean((2, 3)))


class Normed(nn.Module):
    """A sum of two convolutions and of what they take, each with a norm of its own."""

    def __init__(self, inputs: int, outputs: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.act = act()
        self.skip = nn.BatchNorm2d(inputs, 1e-3) if inputs == outputs else None
        self.convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, k, padding=k // 2), nn.BatchNorm2d(outputs)) for k in (1, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = [branch(x) for branch in ((self.skip, *self.convs) if self.skip else self.convs)]
        return self.act(sum(branches[1:], branches[0]))


class SummedNorms(nn.Module):
    def __init__(self, depth: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.stage = nn.Sequential(Normed(3, 8, act), *(Normed(8, 8, act) for _ in range(depth)))
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stage(x).mean((2, 3)))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x).tanh())


class Gathering(nn.Module):
    """Blocks in a row, of which what each gives is read behind the last one."""

    def __init__(self, depth: int, skip: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8 + 8 * depth, 6, 1)
        self.m = nn.ModuleList(Two() for _ in range(depth))
        self.skip = skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [self.first(x)]
        for block in self.m:
            found.append(block(found[-1]) + (found[-1] if self.skip else 0))
        return self.last(torch.cat(found, 1))


@pytest.mark.parametrize("skip", [True, False])
def test_blocks_of_which_each_is_read_are_added_behind_the_others(skip: bool) -> None:
    source, target = (randomised(Gathering(n, skip), n).double().eval() for n in (1, 3))
    plan = apply_tli(target, source, example=IMAGES)
    assert distance(source, target, (IMAGES,)) < 1e-12
    assert plan.by_target["m.0.a.weight"].exact


@pytest.mark.parametrize(("act", "kept"), [(nn.ReLU, True), (nn.Tanh, False)])
def test_a_norm_around_the_branches_of_an_added_block_passes_on_what_it_takes(act: type[nn.Module], kept: bool) -> None:
    source, target = (randomised(SummedNorms(n, act), n).double().eval() for n in (2, 4))
    plan = apply_tli(target, source, example=IMAGES)
    zeros = [step.layer for step in plan.steps if step.initial == "zeros" and step.role == "weight"]
    assert len(zeros) == 4 and not any("skip" in layer for layer in zeros)
    assert (distance(source, target, (IMAGES,)) < 1e-12) is kept
    assert kept or not promises(plan)


@pytest.mark.parametrize("inner", [0, 2])
def test_groups_of_blocks_are_added_whole(inner: int) -> None:
    source, target = (randomised(Nested(n, inner), n).double().eval() for n in (2, 4))
    plan = apply_tli(target, source, example=IMAGES)
    assert distance(source, target, (IMAGES,)) == 0 and promises(plan)


@pytest.mark.parametrize("width", [16, 12])
def test_channels_of_zeros_around_others_stay_around_them_when_all_grow(width: int) -> None:
    source, target = (randomised(Padded(n), n).double().eval() for n in (8, width))
    plan = apply_tli(target, source, example=IMAGES, options=Options(method="maps", head="keep"))
    assert distance(source, target, (IMAGES,)) < 1e-12 and promises(plan)


def test_tables_of_biases_go_with_their_attentions():
    difference, plan = deeper(partial(Staged, Biased))
    assert difference < 1e-9 and promises(plan)


def test_parts_of_a_convolution_are_one_block():
    difference, plan = deeper(CutStages)
    assert difference < 1e-9 and promises(plan)


@pytest.mark.parametrize("depths", [(1, 2), (2, 1)], ids=str)
def test_a_stage_of_one_block_is_cut_as_the_others_are(depths):
    given, wanted = randomised(RowStages(*depths), 1), randomised(RowStages(3, 3), 2)
    plan = apply_tli(wanted, given, example=IMAGES)
    assert distance(given, wanted, (IMAGES,)) < 1e-9 and promises(plan)


class Sloped(nn.Module):
    """Convolutions with learned slopes, in a row or as residual blocks."""

    def __init__(self, depth: int, around: bool) -> None:
        super().__init__()
        self.stem, self.head, self.around = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5), around
        self.rows = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.PReLU(8)) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for row in self.rows:
            x = x + row(x) if self.around else row(x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("around", [False, True])
def test_what_learned_slopes_stand_behind_is_added_as_the_identity(around: bool) -> None:
    source, target = (randomised(Sloped(depth, around), seed=depth) for depth in (2, 3))
    apply_tli(target, source, example=IMAGES, options=Options(method="maps", head="keep"))
    assert distance(source, target, (IMAGES,)) < 1e-9


def test_a_convolution_that_no_shortcut_goes_around_is_not_called_exact():
    difference, plan = deeper(partial(Staged, Serial))
    assert difference > 1e-6 and not promises(plan)


class Scaled(nn.Module):
    """A residual block that ends in a scale of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner, self.outer = nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.outer(torch.relu(self.inner(self.norm(x))))


class ReadLast(nn.Module):
    """Blocks behind all of which the last place alone is read."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 3)
        self.blocks = nn.Sequential(*(Scaled() for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.first(x).flatten(2).transpose(1, 2))[:, -1])


def test_what_is_done_behind_all_blocks_may_stand_behind_an_added_one():
    difference, plan = deeper(ReadLast)
    assert difference < 1e-9
    assert promises(plan)


def test_two_norms_of_one_convolution_keep_their_places():
    given, wanted = randomised(TwoNorms(), 1), randomised(TwoNorms(), 2)
    apply_tli(wanted, given, example=IMAGES)
    assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in given.state_dict().items())


@pytest.mark.parametrize(("eps", "kept"), [(1e-12, True), (1e-5, False)])
def test_what_is_normalised_twice_is_exact_only_where_the_epsilon_is_nothing(eps: float, kept: bool) -> None:
    def encoder(depth: int) -> nn.Module:
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, layer_norm_eps=eps)
        return nn.Sequential(nn.Linear(8, 16), *(deepcopy(layer) for _ in range(depth)), nn.Linear(16, 4)).eval()

    plan = apply_tli(encoder(3), encoder(2), example=torch.randn(2, 5, 8), options=Options(head="keep"))
    assert all(step.exact for step in plan.steps) == kept
    assert kept or any("epsilon" in note for note in plan.notes)


class OverNeighbours(nn.Module):
    """Layers over the nodes of a graph, each of which reads a node and the sum of its neighbours."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(depth)])

    def forward(self, x: torch.Tensor, joined: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x + joined @ x)
        return self.last(x)


def test_a_sum_of_what_one_layer_gives_is_no_way_around_it() -> None:
    given, wanted = randomised(OverNeighbours(2), 1), randomised(OverNeighbours(4), 2)
    example = torch.randn(4, 5, 6, dtype=torch.float64), torch.eye(5, dtype=torch.float64).roll(1, 0).expand(4, 5, 5)
    plan = apply_tli(wanted, given, example=example)
    assert not all(step.exact for step in plan.steps)
    assert all(bool(parameter.any()) for parameter in wanted.parameters() if parameter.ndim > 1)


class Shut(nn.Module):
    """A branch whose last word is an activation that passes nothing back where it is given nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + functional.relu6(self.outer(torch.tanh(self.inner(x)))))


def test_an_added_branch_that_ends_in_a_rectifier_learns():
    given, wanted = randomised(Staged(Shut, 2), 1), randomised(Staged(Shut, 4), 2)
    plan = apply_tli(wanted, given, example=IMAGES)
    assert promises(plan)
    assert distance(given, wanted, (IMAGES,)) < 1e-9
    wanted(IMAGES).square().sum().backward()
    assert all(bool(block.outer.weight.grad.any()) for block in wanted.blocks)
