"""Models that look at values are traced as far as they can do without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.describe.tracing.trace import trace
from tli_cli.errors import TraceError


class _Two(nn.Module):
    def __init__(self, forward: Callable[[nn.Module, torch.Tensor], object]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.run = forward

    def forward(self, x: torch.Tensor) -> object:
        return self.run(self, x)


def asserts(m: _Two, x: torch.Tensor) -> torch.Tensor:
    torch._check_tensor_all(x > 0)
    return m.second(m.first(x))


def asks(m: _Two, x: torch.Tensor) -> torch.Tensor:
    if not torch.compiler.is_compiling() and bool((x == 0).all()):
        raise ValueError("nothing to see")
    return m.second(m.first(x))


def picks(m: _Two, x: torch.Tensor) -> torch.Tensor:
    return m.second(m.first(x)[x[:, 0] > 0])


def scatters(m: _Two, x: torch.Tensor) -> torch.Tensor:
    return m.first(x).masked_scatter(x > 0, m.second(x))


def fills(m: _Two, x: torch.Tensor) -> torch.Tensor:
    made = m.first(x)
    made[x[:, 0] > 0] = m.second(x)
    return made


def adds(m: _Two, x: torch.Tensor) -> torch.Tensor:
    return m.first(x).index_add(0, torch.zeros(2, dtype=torch.int64, device="meta"), m.second(x))


def multiplies_two_of_unit_length(m: _Two, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(m.first(x), dim=-1) * nn.functional.normalize(m.second(x), dim=-1)


def returns_a_loss_too(m: _Two, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    made = m.second(m.first(x))
    return made.sum(), made


def sets_the_precision(m: _Two, x: torch.Tensor) -> torch.Tensor:
    with torch.autocast(device_type=x.device.type, enabled=False):
        return m.second(m.first(x))


def goes_through_those_in_use(m: _Two, x: torch.Tensor) -> torch.Tensor:
    made = torch.zeros_like(x)
    for number in (x[:2] > 0).sum(1).nonzero():
        (places,) = torch.where(x[:, int(number)] > 0)
        made.index_add_(0, places, [m.first, m.second][number](x[places]))
    return made


def traced(forward: Callable[[_Two, torch.Tensor], object]) -> Architecture:
    with torch.device("meta"):
        model = _Two(forward)
    return trace(model, (torch.empty(2, 8, device="meta"),))


@pytest.mark.parametrize(
    "forward",
    [
        asserts,
        asks,
        picks,
        scatters,
        fills,
        adds,
        multiplies_two_of_unit_length,
        returns_a_loss_too,
        sets_the_precision,
        goes_through_those_in_use,
    ],
)
def test_every_layer_is_in_the_graph(forward: Callable[[_Two, torch.Tensor], object]) -> None:
    architecture = traced(forward)
    assert {node.layer for node in architecture.graph if node.layer >= 0} == {0, 1}
    assert architecture.axes["second.weight"][0].tree == architecture.axes["second.bias"][0].tree


@pytest.mark.parametrize("forward", [scatters, fills, adds])
def test_what_is_filled_in_has_the_channels_of_what_was_there(
    forward: Callable[[_Two, torch.Tensor], object],
) -> None:
    axes = traced(forward).axes
    assert axes["first.weight"][0].tree == axes["second.weight"][0].tree


def test_a_choice_by_values_cannot_be_traced() -> None:
    with pytest.raises(TraceError, match="meta"):
        traced(lambda m, x: m.first(x) if x.sum() > 0 else m.second(x))
    assert not torch.compiler.is_compiling()


def masks_what_is_not_given(m: _Two, x: torch.Tensor) -> torch.Tensor:
    mask = None if torch.compiler.is_compiling() else torch.ones(len(x))
    return m.second(m.first(x) * mask[:, None]) if bool((x > 0).any()) else x


def test_what_is_run_on_values_is_not_told_that_it_is_compiled() -> None:
    described = trace(_Two(masks_what_is_not_given), (torch.ones(2, 8),))
    assert [layer.path for layer in described.layers] == ["first", "second"] and described.graph
