"""Which tensor of a known network each tensor of a bare checkpoint is named like, and the order of these there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.describe.modules import STANDARD, by_modules
from tli_cli.describe.normed import LENGTH_ENDS, NORMED_ENDS, respelled
from tli_cli.describe.spelling import changed, enclosing, natural, prefix_change
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.grouping import gathered, grouped

LIKE = 0.9
"""The share of the checkpoint's tensors, or of its matrices, that must be named like one of the network's."""
MOST = 0.5
"""The share of tensors or elements that is not enough, even where all that the network has is there."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a tensor of the checkpoint would be called in the network, and the network's tensor that it is like."""

    name: str
    template: str

    def path(self, known: str) -> str:
        """Return what the network's path `known`, of the template or a module around it, would be for the tensor."""
        parts, theirs, mine = known.split("."), self.template.split("."), self.name.split(".")
        changed = [own if part == other else part for part, other, own in zip(parts, theirs, mine, strict=False)]
        return ".".join([*changed, *parts[len(changed) :]])


def templates(tensors: Sequence[TensorSpec], known: Architecture) -> dict[str, Likeness]:
    """Return what each tensor of a checkpoint is like in the network `known`, by name; nothing if too few are.

    Names are alike that are equal, one prefix of all of them apart, or that differ in an index: `layers.5.norm.weight`
    is like `layers.3.norm.weight` where the network has no sixth layer. What is left over then is like what is left
    over of the same module, if only one fits.
    """
    wanted = known.by_name
    change = prefix_change([t.name for t in tensors], list(wanted))
    ends = {end for end in (*NORMED_ENDS[:-1], *LENGTH_ENDS) if any(name.endswith(end) for name in wanted)}
    ends |= {NORMED_ENDS[-1]} if not ends else set()
    renamed = {t.name: _as_spelled(changed(t.name, change), wanted, ends) for t in tensors}
    found = {
        t.name: Likeness(renamed[t.name], renamed[t.name]) for t in tensors if _fits(t, wanted.get(renamed[t.name]))
    }
    found |= _like_blocks([t for t in tensors if t.name not in found], renamed, wanted)
    spare = {n for n in renamed.values() if n.endswith(LENGTH_ENDS) and n not in wanted}  # of weights not normed here
    counted = [t for t in tensors if t.name in found or renamed[t.name] not in spare]
    if not _is_of_class(found, counted, wanted.keys() <= {likeness.template for likeness in found.values()}):
        return {}
    return found | dict(_left_over([t for t in tensors if t.name not in found], renamed, wanted, found))


def _is_of_class(found: Collection[str], counted: Sequence[TensorSpec], whole: bool) -> bool:
    """Tell whether enough of what counts is named like the network: nearly all of the tensors, or of the matrices,
    beside which a loss or a metric keeps vectors; or, where the `whole` network is there, more than half of the tensors
    or of the elements, so that no second one is."""
    tensors = _share(found, counted, lambda _: 1)
    matrices = _share(found, counted, lambda shape: len(shape) > 1)
    return max(tensors, matrices) >= LIKE or (whole and max(tensors, _share(found, counted, prod)) > MOST)


def _share(found: Collection[str], counted: Sequence[TensorSpec], weight: Callable[[tuple[int, ...]], int]) -> float:
    """Return the share that `found` has of all that is `counted`, each by the weight of its shape."""
    whole = sum(weight(t.shape) for t in counted)
    return sum(weight(t.shape) for t in counted if t.name in found) / whole if whole else 0.0


def _as_spelled(name: str, wanted: Mapping[str, TensorSpec], ends: Collection[str]) -> str:
    """Return `name` as the network spells it, in which torch has normed a weight in its other way, or not at all; of
    the `ends` that its names have where none of them is this."""
    if name in wanted:
        return name
    others = respelled(name)
    other = next((other for other in others if other in wanted), "")
    if other or name.endswith(tuple(ends)):
        return other or name
    return next((other for other in others if other.endswith(tuple(ends))), name)


def _left_over(
    tensors: Sequence[TensorSpec],
    renamed: Mapping[str, str],
    wanted: Mapping[str, TensorSpec],
    found: Mapping[str, Likeness],
) -> Iterator[tuple[str, Likeness]]:
    """Yield the likenesses of the tensors of layers that have other names in one holder, by what they hold; of those in
    none by what they are for as well."""
    used, own = {likeness.template for likeness in found.values()}, {renamed[t.name]: t for t in tensors}
    mine = grouped((replace(t, name=name) for name, t in own.items()), _holder)
    theirs = grouped((spec for name, spec in wanted.items() if name not in used), _holder)
    for holder in mine:
        for name, (_, other) in by_modules(mine[holder], theirs.get(holder, ())).items():
            roles = [canonical_role(whole.rpartition(".")[0]) for whole in (name, other)]
            if own[name].shape == wanted[other].shape and (holder or (roles[0] == roles[1] != "")):
                yield own[name].name, Likeness(other, other)


