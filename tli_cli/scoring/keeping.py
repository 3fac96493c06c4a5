"""What a source layer of another size keeps, beside what its likeness says: growth and shrinking are not the same.

A layer that grows computes what it did, but a narrow source knows less than the target could; one that shrinks gets, by
a fit or by its heaviest channels, nearly all of a source that knows more. With kernels it is the other way round: a
larger one holds a smaller one whole, zeros around it, and a smaller one loses the rim. A layer that is set
otherwise, by its activation, its stride or its heads, keeps nearly all.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import zip_longest
from math import sqrt

from tli_cli.matching.settings import setting_keeping
from tli_cli.matching.similarity import KERNEL, SHAPE, root, size_likeness
from tli_cli.matching.units import Unit

PADDED = 0.05
"""What a kernel may lose by growing; one that shrinks loses in proportion."""


def keeping(target: Unit, source: Unit) -> float:
    """Return the factor that turns the similarity of two units into what the target's keeps of the source's."""
    sizes = kernel_keeping(target, source) * shape_keeping(target.shape, source.shape)
    return sizes * setting_keeping(target.setting, source.setting)


def kernel_keeping(target: Unit, source: Unit) -> float:
    """Return the factor of the kernels; 1 where they are equal, or where a unit has none."""
    if not target.kernel or not source.kernel or target.kernel == source.kernel:
        return 1.0
    return _kernel(target.kernel, source.kernel)


@lru_cache(maxsize=1 << 12)
def _kernel(target: tuple[int, ...], source: tuple[int, ...]) -> float:
    worth = 1.0
    for a, b in zip_longest(target, source, fillvalue=1):
        worth *= 1 - PADDED + PADDED * b / a if b < a else a / b
    return root(worth, max(len(target), len(source))) / (1 - KERNEL + KERNEL * size_likeness(target, source))


@lru_cache(maxsize=1 << 16)
def shape_keeping(target: tuple[int, ...], source: tuple[int, ...]) -> float:
    """Return the factor of the shapes: a size that shrinks counts as its fourth root."""
    if target == source:
        return 1.0
    kept = 1.0
    for a, b in zip_longest(target, source, fillvalue=1):
        share = max(min(a, b), 1) / max(a, b, 1)
        kept *= sqrt(sqrt(share)) if b > a else share
    kept = root(kept, max(len(target), len(source)))
    return (1 - SHAPE + SHAPE * kept) / (1 - SHAPE + SHAPE * size_likeness(target, source))
