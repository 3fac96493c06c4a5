"""Coupled axes: sizes are kept whatever is united or split, and rules give maps of the size that they are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.core.support import described
from tests.models import NETS
from tli_cli import apply_tli
from tli_cli.axis_maps.expressions import apply_parted
from tli_cli.axis_maps.rules import RULES
from tli_cli.axis_maps.values import map_values
from tli_cli.describe.spaces import SpaceTable, leaves
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws, draws_for, generator_for

SIZES = st.sampled_from([1, 2, 3, 4, 6, 8, 12])
ACTIONS = st.sampled_from(["unite", "product", "sum"])
STEPS = st.lists(st.tuples(ACTIONS, st.integers(0, 7), st.integers(0, 7)), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(SIZES, min_size=2, max_size=8), STEPS)
def test_every_axis_keeps_its_size_whatever_is_coupled_with_it(sizes, steps):
    table = SpaceTable()
    roots = [table.leaf(size) for size in sizes]
    for action, i, j in steps:
        first, second = roots[i % len(roots)], roots[j % len(roots)]
        size = sizes[i % len(roots)]
        if action == "unite":
            united = table.unite(first, second)
            assert not united or table.resolve(first) == table.resolve(second)
        elif action == "product" and size % 2 == 0:
            table.split_product(first, [2, size // 2])
        elif action == "sum" and size > 1:
            table.split_sum(first, [1, size - 1])
    for root, size in zip(roots, sizes, strict=True):
        tree = table.resolve(root)
        assert table.size(tree) == size and table.resolve(tree) == tree
        assert root not in leaves(tree) or tree == root


def test_equal_parts_end_to_end_are_a_product_whose_outer_factor_counts_them():
    table = SpaceTable()
    whole, product = table.leaf(12), table.leaf(12)
    parts = table.split_sum(whole, [4, 4, 4])
    outer, inner = table.split_product(product, [3, 4])
    assert table.unite(product, whole)
    assert table.resolve(outer)[0] == "+" and table.size(table.resolve(outer)) == 3
    assert {table.resolve(part) for part in parts} == {table.resolve(inner)}
    many = table.leaf(34)
    table.split_sum(many, [4, 30])
    other = table.leaf(34)
    table.split_product(other, [17, 2])
    assert not table.unite(many, other)


@pytest.mark.parametrize("net", NETS)
def test_the_axes_of_a_trace_fit_the_shapes_and_every_tensor_is_in_one_layer(net):
    architecture = described(net)
    for name, axes in architecture.axes.items():
        assert tuple(architecture.size_of(axis.tree) for axis in axes) == architecture.by_name[name].shape
    held = [name for layer in architecture.layers for _, name in layer.tensors]
    assert sorted(held) == sorted(architecture.by_name)
    for place, node in enumerate(architecture.graph):
        assert all(before < place for before in node.inputs) and node.layer < len(architecture.layers)


def values(rule: str, rows: int, columns: int, seed: int = 0):
    shared = min(rows, columns)
    listing = f"0..{shared - 1}" + (f" *:{rows - shared}" if rows > shared else "")
    member = (0, "weight", 0, 0, columns, 1, 1)
    axis_map = AxisMap(rule, rows, columns, members=(member,), listing=listing if rule == "tokens" else "")
    return map_values(axis_map, lambda model, name: torch.arange(1.0, columns + 1).sqrt(), Draws(seed))


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (12, 8), (16, 8), (5, 8), (1, 8), (8, 1)])
def test_every_rule_gives_maps_of_the_size_that_it_is_asked_for(rule, rows, columns):
    growing, narrowing = rule in ("widen", "net2net"), rule in ("strongest", "even", "directions")
    if (
        (rule in ("same", "turned") and rows != columns)
        or (growing and rows < columns)
        or (narrowing and rows > columns)
    ):
        pytest.skip("never asked for")
    found = values(rule, rows, columns)
    for take, dim in ((found.out, 0), (found.into, 1)):
        tensor = torch.randn(columns, columns, dtype=torch.float64)
        made = tensor if take is None else take.apply(tensor, dim)
        assert made.shape[dim] == rows and made.isfinite().all()


@pytest.mark.parametrize("rule", ["widen", "net2net", "widen centred", "widen zero"])
@pytest.mark.parametrize("rows", [8, 9, 12, 16, 23])
def test_what_consumers_take_from_widened_channels_sums_to_what_they_took(rule, rows):
    """Repeated channels are divided among their copies; those at the mean or at zero are told apart by the norm."""
    found = values(rule, rows, 8)
    weight, channels = torch.randn(3, 8, dtype=torch.float64), torch.randn(8, 5, dtype=torch.float64)
    whole = rows if " " not in rule else rows // 8 * 8
    grown, consumer = found.out.apply(channels, 0)[:whole], found.into.apply(weight, 1)[:, :whole]
    assert torch.allclose(consumer @ grown, weight @ channels, rtol=1e-12, atol=1e-12)
    parted = apply_parted(found.into.apply(weight, 1), [None, found.parted], [False, True])[:, :whole]
    assert torch.allclose(parted @ grown, weight @ channels, rtol=1e-12, atol=1e-12)
    assert torch.equal(parted, consumer) == ((rows < 16 and " " in rule) or rows == 8 or rule == "net2net")


@pytest.mark.parametrize("part", ["", " 6 1"])
def test_halves_of_pairs_are_halves_again(part):
    there, back = values(f"turned pairs{part}", 8, 8), values(f"turned halves{part}", 8, 8)
    channels = torch.arange(8.0)
    assert torch.equal(back.out.apply(there.out.apply(channels, 0), 0), channels)
    found = there.out.apply(channels, 0).tolist()
    assert found == ([0, 4, 1, 5, 2, 6, 3, 7] if not part else [0, 1, 4, 2, 5, 3, 6, 7])


@pytest.mark.parametrize("rule", ["strongest", "even"])
def test_narrowing_keeps_channels_in_their_order_and_the_strongest_where_asked(rule):
    index = values(rule, 3, 8).out.index
    assert index.tolist() == sorted(set(index.tolist()))
    assert rule == "even" or index.tolist() == [5, 6, 7]


@pytest.mark.parametrize("name", ["map 0", "map 7"])
def test_numbers_are_drawn_as_torch_draws_them(name):
    draws, generator = draws_for(3, name), generator_for(3, name)
    for count in (1, 5, 1000):
        assert np.array_equal(draws.uniform(count), torch.rand(count, generator=generator, dtype=torch.float64).numpy())
        assert np.array_equal(draws.integers(77, count), torch.randint(0, 77, (count,), generator=generator).numpy())


class InTurn(nn.Module):
    """Two halves beside each other, whose channels may then stand in turn (ShuffleNet, arXiv 1707.01083)."""

    def __init__(self, shuffled: bool) -> None:
        super().__init__()
        self.entry, self.middle, self.exit = nn.Conv2d(3, 8, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(8, 6, 1)
        self.shuffled = shuffled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.entry(x).chunk(2, 1)
        both = torch.cat([first, second + self.middle(second)], 1)
        return self.exit(both.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2) if self.shuffled else both)


@pytest.mark.parametrize("sides", [(True, False), (False, True)])
def test_halves_in_turn_are_not_halves_behind_each_other(sides: tuple[bool, bool]) -> None:
    source, target = map(InTurn, sides)
    plan = apply_tli(target, source, example=(2, 3, 4, 4))
    assert not all(step.exact for step in plan.steps) and plan.score < 1
    assert all(step.exact for step in apply_tli(InTurn(sides[0]), source, example=(2, 3, 4, 4)).steps)


@pytest.mark.parametrize("sizes", [[1, 9], [9], [1, 3, 3]])
def test_parts_end_to_end_are_cut_in_as_many_factors_as_asked_for(sizes: list[int]) -> None:
    """Places of which the first was picked once, seen as one dimension or as several."""
    table = SpaceTable()
    whole = table.leaf(9)
    assert table.split_sum(whole, [1, 8])
    assert [table.size(piece) for piece in table.split_product(whole, sizes)] == sizes
