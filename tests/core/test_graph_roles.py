"""What the graph of a network says that its layers are for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tli_cli.matching.graph_roles import graph_roles
from tli_cli.matching.units import units_of
from tli_cli.providers.module import describe_live


class Necked(nn.Module):
    """One block of a ViT, and two convolutions that a norm stands behind each."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.before, self.between = nn.LayerNorm(8), nn.LayerNorm(8)
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 8)
        self.first, self.second = nn.Linear(8, 6), nn.Linear(6, 6)
        self.behind_first, self.behind_second = nn.LayerNorm(6), nn.LayerNorm(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        y = self.before(x)
        x = x + self.o((self.q(y) @ self.k(y).transpose(1, 2)).softmax(-1) @ self.v(y))
        x = x + self.fc2(F.gelu(self.fc1(self.between(x))))
        return self.behind_second(self.second(self.behind_first(self.first(x))))


def test_a_norm_that_a_layer_feeds_is_none_of_the_stream():
    architecture = describe_live(Necked(), torch.zeros(1, 3, 16, 16))
    units = {unit.key: unit for unit in units_of(architecture)}
    roles = {units[key].path: role for key, role in graph_roles(architecture, units.values()).items()}
    assert (roles["before"], roles["between"], roles["q"], roles["o"]) == ("norm1", "norm2", "q", "o")
    assert not roles.get("behind_first") and not roles.get("behind_second")


class NormedBehind(nn.Module):
    """One block of a transformer with a norm before each of its branches and one behind."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(8) for _ in range(4))
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        y = self.norms[0](x)
        x = x + self.norms[1](self.o((self.q(y) @ self.k(y).transpose(1, 2)).softmax(-1) @ self.v(y)))
        return x + self.norms[3](self.fc2(F.gelu(self.fc1(self.norms[2](x)))))


def test_a_norm_behind_a_branch_is_told_by_what_makes_the_branch():
    architecture = describe_live(NormedBehind(), torch.zeros(1, 3, 16, 16))
    units = {unit.key: unit for unit in units_of(architecture)}
    roles = {units[key].path: role for key, role in graph_roles(architecture, units.values()).items()}
    found = [roles[f"norms.{i}"] for i in range(4)]
    assert found == ["norm1", "post_attn_norm", "norm2", "post_mlp_norm"]
