"""Rows of modules that hold one weighted layer each: wider and deeper, beside another tower, or of other kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import apply_tli, inject

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NUMBERS = torch.randn(2, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class Branch(nn.Module):
    def __init__(self, width: int, form: str) -> None:
        super().__init__()
        self.conv, self.norm, self.form = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), form

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x))
        return {"plain": x + y, "within": x + nn.functional.gelu(y), "behind": torch.relu(x + y)}[self.form]


class Towers(nn.Module):
    """A row of branches over images, and if asked for a tower over numbers whose output stands beside theirs."""

    def __init__(self, width: int, depth: int, form: str, numbers: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.row = nn.ModuleList(Branch(width, form) for _ in range(depth))
        self.numbers = nn.Sequential(nn.Linear(7, width), nn.ReLU(), nn.Linear(width, width)) if numbers else None
        self.head = nn.Linear(width * (2 if numbers else 1), 5)

    def forward(self, x: torch.Tensor, *numbers: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for branch in self.row:
            x = branch(x)
        x = x.mean((2, 3))
        return self.head(x if self.numbers is None else torch.cat([x, self.numbers(*numbers)], 1))


@pytest.mark.parametrize("form", ["plain", "within", "behind"])
@pytest.mark.parametrize("numbers", [False, True])
def test_a_row_grows_in_width_and_depth_at_once(form, numbers):
    source = randomised(Towers(8, 2, form, numbers)).double().eval()
    target = Towers(12, 4, form, numbers).double().eval()
    example = (IMAGES, NUMBERS) if numbers else (IMAGES,)
    plan = apply_tli(target, source, example=example)
    assert plan.relation == "wider and deeper"
    assert promises(plan)
    assert distance(source, target, example) < 1e-6


class Mapping(nn.Module):
    """An encoder and a decoder that give a map of classes, over images or volumes."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        conv, up = (nn.Conv2d, nn.ConvTranspose2d) if axes == 2 else (nn.Conv3d, nn.ConvTranspose3d)
        self.encode = nn.Sequential(conv(1, 4, 3, padding=1), nn.ReLU(), conv(4, 8, 2, 2), nn.ReLU())
        self.decode, self.out = up(8, 4, 2, 2), conv(4, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.decode(self.encode(x))))


def test_the_last_layer_of_a_bare_file_feeds_that_of_a_decoder(tmp_path):
    source = Mapping(2)
    torch.save(source.state_dict(), tmp_path / "source.pt")
    report = inject(tmp_path / "source.pt", f"{__name__}:{volumes.__name__}", tmp_path / "out.pt")
    assert report.unused == 0
    made = torch.load(tmp_path / "out.pt")["out.weight"]
    assert torch.equal(made.flatten(), source.out.weight.detach().flatten())


def volumes() -> nn.Module:
    return Mapping(3)
