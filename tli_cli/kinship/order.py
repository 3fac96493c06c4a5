"""The order in which a checkpoint's class defines its tensors, where another file of that class tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.describe.spelling import enclosing, natural
from tli_cli.kinship.naming import Likeness, templates


def in_order_of(bare: Architecture, known: Architecture) -> tuple[TensorSpec, ...]:
    """Return the tensors of `bare`, whose order is lost, as `known` defines those that they are named like; nothing if
    they are not named like these.

    A module stands among its siblings where the one does that it is like, behind it if it is one more of a row.
    """
    like = templates(bare.tensors, known)
    ranks = _ranks([spec.name for spec in known.tensors])
    return tuple(sorted(bare.tensors, key=lambda spec: _place(spec.name, like.get(spec.name), ranks))) if like else ()


def _ranks(names: Sequence[str]) -> dict[str, int]:
    """Return for each name, and each module that it stands in, when it is met first."""
    found: dict[str, int] = {}
    for name in names:
        for path in enclosing(name):
            found.setdefault(path, len(found))
    return found


def _place(name: str, like: Likeness | None, ranks: Mapping[str, int]) -> tuple[tuple[int, object], ...]:
    """Return the sort key of `name`: level by level the rank of what it is like, and its own number; last if none."""
    if like is None:
        return ((len(ranks), natural(name)),)
    theirs, mine = enclosing(like.template), like.name.split(".")
    return tuple((ranks[path], natural(own)) for path, own in zip(theirs, mine, strict=False))
