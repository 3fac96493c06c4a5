"""Nothing is silent: the summary counts every tensor, and `--strict` fails where any is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equivalence.harness import build, reference, save, transfer
from tli_cli.cli import run as command_line

VIT = "images:timm_vit"


def run(source: Path, target: str, out: Path, *options: str) -> int:
    arguments = ["inject", str(source), "--target", reference(target), "-o", str(out), "--source-arch", reference(VIT)]
    return command_line([*arguments, "--input-shape", "3,32,32", *options])


def test_strict_passes_for_the_same_network(tmp_path: Path) -> None:
    source = save(build(VIT), tmp_path / "source.pt")
    assert run(source, "images:tv_vit", tmp_path / "out.safetensors", "--strict") == 0
    assert (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("target", [f"{VIT}?num_classes=7", f"{VIT}?depth=3", f"{VIT}?depth=1"])
def test_strict_fails_where_a_tensor_is_left(target: str, tmp_path: Path) -> None:
    source = save(build(VIT), tmp_path / "source.pt")
    assert run(source, target, tmp_path / "out.safetensors", "--strict") == 3
    assert not (tmp_path / "out.safetensors").exists()


def test_the_counts_add_up(tmp_path: Path) -> None:
    report = transfer(tmp_path, VIT, f"{VIT}?num_classes=7&in_chans=4", shape="guessed").report
    total = len(build(VIT).state_dict())
    assert report.exact + report.adapted + report.initialised == total
    assert (report.adapted, report.initialised, report.unused) == (1, 2, 2)
    assert 0 < report.coverage < 1
