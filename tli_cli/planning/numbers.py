"""Numbers written in code, held side by side: where they differ, equal tensors do not give equal outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import isclose, prod

from tli_cli.architecture import EPSILON, GROUPS, OFFSET, POOLED, Architecture, Layer, Number
from tli_cli.matching.settings import ACTIVATIONS

SCALES = ("mul", "div", "baddbmm")
PLACED = ("roll", "avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
"""Operations that no network has without another that computes the same having them too."""
CONVOLUTION = "convolution"
OF_THE_LAYER = (CONVOLUTION, EPSILON, GROUPS, OFFSET, POOLED)
"""Numbers of the layer itself, not of what is behind it."""
TOLERANCE = 1e-6
COUNTS = 1e-4
"""By how much what two norms add to the variance may differ before the function is called another one."""


def were_run(*architectures: Architecture) -> bool:
    """Tell whether the code of all was run, so that its numbers are known."""
    return all(architecture.was_run for architecture in architectures)


def numbers_behind(architecture: Architecture, passing: Collection[int] = ()) -> list[list[Number]]:
    """Return for each layer the numbers behind it, those behind the layers `passing` with what these pass on."""
    found: list[list[Number]] = []
    last: list[Number] = []
    for place, layer in enumerate(architecture.layers):
        own = [number for number in layer.numbers if number[0] not in OF_THE_LAYER]
        if place in passing:
            last += own
            own = []
        else:
            last = own
        found.append(own)
    return found


def difference_of(mine: Sequence[Number], theirs: Sequence[Number], *, scaled: bool, alike: bool) -> str:
    """Return how the numbers behind two layers differ, empty if they do not; with `scaled`, other scales are made up
    for.

    Where both take other operations, the same may be written in two ways, unless activations differ too (not `alike`).
    """
    if [n[0] for n in mine] == [n[0] for n in theirs]:
        for wanted, given in zip(mine, theirs, strict=True):
            if not _alike(wanted, given) and not (scaled and wanted[0] in SCALES):
                return f"behind it {_said(wanted)}, in the source {_said(given)}"
        return ""
    made_up = SCALES if scaled else ()
    counted = [[n for n in numbers if n[0] not in (*ACTIVATIONS, *made_up)] for numbers in (mine, theirs)]
    placed = [[n for n in numbers if n[0] in PLACED or not alike] for numbers in counted]
    if len(placed[0]) == len(placed[1]) and all(map(_alike, *placed)):
        return ""
    here, there = (", ".join(map(_said, numbers)) or "nothing of the kind" for numbers in placed)
    return f"behind it {here}, in the source {there}"


def steps_differ(target: Layer, source: Layer, known: bool) -> str:
    """Return how a convolution moves over its input otherwise than its partner, empty if it does not.

    Zeros around a kernel that has grown are to lie on zeros around the input.
    """
    stride = [layer.attribute("stride", ()) for layer in (target, source)]
    kernel = [layer.attribute("kernel", ()) for layer in (target, source)]
    if target.kind != "conv" or source.kind != "conv" or len(stride[0]) != len(stride[1]):
        return ""
    if tuple(stride[0]) != tuple(stride[1]) and not _is_patch(stride[0], kernel[0]):
        return f"steps of {_pair(stride[0])}, in the source of {_pair(stride[1])}"
    mine, theirs = (next((n for n in layer.numbers if n[0] == CONVOLUTION), None) for layer in (target, source))
    if not known or mine is None or theirs is None or len(mine) < 4 or len(theirs) < 4:
        return ""
    if mine[3] != theirs[3] and max(kernel[1], default=1) > 1:
        return f"taps {_pair(mine[3])} apart, in the source {_pair(theirs[3])}"
    if len(mine[2]) == len(theirs[2]) == len(kernel[0]) == len(kernel[1]):
        grown = [step * _before(m, n) for step, m, n in zip(mine[3], *kernel, strict=True)]
        resized = kernel[0] != kernel[1] and _is_patch(stride[0], kernel[0])
        if not resized and [m - n for m, n in zip(mine[2], theirs[2], strict=True)] != grown:
            return f"{_pair(mine[2])} around the input, in the source {_pair(theirs[2])}"
    return ""


def norms_differ(target: Layer, source: Layer) -> str:
    """Return how a norm averages over other values than its partner, empty if it does not, as far as is known."""
    kinds = [layer.attribute("norm") for layer in (target, source)]
    over_places = max(int(layer.attribute("positions", 1)) for layer in (target, source)) > 1
    if "rms" in kinds and kinds.count("rms") == 1:
        return f"{kinds[0]} norm, in the source {kinds[1]} norm" if None not in kinds else ""
    if sorted(map(str, kinds)) == ["group", "layer"] and over_places:
        return f"{kinds[0]} norm, in the source {kinds[1]} norm"
    mine, theirs = target.averages, source.averages
    if mine is None or theirs is None or mine == theirs:
        return ""
    return f"{mine} groups, in the source {theirs}"


def epsilons_differ(target: Layer, source: Layer) -> str:
    """Return how a norm differs from its partner in what it adds to the variance, empty if it hardly does."""
    mine, theirs = target.epsilon, source.epsilon
    if mine is None or theirs is None or abs(mine - theirs) < COUNTS:
        return ""
    return f"{mine:.0e} is added to the variance, in the source {theirs:.0e}"


def places_differ(target: Layer, source: Layer) -> str:
    """Return which of two norms alone is applied to a mean over places, empty if neither or both are."""
    pooled = [any(number[0] == POOLED for number in layer.numbers) for layer in (target, source)]
    if pooled[0] == pooled[1]:
        return ""
    return f"{'it' if pooled[0] else 'the source'} alone normalises the mean over places"


def scale_of(architecture: Architecture, places: Iterable[int]) -> float:
    """Return the product of the scales written in code after the layers `places`."""
    return prod(factor_of(n) for place in places for n in architecture.layers[place].numbers if n[0] in SCALES)


def factor_of(number: Number) -> float:
    """Return by what a scale multiplies."""
    if number[0] == "baddbmm":
        return float(number[2]) if len(number) > 2 else 1.0
    value = float(number[1])
    return 1.0 / value if number[0] == "div" and value else value


def _before(rows: int, columns: int) -> int:
    """Return how many rows of zeros stand before a kernel of `columns` in one of `rows`."""
    return -((columns - rows + (columns < rows)) // 2)


def _is_patch(stride: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    return tuple(stride) == tuple(kernel)


def _alike(first: Number, second: Number) -> bool:
    if len(first) != len(second) or first[0] != second[0]:
        return False
    return all(_same(a, b) for a, b in zip(first[1:], second[1:], strict=True))


def _same(first: object, second: object) -> bool:
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return isclose(first, second, rel_tol=TOLERANCE)
    return first == second


def _said(number: Number) -> str:
    return f"{number[0]} {', '.join(f'{n:.4g}' if isinstance(n, float) else str(n) for n in number[1:])}"


def _pair(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))
