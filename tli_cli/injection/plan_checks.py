"""Whether a plan fits its source and its target: checked from names and shapes, before anything is read or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.axis_maps.checks import map_problems
from tli_cli.axis_maps.expressions import InvalidExpression, measured
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.describe.spelling import enclosing
from tli_cli.errors import PlanError, join_problems
from tli_cli.initial import DRAWN, number_of
from tli_cli.pieces import Cut, Fold, Piece, shape_of_part
from tli_cli.plan import ACTIONS, DIRECTION, INITIALS, LENGTH, Fit, Plan, Side, Step
from tli_cli.registry import did_you_mean
from tli_cli.resizing import RESIZERS

if TYPE_CHECKING:
    from tli_cli.references import Reference

RESIZING = ("copy", "maps", "fit", DIRECTION, LENGTH, *RESIZERS)
"""What a step may name as its resizer."""

_MAX_PROBLEMS = 1000


def check_fits(plan: Plan, sources: Sequence[Reference], target: Reference) -> None:
    """Raise `PlanError` unless `plan` was made for these models and can be carried out on them.

    Every name, shape, index and choice in it is checked; no values are read.
    """
    check = PlanCheck(plan, [source.architecture for source in sources], target.architecture)
    problems = _other(plan.target, target, "target")
    for side, given in zip(plan.sources, sources, strict=False):
        problems += _other(side, given, "source")
    if target.checkpoint is None and any(step.initial == "target" for step in plan.steps):
        problems.append(f"it keeps values of the target, but {target.text} has none: name the checkpoint that has them")
    for problem in check.problems():
        problems.append(problem)
        if len(problems) >= _MAX_PROBLEMS:
            break
    if problems:
        raise PlanError(
            join_problems("the plan does not fit these models; make it again with `tli match -o`:", problems)
        )


def _other(side: Side, reference: Reference, which: str) -> list[str]:
    found = reference.architecture.fingerprint
    if side.fingerprint == found:
        return []
    return [f"{which}: made for {side.origin} ({side.fingerprint}), found {reference.text} ({found})"]


class PlanCheck:
    """Holds `plan` against the models it is for; `problems` says what does not fit, a line each."""

    def __init__(self, plan: Plan, sources: Sequence[Architecture], target: Architecture) -> None:
        self._plan, self._sources, self._target = plan, sources, target
        self._rows = [m.rows for m in plan.maps]
        self._columns = [m.columns for m in plan.maps]

    def problems(self) -> Iterator[str]:
        """Yield what does not fit."""
        if len(self._plan.sources) != len(self._sources):
            yield f"it has {len(self._plan.sources)} sources, {len(self._sources)} are given"
        yield from self._names()
        for i, axis_map in enumerate(self._plan.maps):
            yield from (f"maps[{i}]: {line}" for line in map_problems(axis_map, self._sources))
        for step in self._plan.steps:
            if step.target in self._target.by_name:
                yield from (f"{step.target}: {line}" for line in self._step(step))
        for i, fit in enumerate(self._plan.fits):
            yield from (f"fits[{i}]: {line}" for line in self._fit(fit))

    def _names(self) -> Iterator[str]:
        held = self._target.by_name
        counts = Counter(step.target for step in self._plan.steps)
        yield from (f"{name}: the target has no such tensor" for name in counts if name not in held)
        yield from (f"{name}: no step" for name in held if name not in counts)
        yield from (f"{name}: {count} steps, expected one" for name, count in counts.items() if count > 1)

    def _step(self, step: Step) -> Iterator[str]:
        spec = self._target.by_name[step.target]
        if spec.shape != step.shape:
            yield f"the plan says {list(step.shape)}, the target {list(spec.shape)}"
            return
        if step.action not in ACTIONS:
            yield _unknown("action", step.action, ACTIONS)
        if step.initial not in INITIALS and number_of(step.initial) is None:
            yield _unknown("initial value", step.initial, INITIALS)
        elif step.initial in ("identity", *DRAWN) and (len(step.shape) < 2 or 0 in step.shape):
            yield f"no start by {step.initial} has the shape {list(step.shape)}"
        if step.action == "keep" and step.pieces:
            yield "it is kept, yet has pieces; expected `transfer`, or none"
        if step.action != "transfer":
            return
        if step.resizer not in RESIZING:
            yield _unknown("resizer", step.resizer, RESIZING)
            return
        if step.resizer == "fit" and not self._plan.fits:
            yield "it is to be fitted, but the plan has no fits"
        if not step.pieces and step.resizer != "fit":
            yield "it is transferred from nothing: expected pieces, or `keep`"
        if step.resizer in (DIRECTION, LENGTH):
            yield from self._normed(step)
        for i, piece in enumerate(step.pieces):
            where = f"pieces[{i}]: " if len(step.pieces) > 1 else ""
            yield from (f"{where}{line}" for line in self._piece(step, spec, piece))

    def _normed(self, step: Step) -> Iterator[str]:
        """Yield what is wrong with the two steps of a weight that is given a length."""
        weight, length = (self._plan.by_role.get((step.layer, role)) for role in ("weight", WITH_LENGTH))
        if weight is None or weight.action != "transfer" or length is None or length.resizer != LENGTH:
            yield f"expected a transferred weight and its length in {step.layer!r}"
        elif length.shape and not _runs_along(length.shape, weight.shape):
            yield f"a length of shape {list(length.shape)} is none of a weight of {list(weight.shape)}"

    def _piece(self, step: Step, spec: TensorSpec, piece: Piece) -> Iterator[str]:
        if not 0 <= piece.model < len(self._sources):
            yield f"there is no source {piece.model}, {len(self._sources)} are given"
            return
        held = self._sources[piece.model].by_name.get(piece.source)
        if held is None:
            yield f"source {piece.model} has no tensor {piece.source!r}"
            return
        if piece.source_shape not in ((), held.shape):
            yield f"the plan says that {held.name} is {list(piece.source_shape)}, it is {list(held.shape)}"
        if held.dtype.startswith("complex") != spec.dtype.startswith("complex"):
            yield f"{held.name} is {held.dtype}, the target {spec.dtype}: complex numbers come only from such"
        if piece.fold is not None:
            yield from self._fold(step, piece, piece.fold, held)
        try:
            if step.resizer == LENGTH:
                return
            shape = cut(held.shape, piece.source_range, piece.source_view, held.name)
            wanted = cut(step.shape, piece.target_range, piece.target_view, step.target)
            self._require_made(step, piece, held, shape, wanted)
        except (_Unfit, InvalidExpression) as error:
            yield str(error)

    def _fold(self, step: Step, piece: Piece, fold: Fold, held: TensorSpec) -> Iterator[str]:
        source = self._sources[piece.model]
        if step.resizer in ("copy", *RESIZERS):
            yield f"a norm can only be folded where the resizer is `maps`, found {step.resizer!r}"
        alone = fold.scale or fold.length or fold.before
        needed = (fold.mean, fold.variance) if fold.mean or fold.variance else (alone,)
        for name in dict.fromkeys((*needed, *fold.names)):
            spec = source.by_name.get(name)
            if spec is None:
                yield f"source {piece.model} has no tensor {name!r}"
            elif not _can_be_folded(fold, spec, held) or not spec.dtype.startswith(("float", "bfloat")):
                yield f"{name} {spec.dtype} {list(spec.shape)} cannot be folded into {held.name} {list(held.shape)}"
        if not held.dtype.startswith(("float", "bfloat")):
            yield f"nothing can be folded into {held.name}, which is {held.dtype}"

    def _require_made(
        self, step: Step, piece: Piece, held: TensorSpec, shape: tuple[int, ...], wanted: tuple[int, ...]
    ) -> None:
        """Raise `_Unfit` unless `shape`, the part of `held` that is taken, becomes `wanted`."""
        if step.resizer in RESIZERS:
            if shape != wanted and 0 in shape and 0 not in wanted:
                raise _Unfit(f"{held.name} is empty and cannot be resized")
            return
        if piece.layout is not None:
            layout = piece.layout
            sizes = {prod(shape), prod(layout.split), prod(layout.shape)}
            if len(sizes) > 1 or sorted(layout.permute) != list(range(len(layout.split))):
                raise _Unfit(f"its layout does not reorder {held.name} {list(shape)}: found {layout}")
            shape = layout.shape
        made = shape if step.resizer == "copy" or not piece.axes else self._mapped(piece, shape)
        if not held.dtype.startswith(("float", "bfloat", "complex")):
            made = shape  # maps are for numbers that can be computed with
        if prod(made) != prod(wanted):
            raise _Unfit(f"{held.name} gives {list(made)}, expected {list(wanted)}")

    def _mapped(self, piece: Piece, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(piece.axes) != len(shape):
            raise _Unfit(f"{len(piece.axes)} axes for a source of shape {list(shape)}")
        if any(not 0 <= dim < len(shape) for dim in piece.contracted):
            raise _Unfit(f"contracted axes {list(piece.contracted)}, the source has {len(shape)}")
        taken = tuple(measured(expression, self._columns) for expression in piece.axes)
        if taken != shape:
            raise _Unfit(f"its maps take {list(taken)}, the source is {list(shape)}")
        return tuple(measured(expression, self._rows) for expression in piece.axes)

    def _fit(self, fit: Fit) -> Iterator[str]:
        if not 0 <= fit.model < len(self._sources):
            yield f"there is no source {fit.model}, {len(self._sources)} are given"
            return
        for side, point in ((self._target, fit.target), (self._sources[fit.model], fit.source)):
            paths = _module_paths(side)
            if not point.layer:
                yield "a point without a layer"
            for path in filter(None, (point.layer, point.norm, point.scale, point.block)):
                if path not in paths:
                    yield f"{side.origin} has no module {path!r}"
            if point.activation and point.activation not in {node.op for node in side.graph}:
                yield f"{side.origin} has no activation {point.activation!r}"
        try:
            measured(fit.channels, self._rows)
        except InvalidExpression as error:
            yield str(error)


class _Unfit(Exception):
    """One piece that does not give what its step needs."""


def cut(shape: tuple[int, ...], part: Cut | None, view: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Return what `shape_of_part` does; raise `_Unfit` where the tensor `name` of `shape` has no such part."""
    if part is None:
        return shape
    axis, start, stop = part
    seen = view or shape
    inside = 0 <= axis < len(seen) and 0 <= start <= stop <= seen[axis]
    if not inside or prod(seen) != prod(shape):
        raise _Unfit(f"the part {list(part)} of {list(seen)} is not in {name} {list(shape)}")
    same = view[: axis - 1] == shape[: axis - 1] and view[axis + 2 :] == shape[axis:]
    if view and (not 1 <= axis < len(view) - 1 or len(view) != len(shape) + 2 or not same):
        raise _Unfit(f"{list(view)} is not {name} {list(shape)} with one axis seen as three")
    return shape_of_part(shape, part, view)


def _can_be_folded(fold: Fold, spec: TensorSpec, held: TensorSpec) -> bool:
    """Tell whether what `fold` calls `spec` has the shape of what it does to the weight or bias `held`."""
    if spec.name == fold.length:
        return not spec.shape or _runs_along(spec.shape, held.shape)
    axis = fold.axis if spec.name == fold.before else 0
    return axis >= 0 and spec.shape == held.shape[axis : axis + 1]


def _runs_along(length: tuple[int, ...], weight: tuple[int, ...]) -> bool:
    """Tell whether lengths of shape `length` are some of a weight: for each place of some of its axes."""
    return len(length) == len(weight) and all(mine in (1, whole) for mine, whole in zip(length, weight, strict=True))


def _module_paths(architecture: Architecture) -> set[str]:
    around = (module for name in architecture.by_name for module in enclosing(name)[:-1])
    return {layer.path for layer in architecture.layers}.union(around)


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    hint = did_you_mean(name[:40], known)
    return f"unknown {kind} {name[:40]!r}: expected one of {', '.join(known)}{f'; {hint}' if hint else ''}"
