"""The axis maps of a plan: one for each pair of target and source spaces that meet in a transfer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import leaves
from tli_cli.errors import TliError
from tli_cli.plan import AxisExpression, AxisMap
from tli_cli.planning.streams import used_as_they_are

CENTRED, ZERO = "centred", "zero"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a space lies in a tensor: `axis`, the range `start:stop` of it, and the sizes outside and inside of the
    space."""

    tensor: str
    axis: int
    start: int
    stop: int
    outer: int
    inner: int


def places_of(architecture: Architecture) -> Mapping[AxisTree, list[Place]]:
    """Return where each space, and each product of spaces, lies in the tensors of `architecture`."""
    found: dict[AxisTree, list[Place]] = defaultdict(list)
    for spec in architecture.tensors:
        if spec.buffer or spec.tied_to:
            continue
        for axis, description in enumerate(architecture.axes.get(spec.name, ())):
            for tree, start, stop, outer, inner in _walk(architecture, description.tree, 0):
                found[tree].append(Place(spec.name, axis, start, stop, outer, inner))
    return found


def _walk(architecture: Architecture, tree: AxisTree, start: int) -> Iterator[tuple[AxisTree, int, int, int, int]]:
    size = architecture.size_of(tree)
    yield tree, start, start + size, 1, 1
    if isinstance(tree, int):
        return
    if tree[0] == "+":
        for child in tree[1:]:
            yield from _walk(architecture, child, start)
            start += architecture.size_of(child)
        return
    sizes = [architecture.size_of(child) for child in tree[1:]]
    outer = 1
    for child, child_size in zip(tree[1:], sizes, strict=True):
        inner = size // (outer * child_size)
        if isinstance(child, int):
            yield child, start, start + size, outer, inner
        outer *= child_size


def bent_spaces(architecture: Architecture) -> set[AxisTree]:
    """Return the spaces whose channels pass through something of their own kind each: a depthwise convolution, a scale.

    A channel that starts at the mean of the others does not stay there behind them.
    """
    found: set[AxisTree] = set()
    mixes_positions = False
    for layer in architecture.layers:
        name = layer.tensor("weight")
        axes = architecture.axes.get(name or "", ())
        depthwise = layer.kind == "conv" and int(layer.attribute("groups", 1)) > 1
        if axes and (layer.kind == "scale" or depthwise):
            found.add(axes[-1 if layer.kind == "scale" else 0].tree)
        kinds = {architecture.spaces[leaf].kind for axis in axes if axis.contracted for leaf in leaves(axis.tree)}
        mixes_positions |= layer.kind == "linear" and "grid" in kinds and len(kinds) == 1
    return found | used_as_they_are(architecture) | (set(normalised_spaces(architecture)) if mixes_positions else set())


def norms_before_tied_heads(architecture: Architecture) -> set[str]:
    """Return the paths of norms that feed a head which is an embedding's own table: what the table cannot divide,
    they do."""
    layers = architecture.layers
    return {
        layers[before.layer].path
        for node in architecture.graph
        if node.layer >= 0 and layers[node.layer].kind == "embedding" and node.inputs
        for before in [architecture.graph[node.inputs[0]]]
        if before.layer >= 0 and layers[before.layer].kind == "norm"
    }


def normalised_spaces(architecture: Architecture) -> dict[AxisTree, str]:
    """Return how the spaces that a layer norm or RMS norm runs over must be widened: `centred` or `zero`."""
    found: dict[AxisTree, str] = {}
    for layer in architecture.layers:
        flavour = layer.attribute("norm")
        weight = layer.tensor("weight")
        if layer.kind == "norm" and flavour in ("layer", "rms", "group") and weight in architecture.axes:
            tree = architecture.axes[weight][-1].tree
            inner = tree[-1] if flavour == "group" and isinstance(tree, tuple) and tree[0] == "*" else tree
            found[inner] = ZERO if flavour == "rms" else CENTRED
    return found


