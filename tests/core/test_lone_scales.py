"""Layer scales that the source alone has: taken into the layer before them, weight and bias."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.equivalence.harness import randomise
from tli_cli import Options, apply_tli, inject
from tli_cli.planning.starts.folding import LONE

IMAGES = torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Scale(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class Block(nn.Module):
    def __init__(self, width: int, shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(width), nn.Linear(width, 12), nn.Linear(12, width, bias=bias)
        self.ls2 = Scale(*shape) if shape else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.ls2(self.fc2(self.fc1(self.norm(x)).relu()))


class Net(nn.Module):
    def __init__(self, shape: tuple[int, ...] = (), width: int = 8, bias: bool = True) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, width), nn.Linear(width, 3)
        self.blocks = nn.Sequential(*(Block(width, shape, bias) for _ in range(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(x)))


def net(seed: int, *args: object, **sizes: object) -> Net:
    model = Net(*args, **sizes).eval()  # type: ignore[arg-type]
    randomise(model, seed)
    return model


def apart(first: nn.Module, second: nn.Module) -> float:
    with torch.no_grad():
        a, b = first.double()(IMAGES), second.double()(IMAGES)
    return float((a - b).abs().max() / a.abs().max())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [8, 16])
def test_a_scale_is_taken_in(bias: bool, width: int) -> None:
    source, target = net(0, (8,), bias=bias), net(1, width=width, bias=bias)
    plan = apply_tli(target, source, example=torch.randn(2, 6), options=Options(method="maps"))
    assert apart(source, target) < (1e-6 if width == 8 else 1e-5)
    assert all(step.exact for step in plan.steps) and not plan.unused


def test_between_bare_files_it_is_taken_in_by_name_and_nothing_proves_it(tmp_path: Path) -> None:
    source, target = net(0, (8,)), net(1)
    for name, model in (("source", source), ("target", target)):
        save_file(model.state_dict(), tmp_path / f"{name}.safetensors")
    paths = [tmp_path / f"{name}.safetensors" for name in ("source", "target", "out")]
    report = inject(str(paths[0]), str(paths[1]), paths[2])
    target.load_state_dict(load_file(paths[2]))
    assert apart(source, target) < 1e-6
    inexact = {step.target for step in report.plan.steps if not step.exact}
    assert inexact == {f"blocks.{i}.fc2.{role}" for i in (0, 1) for role in ("weight", "bias")}


def test_a_scale_that_cannot_be_taken_in_is_a_doubt() -> None:
    plan = apply_tli(net(1), net(0, (1,)), example=torch.randn(2, 6), options=Options(method="maps"))
    doubted = {step.target for step in plan.steps if not step.exact}
    assert {f"blocks.{i}.fc2.weight" for i in (0, 1)} <= doubted
    assert LONE in {step.reason for step in plan.steps}
