"""A head that is the table of tokens on one side and a layer of its own on the other."""

from __future__ import annotations

from collections.abc import Iterator

from tli_cli.matching.hashes import HEAD
from tli_cli.matching.sides import Side, both_known
from tli_cli.matching.units import Unit

SURROUNDINGS = ("before", "form before", "near before")
"""From the strongest to the weakest: what says that two heads stand in one place."""
BEHIND = "form behind"


def tied_heads(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for a head of the target's own and the table that is the source's head; of one
    tensor with two names files keep one."""
    tables = table_heads(source) if both_known(source, target) else []
    if not tables and source.architecture.order_from not in ("trace", "catalogue"):
        yield from _by_shape(source, target)
    for head in (unit for unit in target.units if unit.kind == "dense"):
        table = next((t for name in SURROUNDINGS for t in tables if _is_in_place(source, t, target, head, name)), None)
        if table is not None:
            yield head, table


def tables_in_heads(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for the target's table of tokens and a head of a source that has no table and
    no convolution, where nothing else on either side has that shape: of one tensor files may keep the head's name
    alone."""
    if any(unit.kind == "conv" or unit.role == "embed" for unit in source.units):
        return
    for table in (unit for unit in target.units if unit.kind == "embedding" and unit.role == "embed"):
        mine = [unit for unit in target.units if unit.shape == table.shape]
        alike = [unit for unit in source.units if unit.shape == table.shape]
        if len(mine) == len(alike) == 1 and alike[0].role == "head":
            yield table, alike[0]


def heads_apart(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for a table that is the target's head and a head of the source's own."""
    if both_known(source, target):
        yield from ((table, head) for head, table in tied_heads(target, source))
    else:
        yield from ((table, bias) for bias, table in biases_of_tables(target, source))


def biases_of_tables(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield (target unit, source unit) for a bias of the target's logits that stands alone in its graph and the table
    of tokens that the source's names give its bias to."""
    if source.architecture.graph:
        return
    tables = [unit for unit in source.units if unit.kind == "embedding" and _bias_of(source, unit)]
    for bias in (unit for unit in target.units if unit.kind == "bias"):
        alike = [table for table in tables if _bias_of(source, table) == bias.shape]
        if len(alike) == 1:
            yield bias, alike[0]


def _bias_of(side: Side, unit: Unit) -> tuple[int, ...]:
    name = side.architecture.layers[unit.place].tensor("bias")
    return side.architecture.by_name[name].shape if name else ()


def table_heads(side: Side) -> list[Unit]:
    """Return the tables of tokens that serve as a head as well."""
    tables = [unit for unit in side.units if unit.kind == "embedding"]
    return [unit for unit in tables if (unit.place, HEAD) in side.hashes["before"]]


def _is_in_place(source: Side, table: Unit, target: Side, head: Unit, name: str) -> bool:
    """Tell whether the same is behind both heads, and by the fingerprints called `name` before them."""
    mine = (target.hashes[n].get(head.key) for n in (name, BEHIND))
    return all(m == source.hashes[n][table.place, HEAD] for m, n in zip(mine, (name, BEHIND), strict=True))


def _by_shape(source: Side, target: Side) -> Iterator[tuple[Unit, Unit]]:
    """Yield a head of the target and a table of the source, if the source has nothing else of that shape."""
    for head in (unit for unit in target.units if unit.role == "head" and len(unit.shape) == 2):
        alike = [unit for unit in source.units if unit.shape == head.shape]
        if len(alike) == 1 and "embed" in (alike[0].role, alike[0].kind[:5]):
            yield head, alike[0]
