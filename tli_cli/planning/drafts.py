"""What is found for a target tensor, written down as a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.matching.values import Pair
from tli_cli.plan import Piece, Step
from tli_cli.planning.identity import ADDED
from tli_cli.planning.maps import MapBook
from tli_cli.planning.pieces import is_copy, is_exact, map_indices
from tli_cli.planning.request import Request
from tli_cli.planning.roles import Share

STANDARDISED = "its weight is not standardised alike in both networks"
TORN = "its channels come from layers that do not belong together"


@dataclass
class Draft:
    """What is found for one target tensor while its units are visited."""

    pieces: list[tuple[Piece, Pair, Share]] = field(default_factory=list)
    reason: str = ""
    initial: str = ""
    exact: bool = False
    doubt: str = ""


class StepWriter:
    """Write drafts for the tensors of a target down as steps."""

    def __init__(self, target: Architecture, sources: Sequence[Architecture], request: Request, book: MapBook) -> None:
        self._target, self._sources, self._request, self._book = target, sources, request, book

    def step(self, spec: TensorSpec, draft: Draft, layer: Layer | None, role: str) -> Step:
        """Return the step for the tensor `spec`, the `role` of `layer`, from what was found for it."""
        path = layer.path if layer else spec.name.rpartition(".")[0]
        step = Step(
            spec.name,
            spec.shape,
            "keep",
            path,
            role,
            initial=draft.initial or self._request.keep_values,
            block=layer.block if layer else "",
        )
        if not draft.pieces or draft.reason == ADDED:
            reason = draft.reason or "no layer of the source is like it"
            return replace(step, exact=draft.exact and not draft.doubt, reason=reason)
        pieces = tuple(piece for piece, _, _ in draft.pieces)
        copied = all(is_copy(piece, self._book) for piece in pieces)
        resizer = "copy" if copied else self._request.resizer
        exact = draft.exact or all(is_exact(piece, self._book) for piece in pieces)
        torn = TORN if self._is_torn(spec) else ""
        doubt = draft.doubt or torn or ("" if draft.exact or self._scales_alike(layer, draft, copied) else STANDARDISED)
        similarity = sum(pair.similarity for _, pair, _ in draft.pieces) / len(draft.pieces)
        return replace(
            step,
            action="transfer",
            pieces=pieces if resizer in ("copy", "maps") else tuple(replace(p, axes=(), contracted=()) for p in pieces),
            resizer=resizer,
            similarity=round(similarity, 6),
            exact=exact and not doubt and resizer in ("copy", "maps"),
            reason="; ".join(said for said in ("" if copied else self._adaptation(pieces), doubt) if said),
        )

    def _scales_alike(self, layer: Layer | None, draft: Draft, copied: bool) -> bool:
        """Tell whether both sides use their weights as they are, or both standardise equal ones."""
        sides = [layer] + [self._sources[piece.model].layers[pair.source.place] for piece, pair, _ in draft.pieces]
        found = {side is not None and bool(side.attribute("standardised")) for side in sides}
        return found == {False} or (found == {True} and copied)

    def _is_torn(self, spec: TensorSpec) -> bool:
        return any(self._book.is_torn(axis.tree) for axis in self._target.axes.get(spec.name, ()))

    def _adaptation(self, pieces: Sequence[Piece]) -> str:
        rules = [self._book.maps[i] for piece in pieces for expression in piece.axes for i in map_indices(expression)]
        said = dict.fromkeys(f"{m.rule} {m.columns}->{m.rows}" for m in rules if m.rule != "same")
        return ", ".join(said)
