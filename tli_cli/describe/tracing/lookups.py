"""How rows that are looked up couple axes: tables of embeddings, of positions and of offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from typing import Any

import torch

from tli_cli.architecture import AxisTree
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.slices import slice_
from tli_cli.describe.tracing.values import Value


def embedding(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Look rows up in a table."""
    table, index = rec.get(args[0]), rec.get(args[1])
    if table is None:
        return
    given = index is not None and index.node >= 0
    lead = index.dims if index is not None and given else tuple(rec.fresh(s) for s in args[1].shape)
    if not given and args[1].numel() == args[0].shape[0] > 1:
        rec.table.unite(table.dims[0], lead[-1])
    else:
        rec.table.mark(table.dims[0], "vocabulary")
    rec.contract(table, 0)
    kind = "embedding" if given else "position"
    node = rec.apply_layer(kind, {"weight": table.names}, (index.node,) if index is not None and given else ())
    rec.put(out, Value((*lead, table.dims[1]), node))


def index_(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Gather by index tensors: gathered dimensions are fresh, a table's rows are positions; a run of indices is a
    slice."""
    value = rec.get(args[0])
    if value is None:
        return
    indices = [i if isinstance(i, torch.Tensor) else None for i in args[1]]
    gathered = [d for d, i in enumerate(indices) if i is not None]
    if gathered == [0] and _is_table(rec, value, indices[0]):
        embedding(rec, (args[0], indices[0]), out)
        return
    if len(gathered) == 1 and (start := _start_of_run(indices[gathered[0]], args[0].shape[gathered[0]])) >= 0:
        slice_(rec, value, (args[0], gathered[0], start), out)
        return
    if len(gathered) == 1:
        _note_order(rec, value, gathered[0], args[1][gathered[0]])
    picked = rec.get(indices[gathered[0]]) if len(gathered) == 1 else None
    experts = picked.picks if picked is not None else None
    if value.node < 0 and experts is not None and rec.table.size(experts) == args[0].shape[gathered[0]]:
        rec.table.unite(value.dims[gathered[0]], experts)
    elif value.node < 0:
        in_order = gathered == [0] and _are_first_rows(rec.constants.of(args[1][0]), args[0].shape[0])
        for d in gathered:
            rec.table.mark(value.dims[d], "vocabulary" if in_order else "grid")
        if len(gathered) == 1 and args[0].ndim == 2:
            _table_of_offsets(rec, value, gathered[0], args[0].shape[gathered[0]], args[1][gathered[0]].numel())
    kept = [d for d in range(args[0].ndim) if d not in gathered]
    new = out.ndim - len(kept)
    at = gathered[0] if gathered and gathered == list(range(gathered[0], gathered[-1] + 1)) else 0
    dims: list[AxisTree] = [value.dims[d] for d in kept]
    origins = [value.origin(d) for d in kept]
    dims[at:at] = [rec.fresh(s) for s in out.shape[at : at + new]]
    origins[at:at] = [frozenset()] * new
    rec.put(out, replace(value, dims=tuple(dims), origins=tuple(origins)))


def _is_table(rec: Recording, value: Value, index: torch.Tensor | None) -> bool:
    """Tell whether rows of a learned matrix are looked up by what is given, as tokens are; no expert is picked so."""
    given = rec.get(index)
    learned = value.node < 0 and len(value.dims) == 2 and len(value.names) == 1 and not rec.is_buffer(value)
    return learned and given is not None and given.node >= 0 and given.picks is None


def _note_order(rec: Recording, value: Value, dim: int, index: torch.Tensor) -> None:
    """Note in which order code takes channels, such as those of colours."""
    kinds = rec.table.kinds(value.dims[dim])
    if value.node >= 0 and (taken := rec.constants.of(index)) is not None and not kinds & {"grid", "batch"}:
        rec.coded.append(value.dims[dim])
        rec.note(value, ("index", dim - len(value.dims), tuple(taken.flatten().tolist())))


def _start_of_run(index: torch.Tensor | None, size: int) -> int:
    """Return where the indices start that a list of known, consecutive numbers takes; -1 if it is no such list."""
    if index is None or index.is_meta or index.ndim != 1 or index.dtype != torch.int64 or index.numel() > size:
        return -1
    taken = [i % size for i in index.tolist()]
    return taken[0] if taken and taken == list(range(taken[0], taken[0] + len(taken))) else -1


def _are_first_rows(index: torch.Tensor | None, rows: int) -> bool:
    """Tell whether places of a sequence, numbered from the first, take the first of more `rows`, in each sample."""
    if index is None or index.is_floating_point() or not index.ndim or not index.numel():
        return False
    length = index.shape[-1]
    return length < rows and bool((index == torch.arange(length, device=index.device)).all())


def _table_of_offsets(rec: Recording, value: Value, dim: int, rows: int, taken: int) -> None:
    """Cut the rows of a table of relative positions, each taken many times: an odd square, and three for tokens, the
    square of the map where distances count without their sign, or offsets in time and in two odd sides."""
    if taken > rows and taken % rows == 0 and (side := isqrt(rows)) ** 2 == rows > 1:
        rec.table.split_product(value.dims[dim], [side, side])
        return
    for extra in (0, 3):
        side = isqrt(max(rows - extra, 0))
        if side > 1 and side % 2 and side * side == rows - extra and taken > rows:
            square = rec.table.split_sum(value.dims[dim], [rows - extra, extra] if extra else [rows])
            if square and rec.table.split_product(square[0], [side, side]) and dim == 0:
                rec.relative.update(value.names)
            return
    if (sides := _window_in_time(rows, taken)) and rec.table.split_product(value.dims[dim], sides) and dim == 0:
        rec.relative.update(value.names)


def _window_in_time(rows: int, taken: int) -> list[int]:
    """Return how many offsets there are in time and on either side of a window of which each pair of places takes one
    of `rows`; nothing where there is no such window."""
    for side in range(3, isqrt(rows) + 1, 2):
        frames, rest = divmod(rows, side * side)
        places = (frames + 1) // 2 * ((side + 1) // 2) ** 2
        if not rest and frames > 1 and frames % 2 and places * places == taken:
            return [frames, side, side]
    return []
