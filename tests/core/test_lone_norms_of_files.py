"""Batch norms that one of two bare files has behind its convolutions: taken into these, or started as nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.equivalence.harness import randomise
from tli_cli import inject


class Block(nn.Module):
    def __init__(self, normed: bool, first: bool) -> None:
        super().__init__()
        self.first = first
        self.conv1, self.conv2 = (nn.Conv2d(8, 8, 3, 1, 1, bias=not normed) for _ in range(2))
        if normed:
            self.bn1, self.bn2 = nn.BatchNorm2d(8, 1e-5), nn.BatchNorm2d(8, 1e-5)
        else:
            self.bn1 = self.bn2 = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.first:
            y = self.conv1(self.bn1(x).relu())
            return x + self.conv2(self.bn2(y).relu())
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (x + y).relu()


class Net(nn.Module):
    def __init__(self, normed: bool, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, bias=not normed)
        self.bn1 = nn.BatchNorm2d(8, 1e-5) if normed else nn.Identity()
        self.blocks = nn.Sequential(*(Block(normed, first) for _ in range(3)))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.blocks(self.bn1(self.conv1(x)).relu()).mean((2, 3)))


def injected(folder: Path, source: nn.Module, target: nn.Module, suffix: str) -> dict[str, bool]:
    """Inject through two bare files, load the result, and return by name which weights and biases are called exact."""
    for seed, model in enumerate((source, target)):
        randomise(model.eval(), seed)
        path = folder / f"{seed}{suffix}"
        save_file(model.state_dict(), path) if suffix == ".safetensors" else torch.save(model.state_dict(), path)
    report = inject(str(folder / f"0{suffix}"), str(folder / f"1{suffix}"), folder / "out.safetensors")
    target.load_state_dict(load_file(folder / "out.safetensors"))
    return {step.target: step.exact for step in report.plan.steps}


def apart(first: nn.Module, second: nn.Module) -> float:
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        a, b = first.double()(x), second.double()(x)
    return float((a - b).abs().max() / a.abs().max())


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_norms_of_the_source_are_taken_in_and_nothing_proves_it(suffix: str, tmp_path: Path) -> None:
    source, target = Net(True, False), Net(False, False)
    exact = injected(tmp_path, source, target, suffix)
    assert apart(source, target) < 1e-6
    assert {name for name, kept in exact.items() if kept} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_norms_of_the_target_pass_on_and_add_the_biases(suffix: str, tmp_path: Path) -> None:
    source, target = Net(False, False), Net(True, False)
    exact = injected(tmp_path, source, target, suffix)
    assert apart(source, target) < 1e-4  # up to epsilon
    assert not exact["bn1.bias"] and exact["blocks.0.conv1.weight"]


def test_what_a_norm_takes_at_the_start_of_a_block_is_not_known(tmp_path: Path) -> None:
    exact = injected(tmp_path, Net(True, True), Net(False, True), ".pt")
    assert not any(kept for name, kept in exact.items() if "conv" in name)