def _holder(spec: TensorSpec) -> str:
    """Return the module that holds the layer of a tensor."""
    return spec.name.rpartition(".")[0].rpartition(".")[0]


def in_its_order(tensors: Sequence[TensorSpec], known: Architecture) -> dict[str, Likeness]:
    """Return the likenesses of tensors that stand in the order in which `known` is defined, each with the size of its
    own, whatever they are called; nothing if a size, or what a name says a layer is for, is another one, of those that
    are not told by their sizes alone.
    """
    shapes = [t.shape for t in tensors]
    if shapes != [t.shape for t in known.tensors]:
        return {}
    pairs = [(mine.name, theirs.name) for mine, theirs in zip(tensors, known.tensors, strict=True)]
    otherwise = (_said_otherwise(*(name.rpartition(".") for name in names)) for names in pairs)
    if any(told and shapes.count(shape) > 1 for told, shape in zip(otherwise, shapes, strict=True)):
        return {}
    return {mine: Likeness(theirs, theirs) for mine, theirs in pairs}


def _said_otherwise(mine: tuple[str, str, str], theirs: tuple[str, str, str]) -> bool:
    """Tell whether two names, as module, dot and last word, say that they stand for different things."""
    roles = canonical_role(mine[0]), canonical_role(theirs[0])
    words = mine[2], theirs[2]
    return (all(roles) and roles[0] != roles[1]) or (words[0] != words[1] and STANDARD.issuperset(words))


def _fits(tensor: TensorSpec, other: TensorSpec | None) -> bool:
    return other is not None and len(other.shape) == len(tensor.shape)


def _like_blocks(
    tensors: Sequence[TensorSpec], renamed: Mapping[str, str], wanted: Mapping[str, TensorSpec]
) -> dict[str, Likeness]:
    """Return the likenesses of the tensors of blocks that the network has not: those of the nearest earlier block."""
    indices = gathered(((before, behind), index) for name in wanted for before, index, behind in _cuts(name))
    found: dict[str, Likeness] = {}
    for tensor in tensors:
        for before, index, behind in _cuts(renamed[tensor.name]):
            there = sorted(indices.get((before, behind), ()))
            near = max((i for i in there if i < index), default=there[0] if there else None)
            name = f"{before}{near}{behind}"
            if near is not None and _fits(tensor, wanted.get(name)):
                found[tensor.name] = Likeness(renamed[tensor.name], name)
                break
    return found


def _cuts(name: str) -> Iterator[tuple[str, int, str]]:
    """Yield each index in `name` with what stands before and behind it."""
    parts = name.split(".")
    for i, part in enumerate(parts):
        digits = part[len(part.rstrip("0123456789")) :]
        if digits and i < len(parts) - 1:
            before = ".".join([*parts[:i], part[: len(part) - len(digits)]])
            yield before, int(digits), "." + ".".join(parts[i + 1 :])


NAMES = ("head", "embed")
"""What the other names of a table say that it is."""


def with_tables(
    named: Mapping[str, Likeness], known: Architecture, tensors: Sequence[TensorSpec]
) -> dict[str, Likeness]:
    """Return the likenesses with tensors taken for tables of the known network that the checkpoint lacks by name: one
    of a name that is tied to the table there, or the one that is left over, if it is named for a head or a table."""
    if not named:
        return {}
    held = {found.template for found in named.values()}
    roots = {name: known.by_name[found.template].tied_to or "" for name, found in named.items()}
    first = {root: name for name, root in reversed(roots.items()) if root and root not in held}
    beside = [t for t in tensors if t.name not in named and len(t.shape) == 2]
    left = [t for t in beside if canonical_role(t.name.removesuffix(".weight")) in NAMES]
    lost = [table for table in _tables(known) if table not in held and table not in first]
    if len(left) == len(lost) == 1:
        first[lost[0]] = left[0].name
    return {**named, **{name: Likeness(root, root) for root, name in first.items()}}


def _tables(known: Architecture) -> list[str]:
    """Return the names of the tables that are run once more, as a head."""
    runs = Counter(node.layer for node in known.graph)
    tables = (
        layer.tensor("weight") for i, layer in enumerate(known.layers) if layer.kind == "embedding" and runs[i] > 1
    )
    return [name for name in tables if name]


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
