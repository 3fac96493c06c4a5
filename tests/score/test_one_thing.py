"""A score of 1 is for the same network alone: under other names, and with nothing changed."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests import models
from tests.score.one_thing import CHANGES, INPUTS, NETS, Images, Words
from tests.score.test_laws import score
from tli_cli.matching import MATCHERS
from tli_cli.providers.module import describe_live

SAID = ("q", "key", "value", "out", "fc1", "fc2", "norm1", "bn2", "conv1", "gate", "up", "down", "embed", "head", "cls")
"""Names that say what a layer is, wherever they stand."""


def described(chosen, names=()):
    return describe_live(NETS[type(chosen)](chosen, dict(names)), INPUTS[type(chosen)])


def changed(rng, chosen, count=1):
    for key in rng.sample(sorted(CHANGES[type(chosen)]), count):
        chosen = replace(chosen, **{key: rng.choice(CHANGES[type(chosen)][key])})
    return chosen


def differing(chosen):
    return [field.name for field in fields(chosen) if getattr(chosen, field.name) != field.default]


@pytest.mark.parametrize("kind", [Images, Words])
@given(st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=12, deadline=None)
def test_other_names_and_orders_change_nothing(kind, rng, said):
    chosen = changed(rng, kind(), 2)
    keys = list(NETS[kind](chosen, {}).parts)
    names = [f"m{i}" for i in range(len(keys))]
    names[: len(SAID)] = SAID[: len(names)] if said else names[: len(SAID)]
    rng.shuffle(keys)
    rng.shuffle(names)
    one, other = described(chosen), described(chosen, zip(keys, names, strict=True))
    assert score(one, other) == score(other, one) == 1, (chosen, names)


class Cut(nn.Module):
    """A network whose layers stand in modules that say nothing of its blocks."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        for i, layer in enumerate(module for module in net.modules() if not list(module.children())):
            row, block = f"row{i % 3}", str(i // 2)
            if row not in self._modules:
                self.add_module(row, nn.Module())
            home = self.get_submodule(row)
            if block not in home._modules:
                home.add_module(block, nn.Module())
            home.get_submodule(block).add_module(f"x{i}", layer)
        self.__dict__["net"] = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize("matcher", MATCHERS)
def test_modules_that_cut_a_network_anywhere_change_nothing(matcher):
    net = models.NETS["resnet"](kernel=5)
    one, other = describe_live(net, (1, 3, 16, 16)), describe_live(Cut(net), (1, 3, 16, 16))
    assert score(one, other, matcher) == score(other, one, matcher) == 1


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [(kind, k, v) for kind, keys in CHANGES.items() for k, values in keys.items() for v in values],
)
def test_one_thing_changed_costs_something(kind, key, value):
    chosen = changed(random.Random(f"{key}{value}"), kind(), 1)
    chosen = kind() if getattr(chosen, key) == value or "parallel" in (key, *differing(chosen)) else chosen
    one, two = described(chosen), described(replace(chosen, **{key: value}))
    found = [score(*sides, matcher) for matcher in MATCHERS for sides in ((one, two), (two, one))]
    assert max(found) < 1, (chosen, found)
