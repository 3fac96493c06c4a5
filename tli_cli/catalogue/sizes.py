"""What follows `num_classes` and `in_chans`: sizes that grow, and initial values whose spread falls with the fan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OPTIONS = ("num_classes", "in_chans")


@dataclass(frozen=True)
class Growth:
    """What changes with one option.

    Attributes:
        base: the option's value in the stored sizes.
        spaces: space -> by how much its size changes with each step of the option.
        dims: (tensor name, dimension) -> the same for tensors whose axes are unknown.
    """

    base: int
    spaces: Mapping[int, int] = field(default_factory=dict)
    dims: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def to_json(self, order: Mapping[str, int]) -> list[Any]:
        """Return a JSON-able form that names tensors by their place in `order`."""
        dims = sorted((order[name], d, step) for (name, d), step in self.dims.items())
        return [self.base, [[space, step] for space, step in sorted(self.spaces.items())], dims]


def fan_number(value: float, option: str, offset: float) -> tuple[Any, ...]:
    """Return a number that is `value` at the base of `option` and falls as 1 / sqrt(offset + option)."""
    return ("fan", value, option, offset)


def resolved(number: Any, base: Mapping[str, int], given: Mapping[str, int]) -> Any:
    """Return `number` as it is for the options `given`."""
    if not (isinstance(number, (list, tuple)) and number and number[0] == "fan"):
        return number
    _, value, option, offset = number
    if given[option] == base[option]:
        return value
    return value * math.sqrt((offset + base[option]) / (offset + given[option]))
