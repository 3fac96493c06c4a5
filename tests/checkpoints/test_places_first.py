"""Files whose convolutions hold places before the channels that they take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli.checkpoints import open_checkpoint


def kept(folder: Path, model: nn.Module, turned: bool) -> str:
    state = model.state_dict()
    held = {n: t.permute(0, 2, 3, 1) if turned and t.ndim == 4 else t for n, t in state.items()}
    save_file({name: tensor.contiguous() for name, tensor in held.items()}, folder / "model.safetensors")
    return str(folder / "model.safetensors")


@pytest.mark.parametrize("turned", [True, False])
def test_convolutions_are_read_as_torch_has_them(turned: bool, tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 5, groups=4), nn.Flatten(), nn.Linear(8, 2)
    )
    checkpoint = open_checkpoint(kept(tmp_path, model, turned))
    assert checkpoint.channels_last == turned
    for name, tensor in model.state_dict().items():
        assert torch.equal(checkpoint.read(name), tensor)


def test_kernels_that_are_long_are_torchs_own(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, (1, 7)), nn.Conv2d(4, 4, (7, 1)), nn.Conv2d(4, 8, 3))
    assert not open_checkpoint(kept(tmp_path, model, turned=False)).channels_last
