"""A kernel that shrinks makes of what it still sees what the larger one made, as nearly as neighbours tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tli_cli import Options, apply_tli
from tli_cli.axis_maps.rules.simple import ALIKE
from tli_cli.axis_maps.values import map_values
from tli_cli.pieces import AxisMap
from tli_cli.seeding import Draws

MAPS = Options(method="maps")


def taken(weights: np.ndarray, rows: int, start: int | None = None, word: str = "") -> np.ndarray:
    rule = " ".join(filter(None, ("kernel", word, "" if start is None else str(start))))
    take = map_values(AxisMap(rule, rows, len(weights)), lambda *_: np.zeros(0), Draws(0)).into
    assert take is not None
    return take.apply(torch.from_numpy(weights), 0).numpy()


@pytest.mark.parametrize(("rows", "columns", "start"), [(3, 5, -1), (3, 7, -2), (1, 3, -1), (2, 5, -3), (3, 9, 0)])
def test_no_smaller_kernel_is_nearer_where_neighbours_correlate(rows, columns, start):
    """The least squares' solution from the covariance of a first-order Markov process, worked out in full."""
    weights = np.random.default_rng(0).standard_normal(columns)
    places = np.arange(columns)
    covariance = ALIKE ** np.abs(places[:, None] - places[None, :])
    seen = np.arange(rows) - start
    best = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen] @ weights)
    assert np.allclose(taken(weights, rows, start), best)


def test_the_rim_of_one_that_is_to_be_cut_goes():
    weights = np.arange(1.0, 6.0)
    assert taken(weights, 3, word="cut").tolist() == [2, 3, 4]
    assert taken(weights, 3, -2, "cut").tolist() == [3, 4, 5]


def test_one_that_has_grown_comes_back_as_it_was():
    weights = np.arange(1.0, 4.0)
    assert taken(taken(weights, 7), 3).tolist() == weights.tolist()


class Net(nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, kernel, 2, kernel // 2)
        self.up = nn.ConvTranspose2d(8, 3, kernel, 2, kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.down(x).relu())


def test_layers_that_spread_are_cut_and_those_that_gather_are_not():
    """A row of a transposed convolution's kernel writes to other places than its neighbour, and cannot stand for it."""
    source, target = Net(5), Net(3)
    apply_tli(target, source, example=torch.randn(1, 3, 16, 16), options=MAPS)
    assert torch.equal(target.up.weight, source.up.weight[:, :, 1:-1, 1:-1])
    given = source.down.weight.detach().numpy()
    expected = np.apply_along_axis(taken, 3, np.apply_along_axis(taken, 2, given, 3), 3)
    assert np.allclose(target.down.weight.detach().numpy(), expected, atol=1e-6)
