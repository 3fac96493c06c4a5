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


def back(graph: Sequence[Node], start: int, most: int) -> Iterator[int]:
    """Yield a node and those before it by their first inputs, at most so many."""
    for _ in range(most):
        yield start
        if not graph[start].inputs:
            return
        start = graph[start].inputs[0]


def layer_behind(graph: Sequence[Node], start: int, most: int) -> int:
    """Return the layer that makes a node's value, that node and those before it among the first `most`; -1 if none
    does."""
    return next((graph[i].layer for i in back(graph, start, most) if graph[i].layer >= 0), -1)


def makers(graph: Sequence[Node], nodes: Iterable[int]) -> set[int]:
    """Return the last layers that make the values of `nodes`."""
    behind = walked(nodes, lambda i: graph[i].inputs if graph[i].layer < 0 else ())
    return {graph[i].layer for i in behind} - {-1}
