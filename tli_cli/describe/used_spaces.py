"""The spaces of an architecture: the leaves that its tensors' axes run over, numbered anew."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tli_cli.architecture import Axis, AxisTree, Space
from tli_cli.describe.spaces import SpaceTable, leaves, with_leaves


class UsedSpaces:
    """The leaves that the axes of tensors, resolved `trees` by name, run over, numbered in the order in which these do;
    those over places in the order in which they were made, so that flattened columns and rows are told from rows and
    columns."""

    def __init__(self, table: SpaceTable, trees: Mapping[str, Sequence[AxisTree]]) -> None:
        self._trees = trees
        found = list(dict.fromkeys(leaf for axes in trees.values() for tree in axes for leaf in leaves(tree)))
        places = iter(sorted((leaf for leaf in found if table.kind(leaf) == "grid"), key=table.made))
        used = [next(places) if table.kind(leaf) == "grid" else leaf for leaf in found]
        self._number = {leaf: i for i, leaf in enumerate(used)}
        self.spaces = tuple(Space(table.size(leaf), table.kind(leaf)) for leaf in used)

    def axes(self, is_summed: Callable[[str, int], bool]) -> dict[str, tuple[Axis, ...]]:
        """Return the axes by name, in terms of the numbers; `is_summed` tells of a name and a dimension whether its
        layer sums over it."""
        return {
            name: tuple(
                Axis(with_leaves(tree, self._number.__getitem__), is_summed(name, d)) for d, tree in enumerate(found)
            )
            for name, found in self._trees.items()
        }

    def numbers_of(self, found: Iterable[int]) -> frozenset[int]:
        """Return the numbers of those leaves among `found` that are used."""
        return frozenset(self._number[leaf] for leaf in found if leaf in self._number)
