"""A gated unit as the authors of LLaMA and Mixtral write it."""

from __future__ import annotations

import torch
from torch import nn


class Gated(nn.Module):
    """A gated unit (SwiGLU, arXiv 2002.05202)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w1, self.w3 = (nn.Linear(width, inner, bias=False) for _ in range(2))
        self.w2 = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.w2(nn.functional.silu(self.w1(x)) * self.w3(x))
