"""Channels that are multiplied and summed, by weights of their own or by another side, keep what they sum to."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli


class GraphAttention(nn.Module):
    """Nodes that attend to their neighbours by a sum of what both say of themselves (arXiv 1710.10903)."""

    def __init__(self, inputs: int, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.mix = heads, nn.Linear(inputs, width, bias=False)
        self.mine, self.theirs = (nn.Parameter(torch.randn(heads, width // heads)) for _ in range(2))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        z = self.mix(x).unflatten(-1, (self.heads, -1))
        said = (z * self.mine).sum(-1)[:, :, None] + (z * self.theirs).sum(-1)[:, None]
        weights = functional.leaky_relu(said, 0.2).masked_fill(edges[..., None] == 0, -1e9).softmax(2)
        return torch.einsum("bijh,bjhd->bihd", weights, z).flatten(2)


class Graphs(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = GraphAttention(5, width), GraphAttention(width, width)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(functional.elu(self.first(x, edges)), edges))


class Additive(nn.Module):
    """A pool by additive attention (arXiv 1409.0473) whose last product is written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix, self.weight, self.head = nn.Linear(5, width), nn.Parameter(torch.randn(width)), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        weights = (torch.tanh(self.mix(x)) * self.weight).sum(-1, keepdim=True).softmax(1)
        return self.head((weights * x).sum(1))


class Scaled(nn.Module):
    """Channels times weights of their own, which are used besides their sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix, self.weight, self.head = nn.Linear(5, width), nn.Parameter(torch.randn(width)), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        y = self.mix(x) * self.weight
        return self.head(y * torch.sigmoid(y.sum(-1, keepdim=True)))


class Met(nn.Module):
    """Two sides whose products are summed, of which one is weighed by its first channel too."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mine, self.other, self.head = nn.Linear(5, width), nn.Linear(5, width), nn.Linear(1, 3)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        mine = self.mine(x)
        met = (mine * self.other(x)).sum(-1, keepdim=True)
        return self.head(torch.tanh(met) * torch.sigmoid(mine[..., :1]))


class Biaffine(nn.Module):
    """How well each pair goes together, heads with a one beside them (arXiv 1611.01734)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.others = nn.Linear(5, width), nn.Linear(5, width)
        self.pairs = nn.Parameter(torch.randn(width + 1, width))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        heads, others = torch.relu(self.heads(x)), torch.relu(self.others(x))
        heads = torch.cat([heads, torch.ones_like(heads[..., :1])], -1)
        return heads @ self.pairs @ others.transpose(1, 2)


class Retrieval(nn.Module):
    """Each of one side against each of the other, with no softmax behind."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.asked, self.held = nn.Linear(5, width), nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, width))

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        return self.asked(x[:, 0]) @ self.held(x[:, 1]).T


@pytest.mark.parametrize("network", [Graphs, Additive, Biaffine, Retrieval])
@pytest.mark.parametrize("width", [12, 16])
def test_a_weighed_sum_is_kept_as_it_grows(network: type[nn.Module], width: int) -> None:
    example = (torch.randn(2, 6, 5).double(), (torch.rand(2, 6, 6) > 0.4).double() + torch.eye(6))
    giver, taker = randomised(network(8), 1).double(), randomised(network(width), 2).double()
    plan = apply_tli(taker, giver, example=example, options=Options(method="maps"))
    assert promises(plan) and distance(giver, taker, example) < 1e-9


@pytest.mark.parametrize("network", [Scaled, Met])
def test_sums_that_no_number_makes_up_for_are_not_called_exact(network: type[nn.Module]) -> None:
    example = (torch.randn(2, 6, 5).double(), torch.ones(2, 6, 6))
    giver, taker = randomised(network(8), 1).double(), randomised(network(16), 2).double()
    assert not promises(apply_tli(taker, giver, example=example, options=Options(method="maps")))
