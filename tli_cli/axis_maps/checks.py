"""Whether an axis map of a plan can be made: its rule, its sizes, and the tensors that its rule weighs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tli_cli.architecture import Architecture
from tli_cli.axis_maps.listing import parsed
from tli_cli.axis_maps.rules import RULES
from tli_cli.axis_maps.rules.rotary import turned_range
from tli_cli.errors import PlanError
from tli_cli.pieces import AxisMap
from tli_cli.registry import did_you_mean

MAX_MATRIX = 1 << 26
"""The most elements of a matrix that a rule makes."""

MAX_INVERTED = 1 << 20
"""The most elements of one that it inverts."""

MAX_LISTED = 1 << 24
"""The most rows that are listed one by one."""

_ANY_SIZE = ("same", "none", "rows", "kernel")
_MATRICES = {
    "grid": MAX_MATRIX,
    "offsets": MAX_MATRIX,
    "input": MAX_MATRIX,
    "summed": MAX_MATRIX,
    "kernel": MAX_MATRIX,
    "patch": MAX_INVERTED,
    "directions": MAX_MATRIX,
}
_WIDEN, _NARROW = ("net2net",), ("strongest", "directions")


def map_problems(axis_map: AxisMap, sources: Sequence[Architecture]) -> Iterator[str]:
    """Yield what is wrong with `axis_map`, a line each."""
    rows, columns = axis_map.rows, axis_map.columns
    if rows < 0 or columns < 0:
        yield f"sizes below zero: {columns} -> {rows}"
    elif axis_map.index is not None:
        yield from index_problems(axis_map)
    yield from _rule_problems(axis_map)
    if axis_map.index is None:
        for member in axis_map.members:
            if not _is_there(member, columns, sources):
                yield f"the member {str(member)[:100]} is not in the source"


def index_problems(axis_map: AxisMap) -> Iterator[str]:
    """Yield what is wrong with an explicit index."""
    index = axis_map.index or ()
    if len(index) != axis_map.rows or any(not -1 <= i < axis_map.columns for i in index):
        found = f" from {min(index)} to {max(index)}" if index else ""
        yield (f"expected {axis_map.rows} source indices from -1 to {axis_map.columns - 1}, found {len(index)}{found}")


def _rule_problems(axis_map: AxisMap) -> Iterator[str]:
    rows, columns = axis_map.rows, axis_map.columns
    rule, _, words = axis_map.rule.partition(" ")
    if rule not in RULES:
        hint = did_you_mean(rule[:40], RULES) or f"expected one of {', '.join(RULES)}"
        yield f"unknown rule {rule[:40]!r}; {hint}"
        return
    if axis_map.index is not None:
        return
    if rule == "tokens":
        yield from _listing_problems(axis_map)
        return
    normalised = rule == "widen" and ("centred" in words or "zero" in words)
    told = f"rule {axis_map.rule[:40]!r} cannot give {rows} from {columns}"
    if rows != columns and (
        rule == "same"
        or (rule not in _ANY_SIZE and (rows < 1 or columns < 1))
        or ((rule in _WIDEN or normalised) and rows < columns)
        or (rule in _NARROW and rows > columns)
    ):
        yield told
    if rule == "kernel" and not re.fullmatch(r"(cut ?)?(-?\d+)?", words):
        yield f"rule {axis_map.rule[:40]!r}: expected nothing, cut, or a row's number behind the word"
    if rule == "turned":
        turned, start = turned_range(axis_map)
        if rows != columns or turned % 2 or start + turned > rows:
            yield told
    limit = _MATRICES.get(rule)
    if limit is not None and (columns if rule == "directions" else rows) * columns > limit:
        yield f"{told}: its matrix would have more than {limit:,} elements"


def _listing_problems(axis_map: AxisMap) -> Iterator[str]:
    if axis_map.rows > MAX_LISTED:
        yield f"expected at most {MAX_LISTED:,} rows in a listing, found {axis_map.rows:,}"
        return
    try:
        parsed(axis_map.listing, axis_map.rows, axis_map.columns)
    except PlanError as error:
        yield f"its listing: {error}"


def _is_there(member: tuple[object, ...], columns: int, sources: Sequence[Architecture]) -> bool:
    """Tell whether `(model, tensor, axis, start, stop, outer, inner)` names a part that runs over the channels."""
    if len(member) != 7 or not isinstance(member[1], str):
        return False
    numbers = [value for place, value in enumerate(member) if place != 1]
    if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in numbers):
        return False
    model, axis, start, stop, outer, inner = (int(str(value)) for value in numbers)
    held = sources[model].by_name.get(member[1]) if model < len(sources) else None
    if held is None or axis >= len(held.shape):
        return False
    return start <= stop <= held.shape[axis] and outer * columns * inner == stop - start
