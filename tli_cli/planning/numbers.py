"""Numbers written in code, held side by side: where they differ, equal tensors do not give equal outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import isclose

from tli_cli.architecture import Architecture, Layer
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.noted import OF_THE_LAYER, OUTPUTS, POOLED, WEIGHED, Number
from tli_cli.pieces import middle
from tli_cli.planning.scale_numbers import SCALES, TOLERANCE

PLACED = ("roll", "avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
"""Operations that no network has without another that computes the same having them too."""
COUNTS = 5e-6
"""By how much what two norms add to the variance may differ before the function is called another one."""


def were_run(*architectures: Architecture) -> bool:
    """Tell whether the code of all was run, so that its numbers are known."""
    return all(architecture.was_run for architecture in architectures)


def numbers_behind(
    architecture: Architecture, passing: Collection[int] = (), apart: Collection[int] = ()
) -> list[list[Number]]:
    """Return for each layer the numbers behind it, those behind the layers `passing` with what these pass on: of
    branches `apart`, which add nothing, those behind their ends, which may be behind the sum."""
    found: list[list[Number]] = []
    last: list[Number] = []
    for place, layer in enumerate(architecture.layers):
        own = [_that_counts(number) for number in layer.numbers if number[0] not in OF_THE_LAYER]
        if place in passing:
            last += own
            own = []
        elif place not in apart:
            last = own
        found.append(own)
    return found


def difference_of(mine: Sequence[Number], theirs: Sequence[Number], *, scaled: bool, alike: bool) -> str:
    """Return how the numbers behind two layers differ, empty if they do not; if `scaled`, scales are made up for.

    Where both take other operations, the same may be written in two ways, unless activations differ too (not `alike`).
    """
    if [n[0] for n in mine] == [n[0] for n in theirs]:
        for wanted, given in zip(mine, theirs, strict=True):
            if not _alike(wanted, given) and not (scaled and wanted[0] in SCALES):
                return f"behind it {_said(wanted)}, in the source {_said(given)}"
        return ""
    made_up = SCALES if scaled else ()
    both = [[n for n in counted(numbers) if n[0] not in made_up] for numbers in (mine, theirs)]
    placed = [[n for n in numbers if n[0] in PLACED or not alike] for numbers in both]
    if len(placed[0]) == len(placed[1]) and all(map(_alike, *placed)):
        return ""
    here, there = (", ".join(map(_said, numbers)) or "nothing of the kind" for numbers in placed)
    return f"behind it {here}, in the source {there}"


def counted(numbers: Iterable[Number]) -> list[Number]:
    """Return `numbers` without those of activations."""
    return [number for number in numbers if number[0] not in ACTIVATIONS]


def steps_differ(target: Layer, source: Layer, known: bool, *, alike: bool) -> str:
    """Return how a convolution moves over its input otherwise than its partner, empty if it does not.

    Zeros around a kernel that has grown are to lie on zeros around the input, whose size alone tells how many there are
    only where the inputs of the networks are not `alike`.
    """
    stride = [layer.attribute("stride", ()) for layer in (target, source)]
    kernel = [layer.attribute("kernel", ()) for layer in (target, source)]
    if target.kind != "conv" or source.kind != "conv" or len(stride[0]) != len(stride[1]):
        return ""
    if tuple(stride[0]) != tuple(stride[1]) and not all(map(_is_patch, stride, kernel)):
        return f"steps of {_pair(stride[0])}, in the source of {_pair(stride[1])}"
    mine, theirs = target.moves, source.moves
    if not known or mine is None or theirs is None:
        return ""
    if mine[3] != theirs[3] and max(kernel[1], default=1) > 1:
        return f"taps {_pair(mine[3])} apart, in the source {_pair(theirs[3])}"
    starts = kernel_starts(target, source)
    resized = kernel[0] != kernel[1] and _is_patch(stride[0], kernel[0])
    if starts is not None and not resized and (alike or not _pads_for_size(target, source)):
        grown = [step * start for step, start in zip(mine[3], starts, strict=True)]
        behind = [step * (m - n) - start for step, m, n, start in zip(mine[3], *kernel, grown, strict=True)]
        for at, said, more in ((2, "around", grown), (-1, "behind", behind)):
            here, there = (_around(number, at) for number in (mine, theirs))
            needed = [n + extra for n, extra in zip(there, more, strict=True)]
            if list(here) != needed:
                return f"{_pair(here)} zeros {said} the input, where the source's kernel is met by {_pair(needed)}"
    return ""


def _pads_for_size(target: Layer, source: Layer) -> bool:
    """Tell whether two convolutions of one kernel may find other zeros around their inputs for the sizes of these
    alone, as where code puts as many there as the size asks for."""
    kernel, places = ([layer.attribute(name) for layer in (target, source)] for name in ("kernel", "positions"))
    uneven = any(len(layer.moves or ()) > 4 for layer in (target, source))
    return uneven and kernel[0] == kernel[1] and places[0] != places[1]


def kernel_starts(target: Layer, source: Layer) -> tuple[int, ...] | None:
    """Return for each dimension of a kernel at which row of it that of the source starts, so that both meet the same
    places: as far as there are zeros before the input, else in the middle; None where that is not known."""
    mine, theirs = target.moves, source.moves
    kernel = [tuple(layer.attribute("kernel", ())) for layer in (target, source)]
    if mine is not None and theirs is None and looks_back(mine, kernel[0]):
        return tuple(m - n for m, n in zip(*kernel, strict=True)) if len(kernel[0]) == len(kernel[1]) else None
    if mine is None or theirs is None or len({len(n) for n in (mine[2], theirs[2], *kernel)}) > 1:
        return None
    found = []
    for here, there, step, m, n in zip(mine[2], theirs[2], mine[3], *kernel, strict=True):
        start, over = divmod(here - there, step)
        found.append(start if not over and min(m - n, 0) <= start <= max(m - n, 0) else middle(m, n))
    return tuple(found)


def looks_back(number: Number, kernel: Sequence[int]) -> bool:
    """Tell whether a convolution meets all of its zeros before its input, so that it looks back alone."""
    before, behind = _around(number, 2), _around(number, -1)
    whole = [step * (size - 1) for step, size in zip(number[3], kernel, strict=False)]
    return len(number) > 4 and list(before) == whole and not any(behind) and any(whole)


def _around(number: Number, at: int) -> tuple[int, ...]:
    """Return the zeros before the input of a convolution, or those behind it."""
    return tuple(number[2] if len(number) < 5 else number[at])


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
    pooled = [bool(layer.noted(POOLED)) for layer in (target, source)]
    if pooled[0] == pooled[1]:
        return ""
    return f"{'it' if pooled[0] else 'the source'} alone normalises the mean over places"


def outputs_differ(target: Layer, source: Layer, *, alike: bool) -> str:
    """Return at how many places what comes of a layer is given by one network alone, empty if it is by both; where
    their inputs are not `alike`, only whether it is one place."""
    mine, theirs = (
        [n[1:] if alike else [count == 1 for count in n[1:]] for n in layer.noted(OUTPUTS)]
        for layer in (target, source)
    )
    if mine == theirs or not mine or not theirs:
        return ""
    return "what comes of it is given at other places than in the source"


def weighed_places_differ(target: Layer, source: Layer, *, alike: bool) -> str:
    """Return that a softmax before a layer ran over other places than in the source, empty if it did not or that is not
    known; where their inputs are not `alike`, windows of one size may be more, and parts of as many places wider."""
    mine, theirs = ([n[1:] for n in layer.noted(WEIGHED)] for layer in (target, source))
    if mine == theirs or len(mine) != len(theirs) or (not alike and all(map(_are_cut_alike, mine, theirs))):
        return ""
    return "what it takes is weighed over other places than in the source"


def _are_cut_alike(mine: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> bool:
    """Tell whether maps of two sizes are cut alike, axis by axis, in parts of one size or in as many; one window may
    hold all of the smaller one."""
    pairs = list(zip(mine, theirs, strict=False))
    alike = (len(here) == len(there) and here[0] * there[0] > 0 and bool({*here} & {*there}) for here, there in pairs)
    return not pairs or (all(alike) and len(mine) == len(theirs))


def have_alike_inputs(*architectures: Architecture) -> bool:
    """Tell whether the layers that take an input as it is act at as many places in all; of tables it is not known."""
    places = [_input_places(architecture) for architecture in architectures]
    return 0 not in places[0] and all(own == places[0] for own in places)


def _input_places(architecture: Architecture) -> list[int]:
    """Return at how many places the layers act that take an input as it is, in order; 0 where that is not known."""
    graph = architecture.graph
    fed = {n.layer for n in graph if any(graph[i].op == "input" for i in n.inputs)} - {-1}
    layers = [architecture.layers[place] for place in fed]
    return sorted(int(layer.attribute("positions", 0 if layer.kind == "embedding" else 1)) for layer in layers)


def _is_patch(stride: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    return tuple(stride) == tuple(kernel)


def _alike(first: Number, second: Number) -> bool:
    if len(first) != len(second) or first[0] != second[0]:
        return False
    return all(_same(a, b) for a, b in zip(first[1:], second[1:], strict=True))


def _that_counts(number: Number) -> Number:
    """Return a number without what changes nothing: whether a mean counts the edges where there are none, frames of
    which a pool takes each for itself, and the size of what is enlarged by a factor."""
    if "upsample" in number[0] and isinstance(number[-1], float):
        return (number[0], *number[2:])
    edges = number[3] if number[0].startswith("avg_pool") and len(number) > 5 else (1,)
    kept = number[:5] if not any(edges) else number
    sides = [value for value in kept if isinstance(value, tuple)]
    if "pool3d" in kept[0] and [side[0] for side in sides[:3]] in ([1, 1, 0], [1, 1]):
        return (kept[0].replace("3d", "2d"), *(v[1:] if isinstance(v, tuple) else v for v in kept[1:]))
    return kept


def _same(first: object, second: object) -> bool:
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return isclose(first, second, rel_tol=TOLERANCE)
    return first == second


def _said(number: Number) -> str:
    return f"{number[0]} {', '.join(f'{n:.4g}' if isinstance(n, float) else str(n) for n in number[1:])}"


def _pair(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))
