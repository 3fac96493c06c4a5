"""Find what follows `num_classes` and `in_chans` by comparing a model with itself built with other values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tli_cli.architecture import Architecture, InitialValue
from tli_cli.catalogue.record import COMPUTED
from tli_cli.catalogue.sizes import OPTIONS, Growth, fan_number
from tli_cli.providers.described import Variant


def find_growth(architecture: Architecture, base: Variant, other: Variant) -> dict[str, Growth]:
    """Return what grows with each option in which `other` differs from `base`.

    Raises:
        ValueError: names differ, or what changed follows no option in whole steps.
    """
    if set(base.shapes) != set(other.shapes):
        changed = sorted(set(base.shapes) ^ set(other.shapes))
        raise ValueError(f"other tensors appear, such as {changed[0]}")
    differences = {
        o: other.options[o] - base.options[o] for o in OPTIONS if other.options.get(o) != base.options.get(o)
    }
    spaces: dict[str, dict[int, int]] = {option: {} for option in differences}
    dims: dict[str, dict[tuple[str, int], int]] = {option: {} for option in differences}
    for name, shape in base.shapes.items():
        axes = architecture.axes.get(name)
        for d, (before, after) in enumerate(zip(shape, other.shapes[name], strict=True)):
            for option, step in _steps(after - before, differences, f"dimension {d} of {name}"):
                tree = axes[d].tree if axes else None
                if isinstance(tree, tuple):
                    raise ValueError(f"dimension {d} of {name} is made of several parts")
                if tree is None:
                    dims[option][name, d] = step
                else:
                    spaces[option][tree] = step
    return {option: Growth(base.options[option], spaces[option], dims[option]) for option in differences}


def space_growth(architecture: Architecture, changed: Architecture, base: Variant, other: Variant) -> dict[str, Growth]:
    """Return what grows with the one option in which the models behind two traces differ, from the traces' spaces."""
    if architecture.axes != changed.axes or architecture.graph != changed.graph:
        raise ValueError("the two traces differ in more than sizes")
    (option,) = (option for option, value in base.options.items() if other.options[option] != value)
    difference = other.options[option] - base.options[option]
    changes = {i: b.size - a.size for i, (a, b) in enumerate(zip(architecture.spaces, changed.spaces, strict=True))}
    if any(change % difference for change in changes.values()):
        raise ValueError(f"{option}: a space grows in no whole steps")
    return {option: Growth(base.options[option], {i: c // difference for i, c in changes.items() if c})}


def _steps(change: int, differences: Mapping[str, int], where: str) -> list[tuple[str, int]]:
    """Return by how much an axis grows with each option, the option of the largest difference first."""
    found, left = [], change
    for option in sorted(differences, key=lambda o: -abs(differences[o])):
        step = round(left / differences[option])
        left -= step * differences[option]
        if step:
            found.append((option, step))
    if left:
        raise ValueError(f"{where} changes by {change}, in no whole steps")
    return found


def with_fan_numbers(base: Variant, others: Sequence[Variant]) -> tuple[dict[str, InitialValue], list[str]]:
    """Return the initial values of `base`, fan numbers as such, and the tensors where that does not fit."""
    result, unfit = {}, []
    for name, operations in base.initial.items():
        known = [other for other in others if other.initial.get(name, COMPUTED) != COMPUTED]
        alternatives = [other.initial[name] for other in known]
        try:
            result[name] = tuple(
                _step(step, [operation[i] for operation in alternatives], base, known)
                for i, step in enumerate(operations)
            )
        except (ValueError, IndexError):
            result[name] = operations
            unfit.append(name)
    return result, unfit


def _step(step: tuple[Any, ...], same: Sequence[Any], base: Variant, others: Sequence[Variant]) -> tuple[Any, ...]:
    if any(other[0] != step[0] or len(other) != len(step) for other in same):
        raise ValueError("other operations")
    numbers = [
        _number(number, [other[i] for other in same], base, others) for i, number in enumerate(step[1:], start=1)
    ]
    return (step[0], *numbers)


def _number(number: Any, values: Sequence[Any], base: Variant, others: Sequence[Variant]) -> Any:
    if all(value == number for value in values):
        return number
    if not all(isinstance(value, float) for value in (number, *values)):
        raise ValueError("other ranges")
    for option in OPTIONS:
        if option not in base.options:
            continue
        before = base.options[option]
        points = [(other.options[option], value) for other, value in zip(others, values, strict=True)]
        offset = _offset(before, number, points)
        if offset is not None:
            return fan_number(number, option, offset)
    raise ValueError("no fan explains the numbers")


def _offset(before: int, number: float, points: Sequence[tuple[int, float]]) -> float | None:
    """Return r such that number * sqrt((r + before) / (r + k)) gives the value of each point `(k, value)`."""
    moved = [(k, value) for k, value in points if k != before and value != number]
    if not moved:
        return None
    k, value = moved[0]
    offset = (value * value * k - number * number * before) / (number * number - value * value)
    offset = float(round(offset)) if abs(offset - round(offset)) < 1e-3 * max(1.0, abs(offset)) else offset
    if offset + min(before, *(k for k, _ in points)) <= 0:
        return None
    for k, value in points:
        if abs(number * ((offset + before) / (offset + k)) ** 0.5 - value) > 1e-5 * abs(value):
            return None
    return offset
