"""Norms, activations and small modules as people write them by hand, each picked by its name."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn
from torch.nn.utils import parametrizations

EPS = 1e-13


class ChannelsFirstNorm(nn.Module):
    """A layer norm over the channels of `(n, channels, ...)`, in two permutations."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class HandNorm(nn.Module):
    """A layer norm over the channels of `(n, channels, ...)`, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return (x - mean) / torch.sqrt(variance + EPS) * self.scale.view(shape) + self.shift.view(shape)


class HandRms(nn.Module):
    """A root mean square norm over the last axis, written out; `plus` says that one is added to its weight."""

    def __init__(self, width: int, plus: bool = False) -> None:
        super().__init__()
        self.g, self.plus = nn.Parameter(torch.ones(width)), plus

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)
        return x * (1 + self.g) if self.plus else self.g * x


class Affine(nn.Module):
    """A scale and a shift for each channel of the last axis, with no statistics."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.alpha + self.beta


def norm_over_channels(kind: str, width: int, dims: int = 2, groups: int = 2) -> nn.Module:
    """Return a norm for `(n, width, *dims)`."""
    batch = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]
    instance = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[dims]
    made = {
        "batch": lambda: batch(width, eps=EPS),
        "group": lambda: nn.GroupNorm(groups, width, eps=EPS),
        "one_group": lambda: nn.GroupNorm(1, width, eps=EPS),
        "instance": lambda: instance(width, eps=EPS, affine=True),
        "layer": lambda: ChannelsFirstNorm(width),
        "hand": lambda: HandNorm(width),
        "none": nn.Identity,
    }
    return made[kind]()


def norm_over_last(kind: str, width: int) -> nn.Module:
    """Return a norm for `(..., width)`."""
    made = {
        "layer": lambda: nn.LayerNorm(width, eps=EPS),
        "bare": lambda: nn.LayerNorm(width, eps=EPS, elementwise_affine=False),
        "rms": lambda: nn.RMSNorm(width, eps=EPS),
        "hand": lambda: HandRms(width),
        "plus": lambda: HandRms(width, plus=True),
        "affine": lambda: Affine(width),
    }
    return made[kind]()


class Glu(nn.Module):
    """Half of the channels gate the other half; a 1x1 convolution gives their number back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.glu(self.mix(x), 1)


def activation(kind: str, width: int) -> nn.Module:
    """Return an activation for `(n, width, ...)`."""
    made = {
        "relu": nn.ReLU,
        "inplace": lambda: nn.ReLU(inplace=True),
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "leaky": lambda: nn.LeakyReLU(0.1),
        "elu": nn.ELU,
        "tanh": nn.Tanh,
        "hardswish": nn.Hardswish,
        "prelu": nn.PReLU,
        "prelus": lambda: nn.PReLU(width),
        "mish": nn.Mish,
    }
    return made[kind]()


def reparametrised(kind: str, layer: nn.Module) -> nn.Module:
    """Return `layer` with its weight under a parametrisation."""
    if kind == "weight_norm":
        return parametrizations.weight_norm(layer)
    if kind == "spectral_norm":
        return parametrizations.spectral_norm(layer)
    if kind == "old_weight_norm":
        return nn.utils.weight_norm(layer)
    return layer


class Gate(nn.Module):
    """Squeeze and excite, efficient channel attention, or a spatial gate (CBAM)."""

    def __init__(self, kind: str, width: int, reduced: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "se_linear":
            self.fc = nn.Sequential(nn.Linear(width, reduced), nn.ReLU(), nn.Linear(reduced, width), nn.Sigmoid())
        elif kind == "se_conv":
            self.reduce, self.expand = nn.Conv2d(width, reduced, 1), nn.Conv2d(reduced, width, 1)
        elif kind == "cbam":
            self.mlp = nn.Sequential(
                nn.Linear(width, reduced, bias=False), nn.ReLU(), nn.Linear(reduced, width, bias=False)
            )
            self.spatial = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        elif kind == "eca":
            self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c = x.shape[:2]
        if self.kind == "se_linear":
            return x * self.fc(x.mean((2, 3))).view(n, c, 1, 1)
        if self.kind == "se_conv":
            pooled = functional.adaptive_avg_pool2d(x, 1)
            return self.expand(functional.silu(self.reduce(pooled))).sigmoid() * x
        if self.kind == "cbam":
            gate = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
            x = x * torch.sigmoid(gate)[:, :, None, None]
            seen = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
            return x * torch.sigmoid(self.spatial(seen))
        if self.kind == "eca":
            gate = self.conv(x.mean((2, 3)).unsqueeze(1)).squeeze(1)
            return x * gate.sigmoid()[:, :, None, None]
        return x
