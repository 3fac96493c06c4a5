"""Items in groups."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Name = TypeVar("Name", bound=Hashable)


def grouped(items: Iterable[Item], name: Callable[[Item], Name]) -> dict[Name, list[Item]]:
    """Return `items`, in order, by what `name` says of each.

    >>> grouped(["conv1", "bn1", "conv2"], lambda path: path[-1])
    {'1': ['conv1', 'bn1'], '2': ['conv2']}
    """
    found: dict[Name, list[Item]] = {}
    for item in items:
        found.setdefault(name(item), []).append(item)
    return found
