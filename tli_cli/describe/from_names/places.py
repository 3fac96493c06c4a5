"""Where a module stands among its siblings, by its name and by the roles of the layers in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tli_cli.architecture import LINEAR, Layer
from tli_cli.describe.from_names.chains import Widths
from tli_cli.describe.vocabulary import canonical_role, contexts, surroundings
from tli_cli.describe.vocabulary_places import (
    CONTEXT_PLACES,
    MODULE_PLACES,
    TOKEN_PLACES,
    TOP_PLACES,
    without_number,
)

Key = tuple[float, ...]

NUMBERED = re.compile(
    r"(conv|cv|fc|linear|lin|pwconv|dwconv|dense|l|bn|norm|gn|ln|in|layer_?norm|se|act|ls|gamma|relu|mlp|attn)_?(\d+)[a-z]?(_\w+)?"
)
DIMENSIONS = re.compile(r"(?<=conv)[123]d_?")
"""What the number in `conv2d` is, which is not its place."""
BESIDE = ("se", "down", "shortcut")
"""Surroundings of convolutions that are not in line with the others of a block."""
DENSE = re.compile(r"(fc|linear|lin|dense)_?\d")
NORMS = {"bn", "norm", "gn", "ln", "in", "layernorm", "layer_norm"}
LATE = {"ls", "gamma", "se", "act", "relu"}
MIDDLE = 50.0
AFTER_HEAD_CONVOLUTION = 80.5
BEFORE, OWN, AFTER, LAST = 5.0, 20.0, 30.0, 40.0
MANY = 4


@dataclass(slots=True)
class Module:
    """One component of the paths: the layer that it is, if any, and the modules in it."""

    name: str
    path: str
    layer: Layer | None = None
    children: dict[str, Module] = field(default_factory=dict)

    def layers(self) -> list[Layer]:
        """Return the layers at and below this module, unordered."""
        own = [self.layer] if self.layer else []
        return own + [layer for child in self.children.values() for layer in child.layers()]


def tree_of(layers: Iterable[Layer]) -> Module:
    """Return the modules that hold `layers`, in the order of their first layers."""
    root = Module("", "")
    for layer in layers:
        node = root
        for part in layer.path.split("."):
            path = f"{node.path}.{part}" if node.path else part
            node = node.children.setdefault(part, Module(part, path))
        node.layer = layer
    return root


Part = tuple[Module, list[Layer]]
"""A module and its layers in order."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the whole network shows of the place of its norms: before what they normalise for, or after it."""

    attention_norm_first: bool
    convolution_norm_first: bool


def habits_of(layers: Iterable[Layer], size: Mapping[str, Widths]) -> Habits:
    """Return the habits that names and widths show: a norm as wide as its convolution's input stands before it."""
    known = list(layers)
    tokens = {role_told(layer) for layer in known}
    closing = "final_norm" in tokens or any(_closes(layer) for layer in known)
    after = "cpb1" in tokens or ("norm1" in tokens and not closing)
    votes = 0
    for layer in known:
        match = NUMBERED.fullmatch(layer.path.rpartition(".")[2])
        partner = size.get(f"{layer.path.rpartition('.')[0]}.conv{match[2]}".strip(".")) if match else None
        if layer.kind == "norm" and partner and partner.first != partner.last:
            votes += (size[layer.path].first == partner.first) - (size[layer.path].first == partner.last)
    return Habits(not after, votes > 0)


def _closes(layer: Layer) -> bool:
    """Tell whether a layer is the norm at the end of a stage: networks that normalise first have one."""
    plain = layer.path.rpartition(".")[2].lower() in ("norm", "layer_norm", "layernorm") and not role_told(layer)
    around = set(contexts(layer.path))
    return (
        plain and layer.attribute("norm") in ("layer", "rms") and not around & {"attn", "mlp", "embed", "head", "down"}
    )


def role_told(layer: Layer) -> str:
    """Return what a layer is for, as its name or those beside it tell; "" where nothing does."""
    return str(layer.attribute("role_name", ""))


def outer_key(child: Module, siblings: Mapping[str, Module], habits: Habits) -> Key:
    """Return where a module stands among stages, stem and head."""
    if child.name.isdecimal():
        return (MIDDLE, 0.0, 0.0)
    if child.layer and child.layer.kind == "linear" and DENSE.match(child.name):
        return (MIDDLE + LAST - 5, *(numbered_key(child.name, False) or (0.0, 0.0)))
    own = canonical_role(child.path if child.layer else f"{child.path}.weight") or canonical_role(child.name)
    numbered = numbered_key(child.name, habits.convolution_norm_first) or (0.0, 0.0)
    if "conv_head" in siblings and re.fullmatch(r"(bn|norm)2", child.name):
        return (AFTER_HEAD_CONVOLUTION, 0.0, 0.0)
    crowded = sum(layer.kind in LINEAR for layer in child.layers()) > MANY
    if own in TOP_PLACES and not crowded:
        return (TOP_PLACES[own], *numbered)
    for pattern, place in MODULE_PLACES:
        if pattern.fullmatch(without_number(child.name.lower())) and place[0] > LAST:
            return (place[0], 0.0, 0.0)
    around = surroundings(child.name)
    if around in TOP_PLACES:
        return (TOP_PLACES[around], 0.0, 0.0)
    return (MIDDLE, 0.0, 0.0)


