"""Drawn designs: what a network is made of, how large it is, and what may be changed in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import nn

from tests.wild import others
from tests.wild.convs import BLOCKS, ConvNet
from tests.wild.tokens import Transformer

Design = dict[str, Any]
Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Family:
    """Networks of one class. `choices` are drawn from, and may be swapped; `sizes` may grow, by what is listed."""

    make: Callable[[Mapping[str, Any]], nn.Module]
    example: Callable[[Design, torch.Generator], Inputs]
    choices: Mapping[str, tuple[Any, ...]]
    sizes: Mapping[str, tuple[Any, ...]]
    grow: Mapping[str, Callable[[Design], Design]] = field(default_factory=dict)
    mend: Callable[[Design, Random], Design] = lambda d, rng: d


def _noise(*shape: int) -> Callable[[Design, torch.Generator], Inputs]:
    return lambda d, g: (torch.randn(2, *shape, generator=g, dtype=torch.float64),)


def _indices(length: int, below: int, g: torch.Generator) -> torch.Tensor:
    return torch.randint(0, below, (2, length), generator=g)


def times(key: str, factor: float) -> Callable[[Design], Design]:
    return lambda d: {key: int(d[key] * factor)}


def plus(key: str, more: int) -> Callable[[Design], Design]:
    return lambda d: {key: d[key] + more}


ACTS = ("relu", "relu", "inplace", "gelu", "silu", "leaky", "elu", "tanh", "hardswish", "prelu", "prelus", "mish")
NORMS = ("batch", "batch", "batch", "group", "one_group", "instance", "layer", "hand", "none")


def _mend_conv(d: Design, rng: Random) -> Design:
    d["blocks"] = tuple(rng.choice(tuple(BLOCKS)) for _ in range(rng.choice((1, 2, 2, 3))))
    if rng.random() < 0.5:
        d["blocks"] = (d["blocks"][0],) * len(d["blocks"])
    d["blocks"] = d["blocks"][:2] if d["stem"] == "patch" else d["blocks"]
    d["deep"] = rng.choice((1, len(d["blocks"])))
    return d


def _mend_tokens(d: Design, rng: Random) -> Design:
    d["head_width"] = d["width"] // d["heads"] if d["attention"] == "torch" or rng.random() < 0.6 else 6
    if d["entry"] == "tokens":
        d["causal"] = rng.random() < 0.6
    elif d["reads"] in ("logits", "tied"):
        d["reads"] = "mean"
    if d["attention"] == "torch" and d["position"] not in ("none", "learned", "table", "waves"):
        d["position"] = "learned"
    if d["head_width"] % 2:
        d["head_width"] += 1
    d["kv_heads"] = rng.choice([n for n in (1, 2, 4) if d["heads"] % n == 0])
    return d


def _token_example(d: Design, g: torch.Generator) -> Inputs:
    return {
        "tokens": lambda: (_indices(16, d["vocabulary"], g),),
        "patches": lambda: (torch.randn(2, 3, 16, 16, generator=g, dtype=torch.float64),),
        "reshaped": lambda: (torch.randn(2, 3, 16, 16, generator=g, dtype=torch.float64),),
        "frames": lambda: (torch.randn(2, 5, 32, generator=g, dtype=torch.float64),),
        "vectors": lambda: (torch.randn(2, 16, 6, generator=g, dtype=torch.float64),),
    }[d["entry"]]()


def _heads(factor: int, width: float = 1) -> Callable[[Design], Design]:
    def change(d: Design) -> Design:
        wider = int(d["width"] * width)
        own = {"head_width": wider // (d["heads"] * factor)} if d["attention"] == "torch" else {}
        return {"width": wider, "heads": d["heads"] * factor, **own}

    return change


def _wider_tokens(factor: float) -> Callable[[Design], Design]:
    def change(d: Design) -> Design:
        wider = int(d["width"] * factor)
        return {"width": wider, **({"head_width": wider // d["heads"]} if d["attention"] == "torch" else {})}

    return change


CONV = Family(
    ConvNet,
    _noise(3, 16, 16),
    {
        "norm": NORMS, "act": ACTS, "gate": ("none", "none", "se_linear", "se_conv", "cbam", "eca"),
        "biased": (False, True), "reparametrised": ("none",) * 6 + ("weight_norm", "spectral_norm", "old_weight_norm"),
        "shortcut": ("conv", "pool"), "stem": ("conv", "conv", "patch"), "stem_kernel": (3, 5, 7),
        "scaled": (False, True), "shuffled": (False, True), "last_norm": (False, True),
        "head": ("linear", "linear", "flat", "conv", "mlp", "two", "both"),
    },
    {
        "width": (8, 12, 16), "depth": (1, 2), "kernel": (3, 5), "groups": (1, 2, 4), "per_group": (2, 4),
        "ratio": (2, 3), "growth": (4, 6), "hidden": (10, 16), "classes": (5,), "norm_groups": (1, 2, 4),
    },
    {
        "twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "deeper": plus("depth", 1),
        "two deeper": plus("depth", 2), "kernel": plus("kernel", 2), "ratio": plus("ratio", 1),
        "growth": plus("growth", 2), "hidden": plus("hidden", 6), "per_group": times("per_group", 2),
        "groups": times("groups", 2), "all": lambda d: {"width": 2 * d["width"], "depth": d["depth"] + 1,
                                                       "hidden": d["hidden"] + 5},
    },
    _mend_conv,
)  # fmt: skip

TOKENS = Family(
    Transformer,
    _token_example,
    {
        "entry": ("tokens", "tokens", "patches", "reshaped", "frames", "vectors"),
        "attention": ("torch", "fused", "heads_first", "packed_kv", "einsum", "separate", "grouped"),
        "core": ("torch", "product", "einsum"),
        "position": ("none", "learned", "learned", "table", "waves", "halves", "neighbours", "alibi", "bias_table",
                     "bias_map"),
        "norm": ("layer", "layer", "rms", "hand", "plus", "bare"),
        "order": ("pre", "pre", "post", "parallel", "sandwich", "none"),
        "mlp": ("sequential", "fused_gate", "gated", "convs", "squared"), "biased": (True, False),
        "qk_norm": (False, False, True), "causal": (False,), "scaled": ("none", "channels", "scalar"),
        "shared": (False,) * 5 + (True,), "last_norm": (True, True, False), "root": (False, True),
        "reads": ("token", "mean", "attended", "logits", "logits", "tied"),
    },
    {"width": (16, 24), "heads": (2, 4), "kv_heads": (2,), "head_width": (6,), "ratio": (2, 3), "depth": (1, 2),
     "vocabulary": (19,), "classes": (5,)},
    {
        "twice as wide": _wider_tokens(2), "1.5 times as wide": _wider_tokens(1.5), "deeper": plus("depth", 1),
        "two deeper": plus("depth", 2), "ratio": plus("ratio", 1), "heads twice": _heads(2),
        "more heads and width": _heads(2, 2),
        "head width": lambda d: {"head_width": 2 * d["head_width"]} if d["attention"] != "torch" else {"ratio": 4},
        "more key heads": lambda d: {"kv_heads": d["heads"]},
        "all": lambda d: {**_heads(2, 2)(d), "depth": d["depth"] + 1, "ratio": d["ratio"] + 1},
    },
    _mend_tokens,
)  # fmt: skip

_SMALL = {"norm_groups": (1, 2, 4), "classes": (5,)}
FAMILIES: dict[str, Family] = {
    "conv": CONV,
    "tokens": TOKENS,
    "unet": Family(
        others.UNet, _noise(3, 16, 16),
        {"norm": NORMS, "act": ACTS, "biased": (False, True), "up": ("transposed", "shuffle", "resized"),
         "down": ("pool", "conv"), "skip": ("skip_first", "skip_last", "add")},
        {"width": (8,), "levels": (1, 2), "kernel": (3,), **_SMALL},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "kernel": plus("kernel", 2)},
    ),
    "generator": Family(
        others.Generator, _noise(10),
        {"norm": NORMS, "act": ACTS, "biased": (False, True), "reparametrised": ("none", "none", "weight_norm")},
        {"width": (4, 8), "norm_groups": (1, 2), "classes": (5,)},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5)},
    ),
    "autoencoder": Family(
        others.AutoEncoder, _noise(3, 16, 16), {"act": ACTS}, {"width": (4, 6), "code": (6,), "classes": (5,)},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "code": plus("code", 4)},
    ),
    "recurrent": Family(
        others.Recurrent, lambda d, g: (_indices(9, d["vocabulary"], g),),
        {"cell": ("lstm", "gru", "rnn"), "both_ways": (False, True), "norm": ("layer", "rms"),
         "last_norm": (False, True), "reads": ("last", "mean", "attended", "all")},
        {"width": (8,), "embedded": (6,), "depth": (1, 2), "vocabulary": (19,), "classes": (5,)},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "embedded": plus("embedded", 3),
         "deeper": plus("depth", 1)},
    ),
    "crnn": Family(
        others.ConvRecurrent, _noise(1, 8, 12), {}, {"width": (4, 6), "hidden": (8,), "classes": (5,)},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "hidden": times("hidden", 2)},
    ),
    "waves": Family(
        others.Waves, _noise(2, 24),
        {"norm": NORMS, "gated": ("no", "split", "two"), "reparametrised": ("none", "none", "weight_norm")},
        {"width": (8,), "skipped": (8,), "kernel": (2, 3), "depth": (2, 3), **_SMALL},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "skipped": plus("skipped", 8),
         "deeper": plus("depth", 1)},
    ),
    "volumes": Family(
        others.Volumes, _noise(2, 6, 8, 8), {"norm": NORMS, "act": ACTS, "split": (False, True)},
        {"width": (8,), "kernel": (3,), "depth": (1, 2), **_SMALL},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "deeper": plus("depth", 1),
         "kernel": plus("kernel", 2)},
    ),
    "towers": Family(
        others.Towers,
        lambda d, g: (torch.randn(2, 3, 16, 16, generator=g, dtype=torch.float64),
                      torch.randn(2, 3, 16, 16, generator=g, dtype=torch.float64) if d["siamese"]
                      else _indices(7, d["vocabulary"], g)),
        {"act": ACTS, "siamese": (False, True)},
        {"width": (8,), "joint": (6,), "hidden": (10,), "vocabulary": (19,), "classes": (5,)},
        {"twice as wide": times("width", 2), "joint": times("joint", 2), "1.5 times as wide": times("width", 1.5),
         "hidden": plus("hidden", 4)},
    ),
    "recommender": Family(
        others.Recommender,
        lambda d, g: (torch.randn(2, 4, generator=g, dtype=torch.float64), _indices(3, 7, g)),
        {"kind": ("dots", "cross", "factors", "deep")},
        {"width": (4, 6), "hidden": (10,), "depth": (2,), "classes": (1,)},
        {"twice as wide": times("width", 2), "hidden": plus("hidden", 6), "deeper": plus("depth", 1)},
    ),
    "mixer": Family(
        others.Mixer, _noise(3, 16, 16), {"kind": ("mlp", "single"), "norm": ("layer", "rms", "affine", "hand")},
        {"width": (8, 12), "hidden": (10,), "ratio": (2,), "depth": (1, 2), "classes": (5,)},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "hidden": plus("hidden", 4),
         "ratio": plus("ratio", 1), "deeper": plus("depth", 1)},
    ),
    "rows": Family(
        others.Rows,
        lambda d, g: (torch.randn(2, 8, generator=g, dtype=torch.float64),
                      torch.randn(2, 3, generator=g, dtype=torch.float64)),
        {"kind": ("plain", "residual", "highway", "again"), "norm": ("none", "batch", "layer"), "act": ACTS,
         "film": (False, True)},
        {"width": (8, 12), "depth": (2, 3), "classes": (5,)},
        {"twice as wide": times("width", 2), "1.5 times as wide": times("width", 1.5), "deeper": plus("depth", 1)},
    ),
    "translator": Family(
        others.Translator, lambda d, g: (_indices(6, 13, g), _indices(5, d["vocabulary"], g)),
        {"kind": ("torch", "torch", "cells"), "norm_first": (False, True)},
        {"width": (16,), "heads": (2, 4), "hidden": (20,), "depth": (1, 2), "vocabulary": (19,), "classes": (5,)},
        {"twice as wide": times("width", 2), "hidden": times("hidden", 2), "deeper": plus("depth", 1),
         "heads": times("heads", 2)},
    ),
}  # fmt: skip
INPUTS = {"entry", "siamese"}
"""Choices that change what goes in."""

WEIGHTS = {"conv": 10, "tokens": 10, "unet": 3, "waves": 2, "rows": 2}


def draw(seed: int) -> tuple[str, Design]:
    """Return a family's name and a design of it."""
    rng = Random(seed)
    names = list(FAMILIES)
    name = rng.choices(names, [WEIGHTS.get(n, 1) for n in names])[0]
    family = FAMILIES[name]
    design = family.mend(
        {key: rng.choice(values) for key, values in (*family.choices.items(), *family.sizes.items())}, rng
    )
    return name, design if _runs(name, design) else {**design, "norm_groups": 1}