class MapBook:
    """The maps of one plan as they are asked for; equal pairs of spaces share one map.

    `added` is set while an added block is mapped: what feeds it proves nothing of what belongs together.
    """

    def __init__(
        self,
        target: Architecture,
        widen: str = "widen",
        narrow: str = "strongest",
        head_rows: Mapping[int, int] | None = None,
    ) -> None:
        self._target = target
        self._head_rows = dict(head_rows or {})
        self._widen, self._narrow = widen, narrow
        self._normalised = normalised_spaces(target)
        self._bent = bent_spaces(target)
        self.before_tied_head = norms_before_tied_heads(target)
        self._partner: dict[AxisTree, tuple[int, AxisTree]] = {}
        self._members: dict[int, Mapping[AxisTree, list[Place]]] = {}
        self._columns: dict[tuple[AxisTree, int], int] = {}
        self._torn: set[AxisTree] = set()
        self.added = False
        self._index: dict[tuple[object, ...], int] = {}
        self.maps: list[AxisMap] = []

    def expression(
        self, t_tree: AxisTree, source: Architecture, s_tree: AxisTree, model: int, *, kind: str, use: str = ""
    ) -> AxisExpression:
        """Return the expression that takes the indices of `t_tree` from those of `s_tree`.

        `kind` is the dimension's (`channels`, `kernel`, `patch`, `grid`, `input`); `use` tells norms and queries
        apart, which share the indices of the others but not their scale.
        """
        m, n = self._target.size_of(t_tree), source.size_of(s_tree)
        if isinstance(t_tree, tuple) and isinstance(s_tree, tuple) and t_tree[0] == s_tree[0]:
            if len(t_tree) == len(s_tree):
                children = zip(t_tree[1:], s_tree[1:], strict=True)
                return (t_tree[0], *(self.expression(t, source, s, model, kind=kind, use=use) for t, s in children))
            if t_tree[0] == "+":
                return self._uneven_sum(t_tree, source, s_tree, model, kind, use)
        return self._leaf(t_tree, source, s_tree, model, m, n, kind, use)

    def _uneven_sum(
        self, t_tree: AxisTree, source: Architecture, s_tree: AxisTree, model: int, kind: str, use: str
    ) -> AxisExpression:
        """Pair parts by what feeds them, else in order; target parts without a partner take nothing, source parts
        are dropped."""
        parts: list[AxisExpression] = []
        mine, theirs = list(t_tree[1:]), list(s_tree[1:])  # type: ignore[index]
        if kind in ("grid", "offsets"):
            return ("+", *self._positions(mine, source, theirs, model, kind))
        for i, t in enumerate(mine):
            at = self._find_part(t, theirs, model, len(mine) - i)
            if at is None:
                parts.append(self._add(("none", t), AxisMap("none", self._target.size_of(t), 0)))
                continue
            parts.extend(self._drop(source, s, model) for s in theirs[:at])
            parts.append(self.expression(t, source, theirs[at], model, kind=kind, use=use))
            theirs = theirs[at + 1 :]
        parts.extend(self._drop(source, s, model) for s in theirs)
        return ("+", *parts)

    def _positions(
        self, mine: list[AxisTree], source: Architecture, theirs: list[AxisTree], model: int, kind: str
    ) -> list[AxisExpression]:
        """Pair the map of patches with the other, and the tokens before and behind it in order."""
        at, other = (
            max(range(len(p)), key=lambda i: a.size_of(p[i])) for p, a in ((mine, self._target), (theirs, source))
        )
        parts: list[AxisExpression] = []
        for wanted, offered in ((mine[:at], theirs[:other]), (mine[at : at + 1], theirs[other : other + 1]),
                                (mine[at + 1 :], theirs[other + 1 :])):  # fmt: skip
            pairs = list(zip(wanted, offered, strict=False))
            parts += [self.expression(t, source, s, model, kind=kind) for t, s in pairs]
            parts += [self._drop(source, s, model) for s in offered[len(pairs) :]]
            parts += [self._add(("none", t), AxisMap("none", self._target.size_of(t), 0)) for t in wanted[len(pairs) :]]
        return parts

    def _find_part(self, t: AxisTree, theirs: list[AxisTree], model: int, left: int) -> int | None:
        """Return which of the remaining source parts serves target part `t`, with `left` target parts to go."""
        known = self._partner.get(t)
        if known is not None and known[0] == model and known[1] in theirs:
            return theirs.index(known[1])
        return 0 if known is None and t not in self._partner and theirs and left <= len(theirs) else None

    def _drop(self, source: Architecture, s: AxisTree, model: int) -> int:
        return self._add(("drop", model, s), AxisMap("none", 0, source.size_of(s), exact=False))

    def introduce(self, t: AxisTree, model: int, s: AxisTree | None) -> None:
        """Note that the channels `t` are made by a layer that source layer makes `s`; None if an added layer makes
        them."""
        self._partner.setdefault(t, (model, s if s is not None else ()))

    def is_torn(self, tree: AxisTree) -> bool:
        """Tell whether the channels of `tree`, or a part of them, are fed from source channels that do not belong
        together."""
        return tree in self._torn or (isinstance(tree, tuple) and any(map(self.is_torn, tree[1:])))

    def _leaf(
        self, t: AxisTree, source: Architecture, s: AxisTree, model: int, m: int, n: int, kind: str, use: str
    ) -> int:
        if kind == "classes" and self._head_rows:
            self._check_head_rows(m, n)
            index = tuple(self._head_rows.get(row, -1) for row in range(m))
            return self._add(("classes", m, n), AxisMap("rows", m, n, exact=False, index=index))
        if not self.added and self._columns.setdefault((t, model), n) != n:
            self._torn.add(t)
        if m == n:
            return self._add(("same", m), AxisMap("same", m, m))
        rule = self._rule(t, m, n, kind, use)
        key = (rule, t, s, model, kind == "rotary")
        if key in self._index:
            return self._index[key]
        members: tuple[tuple[object, ...], ...] = ()
        if rule == self._narrow and rule == "strongest":
            places = self._members.setdefault(model, places_of(source)).get(s, [])
            members = tuple((model, p.tensor, p.axis, p.start, p.stop, p.outer, p.inner) for p in places)
        grown = rule.startswith(("widen", "net2net")) and not (CENTRED in rule and t in self._bent)
        exact = kind != "rotary" and ((m > n and (grown or rule == "kernel")) or rule == "input")
        return self._add(key, AxisMap(rule, m, n, exact=exact, members=members, label=self._label(t)))

    def _check_head_rows(self, m: int, n: int) -> None:
        for row, taken in self._head_rows.items():
            if row >= m or taken >= n:
                raise TliError(
                    f"--head map: row {row} from row {taken}: the target has rows 0 to {m - 1}, the source 0 to {n - 1}"
                )

    def _label(self, tree: AxisTree) -> str:
        return str(tree) if isinstance(tree, int) else "x".join(map(str, tree[1:]))

    def _rule(self, t: AxisTree, m: int, n: int, kind: str, use: str) -> str:
        if kind in ("kernel", "patch", "grid", "offsets", "input"):
            return kind
        if kind in ("classes", "vocabulary"):
            return "rows"
        if m < n:
            return self._narrow
        how = self._normalised.get(t) if m % n else None
        scale = f" {use}" if use and (how or use == "query" or "tied" in use) else ""
        return f"{self._widen}{f' {how}' if how else ''}{scale}"

    def _add(self, key: tuple[object, ...], value: AxisMap) -> int:
        if key not in self._index:
            self._index[key] = len(self.maps)
            self.maps.append(value)
        return self._index[key]
