"""Weights of which a network stores a direction and a length (weight normalisation, arXiv 1602.07868), beside plain
ones: what counts is what the two make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.pieces import Fold, Piece
from tli_cli.plan import DIRECTION, LENGTH
from tli_cli.planning.drafts import Draft
from tli_cli.planning.identity import ADDED
from tli_cli.planning.roles import Share
from tli_cli.planning.spaces.maps import MapBook
from tli_cli.planning.spaces.pieces import is_copy

NORMED_ALONE = "one network alone gives its weight a length of its own"


def draft_lengths(wanted: Mapping[str, Draft], offered: Sequence[Share], book: MapBook, *, by_axes: bool) -> None:
    """Take the length that the source gives a weight into it, and give the target the length of what it gets, unless
    both are copied. `wanted` are a layer's drafts by role, `offered` what its partner holds.

    Methods that work on shapes alone take both tensors as they are.
    """
    own, weight = wanted.get(WITH_LENGTH), wanted.get("weight")
    theirs = next((share.spec.name for share in offered if share.role == WITH_LENGTH), "")
    if weight is None or not weight.pieces or not (own or theirs):
        return
    if own and own.pieces and theirs and all(is_copy(piece, book) for piece, _ in (*weight.pieces, *own.pieces)):
        return
    if not by_axes:
        weight.doubt = weight.doubt or ("" if own and theirs else NORMED_ALONE)
        return
    if theirs:
        weight.pieces = [(replace(p, fold=replace(p.fold or Fold(), length=theirs)), pair) for p, pair in weight.pieces]
    if own is not None and own.reason != ADDED:
        weight.normed, own.normed = DIRECTION, LENGTH
        own.pieces, own.reason, own.exact = list(weight.pieces), "", weight.exact


def without_length(piece: Piece) -> Piece:
    """Return `piece` without the length that its weight gets."""
    fold = replace(piece.fold, length="") if piece.fold else None
    return replace(piece, fold=fold if fold and fold.names else None)
