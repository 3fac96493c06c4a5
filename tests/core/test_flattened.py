"""Maps that code cuts and flattens: rows before columns or after them, channels before places or after them, by views,
slices, shuffles and windows. The tensors have one shape, and each way has its own order of what is summed over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

Way = Callable[[torch.Tensor], torch.Tensor]


def every_second(dim: int, *starts: tuple[int, int]) -> Way:
    def taken(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :, i::2, j::2].movedim(1, dim) for i, j in starts], dim).movedim(dim, 1)

    return taken


def viewed(*order: int) -> Way:
    def taken(x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        cut = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, *order, 2, 4)
        return cut.reshape(b, 4 * c, h // 2, w // 2)

    return taken


def windows(x: torch.Tensor) -> torch.Tensor:
    cut = x.unfold(3, 2, 2).unfold(2, 2, 2).permute(0, 1, 5, 4, 2, 3)
    return cut.reshape(len(x), -1, *cut.shape[-2:])


def columns(x: torch.Tensor) -> torch.Tensor:
    return functional.unfold(x, 2, stride=2).unflatten(2, (x.shape[2] // 2, x.shape[3] // 2))


MERGES: dict[str, Way] = {
    "slices, rows first": every_second(3, (0, 0), (1, 0), (0, 1), (1, 1)),
    "slices, columns first": every_second(1, (0, 0), (0, 1), (1, 0), (1, 1)),
    "views, columns first": viewed(3, 5, 1),
    "views, channels first": viewed(1, 5, 3),
    "shuffle": lambda x: functional.pixel_unshuffle(x, 2),
    "windows": windows,
    "columns": columns,
}
FLATTENED: dict[str, Way] = {
    "rows": lambda x: x.flatten(1),
    "columns": lambda x: x.transpose(2, 3).flatten(1),
    "channels last": lambda x: x.permute(0, 2, 3, 1).flatten(1),
    "columns, channels last": lambda x: x.permute(0, 3, 2, 1).flatten(1),
}


class Merging(nn.Module):
    """Four neighbours become one place, whose channels are normed and mixed."""

    def __init__(self, way: str, width: int = 6) -> None:
        super().__init__()
        self.merge = MERGES[way]
        self.stem, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.LayerNorm(4 * width)
        self.reduce, self.head = nn.Linear(4 * width, 2 * width, bias=False), nn.Linear(2 * width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.merge(self.stem(x).relu()).permute(0, 2, 3, 1)
        return self.head(self.reduce(self.norm(x)).relu().mean((1, 2)))


class Focus(nn.Module):
    """Four neighbours of an image become one place before the first convolution."""

    def __init__(self, way: str, colours: int = 3) -> None:
        super().__init__()
        self.merge, self.stem, self.head = MERGES[way], nn.Conv2d(4 * colours, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(self.merge(x)).relu().mean((2, 3)))


class Flattening(nn.Module):
    """All places of a map that is not square go to one linear layer."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.flat = FLATTENED[way]
        self.stem, self.first, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 8 * 12, 16), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.first(self.flat(self.stem(x).relu())).relu())


class Mixing(nn.Module):
    """Linear layers over the places of a map, which are told apart by a table of positions."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.turned = turned
        self.stem, self.position = nn.Conv2d(3, 8, 2, 2), nn.Parameter(torch.zeros(24, 8))
        self.first, self.last, self.head = nn.Linear(24, 32), nn.Linear(32, 24), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = (x.transpose(2, 3) if self.turned else x).flatten(2).transpose(1, 2) + self.position
        x = x + self.last(self.first(x.transpose(1, 2)).relu()).transpose(1, 2)
        return self.head(x.relu().mean(1))


CASES = (
    [(Merging, *pair) for pair in permutations(MERGES, 2)]
    + [(Focus, *pair) for pair in list(permutations(MERGES, 2))[::3]]
    + [(Flattening, *pair) for pair in permutations(FLATTENED, 2)]
    + [(Mixing, False, True), (Mixing, True, False)]
)


def image(colours: int = 3) -> torch.Tensor:
    return torch.randn(2, colours, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("network, source, target", CASES)
def test_what_is_summed_over_stands_where_the_target_has_it(network, source, target) -> None:
    giver, taker = randomised(network(source), 1), randomised(network(target), 2)
    plan = apply_tli(taker, giver, example=image(), options=Options(head="keep"))
    assert promises(plan) and distance(giver, taker, (image(),)) < 1e-9


@pytest.mark.parametrize("source, target", [("shuffle", "slices, rows first"), ("views, columns first", "columns")])
def test_wider_maps_and_other_colours_stand_there_too(source, target) -> None:
    giver, wider = randomised(Merging(source), 1), randomised(Merging(target, 12), 2)
    plan = apply_tli(wider, giver, example=image(), options=Options(head="keep"))
    assert promises(plan) and distance(giver, wider, (image(),)) < 1e-9
    grey, coloured = randomised(Focus(source, 1), 1), randomised(Focus(target, 3), 2)
    plan = apply_tli(coloured, grey, example=image(), options=Options(head="keep"))
    repeated = image(1).expand(-1, 3, -1, -1)
    assert promises(plan) and torch.allclose(coloured(repeated), grey(image(1)))


@pytest.mark.parametrize("way", MERGES)
def test_a_file_of_the_class_stands_there_whatever_the_order_of_its_tensors(way) -> None:
    giver, taker = randomised(Merging(way), 1), randomised(Merging(way), 2)
    turned_about = dict(reversed(giver.state_dict().items()))
    apply_tli(taker, turned_about, example=image())
    assert all(torch.equal(value, turned_about[name]) for name, value in taker.state_dict().items())
