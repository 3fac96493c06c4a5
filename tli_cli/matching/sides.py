"""One side of a matching: what is worked out of an architecture once, however many others it is matched with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tli_cli.architecture import Architecture, Node
from tli_cli.describe.spelling import apart, enclosing
from tli_cli.grouping import gathered, grouped
from tli_cli.matching.copies import Copies, copies_of, feeders
from tli_cli.matching.hashes import HEAD, backward_hashes, company_hashes, forward_hashes, unit_graph
from tli_cli.matching.residuals import is_residual
from tli_cli.matching.segments import WEIGHTED, Block, Stage, blocks_of, first_level, split_ends, stages_of
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.sibling_heads import Heads, heads_of
from tli_cli.matching.units import Key, Unit, units_of

LOCAL = 4
WEIGHING = ACTIVATIONS | {"softmax"}
"""Operations by which layers are told apart that stand alike otherwise."""

BEFORE = ("before",)


@dataclass(frozen=True, eq=False)
class Side:
    """An architecture, its units and blocks, and the fingerprints of its units' surroundings."""

    architecture: Architecture

    @classmethod
    def kept(cls, architecture: Architecture) -> Side:
        """Return the side of `architecture` with its units, and without initial values."""
        units = units_of(architecture)
        side = cls(replace(architecture, initial={}))
        side.__dict__["units"] = units
        return side

    def of(self, units: Sequence[Unit]) -> Side:
        """Return the side of those of its units alone."""
        side = type(self)(self.architecture)
        side.__dict__["units"] = tuple(units)
        return side

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The units in the order of the layers."""
        return units_of(self.architecture)

    @cached_property
    def blocks(self) -> list[Block]:
        """The blocks in the order of their first units."""
        return blocks_of(self.units)

    @cached_property
    def ends(self) -> tuple[list[Block], list[Block], list[Block]]:
        """The blocks of stem, body and head."""
        return split_ends(self.blocks)

    @cached_property
    def stages(self) -> list[Stage]:
        """The stages of the body."""
        return stages_of(self.ends[1])

    @cached_property
    def first_level(self) -> float | None:
        """The resolution of the first weighted layer."""
        return first_level(self.blocks)

    @cached_property
    def residual(self) -> bool | None:
        """Whether the blocks of the body add to a trunk; None if there is no graph."""
        return is_residual(self.architecture, {unit.place for block in self.ends[1] for unit in block.units})

    @cached_property
    def tails(self) -> frozenset[tuple[str, tuple[int, ...]]]:
        """What the units are called last, with their shapes."""
        return frozenset((unit.path.rpartition(".")[2], unit.shape) for unit in self.units)

    @cached_property
    def shapes(self) -> Counter[tuple[object, ...]]:
        """What layers with weights it holds, and how often: kinds and shapes."""
        return Counter(unit.exact_label for unit in self.units if unit.kind in WEIGHTED)

    @cached_property
    def weighted(self) -> int:
        """The number of convolutions and linear layers."""
        return self.shapes.total()

    @cached_property
    def idle(self) -> frozenset[str]:
        """The paths of layers in blocks of which nothing stands in the graph, or in a row within a block of which only
        some do, such as experts that tokens go to: what is run depends on what it is shown. None if there is no
        graph."""
        run = [unit for unit in self.units if unit.place in self.architecture.run or not self.architecture.run]
        homes = {unit.home for unit in run}
        modules = {module for unit in run for module in enclosing(unit.path)}
        inside = {unit.path: {m: m.rstrip("0123456789") for m in _rows(unit)} for unit in self.units}
        rows = {row for found in inside.values() for module, row in found.items() if module not in modules}
        in_rows = {path for path, found in inside.items() if not rows.isdisjoint(found.values())}
        return frozenset(in_rows | {unit.path for unit in self.units if unit.home not in homes})

    @cached_property
    def copies(self) -> Copies:
        """The units of networks that are held again."""
        before = self.hashes["form before"] if self.architecture.graph else {}
        fed_by = feeders(self.architecture)
        return copies_of(self.units, {key: (found, fed_by[key[0]]) for key, found in before.items()})

    def copies_beside(self, other: Side) -> Copies:
        """Return the copies without the networks that `other` holds as well, by their names, and not as copies:
        smaller ones, such as those of an actor and a critic, do not count as networks there. None where both hold the
        same layers, and other copies: names alone make copies of them, such as critics."""
        if not self.copies:
            return ()
        mine, theirs = (Counter(unit.exact_label for unit in side.units) for side in (self, other))
        if len(self.copies) != len(other.copies) and mine == theirs:
            return ()
        again = {unit.key for unit, _ in other.copies}
        kept = (unit for unit in other.units if unit.key not in again)
        own = {(around, unit.exact_label) for unit in kept for around in enclosing(unit.path)}
        there = self._held_as_often(other)
        return [
            (unit, first)
            for unit, first in self.copies
            if unit.key not in there and (apart(unit.path, first.path)[0], unit.exact_label) not in own
        ]

    def _held_as_often(self, other: Side) -> set[Key]:
        """Return the units that take the same as others, of which the other side's graph has as many; where one of them
        has no graph, those of modules of most of whose shapes the other side has as many: those are blocks."""
        if both_known(self, other):
            theirs = other.groups(BEFORE)
            return {u.key for k, row in self.groups(BEFORE).items() if len(theirs.get(k, ())) >= len(row) for u in row}
        mine, there = self.shapes, other.shapes
        found = set[Key]()
        for again in grouped((unit for unit, _ in self.copies), lambda unit: unit.block).values():
            shapes = {unit.exact_label for unit in again} & mine.keys()
            held = sum(there[shape] >= mine[shape] for shape in shapes)
            found |= {unit.key for unit in again} if 2 * held >= len(shapes) > 0 else set()
        return found

    @cached_property
    def heads(self) -> Heads:
        """The last layers that stand side by side, by how much each gives."""
        return heads_of(self.architecture, self.units)

    @cached_property
    def hashes(self) -> dict[str, dict[Key, int]]:
        """The fingerprints of the units' surroundings, exact and by form; no units if there is no graph."""
        graph = unit_graph(self.architecture, self.units)
        exact: dict[Key, Hashable] = {unit.key: unit.exact_label for unit in self.units}
        form: dict[Key, Hashable] = {unit.key: unit.form_label for unit in self.units}
        for head in (replace(unit, kind="dense", part=HEAD) for unit in self.units if unit.kind == "embedding"):
            exact[head.key], form[head.key] = head.exact_label, head.form_label
        return {
            "before": forward_hashes(graph, exact),
            "behind": backward_hashes(graph, exact),
            "form before": forward_hashes(graph, form),
            "form behind": backward_hashes(graph, form),
            "near before": forward_hashes(graph, form, LOCAL),
            "near behind": backward_hashes(graph, form, LOCAL),
            "own": {key: hash(label) for key, label in exact.items()},
        }

    @cached_property
    def _acting(self) -> dict[str, dict[Key, int]]:
        """The same fingerprints where activations count: each as what it is, or all as one."""
        own: dict[Key, Hashable] = {unit.key: unit.exact_label for unit in self.units}
        own |= {(unit.place, HEAD): "head" for unit in self.units if unit.kind == "embedding"}
        graph = unit_graph(self.architecture, self.units, lambda op: op if op in WEIGHING else "")
        any_act = unit_graph(self.architecture, self.units, lambda op: "act" if op in WEIGHING else "")
        return {
            "acts before": forward_hashes(graph, own),
            "acts behind": backward_hashes(graph, own),
            "acts nearby": backward_hashes(graph, own, LOCAL),
            "acts at all": backward_hashes(any_act, own, LOCAL),
        }

    @cached_property
    def _unordered(self) -> dict[str, dict[Key, int]]:
        """The exact fingerprints where it does not count in which order values are put side by side: attention to what
        stands together is the same in any order."""
        graph = unit_graph(self.architecture, self.units)
        joined = replace(graph, labels=tuple("join" if label == "cat" else label for label in graph.labels))
        own: dict[Key, Hashable] = {unit.key: unit.exact_label for unit in self.units}
        own |= {(unit.place, HEAD): "head" for unit in self.units if unit.kind == "embedding"}
        return {
            "joined before": forward_hashes(joined, own),
            "joined behind": backward_hashes(joined, own),
            "company": company_hashes(joined, own),
        }

    @cached_property
    def attends_jointly(self) -> bool:
        """Tell whether values of several layers stand side by side where they are weighed against each other."""
        graph = unit_graph(self.architecture, self.units)
        products = (before for label, before in zip(graph.labels, graph.inputs, strict=True) if label == "matmul")
        return any(graph.labels[i] == "cat" for before in products for i in before)

    def acting(self, names: tuple[str, ...], units: Sequence[Unit]) -> dict[Key, Hashable]:
        """Return the fingerprints `names` of each of `units` of its surroundings where activations count."""
        return {unit.key: tuple(self._acting[name].get(unit.key) for name in names) for unit in units}

    def groups(self, names: tuple[str, ...]) -> dict[int, tuple[Unit, ...]]:
        """Return the units that stand in the graph, grouped by their fingerprint over the tables `names`."""
        if names not in self._groups:
            tables = [self.hashes[name] if name in self.hashes else self._unordered[name] for name in names]
            told = ((unit, tuple(table.get(unit.key) for table in tables)) for unit in self.units)
            found = gathered((hash(values), unit) for unit, values in told if None not in values)
            self._groups[names] = {fingerprint: tuple(units) for fingerprint, units in found.items()}
        return self._groups[names]

    def without(self, units: Sequence[Unit], copies: Copies = ()) -> Side:
        """Return the side without the layers of `units` and, in the graph, without all that is made of nothing else;
        also without those of `copies`, in place of which their firsts stand where they take the same."""
        again = {unit.place: first.place for unit, first in copies}
        gone = {unit.place for unit in units} | again.keys()
        if not gone:
            return self
        cut = type(self)(replace(self.architecture, graph=_cut(self.architecture, gone, again)))
        return cut.of([unit for unit in self.units if unit.place not in gone])

    def forget_hashes(self) -> None:
        """Give the memory back that the fingerprints of single units take; the groups that were asked for stay."""
        for name in ("hashes", "_acting", "_unordered"):
            self.__dict__.pop(name, None)

    @cached_property
    def _groups(self) -> dict[tuple[str, ...], dict[int, tuple[Unit, ...]]]:
        return {}


