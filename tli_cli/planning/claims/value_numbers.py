"""Values of two graphs as numbers: what is made alike of the same has one number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from tli_cli.architecture import LINEAR, Architecture, Layer, Node
from tli_cli.describe.turned import known_turns
from tli_cli.matching.settings import IDEMPOTENT
from tli_cli.matching.units import Key
from tli_cli.noted import Number
from tli_cli.planning.claims.places_alone import passes, settled
from tli_cli.planning.identity import NOT_ZERO

OWN = "own"
LATE = "late"
WHOLE = -1
"""In place of the number of a part: the whole layer."""

Made = Callable[[int], int | None]
"""Give the number of what a layer, by its place, makes; None if it passes on what it takes."""

Cut = Callable[[int, int], int | None]
"""Give the number of a part of what a layer, by its place, makes; None if it has no partner of its own."""


class Values:
    """Values of both graphs as numbers, equal ones as the same: however often one is used, it is held once.

    `zero` is zero everywhere, and `nothing` channels that are read with zero weight. Masks before a softmax are told
    apart where `masks` is set, and what code does with values where `code` is: both graphs have the same of it in all.
    """

    def __init__(self, *, masks: bool, code: bool) -> None:
        self._masks, self._code = masks, code
        self._numbers: dict[tuple[Hashable, Sequence[int]], int] = {}
        self._made: list[tuple[Hashable, Sequence[int]]] = []
        self._own: set[int] = set()
        self.zero, self.nothing = self.number("zero"), self.number("nothing")

    def number(self, operation: Hashable, parts: Sequence[int] = ()) -> int:
        """Return the number of what `operation` makes of `parts`."""
        made = (operation, tuple(parts))
        if made not in self._numbers:
            self._numbers[made] = len(self._made)
            self._made.append(made)
            if (isinstance(operation, tuple) and operation[0] == OWN) or any(map(self.is_own, parts)):
                self._own.add(self._numbers[made])
        return self._numbers[made]

    def layer(self, place: int) -> int:
        """Return the number of what the source's layer at `place` makes."""
        return self.number(("layer", place))

    def unit(self, key: Key) -> int:
        """Return the number of what the source's layer or part of a layer `key` makes."""
        place, part = key
        return self.layer(place) if part < 0 else self.number(("part", part), (self.layer(place),))

    def fused(self, place: int, parts: Mapping[int, Key]) -> int:
        """Return the number of what a layer makes whose parts, or the whole, have the partners `parts`."""
        if WHOLE in parts:
            return self.unit(parts[WHOLE])
        alike = {partner[0] for part, partner in parts.items() if partner[1] == part}
        same = len(alike) == 1 and all(partner[1] == part for part, partner in parts.items())
        return self.layer(min(alike)) if same else self.number(("fused", place))

    def is_own(self, value: int) -> bool:
        """Tell whether a layer without a partner has a share in `value`."""
        return value in self._own

    def taken(
        self, architecture: Architecture, made: Made, cut: Cut = lambda *_: None
    ) -> tuple[dict[int, set[int]], list[int]]:
        """Return for each layer what it takes, each time that it is run, and the value of each node."""
        values: list[int] = []
        found: dict[int, set[int]] = {}
        turns = known_turns(architecture)
        for index, node in enumerate(architecture.graph):
            whole = [values[i] for i in node.inputs]
            late, before = self._passed(architecture, node, self._worked(node, whole))
            if index in turns:
                turning = values[turns[index]]
                values.append(turning if turning in (self.zero, self.nothing) else self.number("turned", (turning,)))
                continue
            if node.layer < 0:
                made_of = self._of(node, before) if node.op != "part" else self._part(architecture, node, whole, cut)
                values.append(self._behind(made_of, late) if node.op != "part" else made_of)
                continue
            layer = architecture.layers[node.layer]
            added = bool(before) and layer.is_added
            taken = self._join("add", before) if before and not added else self.number("input")
            if all(architecture.graph[i].layer != node.layer for i in node.inputs):  # no step of a written-out norm
                found.setdefault(node.layer, set()).add(taken)
            own = self.zero if taken == self.zero and _keeps_zero(layer) else made(node.layer)
            if added:
                own = self._join("add", before if own is None else [*before, own])
            values.append(self._behind(taken if own is None else own, late))
        return found, values

    def end(self, value: int) -> int:
        """Return the number of a value without which of its places are taken last, as is not noted behind all nodes."""
        return self._split(value)[1]

    def _part(self, architecture: Architecture, node: Node, whole: Sequence[int], cut: Cut) -> int:
        """Return the number of a part, on which code acts as on the whole."""
        late, taken = self._passed(architecture, node, whole)
        part = cut(architecture.graph[node.inputs[0]].layer, node.index)
        made = self._behind(self._of(node, taken) if part is None else part, late)
        return self._worked(node, [made])[0]

    def _worked(self, node: Node, before: Sequence[int]) -> Sequence[int]:
        """Return what code makes of the values `before` a node, as that takes them."""
        if not self._code or node.code is None or len(node.code) != len(before):
            return before
        return [self._noted(value, code) for value, code in zip(before, node.code, strict=True)]

    def _noted(self, value: int, code: tuple[Number, ...]) -> int:
        """Return what `code` makes of a value, which of its places are taken last where that comes to the same."""
        if value in (self.zero, self.nothing) or not code:
            return value
        before, inner = self._split(value)
        order = settled((*before, *code))
        if order is None:
            return self.number(("code", code), (value,))
        rest, late = order
        return self._behind(self.number(("code", rest), (inner,)) if rest else inner, late)

    def _behind(self, value: int, late: tuple[Number, ...]) -> int:
        """Return what is made of a value of which some places are taken."""
        idle = value in (self.zero, self.nothing) or not late
        return value if idle else self.number((LATE, late), (value,))

    def _split(self, value: int) -> tuple[tuple[Number, ...], int]:
        """Return which places are taken last, and of which value."""
        made, parts = self._made[value]
        return (made[1], parts[0]) if isinstance(made, tuple) and made[0] == LATE else ((), value)

    def _passed(
        self, architecture: Architecture, node: Node, before: Sequence[int]
    ) -> tuple[tuple[Number, ...], Sequence[int]]:
        """Return what comes to the same behind a node as before it, of all that it takes, and the values without."""
        split = [self._split(value) for value in before if value not in (self.zero, self.nothing)]
        late = split[0][0] if split else ()
        if not late or any(other != late for other, _ in split) or not passes(architecture, node):
            return (), before
        return late, [self._split(value)[1] for value in before]

    def _of(self, node: Node, before: Sequence[int]) -> int:
        if node.op == "cat":
            terms = [term for value in before for term in self._terms("cat", value)]
            parts = list(dict.fromkeys(term for term in terms if term != self.nothing))
            return parts[0] if len(parts) == 1 else self.number("cat", parts)
        if node.op == "add":
            return self._join("add", before)
        if node.op in ("mul", "matmul") and self.zero in before:
            return self.zero
        if node.op == "mul":
            return self._join("mul", before)
        if before and node.op not in NOT_ZERO and all(value == self.zero for value in before):
            return self.zero
        if node.op in IDEMPOTENT and self._operation(before[0])[0] == node.op:
            return before[0]
        return self.number((node.op, node.index if node.op == "part" or self._masks else -1), before)

    def _join(self, operation: str, values: Sequence[int]) -> int:
        """Return a sum or product of `values` in one order, those of its own kind taken apart and zeros left out."""
        flat = [term for value in values for term in self._terms(operation, value)]
        kept = sorted(value for value in flat if operation != "add" or value != self.zero)
        return self.zero if not kept else kept[0] if len(kept) == 1 else self.number(operation, kept)

    def _terms(self, operation: str, value: int) -> Sequence[int]:
        made, parts = self._made[value]
        return parts if made == operation else (value,)

    def _operation(self, value: int) -> tuple[Hashable, ...]:
        made = self._made[value][0]
        return made if isinstance(made, tuple) else (made,)


def _keeps_zero(layer: Layer) -> bool:
    """Tell whether a layer makes zero of zero."""
    roles = {role.partition(".")[0] for role, _ in layer.tensors}
    return layer.kind in (*LINEAR, "norm", "scale") and roles == {"weight"}
