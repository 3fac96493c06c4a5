"""Solve one linear layer, and the norm behind it, for the values it ought to give."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import unfold

from tli_cli.fitting.layouts import as_rows, cells, resized
from tli_cli.fitting.ridge import solve
from tli_cli.fitting.tape import channel_dim

ROWS = 4096
FLAT = 0.01
"""How strongly the slope of a normalised channel, of variance one, is drawn to one: all of it where the channel is
flat."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

Rows = Callable[[torch.Tensor], torch.Tensor]
"""Return the rows to solve for of a value of the layout of a layer's output."""


def solvable(layer: nn.Module) -> bool:
    """Tell whether `layer` is a linear map whose weight can be solved here."""
    if isinstance(layer, nn.Linear):
        return True
    return isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def input_rows(
    layer: nn.Module, given: torch.Tensor, rows: torch.Tensor, size: torch.Size | None = None
) -> torch.Tensor:
    """Return what `layer` sums over for the rows `rows` of its output, `(groups, rows, in)`; `rows` counts samples,
    then the cells of a grid of `size`, over which it is averaged, or all that stands beside each other."""
    if isinstance(layer, nn.Linear):
        return output_rows(layer, given, size)[rows].double().unsqueeze(0)
    assert isinstance(layer, nn.Conv2d) and size is not None
    found = []
    count = size.numel()
    padding = (int(layer.padding[0]), int(layer.padding[1]))
    for sample in range(len(given)):
        mine = rows[(rows >= sample * count) & (rows < (sample + 1) * count)] - sample * count
        if len(mine):
            one = given[sample : sample + 1].float()
            columns = unfold(one, layer.kernel_size, layer.dilation, padding, layer.stride)
            image = columns.reshape(1, -1, *_places(layer, given))
            found.append(as_rows(resized(image, size))[mine])
    stacked = torch.cat(found).double()
    return stacked.reshape(len(stacked), layer.groups, -1).movedim(1, 0)


def _places(layer: nn.Conv2d, given: torch.Tensor) -> tuple[int, int]:
    def along(d: int) -> int:
        reach = layer.dilation[d] * (layer.kernel_size[d] - 1)
        return int((given.shape[2 + d] + 2 * int(layer.padding[d]) - reach - 1) // layer.stride[d] + 1)

    return along(0), along(1)


def output_rows(layer: nn.Module, value: torch.Tensor, size: torch.Size | None = None) -> torch.Tensor:
    """Return a value of the layout of the layer's output as `(samples x cells, out)`, averaged over the cells of a grid
    of `size`; without one, all that stands beside each other is a row."""
    return value.reshape(-1, value.shape[-1]) if size is None else cells(value, channel_dim(layer, value), size)


def choose_rows(wanted: torch.Tensor, width: int, generator: torch.Generator) -> torch.Tensor:
    """Return the rows of `wanted` to solve for, in order: some thousands without NaN, at least twice the layer's
    `width`."""
    usable = torch.nonzero(~wanted.isnan().any(1)).flatten()
    count = max(ROWS, 2 * width)
    if len(usable) > count:
        usable = usable[torch.randperm(len(usable), generator=generator)[:count]].sort().values
    return usable


def fit_layer(
    layer: nn.Module,
    inputs: torch.Tensor,
    wanted: torch.Tensor,
    ridge: float,
    centred: bool,
    slope: torch.Tensor | None = None,
) -> torch.Tensor:
    """Set the weight and bias of `layer` so that `inputs` `(groups, rows, in)` give `wanted` `(rows, out)`; return
    what they give.

    The weight is drawn to zero, or to what it is times `slope` `(out)` where that is given.
    """
    groups = inputs.shape[0]
    split = wanted.double().reshape(len(wanted), groups, -1).movedim(1, 0)
    bias: torch.Tensor | None = layer.bias  # type: ignore[assignment]
    held: torch.Tensor = layer.weight  # type: ignore[assignment]
    start = inputs.new_zeros(groups, split.shape[2], inputs.shape[2])
    if slope is not None:
        start = held.detach().double().reshape(start.shape) * slope.reshape(groups, -1, 1)
    rest = split - inputs @ start.transpose(1, 2)
    change, shift = solve(inputs, rest, ridge=ridge, centred=centred or bias is not None)
    weight = start + change
    with torch.no_grad():
        held.copy_(weight.reshape(held.shape))
        if bias is not None:
            bias.copy_(shift.flatten())
        given = inputs @ weight.transpose(1, 2)
        if bias is not None:
            given = given + shift[:, None]
    return given.movedim(0, 1).flatten(1)


def fit_norm(norm: nn.Module, made: torch.Tensor, rows: Rows, wanted: torch.Tensor) -> None:
    """Set the norm behind a solved layer, which gives `made`, so that `rows` of what it makes of this come as near to
    `wanted` `(rows, out)` as its affine part can bring them."""
    if isinstance(norm, NORMS):
        calibrate(norm, made)
    if not isinstance(norm, (*NORMS, nn.LayerNorm)) or norm.weight is None:
        return
    with torch.no_grad():
        norm.weight.fill_(1.0)
        if norm.bias is not None:
            norm.bias.zero_()
        plain = rows(norm.forward(made)).double()
        centre = plain.mean(0)
        together = ((plain - centre) * (wanted - wanted.mean(0))).mean(0)
        slope = (together + FLAT) / ((plain - centre).pow(2).mean(0) + FLAT)
        norm.weight.copy_(slope)
        if norm.bias is not None:
            norm.bias.copy_(wanted.mean(0) - slope * centre)


def calibrate(norm: nn.Module, given: torch.Tensor) -> None:
    """Set the running statistics of a batch norm to those of what it is given."""
    places = [d for d in range(given.ndim) if d != 1]
    set_statistics(norm, given.mean(places), given.var(places, unbiased=False))


def set_statistics(norm: nn.Module, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Set the running statistics of a batch norm."""
    if norm.running_mean is not None and norm.running_var is not None:
        with torch.no_grad():
            norm.running_mean.copy_(mean)  # type: ignore[operator]
            norm.running_var.copy_(variance)  # type: ignore[operator]
