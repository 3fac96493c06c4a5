"""A file of other names, its order lost, whose modules hold what those of the target do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import silu

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli
from tli_cli.architecture import TensorSpec
from tli_cli.describe.modules import by_modules
from tli_cli.plan import Plan

WIDTH, HEADS = 8, 2
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
RULES = (("^rows", "levels"), (r"\.first", ".unit2"), (r"\.second", ".unit3"),
         ("mix", "attention"), ("fused", "to_qkv"), ("made", "to_out"), ("^last", "classifier"))  # fmt: skip


class Bent(nn.Module):
    """A convolution whose activation is scaled and shifted by one number each."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.scale, self.shift = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x))) * self.scale + self.shift


class Mix(nn.Module):
    """An attention over places whose queries, keys and values lie head by head."""

    def __init__(self) -> None:
        super().__init__()
        self.fused, self.made = nn.Conv2d(WIDTH, 3 * WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.fused(x).view(len(x), HEADS, 3 * WIDTH // HEADS, -1).chunk(3, dim=2)
        return self.made((v @ (q.mT @ k).softmax(-1).mT).reshape(x.shape))


class Row(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.second, self.first, self.mix = Bent(3), Bent(5), Mix()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.second(self.first(x))
        return x + self.mix(x)


class Net(nn.Module):
    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 2, 2)
        self.rows = nn.ModuleList(Row() for _ in range(2))
        self.last = nn.Linear(WIDTH, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x)
        for row in self.rows:
            x = row(x)
        return self.last(x.mean((2, 3)))


def renamed(name: str) -> str:
    for pattern, other in RULES:
        name = re.sub(pattern, other, name)
    return name


def fed(source: nn.Module, target: nn.Module, folder: Path) -> Plan:
    held = {renamed(name): tensor.contiguous() for name, tensor in source.state_dict().items()}
    save_file(held, folder / "source.safetensors")
    return apply_tli(target, folder / "source.safetensors", example=IMAGES, options=Options(method="maps", head="keep"))


def test_modules_that_hold_the_same_are_taken_for_each_other(tmp_path: Path) -> None:
    source, target = (randomised(Net(), seed=seed) for seed in (1, 2))
    assert promises(fed(source, target, tmp_path))
    assert distance(source, target, (IMAGES,)) < 1e-9


def test_another_number_of_classes_changes_nothing_else(tmp_path: Path) -> None:
    plan = fed(randomised(Net(), seed=1), randomised(Net(classes=7), seed=2), tmp_path)
    assert {step.target for step in plan.steps if not step.exact} == {"last.weight", "last.bias"}


class Gated(nn.Module):
    def __init__(self, names: tuple[str, str], gate: int) -> None:
        super().__init__()
        self.names, self.gate = names, gate
        for name in names:
            self.add_module(name, nn.Conv2d(WIDTH, WIDTH, 1))
        self.out = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = [self.get_submodule(name)(x) for name in self.names]
        return x + self.out(silu(made[self.gate]) * made[1 - self.gate])


def test_numbers_do_not_tell_which_factor_is_the_gate(tmp_path: Path) -> None:
    source, target = (nn.Sequential(nn.Conv2d(3, WIDTH, 1), Gated(names, gate)).double() for names, gate in
                      ((("x1", "x2"), 0), (("y1", "y2"), 1)))  # fmt: skip
    assert not promises(fed(source, target, tmp_path))


@pytest.mark.parametrize(
    ("mine", "theirs", "found"),
    [
        ("a.q b.k c.x", "0.query 1.key 2.proj", {}),
        (
            "at.q at.k at.x",
            "attn.key attn.proj attn.query",
            {"at.q": "attn.query", "at.k": "attn.key", "at.x": "attn.proj"},
        ),
        ("b.conv_a b.conv_b", "c.conv2 c.conv1", {"b.conv_a": "c.conv1", "b.conv_b": "c.conv2"}),
        ("b.conv_a b.conv2", "c.conv1 c.conv2", {"b.conv2": "c.conv2", "b.conv_a": "c.conv1"}),
        (
            "a.0.norm1 a.0.norm3 a.0.norm2",
            "b.x.norm1 b.x.norm2 b.x.norm3",
            {"a.0.norm1": "b.x.norm1", "a.0.norm3": "b.x.norm3", "a.0.norm2": "b.x.norm2"},
        ),
        ("down.ffn blocks.mixer", "blocks.mixer down.ffn", {"down.ffn": "down.ffn", "blocks.mixer": "blocks.mixer"}),
        ("b.one b.other", "c.conv1 c.conv2", {}),
        ("b.one b.other b.more", "c.conv1 c.conv2", {}),
    ],
)
def test_names_tell_apart_what_holds_the_same(mine: str, theirs: str, found: dict[str, str]) -> None:
    sides = [[TensorSpec(f"{name}.weight", (4, 4)) for name in side.split()] for side in (mine, theirs)]
    like = {name: other for name, (_, other) in by_modules(*sides).items()}
    assert like == {f"{own}.weight": f"{other}.weight" for own, other in found.items()}
