"""Linear maps solved in closed form."""

from __future__ import annotations

import torch


def solve(
    inputs: torch.Tensor, wanted: torch.Tensor, *, ridge: float, centred: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `weight` `(groups, out, in)` and `bias` `(groups, out)` that bring `inputs` nearest to `wanted`, by
    ridge regression.

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
