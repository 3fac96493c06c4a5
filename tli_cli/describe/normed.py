"""What torch calls the two tensors of a weight of which it stores a length and a direction (weight normalisation,
arXiv 1602.07868), since its version 2, before, and where it stores the weight itself."""

from __future__ import annotations

from collections.abc import Collection

WITH_LENGTH = "weight.length"
"""The role of the length that a weight is given whatever its direction's own."""
NORMED = {"weight_v": "weight", "weight_g": WITH_LENGTH, "original1": "weight", "original0": WITH_LENGTH}
"""What the two tensors are that torch makes of a weight whose norm is one of them (arXiv 1602.07868)."""
NORMED_WITH = {"weight_v": "weight_g", "weight_g": "weight_v", "original1": "original0", "original0": "original1"}
NORMED_ENDS = (".parametrizations.weight.original1", ".weight_v", ".weight")
LENGTH_ENDS = (".parametrizations.weight.original0", ".weight_g")
"""Ends of names of one tensor of a layer, whose weight is normed as torch does it since its version 2, as it did it
before, or not at all."""


def respelled(name: str) -> tuple[str, ...]:
    """Return what the same tensor of a layer may be called besides `name`, whether its weight is normed or not."""
    ends = next((e for e in (NORMED_ENDS, LENGTH_ENDS) if name.endswith(e)), ())
    end = next((e for e in ends if name.endswith(e)), "")
    return tuple(name.removesuffix(end) + other for other in ends if other != end)


def part_role(role: str, name: str, group: Collection[str]) -> str:
    """Return the role of one of a `group` of tensors that make up what has `role`, by their names."""
    path, _, last = name.rpartition(".")
    normed = last in NORMED and f"{path}.{NORMED_WITH[last]}".removeprefix(".") in group
    return NORMED[last] if normed else f"{role}.{last}"
