"""Walks over the nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tli_cli.architecture import Node


def walked(starts: Iterable[int], onward: Callable[[int], Iterable[int]]) -> Iterator[int]:
    """Yield once each node that is reached from `starts`, themselves included; `onward` gives where a node leads."""
    pending = list(dict.fromkeys(starts))
    met = set(pending)
    while pending:
        index = pending.pop()
        yield index
        further = [i for i in dict.fromkeys(onward(index)) if i not in met]
        pending += further
        met.update(further)


def makers(graph: Sequence[Node], nodes: Iterable[int]) -> set[int]:
    """Return the last layers that make the values of `nodes`."""
    behind = walked(nodes, lambda i: graph[i].inputs if graph[i].layer < 0 else ())
    return {graph[i].layer for i in behind} - {-1}
