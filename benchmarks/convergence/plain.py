"""Plain starts: what a network gets when there is no source."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

LAYERS = (nn.Conv2d, nn.Linear)


def default(model: nn.Module, generator: torch.Generator) -> None:
    """Leave the constructor's own start."""


def kaiming(model: nn.Module, generator: torch.Generator, scale: float = 1.0) -> None:
    """Draw every convolution and linear layer as He et al. (arXiv 1502.01852), times `scale`, with biases at zero."""
    for layer in _layers(model):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        layer.weight.data.mul_(scale)


def kaiming_small(model: nn.Module, generator: torch.Generator) -> None:
    """Draw as Kaiming, times 0.3: the scale alone explains much of what copying layers gives."""
    kaiming(model, generator, 0.3)


def xavier(model: nn.Module, generator: torch.Generator) -> None:
    """Draw every convolution and linear layer as Glorot and Bengio, with biases at zero."""
    for layer in _layers(model):
        nn.init.xavier_normal_(layer.weight, generator=generator)


def _layers(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    layers = [module for module in model.modules() if isinstance(module, LAYERS)]
    for layer in layers:
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layers


PLAIN: dict[str, Callable[[nn.Module, torch.Generator], None]] = {
    "default": default,
    "kaiming": kaiming,
    "kaiming-x0.3": kaiming_small,
    "xavier": xavier,
}
