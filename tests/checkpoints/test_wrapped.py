"""Networks that keep all they have under a name that wrappers use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tli_cli import Options, inject, verify


class Wrapped(nn.Module):
    """A network that keeps all it has under a wrapper's name."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize("stored", ["net.", "", "module.net."])
def test_a_network_under_a_wrappers_name_is_read_verified_and_loaded(stored: str, tmp_path: Path) -> None:
    source, target, out = tmp_path / "source.pt", f"{__name__}:Wrapped?width=16", tmp_path / "out.safetensors"
    state = {name.replace("net.", stored, 1): value for name, value in Wrapped().state_dict().items()}
    torch.save(state, source)
    options = Options(source_arch=f"{__name__}:Wrapped", input_shape=(4,), verify=True)
    report = inject(str(source), target, out, options=options)
    assert report.verification is not None and report.verification < 1e-6
    assert not verify(out, target, options=options).problems
    Wrapped(16).load_state_dict(load_file(out))
