"""Attention as code writes it: either factor first, products turned, a softmax over either of them."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import nn

from tests.core.support import promises
from tests.models import randomised
from tli_cli import Options, apply_tli

WIDTH, PLACES = 8, 16


def _queries_first(q, k, v, table):
    return (v @ (q.mT @ k / WIDTH + table).softmax(-1).mT).mT


def _weights_first(q, k, v, table):
    return (q.mT @ k / WIDTH + table).softmax(-1) @ v.mT


def _einsum(q, k, v, table):
    weights = (torch.einsum("bci,bcj->bij", q, k) / WIDTH + table).softmax(-1)
    return torch.einsum("bij,bcj->bic", weights, v)


def _keys_first(q, k, v, table):
    return (v @ (k.mT @ q / WIDTH + table).softmax(1)).mT


def _sum_over_queries(q, k, v, table):
    return (v @ (q.mT @ k / WIDTH + table).softmax(-1)).mT


def _turned_weights(q, k, v, table):
    return (q.mT @ k / WIDTH + table).softmax(-1).mT @ v.mT


def _softmax_over_queries(q, k, v, table):
    return (q.mT @ k / WIDTH + table).softmax(1) @ v.mT


FORMS = (
    _queries_first, _weights_first, _einsum, _keys_first, _sum_over_queries, _turned_weights, _softmax_over_queries,
)  # fmt: skip


PAIRS = [pair for pair in permutations(FORMS, 2) if {_weights_first, _sum_over_queries}.intersection(pair)]


class Attending(nn.Module):
    """One attention over the places of an image, with a table of biases for pairs of places or without."""

    def __init__(self, form, table: bool = False) -> None:
        super().__init__()
        self.form, self.stem, self.head = form, nn.Conv2d(3, WIDTH, 4, 4), nn.Linear(WIDTH, 5)
        self.q, self.k, self.v, self.o = (nn.Conv2d(WIDTH, WIDTH, 1) for _ in range(4))
        self.table = nn.Parameter(torch.zeros(PLACES, PLACES)) if table else 0.0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        q, k, v = (layer(x).flatten(2) for layer in (self.q, self.k, self.v))
        mixed = self.form(q, k, v, self.table).mT.unflatten(2, x.shape[2:])
        return self.head((x + self.o(mixed)).relu().mean((2, 3)))


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_it_is_exact_only_where_the_same_is_summed_and_weighed(source, target, table: bool) -> None:
    giver, taker = randomised(Attending(source, table), 1), randomised(Attending(target, table), 2)
    image = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    plan = apply_tli(taker, giver, example=image, options=Options(method="maps"))
    same = torch.allclose(giver(image), taker(image), rtol=1e-9, atol=1e-9)
    attends = not table and {source, target} <= set(FORMS[:4])
    assert same >= promises(plan) >= attends


class Fused(nn.Module):
    """Blocks of one attention, whose queries, keys and values lie head by head in one tensor, or end to end."""

    def __init__(self, by_head: bool, qkv: str = "qkv", out: str = "proj", spare: bool = False) -> None:
        super().__init__()
        self.by_head, self.names = by_head, (qkv, out)
        self.embed, self.head = nn.Linear(6, WIDTH), nn.Linear(WIDTH, 5)
        modules = [
            nn.ModuleDict({"norm": nn.LayerNorm(WIDTH), qkv: nn.Linear(WIDTH, 3 * WIDTH), out: nn.Linear(WIDTH, WIDTH)})
            for _ in range(2)
        ]
        self.blocks = nn.ModuleList(modules)
        if spare:
            self.spare = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for block in self.blocks:
            qkv = block[self.names[0]](block["norm"](x))
            if self.by_head:
                parts = [part.transpose(1, 2) for part in qkv.unflatten(-1, (2, -1)).chunk(3, -1)]
            else:
                parts = [part.unflatten(-1, (2, -1)).transpose(1, 2) for part in qkv.chunk(3, -1)]
            x = x + block[self.names[1]](nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))
        return self.head(x.mean(1))


@pytest.mark.parametrize("qkv, out", [("qkv", "proj"), ("to_qkv", "to_out"), ("Wqkv", "o"), ("mixed", "dense")])
@pytest.mark.parametrize("by_head", [True, False])
def test_what_is_fused_in_a_bare_file_lies_as_in_the_network_that_is_run(by_head: bool, qkv: str, out: str) -> None:
    """A layer that the network lacks keeps the file from being taken for its class."""
    giver, taker = randomised(Fused(by_head, qkv, out, spare=True), 1), randomised(Fused(by_head), 2)
    tokens = torch.randn(2, 7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plan = apply_tli(taker, giver.state_dict(), example=tokens, options=Options(head="keep"))
    assert torch.allclose(giver(tokens), taker(tokens))
    fused = [step.exact for step in plan.steps if ".qkv." in step.target]
    assert all(fused) == (not by_head or (qkv, out) == ("qkv", "proj"))
