"""Layers that are solved: for what a source gives at as many places, and for means over several places of theirs."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from tli_cli.fitting.layouts import as_image, as_rows, resized
from tli_cli.fitting.solving import choose_rows, fit_layer, fit_norm, input_rows, output_rows
from tli_cli.fitting.tape import channel_dim

LAYERS = {
    "wide": (lambda: nn.Conv2d(4, 6, 3, padding=1), (4, 8, 8)),
    "strided": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 16, 16)),
    "in groups": (lambda: nn.Conv2d(4, 6, 5, padding=2, groups=2), (4, 8, 8)),
    "of tokens": (lambda: nn.Linear(4, 6), (64, 4)),
}


@pytest.mark.parametrize("side", [8, 4, 2])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_found_from_means_over_cells(kind, side):
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    known, layer = make(), make()
    given, size = torch.randn(256, *shape), torch.Size((side, side))
    with torch.no_grad():
        output = known(given)
    wanted = as_rows(resized(as_image(output, channel_dim(known, output)), size))
    assert torch.equal(wanted, output_rows(known, output, size))
    rows = choose_rows(wanted, 100, torch.Generator().manual_seed(0))
    fit_layer(layer, input_rows(layer, given, rows, size), wanted[rows], ridge=1e-9, centred=True)
    assert torch.allclose(layer.weight, known.weight, atol=1e-4)
    assert torch.allclose(layer.bias, known.bias, atol=1e-4)


def test_a_norm_takes_its_statistics_from_all_places_and_its_slope_from_the_cells():
    torch.manual_seed(0)
    norm, size = nn.BatchNorm2d(5).eval(), torch.Size((2, 2))
    made = 2 + 3 * torch.randn(400, 5, 8, 8)
    known = deepcopy(norm)
    known.running_mean, known.running_var = made.mean((0, 2, 3)), made.var((0, 2, 3))
    nn.init.uniform_(known.weight, 2, 3), nn.init.normal_(known.bias)
    with torch.no_grad():
        wanted = as_rows(resized(known(made), size)).double()
    fit_norm(norm, made, lambda value: as_rows(resized(value, size)), wanted)
    assert torch.allclose(norm.running_var, known.running_var, rtol=1e-3)
    assert torch.allclose(norm.weight, known.weight, rtol=0.5) and torch.allclose(norm.bias, known.bias, atol=0.1)
