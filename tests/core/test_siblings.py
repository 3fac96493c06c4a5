"""Bare files whose layers stand in another order than they are run in: names that both sides give decide."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli import Options, apply_tli
from tli_cli.catalogue.libraries import import_timm


def ghost() -> nn.Module:
    rows = [[[3, 16, 16, 0, 1]], [[3, 48, 24, 0, 2]], [[3, 72, 24, 0, 1]]]
    return import_timm().models.ghostnet.GhostNet(rows, num_classes=5)


def joined(name: str) -> str:
    return re.sub(r"\.(\d+)\.", lambda found: f"_{int(found[1]) + 1}.", name)


def test_every_tensor_finds_its_own_under_other_names_in_another_order(tmp_path: Path) -> None:
    model = ghost()
    save_file({joined(n): t.clone() for n, t in ghost().state_dict().items()}, path := tmp_path / "source.safetensors")
    plan = apply_tli(model, path, example=torch.randn(1, 3, 32, 32), options=Options(method="maps"))
    given = {step.target: step.pieces[0].source for step in plan.steps if step.pieces}
    assert given == {name: joined(name) for name in model.state_dict()}
