"""Sizes from shapes: what the constraints decide, what has to be guessed, what contradicts."""

from __future__ import annotations

import pytest

from tli_cli.architecture import tree_size
from tli_cli.kinship.sizes import solve

HEADS, WIDTH, STREAM, GROUPS = range(4)
KNOWN = {HEADS: 4, WIDTH: 8, STREAM: 32, GROUPS: 2}


@pytest.mark.parametrize(
    ("constraints", "sizes", "guessed"),
    [
        ([(STREAM, 48)], {STREAM: 48}, set()),
        ([(("*", HEADS, WIDTH), 48), (WIDTH, 16)], {HEADS: 3, WIDTH: 16}, set()),
        ([(("*", HEADS, WIDTH), 48)], {HEADS: 6, WIDTH: 8}, {HEADS, WIDTH}),
        ([(("*", HEADS, WIDTH), 20)], {HEADS: 4, WIDTH: 5}, {HEADS, WIDTH}),
        ([(("*", HEADS, ("+", STREAM, WIDTH)), 80)], {HEADS: 2, STREAM: 32, WIDTH: 8}, {HEADS, STREAM, WIDTH}),
        ([(("*", GROUPS, WIDTH), 20)], {GROUPS: 2, WIDTH: 10}, {GROUPS, WIDTH}),
        ([(("+", STREAM, STREAM, HEADS), 11), (HEADS, 1)], {STREAM: 5, HEADS: 1}, set()),
        ([(("+", HEADS, STREAM), 7), (HEADS, 7)], {HEADS: 7, STREAM: 0}, set()),
        ([(("+", HEADS, ("*", WIDTH, GROUPS)), 21), (HEADS, 1)], {HEADS: 1, WIDTH: 10, GROUPS: 2}, {WIDTH, GROUPS}),
        ([(("*", HEADS, WIDTH), 24), (("*", HEADS, STREAM), 128)], {HEADS: 4, STREAM: 32, WIDTH: 6}, {HEADS, STREAM}),
    ],
)
def test_sizes_follow_from_shapes(constraints, sizes, guessed):
    found, open_ones = solve(constraints, KNOWN, {GROUPS})
    assert (found, open_ones) == (sizes, guessed)
    assert all(tree_size(tree, found) == size for tree, size in constraints)


def test_what_contradicts_is_passed_over():
    assert solve([(STREAM, 3), (STREAM, 4)], KNOWN, set())[0] == {STREAM: 3}
    assert solve([(("+", STREAM, STREAM), 5)], KNOWN, set())[0] == {}
