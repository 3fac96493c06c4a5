"""More blocks of one kind: what stands in the blocks goes to the right ones, whatever it is."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from tests.core.deeper import IMAGES, Staged, deeper
from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli


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


class Filtered(nn.Module):
    """A filter over places of the block's own, and what adds to it, before one layer, as in a state space layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rates, self.weights = nn.Parameter(torch.ones(width, 4)), nn.Parameter(torch.ones(width, 4))
        self.norm, self.skip, self.out = nn.LayerNorm(width), nn.Parameter(torch.ones(width)), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.norm(x).transpose(1, 2)
        falls = (self.weights[..., None] * torch.exp(-self.rates.exp()[..., None] * torch.arange(16))).sum(1)
        kept = torch.fft.irfft(torch.fft.rfft(given, n=32) * torch.fft.rfft(falls, n=32), n=32)[..., :16]
        return x + self.out(torch.tanh(kept + given * self.skip[:, None]).transpose(1, 2))


class Cut(nn.Module):
    """Channels of which a part each takes its own way, behind a sequence that ends in a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ways = nn.ModuleList([nn.Conv2d(width // 4, width // 4, 3, padding=1) for _ in range(3)])
        self.gamma = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, *others = x.chunk(4, 1)
        return x + self.gamma * torch.cat([kept, *(way(o) for way, o in zip(self.ways, others, strict=True))], 1)


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


@pytest.mark.parametrize("inner", [0, 2])
def test_groups_of_blocks_are_added_whole(inner: int) -> None:
    source, target = (randomised(Nested(n, inner), n).double().eval() for n in (2, 4))
    plan = apply_tli(target, source, example=IMAGES)
    assert distance(source, target, (IMAGES,)) == 0 and promises(plan)


def test_tables_of_biases_go_with_their_attentions():
    difference, plan = deeper(partial(Staged, Biased, tokens=True))
    assert difference < 1e-9 and promises(plan)


def test_what_a_block_holds_itself_is_of_the_block():
    difference, plan = deeper(partial(Staged, Filtered, tokens=True))
    assert difference < 1e-9 and promises(plan)


def test_parts_of_a_convolution_are_one_block():
    difference, plan = deeper(CutStages)
    assert difference < 1e-9 and promises(plan)


@pytest.mark.parametrize("depths", [(1, 2), (2, 1)], ids=str)
def test_a_stage_of_one_block_is_cut_as_the_others_are(depths):
    given, wanted = randomised(RowStages(*depths), 1), randomised(RowStages(3, 3), 2)
    plan = apply_tli(wanted, given, example=IMAGES)
    assert distance(given, wanted, (IMAGES,)) < 1e-9 and promises(plan)
