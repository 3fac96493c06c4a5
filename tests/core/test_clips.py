"""Networks of images and of clips: stages meet by their frames' resolution, what frames add is repeated or summed."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from tli_cli import Options, Plan, apply_tli
from tli_cli.describe.blocks import block_paths


class Staged(nn.Module):
    """Four stages of residual blocks; a clip is halved in time wherever its frames are halved."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.stem = conv(3, 8, 3, 2, 1)
        self.pool = nn.MaxPool2d(2) if dims == 2 else nn.Identity()
        widths = (8, 8, 16, 32, 64)
        self.stages = nn.ModuleList(Block(conv, norm, a, b) for a, b in pairwise(widths))
        self.fc = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.stem(x).relu())
        for stage in self.stages:
            x = stage(x)
        return self.fc(x.flatten(2).mean(-1))


class Block(nn.Module):
    def __init__(self, conv: type[nn.Module], norm: type[nn.Module], before: int, width: int) -> None:
        super().__init__()
        stride = 1 if before == width else 2
        self.conv1, self.bn1 = conv(before, width, 3, stride, 1, bias=False), norm(width)
        self.conv2, self.bn2 = conv(width, width, 3, 1, 1, bias=False), norm(width)
        self.shortcut = nn.Identity() if before == width else conv(before, width, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + self.shortcut(x)).relu()


class Windows(nn.Module):
    """Attention within one window, biased by a table of offsets, behind a learned position for each place."""

    def __init__(self, *sides: int) -> None:
        super().__init__()
        self.sides, places = sides, torch.Size(sides).numel()
        self.embed = (nn.Conv2d if len(sides) == 2 else nn.Conv3d)(3, 8, 2, 2)
        self.positions = nn.Parameter(torch.randn(1, 8, *sides))
        self.qkv, self.out, self.fc = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 5)
        self.table = nn.Parameter(torch.randn(torch.Size(2 * side - 1 for side in sides).numel(), 2))
        grid = torch.stack(torch.meshgrid(*map(torch.arange, sides), indexing="ij")).flatten(1)
        index = torch.zeros(places, places, dtype=torch.int64)
        for side, apart in zip(sides, grid[:, :, None] - grid[:, None], strict=True):
            index = index * (2 * side - 1) + apart + side - 1
        self.register_buffer("index", index.flatten(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (self.embed(x) + self.positions).flatten(2).transpose(1, 2)
        batch, places, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, places, 3, 2, 4).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index].view(places, places, 2).permute(2, 0, 1)
        attended = (q @ k.transpose(-1, -2) / 2 + bias).softmax(-1) @ v
        return self.fc(self.out(attended.transpose(1, 2).flatten(2)).mean(1))


class Beside(nn.Module):
    """A class token's position, and those of rows and of columns, in one module."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(8))
        self.rows = nn.Parameter(torch.randn(rows, 8))
        self.columns = nn.Parameter(torch.randn(4, 8))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.rows.repeat_interleave(4, 0) + self.columns.repeat(len(self.rows), 1)
        return self.fc(x + torch.cat([self.first[None], places])).mean(1)


IMAGE, CLIP = (1, 3, 64, 64), (1, 3, 16, 64, 64)


def taught(source: nn.Module, target: nn.Module, shape: tuple[int, ...], own: tuple[int, ...]) -> Plan:
    return apply_tli(target, source, example=own, teacher_example=shape, options=Options(method="maps"))


@pytest.mark.parametrize("dims", [2, 3])
def test_stages_meet_by_what_they_see_of_a_frame(dims: int) -> None:
    shapes = {2: IMAGE, 3: CLIP}
    plan = taught(Staged(dims), Staged(5 - dims), shapes[dims], shapes[5 - dims])
    assert not plan.unused and not plan.initialised
    assert all(piece.source == step.target for step in plan.steps for piece in step.pieces)


class Still(nn.Module):
    """Looks at each place, or each frame of a clip, by itself, but for pools over the places of a frame."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        conv, side = (nn.Conv2d, ()) if dims == 2 else (nn.Conv3d, (1,))
        pools = (nn.MaxPool2d, nn.AvgPool2d) if dims == 2 else (nn.MaxPool3d, nn.AvgPool3d)
        self.first, self.second, self.fc = conv(3, 8, 1), conv(8, 8, 1), nn.Linear(8, 5)
        self.pools = nn.ModuleList(pool((*side, 2, 2), (*side, 2, 2)) for pool in pools)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pools[0](self.first(x).relu())
        return self.fc(self.pools[1](self.second(x).relu()).flatten(2).mean(-1))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_pool_within_each_frame_is_that_of_an_image(dims: int) -> None:
    image, clip = (1, 3, 8, 8), (1, 3, 2, 8, 8)
    shapes = (image, clip) if dims == 2 else (clip, image)
    plan = taught(Still(dims), Still(5 - dims), *shapes)
    assert all(step.exact for step in plan.steps)


def test_frames_of_a_kernel_are_summed_for_an_image() -> None:
    source, target = Staged(3), Staged(2)
    taught(source, target, CLIP, IMAGE)
    for name, tensor in source.state_dict().items():
        summed = tensor.sum(2) if tensor.ndim == 5 else tensor
        assert torch.allclose(target.state_dict()[name], summed, atol=1e-6), name


def test_places_of_an_image_are_repeated_for_each_frame() -> None:
    source, target = Windows(4, 4), Windows(2, 4, 4)
    taught(source, target, (1, 3, 8, 8), (1, 3, 4, 8, 8))
    assert torch.equal(target.table, source.table.repeat(3, 1))
    assert torch.equal(target.positions, source.positions[:, :, None].expand(-1, -1, 2, -1, -1))


def test_one_frame_takes_the_offsets_within_a_frame() -> None:
    source, target = Windows(2, 4, 4), Windows(4, 4)
    taught(source, target, (1, 3, 4, 8, 8), (1, 3, 8, 8))
    assert torch.equal(target.table, source.table.view(3, 49, 2)[1])
    assert torch.allclose(target.positions, source.positions.mean(2), atol=1e-6)


def test_several_tables_of_one_module_are_layers_of_their_own() -> None:
    source, target = Beside(2), Beside(3)
    taught(source, target, (1, 9, 8), (1, 13, 8))
    assert torch.equal(source.columns, target.columns) and torch.equal(source.first, target.first)
    plan = taught(source, Beside(2), (1, 9, 8), (1, 9, 8))
    assert all(step.exact for step in plan.steps)


def test_what_has_a_number_for_a_name_is_a_block_of_parts() -> None:
    paths = [f"layer1.{i}.conv{j}.{k}" for i in range(2) for j in (1, 2) for k in ("0.0", "0.3", "1")]
    assert {block for block, _ in block_paths(paths, ["conv"] * len(paths))} == {"layer1.0", "layer1.1"}
    rows = [path.replace("conv", "block") for path in paths]
    assert len({block for block, _ in block_paths(rows, ["conv"] * len(rows))}) == 4


def test_experts_in_a_list_are_parts_of_the_block_that_chooses_among_them() -> None:
    parts = ("attn.q", "attn.o", "moe.gate", *(f"moe.experts.{i}.w{j}" for i in range(4) for j in (1, 2)))
    paths = [f"layers.{i}.{part}" for i in range(2) for part in parts]
    assert set(block_paths(paths, ["linear"] * len(paths))) == {("layers.0", "layers"), ("layers.1", "layers")}
