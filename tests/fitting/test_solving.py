"""Layers solved in closed form: what they sum over, and values of one line or grid in the layout of another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tli_cli.fitting.layouts import as_image, resized
from tli_cli.fitting.solving import SOLVABLE, fit_layer, input_rows, output_rows

LAYERS = {
    "line": (nn.Conv1d(4, 6, 5, 2, 2, groups=2), (4, 17)),
    "line padded to its length": (nn.Conv1d(4, 6, 3, padding="same", dilation=2), (4, 9)),
    "line padded by its mirror": (nn.Conv1d(4, 6, 3, padding=2, padding_mode="reflect"), (4, 8)),
    "image": (nn.Conv2d(4, 6, (3, 1), (2, 1), (1, 0)), (4, 7, 5)),
    "image padded to its size": (nn.Conv2d(4, 4, 5, padding="same", groups=4), (4, 7, 6)),
    "image padded around": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), (4, 5, 6)),
}


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_a_convolution_is_solved_for_what_it_gave(layer, shape):
    torch.manual_seed(0)
    given = torch.randn(40, *shape)
    wanted = output_rows(layer, layer(given)).detach()
    rows = torch.arange(0, len(wanted), 2)
    before = layer.weight.detach().clone()
    nn.init.zeros_(layer.weight)
    made = fit_layer(layer, input_rows(layer, given, rows), wanted[rows], 1e-9, centred=False)
    assert isinstance(layer, SOLVABLE) and torch.allclose(layer.weight, before, atol=1e-4)
    assert torch.allclose(made.float(), wanted[rows], atol=1e-4)


def test_the_places_of_a_line_are_halved_in_order():
    line = torch.arange(64.0).repeat(2, 3, 1)
    image = as_image(line, 1)
    assert image.shape == (2, 3, 64, 1)
    halved = resized(image, torch.Size((32, 1)))
    assert torch.equal(halved[0, 0, :, 0], torch.arange(64.0).view(32, 2).mean(1))
    tokens = as_image(line.movedim(1, 2), 2)
    assert tokens.shape == (2, 3, 8, 8) and torch.equal(resized(image, tokens.shape[2:]), tokens)
