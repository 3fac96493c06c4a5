"""What a fitted network feeds a fresh head: brought to one size where that changes nothing but a factor."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tli_cli.fitting.head_input import SIZE, size_for_head
from tli_cli.plan import Fit, Plan, Point, Side, Step


class Flat(nn.Module):
    """A body whose last layer feeds the head through an activation, and through a shortcut where that is asked for."""

    def __init__(self, act: nn.Module, norm: nn.Module | None = None, around: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.body, self.norm = nn.Linear(12, 8), nn.Linear(8, 8), norm or nn.Identity()
        self.act, self.around, self.head = act, around, nn.Linear(8, 4)
        nn.init.normal_(self.body.weight, std=6.0)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        return self.act(self.norm(self.body(torch.relu(x)))) + (x if self.around else 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def planned(norm: str = "", block: str = "", head: str = "keep") -> Plan:
    side = Side("net", "0")
    fit = Fit(Point("body", norm, "", block), Point("body"), 0)
    steps = (Step("head.weight", (4, 8), head), Step("body.weight", (8, 8), "transfer"))
    return Plan((side,), side, steps, fits=(fit,))


@pytest.mark.parametrize("norm", [None, nn.BatchNorm1d(8)])
def test_what_a_fresh_head_reads_gets_its_size_and_no_other_values(norm):
    net, images = Flat(nn.ReLU(), norm).eval(), torch.randn(64, 12, generator=torch.Generator().manual_seed(1))
    before = net.features(images)
    size_for_head(net, planned("norm" if norm else ""), (images,))
    after = net.features(images)
    assert torch.allclose(after.pow(2).mean().sqrt(), torch.tensor(SIZE))
    assert torch.allclose(after / after.max(), before / before.max(), atol=1e-5)


@pytest.mark.parametrize(
    ("net", "plan"),
    [
        (Flat(nn.GELU()), planned()),
        (Flat(nn.ReLU(), around=True), planned()),
        (Flat(nn.ReLU()), planned(block="body")),
        (Flat(nn.ReLU()), planned(head="transfer")),
    ],
)
def test_nothing_changes_where_a_factor_would_change_more_or_the_head_is_fed(net, plan):
    before = deepcopy(net.state_dict())
    size_for_head(net, plan, (torch.randn(64, 12, generator=torch.Generator().manual_seed(1)),))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
