"""Which modules of a network are stem and head, and which stand between others, where no name tells: by widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from tli_cli.architecture import LINEAR
from tli_cli.describe.from_names.chains import Widths, ends_of
from tli_cli.describe.from_names.places import (
    Part,
)


def head_last(parts: list[Part], size: Mapping[str, Widths]) -> list[Part]:
    """Put the one layer that takes what the last module gives, and not what stands before it, behind that;
    with nothing before it, if nothing takes what it gives."""
    ends = [ends_of(size, layers) for _, layers in parts]
    takers = Counter(end.first for end in ends)
    given, before = [0], 0
    for end in reversed(ends):
        given.append(given[-1] or end.last)
    for at, (_, layers) in enumerate(parts[:-1]):
        first, last = ends[at]
        alone = len(layers) == 1 and layers[0].kind in LINEAR
        given_last = given[-at - 2] or before
        strange = before != first if before else first != last
        if alone and strange and given_last == first and takers[last] == (first == last):
            return [*parts[:at], *parts[at + 1 :], parts[at]]
        before = last or before
    return parts


def stem_first(parts: list[Part], size: Mapping[str, Widths]) -> list[Part]:
    """Put the one layer that takes what nothing gives before all others, if the first of these takes what it gives."""
    ends = [ends_of(size, layers) for _, layers in parts]
    given = {end.last for end in ends}
    strange = [i for i, end in enumerate(ends) if end.first and end.first not in given]
    at = strange[0] if len(strange) == 1 else 0
    before = next((end.first for end in ends[:at] if end.first), 0)
    alone = at and len(parts[at][1]) == 1 and parts[at][1][0].kind in LINEAR
    return [parts[at], *parts[:at], *parts[at + 1 :]] if alone and before == ends[at].last else parts


def bridged(parts: list[Part], size: Mapping[str, Widths]) -> list[Part]:
    """Put what alone leads from the width of one module to that of the next between these two, and the only norm behind
    them that is as wide as what it takes before it."""
    ends = [ends_of(size, layers) for _, layers in parts]
    for at, (here, behind) in enumerate(pairwise(ends), 1):
        gap = (here.last, behind.last)
        fits = [i for i, end in enumerate(ends) if i > at and (end.first, end.last) == gap != gap[::-1]]
        alone = [i for i, (_, layers) in enumerate(parts) if [layer.kind for layer in layers] == ["norm"]]
        norms = [i for i in alone if i > at and ends[i].first == gap[0]]
        if 0 not in gap and len(fits) == 1 and behind.first != gap[0] and not parts[fits[0]][0].name.isdecimal():
            moved = [*(norms if len(norms) == 1 else ()), *fits]
            rest = [part for i, part in enumerate(parts) if i >= at and i not in moved]
            return [*parts[:at], *(parts[i] for i in moved), *rest]
    return parts
