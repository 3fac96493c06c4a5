"""Rules that follow from the sizes alone, or list each row."""

from __future__ import annotations

import numpy as np

from tli_cli.axis_maps.importance import group_importance
from tli_cli.axis_maps.listing import parsed
from tli_cli.axis_maps.take import MapValues, Read, Take, shares
from tli_cli.pieces import AxisMap, middle
from tli_cli.seeding import Draws

ALIKE = 0.5
"""How far the values of neighbouring places correlate, of what convolutions read; measured in docs/convergence.md."""


def same(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Leave every index where it is."""
    return MapValues()


def none(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Take nothing: the target's channels start at zero, the source's are dropped."""
    return MapValues.both(Take(np.full(axis_map.rows, -1)))


def rows(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Take rows by their index as far as the source has them."""
    index = np.arange(axis_map.rows)
    return MapValues.both(Take(np.where(index < axis_map.columns, index, -1)))


def kernel(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Keep the centre of a kernel: zeros around it when it grows; when it shrinks, its rim is added to what is left.

    The rim met places that the smaller kernel does not see. What is there is best told, in the mean square, from the
    nearest place that it sees, times `ALIKE` to the power of the distance, where values that far apart correlate so (a
    first-order Markov process). Where the rule says `cut`, the rim is cut off instead (FNA, arXiv 2001.02525). A number
    behind that says at which row the source's kernel starts, if not in the middle, below zero where it has rows before
    the target's: such as at the last rows, of a causal one.
    """
    m, n = axis_map.rows, axis_map.columns
    said = axis_map.rule.split()[1:]
    start = int(said[-1]) if said and said[-1] != "cut" else middle(m, n)
    if m < n and "cut" not in said:
        rows_met = np.arange(n) + start
        nearest = np.clip(rows_met, 0, m - 1)
        matrix = np.zeros((m, n))
        matrix[nearest, np.arange(n)] = ALIKE ** np.abs(rows_met - nearest)
        return MapValues.both(Take(matrix=matrix))
    index = np.arange(m) - start
    return MapValues.both(Take(np.where((index >= 0) & (index < n), index, -1)))


def summed(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Sum over what the target has once, as over the frames of a kernel: a clip of one image gives what it gave, which
    is how such kernels are made of an image's (I3D, arXiv 1705.07750)."""
    return MapValues.both(Take(matrix=np.ones((axis_map.rows, axis_map.columns))))


def input_channels(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Repeat input channels in turn, or fold the surplus ones onto the kept ones: what sums over them is divided by
    the copies, or summed, and what runs over them, such as a norm or a restored image, is the same, or the mean.

    The response to a grey image, and to the source's channels repeated in turn, is kept; for one channel or a
    multiple of the source's this is what timm's `adapt_input_conv` does. Where the rule says `zero`, the channels that
    the source lacks start at zero, as in InstructPix2Pix (arXiv 2211.09800).
    """
    m, n = axis_map.rows, axis_map.columns
    if axis_map.rule.endswith("zero"):
        return rows(axis_map, read, draws)
    if m >= n:
        index = np.arange(m) % n
        return MapValues(Take(index), Take(index, shares(index, n)))
    matrix = np.zeros((m, n))
    matrix[np.arange(n) % m, np.arange(n)] = 1.0
    return MapValues(Take(matrix=matrix / matrix.sum(1, keepdims=True)), Take(matrix=matrix))


def tokens(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Take the rows of the same tokens; those of tokens that the source lacks are the mean of their pieces (fast
    vocabulary transfer, arXiv 2402.09977)."""
    index, mixed = parsed(axis_map.listing, axis_map.rows, axis_map.columns)
    return MapValues.both(Take(index, mixed=mixed))


def strongest(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Keep the channels that weigh most over all the tensors that carry them, in their order.

    The importance of a coupled group is summed over its members (DepGraph, arXiv 2301.12900).
    """
    order = np.argsort(-group_importance(axis_map, read), kind="stable")
    return MapValues.both(Take(np.sort(order[: axis_map.rows])))


def even(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Keep evenly spaced channels."""
    spaced = (np.arange(axis_map.rows) + 0.5) * axis_map.columns / axis_map.rows
    return MapValues.both(Take(spaced.astype(np.int64)))