def both_known(source: Side, target: Side) -> bool:
    """Tell whether both sides have a graph."""
    return bool(source.architecture.graph and target.architecture.graph)


def _cut(architecture: Architecture, gone: Collection[int], again: Mapping[int, int]) -> tuple[Node, ...]:
    """Return the graph without the layers `gone` and all that is made of nothing else; what takes the same as the layer
    that it is `again`, or is done once more to the same, is one with that."""
    became: dict[int, int] = {}
    kept: list[Node] = []
    lost: set[int] = set()
    made: dict[Node, int] = {}
    for index, node in enumerate(architecture.graph):
        inputs = tuple(became[i] for i in node.inputs if i in became)
        own = replace(node, inputs=inputs, layer=again.get(node.layer, node.layer))
        if own in made and (node.layer in again or (again and node.layer < 0 and inputs)):
            became[index] = made[own]
        elif inputs and node.layer in gone and architecture.layers[node.layer].is_added:
            became[index] = inputs[0]
        elif node.layer in gone or (node.inputs and all(i in lost for i in node.inputs)):
            lost.add(index)
        else:
            became[index] = made[own] = len(kept)
            kept.append(own)
    return tuple(kept)


def _rows(unit: Unit) -> list[str]:
    """Return the numbered modules within its block that hold a unit."""
    modules = enclosing(unit.path)[:-1]
    return [m for m in modules if m[-1].isdecimal() and m.startswith(f"{unit.home}.")]
