"""Choosing rows and columns a few at a time gives what mapping the whole tensor with torch gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tli_cli.axis_maps.expressions import apply_expression, apply_parted, expression_columns
from tli_cli.axis_maps.selection import Selection, runs_of, selection_of, with_phases
from tli_cli.axis_maps.take import MEAN, MapValues, Take
from tli_cli.axis_maps.values import map_values
from tli_cli.floats import STORED
from tli_cli.injection import mapped
from tli_cli.injection.in_memory import computed, selected, stored
from tli_cli.injection.mapped import Mapped, matrix_of
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws

SIZES = ((4, 3), (2, 2), (5, 2), (3, 4), (40, 30))
MAPS = [AxisMap("widen", rows, columns) for rows, columns in SIZES]
EXPRESSIONS = (0, 1, 4, ("*", 1, 0), ("+", 0, 2), ("*", 2, ("+", 1, 3)), ("+", ("*", 1, 1), 0), ("+", 4, 4))
DTYPES = [getattr(torch, name) for name in STORED]


def values(draw: np.random.Generator) -> list[MapValues]:
    made = []
    for i, (rows, columns) in enumerate(SIZES):
        index = draw.integers(-1 if i == 2 else 0, columns, rows)
        index = np.arange(rows) % columns if i == 4 and draw.random() < 0.7 else index
        scale = np.where(draw.random(rows) < 0.5, 1.0, draw.random(rows)) if i != 3 else None
        made.append(MapValues(None if i == 1 else Take(index, scale), Take(index)))
    return made


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(EXPRESSIONS), st.booleans()), min_size=1, max_size=3),
    st.integers(0, 1 << 30),
    st.sampled_from(DTYPES),
    st.sampled_from([1, 6, 1 << 18]),
    st.sampled_from([1, 8, 1 << 16]),
    st.sampled_from([1.0, 0.3]),
)
def test_a_few_rows_at_a_time_give_what_the_whole_gives(axes, seed, dtype, step, wide, gain):
    draw = np.random.default_rng(seed)
    known = values(draw)
    shape = [expression_columns(expression, MAPS) for expression, _ in axes]
    tensor = torch.from_numpy(draw.standard_normal(shape)).to(dtype)
    expected = computed(tensor)
    for dim, (expression, contracted) in enumerate(axes):
        expected = apply_expression(expected, dim, expression, MAPS, known, contracted)
    expected = (expected if gain == 1.0 else expected * gain).to(dtype)
    selections = [selection_of(expression, MAPS, known, contracted) for expression, contracted in axes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "_STEP", max(step, tensor.numel() // 500))
        patch.setattr(mapped, "_WIDE", wide)
        made = selected(tensor, selections, gain)
    assert made.dtype == dtype and made.shape == expected.shape
    assert torch.equal(computed(made), computed(expected))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(EXPRESSIONS), st.booleans()), min_size=1, max_size=3),
    st.integers(0, 1 << 30),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float64, torch.complex64]),
    st.sampled_from([1, 6, 1 << 18]),
    st.sampled_from([1, 8, 1 << 16]),
)
def test_each_output_divides_in_its_own_way_a_few_rows_at_a_time_as_in_the_whole(axes, seed, dtype, step, wide):
    draws = Draws(seed)
    known = [map_values(AxisMap("spread", *sorted(size)[::-1]), lambda *_: None, draws) for size in SIZES]
    maps = [AxisMap("spread", *sorted(size)[::-1]) for size in SIZES]
    contracted = [summed for _, summed in axes]
    shape = [expression_columns(expression, maps) for expression, _ in axes]
    tensor = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)
    expected = computed(tensor)
    for dim, (expression, summed) in enumerate(axes):
        expected = apply_expression(expected, dim, expression, maps, known, summed)
    selections = [selection_of(expression, maps, known, summed) for expression, summed in axes]
    expected = apply_parted(expected, [one.parted for one in selections], contracted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "_STEP", max(step, tensor.numel() // 500))
        patch.setattr(mapped, "_WIDE", wide)
        made = selected(tensor, with_phases(selections, contracted), 1.0)
    rounding = 2e-2 if dtype == torch.bfloat16 else 1e-6
    assert torch.allclose(computed(made), expected.to(computed(made).dtype), rtol=rounding, atol=rounding)


LISTED = "9 0..3 2+7 * 1+1+4 5:2 0+8:3 -"
AXES = {"listed": 0, "wider": 1, "centred": 2, "same": 3}
ALL_MAPS = [AxisMap("tokens", 14, 10, listing=LISTED), AxisMap("widen", 9, 6), AxisMap("widen centred", 9, 6),
            AxisMap("same", 4, 4)]  # fmt: skip


@pytest.mark.parametrize("axes", [("listed",), ("listed", "wider"), ("wider", "listed"), ("listed", "centred"),
                                  ("same", "listed"), ("same", "listed", "wider")])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.complex64])
@pytest.mark.parametrize("step", [1, 1 << 18])
def test_means_of_a_few_rows_are_the_same_on_their_way_and_in_memory(axes, dtype, step, monkeypatch):
    known = [map_values(axis_map, lambda *_: None, Draws(0)) for axis_map in ALL_MAPS]
    tensor = torch.randn([ALL_MAPS[AXES[axis]].columns for axis in axes], dtype=torch.float64).to(dtype)
    expected = computed(tensor)
    for dim, axis in enumerate(axes):
        expected = apply_expression(expected, dim, AXES[axis], ALL_MAPS, known, False)
    place, rounding = axes.index("listed"), 2e-2 if dtype == torch.bfloat16 else 1e-6
    if "wider" not in axes and "centred" not in axes:
        for row, parts in ((0, [9]), (5, [2, 7]), (6, [*range(10)]), (7, [1, 1, 4]), (11, [0, 8])):
            mean = sum(computed(tensor).select(place, part) for part in parts) / len(parts)
            assert torch.allclose(expected.select(place, row), mean, atol=1e-5)
    selections = [selection_of(AXES[axis], ALL_MAPS, known, False) for axis in axes]
    monkeypatch.setattr(mapped, "_STEP", step)
    made = selected(tensor, selections, 1.0)
    if axes == ("same", "listed", "wider"):  # neither the rows nor the columns alone
        assert made is None
    else:
        assert torch.allclose(computed(made), expected, rtol=rounding, atol=rounding)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_any_part_of_the_bytes_can_be_asked_for(dtype):
    draw = np.random.default_rng(0)
    source = draw.standard_normal((30, 20)).astype("float32")

    def read(parts):
        for first, out in parts:
            out[:] = source[first : first + len(out)]

    rows = Selection(40, 30, np.arange(40) % 30, (draw.random(40),))
    columns = Selection(25, 20, np.r_[np.arange(20), [3, -1, -1, 7, 8]], (draw.random(25),))
    content = Mapped(read, rows, columns, "float32", dtype)
    whole = bytearray(content.length)
    content.fill(0, memoryview(whole))
    for start, stop in draw.integers(0, content.length, (60, 2)).tolist():
        part = bytearray(max(0, stop - start))
        content.fill(start, memoryview(part))
        assert part == whole[start:stop]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(-2, 6), min_size=1, max_size=30),
    st.sampled_from([(7,), (7, 5), (5, 7), (1, 7, 3), (3, 4, 7), (3, 7, 4)]),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    st.sampled_from([1, 1 << 18]),
)
def test_a_mean_is_taken_along_any_axis(index, shape, dtype, step):
    axis = shape.index(7)
    known = [MapValues(Take(np.array(index), np.linspace(1, 2, len(index)))), MapValues()]
    maps = [AxisMap("widen centred", len(index), 7), AxisMap("same", 0, 0)]
    tensor = torch.from_numpy(np.random.default_rng(len(index)).standard_normal(shape)).to(dtype)
    selections = [selection_of(0, maps, known, False) if i == axis else Selection(n, n) for i, n in enumerate(shape)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mapped, "_STEP", step)
        made = selected(tensor, selections, 1.0)
    expected = apply_expression(computed(tensor), axis, 0, maps, known, False)
    if made is None:
        assert MEAN in index and shape == (3, 7, 4)
    else:
        torch.testing.assert_close(made, expected.to(dtype), rtol=2e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-6)


@given(st.lists(st.integers(-2, 6), max_size=30))
def test_runs_say_what_the_indices_do(index):
    found = [first if first < 0 else first + i for _, first, count in runs_of(np.array(index)) for i in range(count)]
    assert found == index
    assert [start for start, _, _ in runs_of(np.array(index))] == sorted(
        {start for start, _, _ in runs_of(np.array(index))}
    )


def test_long_runs_are_few():
    assert runs_of(np.arange(1250) % 1000) == ((0, 0, 1000), (1000, 0, 250))


def test_large_tensors_are_seen_as_rows_that_are_worth_moving():
    sides = [Selection(n, n) for n in (64, 32, 3, 3)]
    assert [part.rows for part in matrix_of(sides)] == [1, 64 * 32 * 9]
    assert [part.rows for part in matrix_of([Selection(5000, 4000), *sides[1:]])] == [5000, 32 * 9]
    assert [part.rows for part in matrix_of([Selection(1 << 20, 1)])] == [1 << 20, 1]
    assert [part.rows for part in matrix_of([])] == [1, 1]


def test_a_matrix_mixes_what_it_takes():
    known = [MapValues(Take(matrix=np.ones((4, 3)))), MapValues()]
    maps = [AxisMap("grid", 4, 3), AxisMap("same", 2, 2)]
    assert selection_of(0, maps, known, False) is None
    assert selection_of(("*", 1, 0), maps, known, False) is None


def test_what_is_stored_is_seen_and_not_copied():
    tensor = torch.ones(3, dtype=torch.bfloat16)
    assert stored(tensor).__array_interface__["data"][0] == tensor.data_ptr()
