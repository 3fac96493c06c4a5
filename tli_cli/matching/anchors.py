"""Pairs that the two execution graphs prove: units with the same surroundings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

from tli_cli.architecture import Architecture
from tli_cli.matching.hashes import backward_hashes, forward_hashes, local_forward_hashes, unit_graph
from tli_cli.matching.units import Unit

Keys = Callable[[Unit], Hashable]
LOCAL = 4


def _blocks(units: Sequence[Unit]) -> int:
    return len({unit.block for unit in units})


class _Surroundings:
    """The fingerprints of one side, exact and by form."""

    def __init__(self, architecture: Architecture, units: Sequence[Unit]) -> None:
        graph = unit_graph(architecture, units)
        exact: dict[tuple[int, int], Hashable] = {unit.key: unit.exact_label for unit in units}
        form: dict[tuple[int, int], Hashable] = {unit.key: unit.form_label for unit in units}
        self.hashes = {
            "before": forward_hashes(graph, exact),
            "behind": backward_hashes(graph, exact),
            "form before": forward_hashes(graph, form),
            "form behind": backward_hashes(graph, form),
            "near before": local_forward_hashes(graph, form, LOCAL),
            "near behind": backward_hashes(graph, form, LOCAL),
            "own": {key: hash(label) for key, label in exact.items()},
        }

    def key(self, unit: Unit, names: Sequence[str]) -> Hashable:
        """Return the unit's fingerprint over the tables `names`; None if it does not stand in the graph."""
        values = [self.hashes[name].get(unit.key) for name in names]
        return None if None in values else tuple(values)


EVIDENCE = (
    ("before", "behind"),
    ("before", "form behind"),
    ("form before", "behind"),
    ("form before", "form behind", "own"),
    ("form before", "form behind"),
    ("before", "near behind"),
    ("near before", "behind"),
)
"""From the strongest to the weakest; a changed head breaks `behind`, a changed input `before`, a changed width both."""

CERTAIN = EVIDENCE[:5]
"""What counts where more than one block was added or removed: blocks are then spread evenly, not kept at both ends."""


def anchors(
    source: Architecture, target: Architecture, sources: Sequence[Unit], targets: Sequence[Unit]
) -> Iterator[tuple[Unit, Unit, bool]]:
    """Yield (target unit, source unit, whether it is certain) for all that two graphs decide; nothing without them."""
    if not source.graph or not target.graph:
        return
    mine, theirs = _Surroundings(source, sources), _Surroundings(target, targets)
    taken: set[tuple[int, int]] = set()
    given: set[tuple[int, int]] = set()
    near = abs(_blocks(sources) - _blocks(targets)) <= 1
    for names in EVIDENCE if near else CERTAIN:
        groups: dict[Hashable, tuple[list[Unit], list[Unit]]] = defaultdict(lambda: ([], []))
        for unit in sources:
            if unit.key not in given and (key := mine.key(unit, names)) is not None:
                groups[key][0].append(unit)
        for unit in targets:
            if unit.key not in taken and (key := theirs.key(unit, names)) is not None:
                groups[key][1].append(unit)
        for candidates, wanted in groups.values():
            if len(candidates) != len(wanted):
                continue
            for s, t in zip(candidates, wanted, strict=True):
                taken.add(t.key)
                given.add(s.key)
                yield t, s, names in CERTAIN
