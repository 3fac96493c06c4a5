"""Networks put together from a few choices, under any names and in any order of definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "leaky": F.leaky_relu,
    "steeper": lambda x: F.leaky_relu(x, 0.2),
    "none": lambda x: x,
}
NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "plain": lambda width: nn.BatchNorm2d(width, affine=False),
    "eps": lambda width: nn.BatchNorm2d(width, eps=1e-3),
    "instance": lambda width: nn.InstanceNorm2d(width, affine=True),
    "group": lambda width: nn.GroupNorm(2, width),
    "none": lambda width: nn.Identity(),
}
POOLS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "max": lambda x: F.max_pool2d(x, 2),
    "wider": lambda x: F.max_pool2d(x, 3, 2, 1),
    "mean": lambda x: F.avg_pool2d(x, 2),
    "none": lambda x: x,
}


class Net(nn.Module):
    """Modules by key, registered under the names that `names` gives them, in the order of `names`."""

    def made_of(self, parts: dict[str, nn.Module], names: Mapping[str, str]) -> None:
        object.__setattr__(self, "parts", parts)
        for key in [*(key for key in names if key in parts), *(key for key in parts if key not in names)]:
            self.add_module(names.get(key, key.replace(".", "_")), parts[key])


@dataclass(frozen=True)
class Images:
    """The choices of a convolutional network."""

    bias: bool = True
    norm: str = "batch"
    act: str = "relu"
    kernel: int = 3
    gap: int = 1
    groups: int = 1
    edges: str = "zeros"
    pool: str = "max"
    join: str = "add"
    scale: float = 1.0
    gate: str = ""
    up: str = ""
    end: str = "mean"
    blocks: int = 2


class ImageNet(Net):
    def __init__(self, chosen: Images, names: Mapping[str, str]) -> None:
        super().__init__()
        self.chosen = chosen
        around = {"padding": chosen.gap * (chosen.kernel // 2), "dilation": chosen.gap, "groups": chosen.groups}
        parts = {"stem": self.conv(3, 8, 3), "stem_norm": NORMS[chosen.norm](8), "head": nn.Linear(8, 10, chosen.bias)}
        for b in range(chosen.blocks):
            parts[f"{b}.in"] = self.conv(8, 16, chosen.kernel, padding_mode=chosen.edges, **around)
            parts[f"{b}.norm"], parts[f"{b}.out"] = NORMS[chosen.norm](16), self.conv(16, 8, 1)
            if chosen.gate:
                parts[f"{b}.gate"] = nn.Linear(8, 8)
        self.made_of(parts, names)

    def conv(self, *sizes: int, **around: object) -> nn.Module:
        return nn.Conv2d(*sizes, bias=self.chosen.bias, **around)

    def forward(self, x):
        chosen, parts, act = self.chosen, self.parts, ACTIVATIONS[self.chosen.act]
        x = POOLS[chosen.pool](act(parts["stem_norm"](parts["stem"](x))))
        for b in range(chosen.blocks):
            made = parts[f"{b}.out"](act(parts[f"{b}.norm"](parts[f"{b}.in"](x))))
            if chosen.gate:
                gate = parts[f"{b}.gate"](made.mean((2, 3)))
                made = made * getattr(F, chosen.gate)(gate)[..., None, None]
            made = made * chosen.scale if chosen.scale != 1 else made
            x = act(x + made if chosen.join == "add" else x * made)
        if chosen.up:
            x = F.interpolate(x, scale_factor=2, mode=chosen.up)
        return parts["head"](x.mean((2, 3)) if chosen.end == "mean" else x.amax((2, 3)))


@dataclass(frozen=True)
class Words:
    """The choices of a transformer."""

    heads: int = 2
    bias: bool = True
    act: str = "gelu"
    norm_bias: bool = True
    eps: float = 1e-5
    before: bool = True
    parallel: bool = False
    causal: bool = False
    positions: bool = True
    gated: bool = False
    tied: bool = False
    final: bool = True
    scale: float = 0.0
    cap: float = 0.0
    embedded: float = 1.0
    layers: int = 2


class WordNet(Net):
    def __init__(self, chosen: Words, names: Mapping[str, str]) -> None:
        super().__init__()
        self.chosen = chosen
        parts = {"words": nn.Embedding(30, 16), "head": nn.Linear(16, 30, bias=False)}
        if chosen.positions:
            parts["positions"] = nn.Embedding(12, 16)
        for i in range(chosen.layers):
            parts |= {f"{i}.{key}": nn.Linear(16, 16, chosen.bias) for key in "qkvo"}
            parts |= {f"{i}.first": self.norm(), f"{i}.second": self.norm()}
            parts |= {f"{i}.up": nn.Linear(16, 32, chosen.bias), f"{i}.down": nn.Linear(32, 16, chosen.bias)}
            if chosen.gated:
                parts[f"{i}.gate"] = nn.Linear(16, 32, chosen.bias)
        if chosen.final:
            parts["final"] = self.norm()
        if chosen.tied:
            parts["head"].weight = parts["words"].weight
        self.made_of(parts, names)

    def norm(self) -> nn.Module:
        return nn.LayerNorm(16, self.chosen.eps, bias=self.chosen.norm_bias)

    def attended(self, i, x):
        chosen, width = self.chosen, 16 // self.chosen.heads
        q, k, v = (self.parts[f"{i}.{key}"](x).unflatten(-1, (-1, width)).transpose(1, 2) for key in "qkv")
        products = q @ k.mT * (chosen.scale or width**-0.5)
        if chosen.cap:
            products = torch.tanh(products / chosen.cap) * chosen.cap
        if chosen.causal:
            length = x.shape[1]
            products = products + torch.triu(torch.full((length, length), -1e4, device=x.device), 1)
        return self.parts[f"{i}.o"]((products.softmax(-1) @ v).transpose(1, 2).flatten(2))

    def fed(self, i, x):
        made = ACTIVATIONS[self.chosen.act](self.parts[f"{i}.gate" if self.chosen.gated else f"{i}.up"](x))
        return self.parts[f"{i}.down"](made * self.parts[f"{i}.up"](x) if self.chosen.gated else made)

    def forward(self, ids):
        chosen, parts = self.chosen, self.parts
        x = parts["words"](ids)
        x = x * chosen.embedded if chosen.embedded != 1 else x
        if chosen.positions:
            x = x + parts["positions"](torch.arange(ids.shape[1], device=ids.device))
        for i in range(chosen.layers):
            first, second = parts[f"{i}.first"], parts[f"{i}.second"]
            if chosen.parallel:
                x = x + self.attended(i, first(x)) + self.fed(i, second(x))
            elif chosen.before:
                x = x + self.attended(i, first(x))
                x = x + self.fed(i, second(x))
            else:
                x = first(x + self.attended(i, x))
                x = second(x + self.fed(i, x))
        return parts["head"](parts["final"](x) if chosen.final else x)


CHANGES = {
    Images: {
        "bias": (False,),
        "norm": ("plain", "eps", "instance", "group", "none"),
        "act": ("gelu", "gelu_tanh", "leaky", "steeper", "none"),
        "kernel": (1, 5),
        "gap": (2,),
        "groups": (2, 8),
        "edges": ("circular", "reflect"),
        "pool": ("wider", "mean", "none"),
        "join": ("mul",),
        "scale": (0.5,),
        "gate": ("sigmoid", "hardsigmoid"),
        "up": ("nearest", "bilinear"),
        "end": ("max",),
        "blocks": (1, 3),
    },
    Words: {
        "heads": (4,),
        "bias": (False,),
        "act": ("relu", "gelu_tanh"),
        "norm_bias": (False,),
        "eps": (1e-3,),
        "before": (False,),
        "parallel": (True,),
        "causal": (True,),
        "positions": (False,),
        "gated": (True,),
        "tied": (True,),
        "final": (False,),
        "scale": (1.0,),
        "cap": (5.0,),
        "embedded": (4.0,),
        "layers": (1, 3),
    },
}
NETS = {Images: ImageNet, Words: WordNet}
INPUTS = {Images: torch.zeros(1, 3, 16, 16), Words: torch.zeros(1, 8, dtype=torch.long)}
