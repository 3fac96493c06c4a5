"""Branches and tables that a target has besides all of its source add nothing at first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.core.support import promises
from tli_cli import Options, apply_tli
from tli_cli.catalogue.libraries import import_timm


class Block(nn.Module):
    def __init__(self, adapter: str) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.attn = nn.MultiheadAttention(16, 2, batch_first=True)
        self.fc1, self.fc2 = nn.Linear(16, 40), nn.Linear(40, 16)
        if adapter == "bottleneck":
            self.down, self.up = nn.Linear(16, 4), nn.Linear(4, 16)
        if adapter == "convolution":
            self.conv = nn.Conv1d(16, 16, 3, padding=1, groups=16)
        self.adapter = adapter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.adapter == "convolution":
            x = x + self.conv(x.transpose(1, 2)).transpose(1, 2)
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        x = x + self.fc2(nn.functional.gelu(self.fc1(self.norm2(x))))
        return x + self.up(self.down(x).relu()) if self.adapter == "bottleneck" else x


class Net(nn.Module):
    def __init__(self, adapter: str = "", placed: bool = False, depth: int = 2) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(6, 16), nn.Linear(16, 3)
        self.blocks = nn.ModuleList(Block(adapter) for _ in range(depth))
        self.position = nn.Parameter(torch.randn(1, 5, 16)) if placed else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x) if self.position is None else self.embed(x) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


@pytest.mark.parametrize("changes", [{"adapter": "bottleneck"}, {"adapter": "convolution"}, {"placed": True},
                                     {"adapter": "bottleneck", "placed": True},
                                     {"adapter": "bottleneck", "depth": 3}])  # fmt: skip
def test_what_is_added_within_blocks_changes_nothing(changes) -> None:
    source, target = Net().double(), Net(**changes).double()
    example = torch.randn(2, 5, 6, dtype=torch.float64)
    plan = apply_tli(target, source, example=example.float(), options=Options(method="maps"))
    assert promises(plan) and not plan.unused
    assert torch.allclose(target(example), source(example), rtol=0, atol=1e-12)
    kept = {step.target for step in plan.steps if step.action == "keep" and step.initial != "zeros"}
    assert all("down" in name for name in kept if "blocks.2" not in name)


def test_what_reads_an_added_branch_is_no_part_of_it() -> None:
    source, target = Net(adapter="bottleneck"), Net(adapter="bottleneck", depth=3)
    example = torch.randn(2, 5, 6)
    plan = apply_tli(target, source, example=example, options=Options(method="maps"))
    assert promises(plan) and torch.allclose(target(example), source(example), atol=1e-5)


def test_a_scale_takes_nothing_of_other_channels_and_adds_nothing() -> None:
    convnext = import_timm().models.ConvNeXt
    sizes = {"dims": (8, 12, 16, 20), "depths": (1, 1, 1, 1), "num_classes": 3}
    source, target = convnext(**sizes), convnext(**sizes, use_grn=True, ls_init_value=None)
    plan = apply_tli(target, source, example=torch.randn(1, 3, 64, 64), options=Options(method="maps"))
    assert {(step.action, step.initial) for step in plan.steps if ".grn." in step.target} == {("keep", "zeros")}


def test_a_scale_behind_a_branch_that_is_fed_is_no_branch_of_its_own() -> None:
    vit = import_timm().models.VisionTransformer
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, "num_classes": 3}
    source, target = vit(**sizes).double(), vit(**sizes, init_values=0.1).double()
    plan = apply_tli(target, source, example=(1, 3, 32, 32), options=Options(method="maps"))
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    assert promises(plan) and torch.allclose(source.eval()(image), target.eval()(image), atol=1e-12)


class Mean(nn.Module):
    """A network, or the mean of it and a second one."""

    def __init__(self, two: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        self.second = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3)) if two else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(x) if self.second is None else (self.first(x) + self.second(x)) / 2


def test_a_number_behind_the_sum_with_an_added_branch_is_not_overlooked() -> None:
    plan = apply_tli(Mean(True), Mean(False), example=torch.randn(2, 5), options=Options(method="maps"))
    doubted = {step.target: step.reason for step in plan.steps if not step.exact}
    assert doubted.keys() == {"first.4.weight", "first.4.bias"} and all("0.5" in why for why in doubted.values())
