"""Items in groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Name = TypeVar("Name", bound=Hashable)


def gathered(pairs: Iterable[tuple[Name, Item]]) -> dict[Name, list[Item]]:
    """Return the second of each pair, in order, by the first.

    >>> gathered([("norm", "bn1"), ("conv", "conv1"), ("norm", "bn2")])
    {'norm': ['bn1', 'bn2'], 'conv': ['conv1']}
    """
    found: dict[Name, list[Item]] = defaultdict(list)
    for name, item in pairs:
        found[name].append(item)
    return dict(found)


def grouped(items: Iterable[Item], name: Callable[[Item], Name]) -> dict[Name, list[Item]]:
    """Return `items`, in order, by what `name` says of each.

    >>> grouped(["conv1", "bn1", "conv2"], lambda path: path[-1])
    {'1': ['conv1', 'bn1'], '2': ['conv2']}
    """
    return gathered((name(item), item) for item in items)
