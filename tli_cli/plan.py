"""The plan: what will be done to every target tensor, as a frozen value that round-trips through JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from tli_cli.errors import PlanError

PLAN_VERSION = 1

AxisExpression = int | tuple[Any, ...]
"""One target axis in terms of `Plan.maps`: a map's index, `("+", e, ...)` for parts end to end, `("*", e, ...)` for
factors, the outermost first."""


@dataclass(frozen=True, slots=True)
class AxisMap:
    """How `rows` target indices are taken from `columns` source indices; shared by all coupled axes.

    `rule` names the function in `tli_cli.axes` that makes the map (`same`, `repeat`, `strongest` ...). `index`, if
    given, fixes the source index of every target index, -1 meaning none, and overrides the rule. `members` are the
    source tensors' axes that carry the channels: `(model, tensor, axis, offset, stride)`; the rule weighs them.
    `exact` says whether the map by itself preserves the function.
    """

    rule: str
    rows: int
    columns: int
    exact: bool = True
    index: tuple[int, ...] | None = None
    members: tuple[tuple[Any, ...], ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """A reordering of a source tensor before its axes are mapped: view as `split`, `permute`, view as `shape`."""

    split: tuple[int, ...]
    permute: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """One contribution to a target tensor.

    `target_range` and `source_range` are `(axis, start, stop)` slices (a fused projection's part), None for all of it.
    They count along `target_view` and `source_view` where these are given: the tensor's shape with one axis seen as
    three, of which the middle one is cut (parts that alternate head by head).
    `axes` has one expression for each axis of the slice; empty means that the step's resizer works on shapes alone.
    `gain` multiplies the values; `source_shape` is the whole source tensor's shape.
    """

    source: str
    model: int = 0
    weight: float = 1.0
    target_range: tuple[int, int, int] | None = None
    source_range: tuple[int, int, int] | None = None
    layout: Layout | None = None
    axes: tuple[AxisExpression, ...] = ()
    contracted: tuple[int, ...] = ()
    gain: float = 1.0
    source_shape: tuple[int, ...] = ()
    target_view: tuple[int, ...] = ()
    source_view: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to one target tensor.

    `action` is `transfer` (from `pieces`, by `resizer`) or `keep` (by `initial`: `constructor`, `target`, `zeros` or
    `ones`). `exact` says whether the step keeps the function of what it transfers; `reason` says, for people, why a
    tensor is kept or what was adapted. Elements of `target` outside every piece's range start by `initial`.
    """

    target: str
    shape: tuple[int, ...]
    action: str
    layer: str = ""
    role: str = ""
    pieces: tuple[Piece, ...] = ()
    resizer: str = ""
    initial: str = "constructor"
    similarity: float = 0.0
    exact: bool = False
    reason: str = ""
    block: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One model of a plan: what it is and the digest of its names, shapes and dtypes."""

    origin: str
    fingerprint: str
    order_from: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the trunk of a network, where everything it computes passes, in terms of module paths.

    `layer` is the last linear map before it, `norm` and `scale` what acts on that map's output, `block` the module
    in which its output is added to a shortcut (empty where there is none), `activation` what follows.
    """

    layer: str
    norm: str = ""
    scale: str = ""
    block: str = ""
    activation: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """Solve the last linear map before point `target` so that the values there are those of point `source`.

    `channels` says which source channel each target channel stands for, in terms of `Plan.maps`.
    """

    target: Point
    source: Point
    channels: AxisExpression
    model: int = 0


@dataclass(frozen=True)
class Plan:
    """A frozen, versioned plan: exactly one step for every tensor of the target, and what is solved after them, in
    order."""

    sources: tuple[Side, ...]
    target: Side
    steps: tuple[Step, ...]
    maps: tuple[AxisMap, ...] = ()
    matcher: str = "dp"
    method: str = "auto"
    relation: str = "other"
    seed: int = 0
    score: float = 0.0
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fits: tuple[Fit, ...] = ()
    version: int = field(default=PLAN_VERSION)

    @cached_property
    def by_target(self) -> dict[str, Step]:
        """The steps by target tensor."""
        return {step.target: step for step in self.steps}

    @property
    def coverage(self) -> float:
        """The share of target elements that are fed from a source, in [0, 1]."""
        total = sum(_elements(step.shape) for step in self.steps)
        fed = sum(_elements(step.shape) for step in self.steps if step.action == "transfer")
        return fed / total if total else 0.0

    def to_json(self) -> str:
        """Return the plan as JSON, byte for byte the same for equal plans."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that `to_json` wrote; raise `PlanError` if it is not one."""
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanError(f"not a plan: expected JSON, found {str(error)[:120]}") from error
        return _decode_plan(raw)


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


def _build(cls: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise PlanError(f"plan: {where} must be an object, found {type(raw).__name__}")
    known = {f.name for f in fields(cls)}
    if unknown := sorted(set(raw) - known):
        raise PlanError(f"plan: {where} has unknown fields {', '.join(unknown)}; expected {', '.join(sorted(known))}")
    try:
        return cls(**{name: _freeze(value) for name, value in raw.items()})
    except TypeError as error:
        raise PlanError(f"plan: {where} is incomplete: {error}") from error


def _decode_plan(raw: Any) -> Plan:
    if not isinstance(raw, dict):
        raise PlanError(f"not a plan: expected a JSON object, found {type(raw).__name__}")
    version = raw.get("version")
    if version != PLAN_VERSION:
        raise PlanError(
            f"plan version {version!r}: this tli reads version {PLAN_VERSION}; make the plan again with `tli match -o`"
        )
    decoded = dict(raw)
    for name in ("sources", "steps", "maps", "fits"):
        if not isinstance(raw.get(name, []), list):
            raise PlanError(f"plan: {name} must be a list, found {type(raw[name]).__name__}")
    decoded["sources"] = [_build(Side, item, "sources[]") for item in raw.get("sources", [])]
    decoded["target"] = _build(Side, raw.get("target"), "target")
    decoded["maps"] = [_build(AxisMap, item, f"maps[{i}]") for i, item in enumerate(raw.get("maps", []))]
    decoded["steps"] = [_decode_step(item, i) for i, item in enumerate(raw.get("steps", []))]
    decoded["fits"] = tuple(_decode_fit(item, f"fits[{i}]") for i, item in enumerate(raw.get("fits", [])))
    return _build(Plan, decoded, "the plan")  # type: ignore[no-any-return]


def _decode_fit(raw: Any, where: str) -> Fit:
    if isinstance(raw, dict):
        raw = raw | {side: _build(Point, raw.get(side), f"{where}.{side}") for side in ("target", "source")}
    return _build(Fit, raw, where)  # type: ignore[no-any-return]


def _decode_step(raw: Any, index: int) -> Step:
    where = f"steps[{index}]"
    if isinstance(raw, dict) and isinstance(raw.get("pieces"), list):
        raw = raw | {"pieces": [_decode_piece(piece, where) for piece in raw["pieces"]]}
    return _build(Step, raw, where)  # type: ignore[no-any-return]


def _decode_piece(raw: Any, where: str) -> Piece:
    if isinstance(raw, dict) and isinstance(raw.get("layout"), dict):
        raw = raw | {"layout": _build(Layout, raw["layout"], f"{where}.layout")}
    return _build(Piece, raw, f"{where}.pieces[]")  # type: ignore[no-any-return]
