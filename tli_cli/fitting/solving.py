"""Solve one linear layer, and the norm behind it, for the values it ought to give."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad, unfold

ROWS = 4096
FLAT = 0.01
"""How strongly the slope of a normalised channel, of variance one, is drawn to one: all of it where the channel is
flat."""
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
SOLVABLE = (nn.Linear, nn.Conv1d, nn.Conv2d)


def solve(
    inputs: torch.Tensor, wanted: torch.Tensor, *, ridge: float, centred: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `weight` `(groups, out, in)` and `bias` `(groups, out)` that bring `inputs` nearest to `wanted` (ridge).

    `inputs` is `(groups, rows, in)`, `wanted` `(groups, rows, out)`, both float64. The penalty is `ridge` times the
    mean square of an input column; without `centred` the bias is zero.
    """
    shift_in = inputs.mean(1, keepdim=True) if centred else torch.zeros_like(inputs[:, :1])
    shift_out = wanted.mean(1, keepdim=True) if centred else torch.zeros_like(wanted[:, :1])
    x, y = inputs - shift_in, wanted - shift_out
    gram = x.transpose(1, 2) @ x
    level = gram.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)
    penalty = ridge * level[:, None, None] * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    weight = torch.linalg.solve(gram + penalty, x.transpose(1, 2) @ y).transpose(1, 2)
    bias = (shift_out - shift_in @ weight.transpose(1, 2))[:, 0]
    return weight, bias


def input_rows(layer: nn.Module, given: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return what `layer` sums over at `rows` of its output (samples, then places), `(groups, rows, in)`."""
    if isinstance(layer, nn.Linear):
        return given.reshape(-1, given.shape[-1])[rows].double().unsqueeze(0)
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d))
    found, first = [], 0
    for sample in given:
        columns = _columns(layer, sample[None].float())[0]
        mine = rows[(rows >= first) & (rows < first + columns.shape[1])] - first
        found.append(columns[:, mine].T)
        first += columns.shape[1]
    stacked = torch.cat(found).double()
    return stacked.reshape(len(stacked), layer.groups, -1).movedim(1, 0)


def _columns(layer: nn.Conv1d | nn.Conv2d, given: torch.Tensor) -> torch.Tensor:
    """Return what a convolution sums over at each place, `(samples, in, places)`; a line is an image of one row."""
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = pad(given, layer._reversed_padding_repeated_twice, mode=mode)
    if padded.ndim == 3:
        padded = padded.unsqueeze(2)
    kernel, dilation, stride = ((1, *side)[-2:] for side in (layer.kernel_size, layer.dilation, layer.stride))
    return unfold(padded, kernel, dilation, 0, stride)


def output_rows(layer: nn.Module, value: torch.Tensor) -> torch.Tensor:
    """Return a value of the layout of the layer's output as `(samples x places, out)`."""
    return value.reshape(-1, value.shape[-1]) if isinstance(layer, nn.Linear) else value.movedim(1, -1).flatten(0, -2)


def choose_rows(wanted: torch.Tensor, width: int, generator: torch.Generator) -> torch.Tensor:
    """Return the rows of `wanted` to solve for, in order: thousands without NaN, twice the `width` at least."""
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


def fit_norm(norm: nn.Module, made: torch.Tensor, wanted: torch.Tensor) -> None:
    """Set the norm behind a solved layer so that rows `made` `(rows, out)` come as near to `wanted` as it can."""
    if isinstance(norm, NORMS):
        mean, variance = made.mean(0), made.var(0, unbiased=False)
        set_statistics(norm, mean, variance)
        plain = (made - mean) / (variance + norm.eps).sqrt()
    elif isinstance(norm, nn.LayerNorm) and norm.weight is not None:
        plain = nn.functional.layer_norm(made, (made.shape[1],), eps=norm.eps)
    else:
        return
    if norm.weight is None:
        return
    centre = plain.mean(0)
    together = ((plain - centre) * (wanted - wanted.mean(0))).mean(0)
    slope = (together + FLAT) / ((plain - centre).pow(2).mean(0) + FLAT)
    with torch.no_grad():
        norm.weight.copy_(slope)
        if norm.bias is not None:
            norm.bias.copy_(wanted.mean(0) - slope * centre)


def set_statistics(norm: nn.Module, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Set the running statistics of a batch norm."""
    if norm.running_mean is not None and norm.running_var is not None:
        with torch.no_grad():
            norm.running_mean.copy_(mean)  # type: ignore[operator]
            norm.running_var.copy_(variance)  # type: ignore[operator]