def inner_key(child: Module, siblings: Mapping[str, Module], habits: Habits) -> Key:
    """Return where a module stands within a block."""
    layer = child.layer
    if child.name.isdecimal():
        return (1.0, OWN)
    if child.name == "conv_pw":
        return (1.0, 10.0) if "conv_pwl" in siblings else (3.0, OWN)
    if place := _named_place(child.name):
        return place
    around = surroundings(child.name)
    if not layer and around in CONTEXT_PLACES:
        return CONTEXT_PLACES[around]
    if layer:
        return _layer_key(layer, child.name, siblings, habits)
    known = [_token_key(role_told(inner), inner, habits) for inner in child.layers()]
    weighted = [
        key
        for key, inner in zip(known, child.layers(), strict=True)
        if key and inner.kind not in ("norm", "scale", "other")
    ]
    placed = weighted or [key for key in known if key]
    return min(placed) if placed else numbered_key(child.name, habits.convolution_norm_first) or (1.0, OWN)


@lru_cache(maxsize=4096)
def _named_place(name: str) -> Key | None:
    """Return where in a block a module stands by its own name."""
    places = (place for pattern, place in MODULE_PLACES if place[0] < LAST and pattern.fullmatch(name.lower()))
    return next(places, None)


def _layer_key(layer: Layer, name: str, siblings: Mapping[str, Module], habits: Habits) -> Key:
    token = role_told(layer)
    around = surroundings(layer.path.rpartition(".")[0].rpartition(".")[2])
    names = {sibling.lower() for sibling in siblings}
    if around == "mlp" and token in ("fc1", "fc2") and any(re.fullmatch(r"norm\d", sibling) for sibling in names):
        return (float(token[-1]), OWN)
    if layer.attribute("transposed") and layer.kind == "conv":
        return (0.0, OWN)
    if token == "attn_norm" and any("sr" in sibling or "reduction" in sibling for sibling in names):
        return (1.0, 11.7)
    key = _token_key(token, layer, habits) or numbered_key(name, habits.convolution_norm_first)
    if key:
        return key
    if layer.kind == "norm":
        if around == "se":
            return (2.0, LAST + 0.5)
        beside = {surroundings(sibling) for sibling in names}
        alone = beside & {"attn", "mlp"} and not any(
            module.layer and module.layer.kind == "conv" for module in siblings.values()
        )
        if alone:
            return (0.0, BEFORE) if habits.attention_norm_first else (3.0, BEFORE)
        return (1.5, BEFORE)
    return (3.0, LAST) if layer.kind == "scale" else (1.0, OWN)


def _token_key(token: str, layer: Layer, habits: Habits) -> Key | None:
    bare = token if token in TOKEN_PLACES else token.removeprefix("cross_")
    place: Key | None = TOKEN_PLACES.get(bare)
    if token == "dw" and "mlp" in contexts(layer.path)[:2]:
        return (2.0, OWN + 2)
    if place and bare != token:
        return (place[0] + 0.5, *place[1:])
    if match := re.fullmatch(r"norm(\d)", token):
        batch = layer.attribute("norm") == "batch"
        first = habits.convolution_norm_first if batch else habits.attention_norm_first
        return (float(match[1]), BEFORE if first else AFTER)
    if match := re.fullmatch(r"conv(\d)", token):
        return (float(match[1]), AFTER if layer.kind == "norm" else OWN)
    if (
        place
        and layer.kind == "norm"
        and bare in ("expand", "dw", "project", "downsample", "shortcut", "qkv", "q", "kv", "o", "fc1", "fc2")
    ):
        return (place[0], place[1] + 1)
    if place is None and token in TOP_PLACES and "stem" not in token:
        return (-1.0, TOP_PLACES[token])
    return place


@lru_cache(maxsize=4096)
def first_number(name: str) -> float:
    """Return the first number in a name that is its place, -1 if there is none."""
    match = re.search(r"\d+", DIMENSIONS.sub("", name))
    return float(match[0]) if match else -1.0


@lru_cache(maxsize=4096)
def numbered_key(name: str, norm_first: bool) -> Key | None:
    """Return the number in a name such as `conv2` or `bn2` and the place of its kind beside others of that number."""
    match = NUMBERED.fullmatch(DIMENSIONS.sub("", name.lower()))
    if not match:
        return None
    norm = {match[1], (match[3] or "").lstrip("_")} & NORMS
    within = (BEFORE if norm_first else AFTER) if norm else LAST if match[1] in LATE else OWN
    return (float(match[2]), within)