@dataclass(frozen=True)
class Change:
    """A design made into another one. `grows` says that only sizes grew."""

    name: str
    design: Design
    grows: bool


def growths(name: str, design: Design) -> Iterator[Change]:
    """Yield every way to grow `design`."""
    for label, change in FAMILIES[name].grow.items():
        grown = {**design, **change(design)}
        if _runs(name, grown):
            yield Change(label, grown, True)


def swaps(name: str, design: Design, rng: Random) -> Iterator[Change]:
    """Yield a few changes of other things than sizes: a choice swapped, another head, everything narrower."""
    family = FAMILIES[name]
    keys = sorted(family.choices.keys() - INPUTS)
    for key in rng.sample(keys, min(3, len(keys))):
        other = [value for value in family.choices[key] if value != design[key]]
        value = rng.choice(other) if other else design[key]
        if value != design[key] and _runs(name, {**design, key: value}):
            yield Change(f"{key} {design[key]} -> {value}", {**design, key: value}, False)
    if design["classes"] > 1:
        yield Change("classes", {**design, "classes": design["classes"] + 3}, False)
    if "depth" in design and design["depth"] > 1:
        yield Change("shallower", {**design, "depth": design["depth"] - 1}, False)


def _runs(name: str, design: Design) -> bool:
    """Tell whether a design makes a network: some choices need others."""
    try:
        build(name, design).double()(*example_for(name, design))
    except (AttributeError, RuntimeError, ValueError):
        return False
    return True


def example_for(name: str, design: Design) -> Inputs:
    """Return what the network is run on."""
    return FAMILIES[name].example(design, torch.Generator().manual_seed(5))


def build(name: str, design: Design) -> nn.Module:
    """Return the network."""
    return FAMILIES[name].make(design)
