"""Numbers that a model keeps in buffers which it does not save are numbers of its code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tli_cli import Options, apply_tli, match

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, base=10000.0, drawn=False):
        super().__init__()
        self.query, self.key, self.out = (nn.Linear(8, 8, bias=False) for _ in range(3))
        waves = torch.randn(4) if drawn else base ** -(torch.arange(4) / 4)
        self.register_buffer("waves", waves, persistent=False)

    def turned(self, x):
        angles = torch.arange(x.shape[1], device=x.device)[:, None] * self.waves
        angles = torch.cat((angles, angles), -1)
        first, second = x.chunk(2, -1)
        return x * angles.cos() + torch.cat((-second, first), -1) * angles.sin()

    def forward(self, x):
        shares = self.turned(self.query(x)) @ self.turned(self.key(x)).transpose(1, 2)
        return self.out(shares.softmax(-1) @ x)
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return f"{tmp_path}/net.py:Net"


def net(file: str, **given: float) -> nn.Module:
    module: dict[str, type[nn.Module]] = {}
    exec(Path(file.partition(":")[0]).read_text(), module)
    return module["Net"](**given)


@pytest.mark.parametrize(("base", "exact"), [(10000.0, True), (500000.0, False)])
def test_waves_of_another_base_are_seen(file: str, base: float, exact: bool, tmp_path: Path) -> None:
    live = apply_tli(net(file, base=base), net(file), example=(2, 6, 8))
    assert all(step.exact for step in live.steps) == exact
    save_file(net(file).state_dict(), tmp_path / "a.safetensors")
    options = Options(source_arch=file, input_shape=(6, 8))
    named = match(str(tmp_path / "a.safetensors"), f"{file}(base={base})", options=options)
    assert all(step.exact for step in named.steps) == exact
    assert exact or any("constant" in step.reason for step in named.steps)


def test_waves_that_are_drawn_are_those_of_a_live_model_alone(file: str) -> None:
    torch.manual_seed(0)
    first, second = net(file, drawn=True), net(file, drawn=True)
    assert not all(step.exact for step in apply_tli(second, first, example=(2, 6, 8)).steps)
    second.waves.copy_(first.waves)
    assert all(step.exact for step in apply_tli(second, first, example=(2, 6, 8)).steps)
    drawn = f"{file}(drawn=True)"
    assert all(step.exact for step in match(drawn, drawn, options=Options(input_shape=(6, 8))).steps)
