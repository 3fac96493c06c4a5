"""Rules for channels that may be turned into any others, as those of a residual stream that only norms read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tli_cli.axis_maps.importance import group_gram
from tli_cli.axis_maps.take import MEAN, MapValues, Read, Take
from tli_cli.devices import reproducible
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws


def directions(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Keep the directions along which the tensors that carry the channels are largest (as SliceGPT, arXiv 2401.15024,
    does with values that data gives).

    Under a layer norm (`centred`) these lie where channels have no mean, and stay there. What reads the channels behind
    a norm makes up for the norm's other width.
    """
    centred = "centred" in axis_map.rule.split()
    with reproducible(torch.device("cpu")):
        kept = _principal(group_gram(axis_map, read, centred=centred), axis_map.rows - centred)
    matrix = _without_mean(axis_map.rows) @ kept if centred else kept
    return MapValues(Take(matrix=matrix), Take(matrix=matrix * (axis_map.columns / axis_map.rows) ** 0.5))


def mean(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Give each channel the mean of all: the weight of a norm that nothing behind it can take over."""
    return MapValues.both(Take(np.full(axis_map.rows, MEAN)))


def _principal(gram: torch.Tensor, count: int) -> Any:
    """Return the `(count, columns)` first eigenvectors of a symmetric matrix, the largest entry of each above zero."""
    _, vectors = torch.linalg.eigh(gram)
    chosen = vectors.flip(1)[:, :count].T.numpy()
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(1)[:, None], 1)
    return chosen * np.where(largest < 0, -1.0, 1.0)


def _without_mean(size: int) -> Any:
    """Return `size - 1` orthonormal columns of `size` numbers without a mean (Helmert)."""
    places = np.arange(1, size)
    matrix = np.triu(np.ones((size, size - 1)))
    matrix[places, places - 1] = -places
    return matrix / np.sqrt(places * (places + 1))
