"""Heads side by side are told apart by how much they give, in whatever order two networks define them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tli_cli import Options, match

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8, heads="abc", act="PReLU", more=0):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3), getattr(nn, act)(), nn.Conv2d(width, 2 * width, 3), getattr(nn, act)(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )
        sizes = {"a": 1, "b": 4, "c": 10 + more}
        self.heads = nn.ModuleList([nn.Linear(2 * width, sizes[name]) for name in heads])

    def forward(self, x):
        x = self.body(x)
        return [head(x) for head in self.heads]
"""


@pytest.mark.parametrize("target", ["width=16", "act='ReLU'", "width=12,more=4"])
def test_heads_of_one_size_are_paired(target: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    net = f"{tmp_path / 'net.py'}:Net"
    plan = match(f"{net}()", f"{net}(heads='cab',{target})", options=Options(input_shape=(3, 12, 12), method="maps"))
    fed = {step.target: [piece.source for piece in step.pieces] for step in plan.steps if "heads" in step.target}
    wanted = {"heads.1.weight": ["heads.0.weight"], "heads.2.weight": ["heads.1.weight"]}
    wanted["heads.0.weight"] = [] if "more" in target else ["heads.2.weight"]
    assert {name: sources for name, sources in fed.items() if name.endswith("weight")} == wanted
