"""The plan: what will be done to every target tensor, as a frozen value that round-trips through JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

from tli_cli.decoding import decode, parse
from tli_cli.errors import PlanError
from tli_cli.sealed import SEAL, digest, sealed

PLAN_VERSION = 1

MAX_LENGTH = 64 << 20
"""The most characters of a plan in JSON; one for a hundred thousand tensors has fewer."""

MAX_BRACKETS = 4 << 20
"""The most lists and objects in it."""

ROW_BY_ROW = "rows"
"""The rule of a map that takes rows as they are, by their index or by a list, and leaves others as they start."""
SKIPPED = "left out, as asked for"
"""The reason of a step that takes nothing because its layer is to be left as it starts."""
EDITED = "the plan was changed by hand: its score is that of the plan before, and none of its steps is called exact"
"""What a plan says of itself that was edited."""

_UNSEALED = ("notes",)
"""What may be changed in a plan without its being another."""

ACTIONS = ("transfer", "keep")
INITIALS = ("constructor", "target", "zeros", "ones", "identity", "kaiming", "xavier")

DIRECTION, LENGTH = "direction", "length"
"""What makes the two tensors of a weight that the target gives a length."""

AxisExpression = int | tuple[Any, ...]
"""One target axis in terms of `Plan.maps`: a map's index, `("+", e, ...)` for parts end to end, `("*", e, ...)` for
factors, the outermost first."""


def map_indices(expression: AxisExpression) -> list[int]:
    """Return the indices of the maps in `expression`."""
    if isinstance(expression, int):
        return [expression]
    return [index for child in expression[1:] for index in map_indices(child)]


@dataclass(frozen=True, slots=True)
class AxisMap:
    """How `rows` target indices are taken from `columns` source indices; shared by all coupled axes.

    `rule` names how the map is made (`same`, `widen`, `strongest` ...: `tli_cli.axis_maps.rules`). `index`, if
    given, fixes the source index of every target index, -1 meaning none, and overrides the rule. `members` are the
    source tensors' axes that carry the channels: `(model, tensor, axis, start, stop, outer, inner)`, where the part
    from `start` to `stop` is `(outer, columns, inner)`; the rule weighs them. `listing` says row by row what the rule
    `tokens` takes, as `tli_cli.axis_maps.listing` reads it. `exact` says whether the map by itself preserves the
    function.
    """

    rule: str
    rows: int
    columns: int
    exact: bool = True
    index: tuple[int, ...] | None = None
    members: tuple[tuple[Any, ...], ...] = ()
    label: str = ""
    listing: str = ""

    @property
    def rows_taken(self) -> int:
        """The number of target rows that a map which takes rows as they are finds in the source."""
        return min(self.rows, self.columns) if self.index is None else sum(row >= 0 for row in self.index)


@dataclass(frozen=True, slots=True)
class Layout:
    """A reordering of a source tensor before its axes are mapped: view as `split`, `permute`, view as `shape`."""

    split: tuple[int, ...]
    permute: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A norm of the source that is taken into a layer beside it, by the names of its tensors; empty where there are
    none.

    Of a batch norm behind the layer, or a scale, which has no mean and no variance, and of the layer's `bias`:

    A weight is multiplied by `scale / sqrt(variance + epsilon)` along its first axis, or by `scale` alone, and so is a
    bias; a piece of `mean` becomes the bias. Before that a weight gets the `length` that the source gives it, along the
    axes along which that has places (weight normalisation, arXiv 1602.07868).

    Of a norm before the layer: what the weight sums over along `axis` is multiplied by `before` plus `offset`.
    """

    mean: str = ""
    variance: str = ""
    scale: str = ""
    shift: str = ""
    bias: str = ""
    epsilon: float = 1e-5
    length: str = ""
    before: str = ""
    axis: int = 1
    offset: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tensors that there are."""
        held = (self.mean, self.variance, self.scale, self.shift, self.bias, self.length, self.before)
        return tuple(filter(None, held))


@dataclass(frozen=True, slots=True)
class Piece:
    """One contribution to a target tensor.

    `target_range` and `source_range` are `(axis, start, stop)` slices (a fused projection's part), None for all of it.
    They count along `target_view` and `source_view` where these are given: the tensor's shape with one axis seen as
    three, of which the middle one is cut (parts that alternate head by head).
    `axes` has one expression for each axis of the slice; empty means that the step's resizer works on shapes alone.
    `gain` multiplies the values; `added` are the numbers that code adds to the source's tensor and to the target's
    before they are used: what is mapped and multiplied is the sum. `source_shape` is the whole source tensor's shape.
    `fold` is taken into the source tensor before anything else.
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
    fold: Fold | None = None
    added: tuple[float, float] = (0.0, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the source tensors that are read."""
        return (self.source, *(self.fold.names if self.fold is not None else ()))


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to one target tensor.

    `action` is `transfer` (from `pieces`, by `resizer`: `copy`, `maps`, `fit`, a published method; of a weight that the
    target gives a length `direction`, as `maps`, and `length`, that of what the weight's own step gives) or `keep` (by
    `initial`: `constructor`, `target`, `zeros`, `ones`, `identity`, `kaiming` or `xavier`). `exact` says whether the
    step keeps the function of what it transfers; `reason` says, for people, why a tensor is kept or what was adapted.
    Elements of `target` outside every piece's range start by `initial`.
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


@dataclass(frozen=True, repr=False)
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

    @cached_property
    def by_role(self) -> dict[tuple[str, str], Step]:
        """The steps by layer and role."""
        return {(step.layer, step.role): step for step in self.steps}

    def __repr__(self) -> str:
        """Say in one line what is done; `steps` say it in full."""
        return (
            f"Plan({self.relation}: {self.exact} tensors placed exactly, {self.adapted} adapted, "
            f"{self.initialised} initialised, {len(self.unused)} unused; coverage {100 * self.coverage:.1f} %, "
            f"score {self.score:.4f}{_noted(self.notes)})"
        )

    @property
    def leaves_out(self) -> bool:
        """Whether a layer is left as it starts because that was asked for."""
        return any(step.reason == SKIPPED for step in self.steps)

    @property
    def exact(self) -> int:
        """The number of tensors placed exactly."""
        return sum(step.action == "transfer" and step.resizer == "copy" for step in self.steps)

    @property
    def adapted(self) -> int:
        """The number of tensors that are reshaped."""
        return sum(step.action == "transfer" and step.resizer != "copy" for step in self.steps)

    @property
    def initialised(self) -> int:
        """The number of tensors that nothing is injected into."""
        return len(self.steps) - self.exact - self.adapted

    @property
    def coverage(self) -> float:
        """The share of target elements that are fed from a source, in [0, 1]."""
        total = sum(prod(step.shape) for step in self.steps)
        fed = sum(prod(step.shape) * self._share_fed(step) for step in self.steps if step.action == "transfer")
        return fed / total if total else 0.0

    def _share_fed(self, step: Step) -> float:
        """Return the share of a step's rows that are taken: classes and tokens that the source lacks stay as they
        start."""
        used = {axis for piece in step.pieces for axis in piece.axes if isinstance(axis, int)}
        maps = [self.maps[axis] for axis in used if axis in range(len(self.maps))]  # a plan made by hand may lie
        shares = [m.rows_taken / m.rows for m in maps if m.rule == ROW_BY_ROW and m.rows]
        return max(shares, default=1.0)

    def to_json(self) -> str:
        """Return the plan as JSON, byte for byte the same for equal plans, with a digest as its seal."""
        return sealed(self, but=_UNSEALED, coverage=self.coverage)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that `to_json` wrote, or a person after it; nothing is exact in one that was changed.

        Raises:
            PlanError: it is not one: every field is there, is known, and has its type; numbers are finite. Whether it
                fits a source and a target, `tli_cli.injection.plan_checks` says.
        """
        raw = parse(text, max_length=MAX_LENGTH, max_brackets=MAX_BRACKETS)
        if not isinstance(raw, dict):
            raise PlanError(f"not a plan: expected a JSON object, found {type(raw).__name__}")
        _require_version(raw.get("version"))
        seal, _ = raw.pop(SEAL, None), raw.pop("coverage", None)  # which the steps say
        plan: Plan = decode(cls, raw, "plan")
        if seal == digest(plan, but=_UNSEALED):
            return plan
        steps = tuple(replace(step, exact=False) for step in plan.steps)
        return replace(plan, steps=steps, notes=tuple(dict.fromkeys((*plan.notes, EDITED))))


def _noted(notes: tuple[str, ...]) -> str:
    return f"; {len(notes)} note{'s' if len(notes) > 1 else ''}" if notes else ""


def _require_version(version: object) -> None:
    if type(version) is int and version == PLAN_VERSION:
        return
    newer = type(version) is int and version > PLAN_VERSION
    raise PlanError(
        f"plan version {str(version)[:20]!r}: this tli reads version {PLAN_VERSION}; "
        + ("upgrade tli, or " if newer else "")
        + "make the plan again with `tli match -o`"
    )
