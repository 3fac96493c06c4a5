"""The plan: what will be done to every target tensor, as a frozen value that round-trips through JSON."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from tli_cli.decoding import decode, parse
from tli_cli.errors import PlanError
from tli_cli.pieces import AxisExpression, AxisMap, Piece
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
INITIALS = ("constructor", "target", "zeros", "ones", "identity", "kaiming", "xavier",
            "lstm", "lstm-reverse", "gru", "gru-reverse", "rnn", "rnn-reverse")  # fmt: skip

DIRECTION, LENGTH = "direction", "length"
"""What makes the two tensors of a weight that the target gives a length."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done to one target tensor.

    `action` is `transfer` (from `pieces`, by `resizer`: `copy`, `maps`, `fit`, a published method; of a weight that the
    target gives a length `direction`, as `maps`, and `length`, that of what the weight's own step gives) or `keep` (by
    `initial`, one of `INITIALS` or a number). `exact` says whether the step keeps the function of what it transfers;
    `reason` says, for people, why a tensor is kept or what was adapted.
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

    @property
    def is_copied(self) -> bool:
        """Whether every value of the tensor is a value of a source, in its place."""
        return self.action == "transfer" and self.resizer == "copy"


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
    fit_minutes: float = 0.0
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
        noted = f"; {len(self.notes)} note{'s' if len(self.notes) > 1 else ''}" if self.notes else ""
        return (
            f"Plan({self.relation}: {self.exact} tensors placed exactly, {self.adapted} adapted, "
            f"{self.initialised} initialised, {len(self.unused)} unused; coverage {100 * self.coverage:.1f} %, "
            f"score {self.score:.4f}{noted})"
        )

    @property
    def leaves_out(self) -> bool:
        """Whether a layer is left as it starts because that was asked for."""
        return any(step.reason == SKIPPED for step in self.steps)

    @property
    def exact(self) -> int:
        """The number of tensors placed exactly."""
        return sum(step.is_copied for step in self.steps)

    @property
    def adapted(self) -> int:
        """The number of tensors that are reshaped."""
        return sum(step.action == "transfer" and not step.is_copied for step in self.steps)

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

    def doubting(self, targets: Collection[str], said: str) -> Plan:
        """Return the plan with no exact step for the tensors `targets`, whose reasons end in what is `said`."""
        doubted = (replace(s, exact=False, reason=f"{s.reason}; {said}".removeprefix("; ")) for s in self.steps)
        pairs = zip(self.steps, doubted, strict=True)
        return replace(self, steps=tuple(new if old.target in targets else old for old, new in pairs))

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


def _require_version(version: object) -> None:
    if type(version) is int and version == PLAN_VERSION:
        return
    newer = type(version) is int and version > PLAN_VERSION
    raise PlanError(
        f"plan version {str(version)[:20]!r}: this tli reads version {PLAN_VERSION}; "
        + ("upgrade tli, or " if newer else "")
        + "make the plan again with `tli match -o`"
    )
