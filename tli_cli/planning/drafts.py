"""What is found for the tensors of a target, written down as steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.describe.spaces import leaves
from tli_cli.matching.values import Pair
from tli_cli.pieces import Piece
from tli_cli.plan import DIRECTION, LENGTH, SKIPPED, Step
from tli_cli.planning.identity import ADDED
from tli_cli.planning.listed_rows import ListedRows
from tli_cli.planning.refusals import Refusals
from tli_cli.planning.request import Request
from tli_cli.planning.spaces.maps import MapBook
from tli_cli.planning.spaces.pieces import is_copy, is_exact

BY_AXES = ("copy", "maps", DIRECTION, LENGTH)
"""What works along the axes of tensors, not on their shapes alone."""
REGROUPED = "as many channels in other heads or groups"
STANDARDISED = "its weight is not standardised alike in both networks"
BESIDE = "the weight beside it does not compute what its partner does"
TORN = "its channels come from layers that do not belong together"


@dataclass
class Draft:
    """What is found for one target tensor while its units are visited; `normed` says that it is one of the two tensors
    of a weight that is given a length, and which."""

    pieces: list[tuple[Piece, Pair]] = field(default_factory=list)
    reason: str = ""
    initial: str = ""
    exact: bool = False
    doubt: str = ""
    note: str = ""
    normed: str = ""


class Drafts:
    """The drafts of all tensors of a target, filled source by source, layer by layer, and the maps that they share."""

    def __init__(self, target: Architecture, sources: Sequence[Architecture], request: Request) -> None:
        self.target, self.sources, self.request = target, sources, request
        rows = ListedRows(target, request.head_rows, request.tokens, by_axes=self.by_axes)
        self.book = MapBook(target, request.widen, request.narrow, rows)
        self.refusals = Refusals(target, sources, request)
        self.notes: dict[str, None] = {}
        self._found = {spec.name: Draft() for spec in target.tensors}

    @property
    def by_axes(self) -> bool:
        """Whether tensors are mapped along their axes, and not by their shapes alone."""
        return self.request.resizer == "maps"

    def of(self, tensor: str) -> Draft:
        """Return the draft of a tensor."""
        return self._found[tensor]

    def of_layer(self, place: int) -> list[Draft]:
        """Return the drafts of a layer's tensors."""
        return [self._found[name] for _, name in self.target.layers[place].tensors]

    def used(self) -> set[str]:
        """Return the names of the source tensors that something is made of."""
        return {name for draft in self._found.values() for piece, _ in draft.pieces for name in piece.names}

    def keep(self, place: int) -> bool:
        """Tell whether all that a layer starts with keeps the function, as far as is noted yet."""
        return all(
            not draft.doubt
            and (draft.exact or (draft.pieces and all(is_exact(piece, self.book) for piece, _ in draft.pieces)))
            for draft in self.of_layer(place)
        )

    def steps(self) -> list[Step]:
        """Return the steps in the order of the target's tensors; no bias of a graph is exact whose weight is not."""
        owners = {name: (layer, role) for layer in self.target.layers for role, name in layer.tensors}
        steps = [self._step(s, self._own_or_tied(s), *owners.get(s.name, (None, ""))) for s in self.target.tensors]
        inexact = {step.layer for step in steps if step.role == "weight" and step.pieces and not step.exact}
        beside = {s.target for s in steps if s.role == "bias" and s.exact and s.layer in inexact and self.target.graph}
        return [replace(s, exact=False, reason=s.reason or BESIDE) if s.target in beside else s for s in steps]

    def _own_or_tied(self, spec: TensorSpec) -> Draft:
        draft = self._found[spec.name]
        tied = self._found.get(spec.tied_to or "", draft)
        return tied if tied.normed or not draft.pieces else draft

    def _step(self, spec: TensorSpec, draft: Draft, layer: Layer | None, role: str) -> Step:
        """Return the step for the tensor `spec`, the `role` of `layer`, from what was found for it."""
        path = layer.path if layer else spec.name.rpartition(".")[0]
        step = partial(
            Step,
            spec.name,
            spec.shape,
            layer=path,
            role=role,
            initial=draft.initial or self.request.keep_values,
            block=layer.block if layer else "",
        )
        skipped = spec.name in self.request.skipped
        if not draft.pieces or draft.reason == ADDED or skipped:
            reason = draft.reason or (SKIPPED if skipped else "no layer of the source is like it")
            return step(action="keep", exact=draft.exact and not draft.doubt, reason=reason)
        pieces = tuple(piece for piece, _ in draft.pieces)
        copied = all(is_copy(piece, self.book) for piece in pieces)
        resizer = draft.normed or ("copy" if copied and not draft.note else self.request.resizer)
        exact = draft.exact or all(is_exact(piece, self.book) for piece in pieces)
        torn = TORN if self._is_torn(spec) else ""
        doubt = draft.doubt or torn or ("" if draft.exact or self._scales_alike(layer, draft, copied) else STANDARDISED)
        similarity = sum(pair.similarity for _, pair in draft.pieces) / len(draft.pieces)
        return step(
            action="transfer",
            pieces=pieces if resizer in BY_AXES else tuple(replace(p, axes=(), contracted=()) for p in pieces),
            resizer=resizer,
            similarity=round(similarity, 6),
            exact=exact and not doubt and resizer in BY_AXES,
            reason="; ".join(said for said in (self._adaptation(pieces), draft.note, doubt) if said),
        )

    def _scales_alike(self, layer: Layer | None, draft: Draft, copied: bool) -> bool:
        """Tell whether both sides use their weights as they are, or both standardise equal ones."""
        sides = [layer] + [self.sources[piece.model].layers[pair.source.place] for piece, pair in draft.pieces]
        found = {bool(s and s.attribute("standardised") and s.tensor(WITH_LENGTH) is None) for s in sides}
        return found == {False} or (found == {True} and copied)

    def _is_torn(self, spec: TensorSpec) -> bool:
        return any(self.book.is_torn(axis.tree) for axis in self.target.axes.get(spec.name, ()))

    def _adaptation(self, pieces: Sequence[Piece]) -> str:
        rules = [self.book.maps[i] for piece in pieces for expression in piece.axes for i in leaves(expression)]
        changed = (m for m in rules if m.rule != "same" or not m.exact)
        said = (REGROUPED if m.rule == "same" else f"{m.rule} {m.columns}->{m.rows}" for m in changed)
        return ", ".join(dict.fromkeys(said))
