"""A plan's relation says how widths and depths differ, not how many classes or places there are."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models import randomised
from tli_cli import Options, apply_tli


class TwoHeads(nn.Module):
    def __init__(self, width: int = 8, classes: int = 5, side: int = 4) -> None:
        super().__init__()
        self.stem, self.tokens = nn.Conv2d(3, width, 4, 4), nn.Linear(side * side, side * side)
        self.inner = nn.Linear(width, width)
        self.head, self.head_dist = nn.Linear(width, classes), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x).flatten(2)
        x = self.inner((x + self.tokens(x)).mean(2))
        return self.head(x), self.head_dist(x)


def relation(side: int = 4, **changes: int) -> str:
    given, wanted = randomised(TwoHeads(), 1), randomised(TwoHeads(side=side, **changes), 2)
    images = (torch.zeros(2, 3, 4 * size, 4 * size, dtype=torch.float64) for size in (side, 4))
    return apply_tli(wanted, given, example=next(images), teacher_example=next(images)).relation


def test_classes_and_places_are_no_width():
    assert relation(classes=3) == "adapted"
    assert relation(side=3) == "adapted"
    assert relation(width=12) == "wider"
    assert relation(width=4).startswith("narrower")


class Chain(nn.Module):
    """Layers one behind the other, or each added to what goes past it; they make something, or the noise in it."""

    def __init__(self, added: bool = False, noise: bool = False) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(1, 6, 3, padding=1), nn.Conv1d(6, 1, 3, padding=1)
        self.inner = nn.ModuleList([nn.Conv1d(6, 6, 3, padding=1) for _ in range(3)])
        self.added, self.noise = added, noise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        for layer in self.inner:
            y = y + layer(y).relu() if self.added else layer(y).relu()
        return x - self.last(y) if self.noise else self.last(y)


@pytest.mark.parametrize(
    ("given", "wanted", "relation"),
    [
        ({"added": True}, {}, "other"),
        ({}, {"added": True}, "other"),
        ({"noise": True}, {"added": True}, "other"),
        ({"added": True}, {"noise": True}, "other"),
        ({}, {"noise": True}, "same"),
        ({"added": True}, {"added": True, "noise": True}, "same"),
    ],
)
def test_a_trunk_that_one_side_lacks_makes_another_family_and_the_input_at_the_end_is_none(given, wanted, relation):
    plan = apply_tli(Chain(**wanted), Chain(**given), example=(2, 1, 8), options=Options(method="maps"))
    assert plan.relation == relation


class Encoder(nn.Module):
    """Convolutions that halve an image, and what gives it back or, past another layer, tells classes of it."""

    def __init__(self, classes: int = 0, width: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, 16, 3, 2, 1), nn.ReLU())
        give = (nn.ConvTranspose2d(16, 8, 2, 2), nn.ReLU(), nn.ConvTranspose2d(8, 1, 2, 2))
        tell = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, classes or 1))
        self.end = nn.Sequential(*(tell if classes else give))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.end(self.encoder(images))


@pytest.mark.parametrize(("width", "relation"), [(8, "shallower"), (4, "wider and shallower"), (12, "other")])
def test_an_encoder_that_is_kept_whole_makes_no_other_family(width, relation):
    given, wanted = randomised(Encoder(width=width), 1), randomised(Encoder(5), 2)
    images = torch.zeros(2, 1, 16, 16, dtype=torch.float64)
    plan = apply_tli(wanted, given, example=images, options=Options(method="maps"))
    assert plan.relation == relation and plan.coverage > 0.5
