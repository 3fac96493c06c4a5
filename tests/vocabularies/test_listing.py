from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tli_cli.axis_maps.listing import MAX_PARTS, listed, parsed
from tli_cli.axis_maps.mixtures import MIXED
from tli_cli.axis_maps.take import MEAN
from tli_cli.errors import PlanError

COLUMNS = 30
ROWS = st.lists(st.lists(st.integers(0, COLUMNS - 1), max_size=4) | st.just([0]), max_size=40)


@given(ROWS)
def test_what_is_listed_is_read_back(rows):
    index, mixed = parsed(listed(rows), len(rows), COLUMNS)
    at = 0
    for row, taken in zip(rows, index, strict=True):
        if len(row) > 1:
            assert taken == MIXED and mixed is not None
            assert mixed.parts[mixed.starts[at] : mixed.starts[at + 1]].tolist() == row
            at += 1
        else:
            assert taken == (row[0] if row else MEAN)


def test_neighbours_and_repetitions_are_short():
    assert listed([[3], [4], [5], [1, 2], [1, 2], [], [], [7], [7]]) == "3..5 1+2:2 *:2 7:2"
    index, mixed = parsed("-:2 0..2:2 *", 9, 3)
    assert index.tolist() == [-1, -1, 0, 1, 2, 0, 1, 2, MEAN] and mixed is None


@pytest.mark.parametrize(
    "text",
    ["", "1 2", "1 2 3 4", "0..9", "2..1 0", "x 1 2", "1+ 2 3", "1+9 2 3", "-1 0 0", "1:999999999", "*:2", "1..2+1 0",
     "9 0 0", "0..2:2", "1:0", "+".join(["1"] * (MAX_PARTS + 1)) + " 0 0", "99999999999999999999 0 0"],
)  # fmt: skip
def test_what_is_no_listing_of_three_rows_is_told(text):
    with pytest.raises(PlanError):
        parsed(text, 3, 5)


def test_means_are_the_same_from_rows_and_from_columns():
    _, mixed = parsed("0+2 4 1+1+3 *", 4, 5)
    assert mixed is not None
    values = np.arange(10.0).reshape(5, 2)
    expected = [values[[0, 2]].mean(0), values[[1, 1, 3]].mean(0)]
    assert np.allclose(mixed.means(lambda index: values[index]), expected)
    part = mixed.between(1, 4)
    assert part.rows.tolist() == [1] and np.allclose(part.means(lambda index: values[index]), expected[1:])
