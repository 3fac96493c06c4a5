"""A deeper or wider file of a class: units of several blocks, decoders beside an encoder, norms with an offset."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.kinship.test_kin import bare, planned
from tli_cli.architecture import Architecture
from tli_cli.describe.tracing.trace import state_specs
from tli_cli.kinship import as_kin
from tli_cli.planning.claims.doubts import WIDTH
from tli_cli.providers.module import describe_live


class Offset(nn.Module):
    """A root mean square norm whose weight is stored less one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.after = Offset(width), Offset(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        y = self.norm(x)
        other = y if memory is None else memory
        weights = (self.q(y) @ self.k(other).transpose(1, 2)).softmax(-1)
        return x + self.after(self.o(weights @ self.v(other)))


class Feed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.after = Offset(width), Offset(width)
        self.wi, self.wo = nn.Linear(width, 20, bias=False), nn.Linear(20, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.after(self.wo(self.wi(self.norm(x)).relu()))


class Block(nn.Module):
    """Modules in a list of its own, as T5 has them."""

    def __init__(self, width: int, cross: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Attention(width), *([Attention(width)] if cross else []), Feed(width)])

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        x = self.layer[0](x)
        return self.layer[-1](x if memory is None else self.layer[1](x, memory))


class Both(nn.Module):
    """An encoder and a decoder of one table; what comes out is scaled by its width."""

    def __init__(self, encoders: int = 2, decoders: int = 2, width: int = 12) -> None:
        super().__init__()
        self.shared = nn.Embedding(31, width)
        self.encoder = nn.ModuleList(Block(width, cross=False) for _ in range(encoders))
        self.decoder = nn.ModuleList(Block(width, cross=True) for _ in range(decoders))
        self.head = nn.Linear(width, 7)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        memory = x = self.shared(ids)
        for block in self.encoder:
            memory = block(memory)
        for block in self.decoder:
            x = block(x, memory)
        return self.head(x * x.shape[-1] ** -0.5)


def traced(**sizes: int) -> Architecture:
    return describe_live(Both(**sizes), torch.zeros(2, 5, dtype=torch.long))


def run(architecture: Architecture) -> list[object]:
    """Return what is run on what, each layer by its path."""
    paths = [layer.path for layer in architecture.layers]
    return [(node.op, node.inputs, paths[node.layer] if node.layer >= 0 else "") for node in architecture.graph]


@pytest.mark.parametrize("sizes", [{"encoders": 4}, {"decoders": 4}, {"encoders": 3, "decoders": 3}], ids=str)
def test_what_a_deeper_file_repeats_runs_in_its_order(sizes):
    kin = as_kin(bare(Both(**sizes)), traced())
    assert kin is not None and run(kin) == run(traced(**sizes))


def test_zeros_are_not_what_silences_a_norm_with_an_offset():
    model = Both(encoders=3)
    kin = as_kin(bare(model), traced())
    plan = planned(traced(), kin)
    zeros = {step.target for step in plan.steps if step.initial == "zeros" and step.action == "keep"}
    assert zeros and all(name.endswith(("o.weight", "wo.weight")) for name in zeros)
    assert {spec.name for spec in state_specs(model)} == {step.target for step in plan.steps}


def test_a_scale_that_goes_with_the_width_of_the_known_side_is_doubted():
    kin = as_kin(bare(Both(width=24)), traced())
    assert [step.layer for step in planned(traced(), kin).steps if WIDTH in step.reason]


class Peeking(nn.Module):
    """Takes one channel for its shape alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        return self.second(y) + torch.zeros(y[:, -1].shape[0], 1)


def test_a_channel_that_is_taken_for_its_shape_cuts_nothing():
    found = describe_live(Peeking(), torch.zeros(2, 16))
    assert all(isinstance(axis.tree, int) for axes in found.axes.values() for axis in axes)
