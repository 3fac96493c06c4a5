"""A plan as rows: one for each tensor, or one for each layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from tli_cli.architecture import STATISTICS
from tli_cli.cli.text import count_text, join_names, parent, shape_text, shared_items
from tli_cli.describe.spaces import leaves
from tli_cli.pieces import Piece
from tli_cli.plan import DIRECTION, Plan, Step

INITIAL = {
    "constructor": "as the constructor starts them",
    "target": "the target's own values",
    "zeros": "zeros",
    "ones": "ones",
    "kaiming": "drawn as Kaiming",
    "xavier": "drawn as Xavier",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a target tensor or layer, where it is fed from, and how."""

    block: str
    target: str
    shape: str
    source: str
    source_shape: str
    how: str
    similarity: float
    fed: bool
    exact: bool
    reason: str = ""


def tensor_rows(plan: Plan) -> Iterator[Row]:
    """Yield one row for each target tensor, in definition order."""
    for step in plan.steps:
        fed = step.action == "transfer"
        yield Row(
            block=block_of(step),
            target=step.target,
            shape=shape_text(step.shape),
            source=", ".join(source_name(plan, piece, piece.source) for piece in step.pieces),
            source_shape=", ".join(_source_shapes(step.pieces)),
            how=how(plan, step),
            similarity=step.similarity if fed else 0.0,
            fed=fed,
            exact=step.is_copied,
            reason=step.reason,
        )


def layer_rows(plan: Plan) -> Iterator[Row]:
    """Yield one row for each target layer; its main tensor gives the shapes."""
    for path, group in groupby(plan.steps, key=layer_of):
        steps = list(group)
        fed = [step for step in steps if step.action == "transfer"]
        main = next((step for step in fed or steps if step.role == "weight"), (fed or steps)[0])
        yield Row(
            block=block_of(main),
            target=path,
            shape=shape_text(main.shape),
            source=join_names([source_name(plan, p, parent(p.source) or p.source) for s in fed for p in s.pieces]),
            source_shape=", ".join(_source_shapes(main.pieces)),
            how=_layer_how(plan, steps, fed),
            similarity=main.similarity if fed else 0.0,
            fed=bool(fed),
            exact=all(step.is_copied for step in steps),
        )


def block_rows(plan: Plan) -> Iterator[Row]:
    """Yield one row for each target block: its largest tensor's shape, and the path that its sources share."""
    for path, group in groupby(plan.steps, key=lambda step: block_of(step) or layer_of(step)):
        steps = list(group)
        fed = [step for step in steps if step.action == "transfer"]
        largest = max(fed or steps, key=lambda step: prod(step.shape))
        weight = sum(prod(step.shape) for step in fed)
        yield Row(
            block=path,
            target=path,
            shape=count_text(len(steps), "tensor"),
            source=_common_source(plan, fed),
            source_shape=shape_text(largest.shape),
            how=_layer_how(plan, steps, fed),
            similarity=sum(step.similarity * prod(step.shape) for step in fed) / weight if weight else 0.0,
            fed=bool(fed),
            exact=all(step.is_copied for step in steps),
        )


def is_counter(step: Step) -> bool:
    """Return whether a tensor counts a norm's batches, which computes nothing: a row and a list without it say more."""
    return step.role == STATISTICS[-1]


def how(plan: Plan, step: Step) -> str:
    """Return the few words that say how a target tensor gets its values; what is copied to where it does not compute
    what it did is not called exact."""
    if step.action != "transfer":
        return f"not fed: {step.initial}"
    if step.is_copied:
        return "exact" if step.exact else "copied"
    return ", ".join(_changes(plan, step)) or step.resizer


def _changes(plan: Plan, step: Step) -> list[str]:
    """Return the names of what is done to the sources of a step: rules of axis maps, or the resizer of shapes alone."""
    rules: list[str] = []
    if step.resizer in ("maps", DIRECTION):
        maps = (plan.maps[i] for piece in step.pieces for axis in piece.axes for i in leaves(axis))
        rules = [axis_map.rule.split()[0] for axis_map in maps]
    elif step.resizer != "copy":
        rules = [step.resizer]
    if len(step.pieces) > 1 and any(piece.weight != 1 for piece in step.pieces):
        rules.append("mix")
    if any(piece.gain != 1 for piece in step.pieces):
        rules.append("scale")
    if any(piece.fold is not None for piece in step.pieces):
        rules.append("fold")
    return [rule for rule in dict.fromkeys(rules) if rule != "same"]


def layer_of(step: Step) -> str:
    """Return the path of the layer that a step belongs to."""
    return step.layer or parent(step.target) or step.target


def block_of(step: Step) -> str:
    """Return the path of the block that a step belongs to."""
    return step.block or parent(layer_of(step))


def source_name(plan: Plan, piece: Piece, name: str) -> str:
    """Return a source's name, numbered where there are several models."""
    return f"{piece.model + 1}:{name}" if len(plan.sources) > 1 else name


def _source_shapes(pieces: Iterable[Piece]) -> list[str]:
    return list(dict.fromkeys(shape_text(piece.source_shape) for piece in pieces if piece.source_shape))


def _layer_how(plan: Plan, steps: Sequence[Step], fed: Sequence[Step]) -> str:
    if not fed:
        return how(plan, steps[0])
    words = list(dict.fromkeys(word for step in fed for word in how(plan, step).split(", ")))
    if len(words) > 1 and "exact" in words:
        words.remove("exact")
    kept = sum(step.action != "transfer" and not is_counter(step) for step in steps)
    return ", ".join(words) + (f"; {kept} not fed" if kept else "")


def _common_source(plan: Plan, fed: Sequence[Step]) -> str:
    """Return the path that the sources of a block share, or the paths of their blocks."""
    layers = {source_name(plan, p, parent(p.source) or p.source): None for step in fed for p in step.pieces}
    parts = [name.split(".") for name in layers]
    shared = shared_items(parts, min(map(len, parts), default=0))
    return ".".join(parts[0][:shared]) if shared else join_names([parent(name) or name for name in layers])
