"""Queries that share keys and values: more keys, turned in either way, and what code makes of places."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli
from tli_cli.describe.turned import known_turns, turned_values
from tli_cli.providers.module import describe_live

TOKENS = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def angles(places: int, width: int) -> torch.Tensor:
    return torch.arange(places)[:, None] * 100.0 ** -(torch.arange(0, width, 2) / width)


def halves_turned(x: torch.Tensor) -> torch.Tensor:
    turn = angles(x.shape[-2], x.shape[-1]).repeat(1, 2).to(x)
    first, second = x.chunk(2, -1)
    return x * turn.cos() + torch.cat([-second, first], -1) * turn.sin()


def pairs_turned(x: torch.Tensor) -> torch.Tensor:
    turn = angles(x.shape[-2], x.shape[-1]).repeat_interleave(2, -1).to(x)
    return x * turn.cos() + torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2) * turn.sin()


class Shared(nn.Module):
    """Four queries of `head` channels that share `keys`; `normed` channel by channel over all places."""

    def __init__(self, turned, keys: int, head: int = 4, normed: bool = False) -> None:
        super().__init__()
        self.turned, self.keys, self.head = turned, keys, head
        self.q, self.k, self.v = (nn.Linear(16, n * head, bias=False) for n in (4, keys, keys))
        self.gain = nn.Parameter(torch.ones(4 * head)) if normed else None
        self.o = nn.Linear(4 * head, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = [self.q(x), self.k(x), self.v(x)]
        if self.gain is not None:
            made[0] = made[0] * (made[0].square().mean(1, keepdim=True) + 1e-6).rsqrt() * self.gain
        q, k, v = (t.unflatten(-1, (-1, self.head)).transpose(1, 2) for t in made)
        q, k = self.turned(q), self.turned(k)
        if self.keys < 4:
            k, v = (t[:, :, None].expand(-1, -1, 4 // self.keys, -1, -1).flatten(1, 2) for t in (k, v))
        scores = (q @ k.mT * self.head**-0.5).softmax(-1)
        return x + self.o((scores @ v).transpose(1, 2).flatten(2))


class Relative(nn.Module):
    """Attention that looks at how far apart places are, by waves that code makes and a projection of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(16, width)
        self.q, self.k, self.v, self.r = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.o = nn.Linear(width, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        turn = angles(x.shape[1], y.shape[-1]).to(x)
        far = self.r(torch.cat([turn.sin(), turn.cos()], -1))
        scores = self.q(y) @ self.k(y).mT + self.q(y) @ far.mT
        return self.o(scores.softmax(-1) @ self.v(y))


def taught(source: nn.Module, target: nn.Module) -> tuple[bool, float]:
    given, wanted = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(wanted, given, example=(TOKENS,), options=Options(method="maps"))
    return promises(plan), distance(given, wanted, (TOKENS,))


@pytest.mark.parametrize("turned", [halves_turned, pairs_turned])
@pytest.mark.parametrize("keys", [2, 4])
def test_more_keys_for_as_many_queries_keep_the_function(turned, keys):
    promised, apart = taught(Shared(turned, keys // 2), Shared(turned, keys))
    assert promised and apart < 1e-9


@pytest.mark.parametrize("turned", [halves_turned, pairs_turned])
def test_a_turn_is_known_where_the_graph_shows_which_channels_are_turned_together(turned):
    architecture = describe_live(Shared(turned, 2), TOKENS)
    known = known_turns(architecture)
    makers = {architecture.layers[architecture.graph[start].layer].path for start in known.values()}
    assert known == turned_values(architecture.graph) and makers == {"q", "k"}
    assert not known_turns(replace(architecture, axes={}))


def test_a_norm_of_each_channel_alone_may_stand_before_what_turns_them():
    promised, apart = taught(Shared(halves_turned, 2, normed=True), Shared(halves_turned, 4, normed=True))
    assert promised and apart < 1e-9


def test_waves_that_go_with_the_width_are_not_called_exact():
    promised, apart = taught(Relative(8), Relative(16))
    assert apart > 1e-3 and not promised
