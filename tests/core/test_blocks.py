"""Mapping block by block gives the bytes that mapping the whole tensor gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tli_cli import blocks
from tli_cli.axes import MapValues, Take, apply_expression, expression_columns, expression_rows
from tli_cli.blocks import mapped_in_blocks, rows_of
from tli_cli.plan import AxisMap

SIZES = ((4, 3), (2, 2), (5, 2), (3, 4))
EXPRESSIONS = (0, 1, ("*", 1, 0), ("+", 0, 2), ("*", 2, ("+", 1, 3)), ("+", ("*", 1, 1), 0), ("*", 1, 1, 3))


def values(draw: torch.Generator) -> list[MapValues]:
    made = []
    for i, (rows, columns) in enumerate(SIZES):
        index = torch.randint(-1 if i == 2 else 0, columns, (rows,), generator=draw)
        scale = torch.rand(rows, generator=draw, dtype=torch.float64) if i != 3 else None
        made.append(MapValues(None if i == 1 else Take(index, scale), Take(index)))
    return made


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(EXPRESSIONS),
    st.integers(0, 1 << 30),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
    st.sampled_from([1, 6, 1 << 18]),
)
def test_blocks_give_what_the_whole_gives(expression, seed, contracted, dtype, block):
    draw = torch.Generator().manual_seed(seed)
    maps = [AxisMap("widen", rows, columns) for rows, columns in SIZES]
    known = values(draw)
    tensor = torch.randn(expression_columns(expression, maps), 2, 3, generator=draw).to(dtype)
    computed = tensor if dtype in (torch.float32, torch.float64) else tensor.float()
    expected = apply_expression(computed, 0, expression, maps, known, contracted).to(dtype)
    rows = rows_of(expression, maps, known, contracted)
    assert rows is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", block)
        made = mapped_in_blocks(tensor, rows, (expression_rows(expression, maps), 2, 3), lambda part: part)
    assert made.equal(expected) and made.dtype == dtype


def test_a_matrix_mixes_rows():
    known = [MapValues(Take(matrix=torch.ones(4, 3))), MapValues()]
    maps = [AxisMap("grid", 4, 3), AxisMap("same", 2, 2)]
    assert rows_of(0, maps, known, False) is None
    assert rows_of(("*", 1, 0), maps, known, False) is None
