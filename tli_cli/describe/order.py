"""The order of layers where it was lost: what names say first, and then the chain of shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tli_cli.architecture import Layer
from tli_cli.describe.blocks import block_paths
from tli_cli.describe.chains import Widths, best_chain, widths
from tli_cli.describe.vocabulary import CONTEXT_PLACES, TOKEN_PLACES, TOP_PLACES, canonical_role, surroundings

Key = tuple[float, ...]

NUMBERED = re.compile(
    r"(conv|cv|fc|linear|lin|pwconv|dwconv|dense|l|bn|norm|gn|ln|in|layer_?norm|se|act|ls|gamma)_?(\d+)[a-z]?(_\w+)?"
)
NORMS = {"bn", "norm", "gn", "ln", "in", "layernorm", "layer_norm"}
TAIL = {"ls", "gamma", "se", "act"}
MIDDLE = 50.0


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


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which block 2 comes before block 10."""
    return tuple(
        (0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in re.split(r"(\d+)", name.lower()) if piece
    )


@dataclass(frozen=True, slots=True)
class Habits:
    """What the whole network shows of the place of its norms: before what they normalise for, or after it."""

    attention_norm_first: bool
    convolution_norm_first: bool


def inferred_order(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return `layers` in their probable order of execution."""
    root = _tree(layers)
    blocks = block_paths([layer.path for layer in layers], [layer.kind for layer in layers])
    inner = {block for block, _ in blocks}
    size = {layer.path: widths(layer, shapes) for layer in layers}
    habits = _habits(layers, size)
    ordered = _flatten(root, inner, habits, size, False)
    return [layer for layer in ordered if layer.kind != "other"] + [layer for layer in ordered if layer.kind == "other"]


def _tree(layers: Sequence[Layer]) -> Module:
    root = Module("", "")
    for layer in layers:
        node = root
        for part in layer.path.split("."):
            path = f"{node.path}.{part}" if node.path else part
            node = node.children.setdefault(part, Module(part, path))
        node.layer = layer
    return root


def _habits(layers: Sequence[Layer], size: Mapping[str, Widths]) -> Habits:
    tokens = {canonical_role(layer.path) for layer in layers}
    after = {"cpb1", "qk_scale"} & tokens or ("final_norm" not in tokens and "norm1" in tokens)
    votes = 0
    for layer in layers:
        match = NUMBERED.fullmatch(layer.path.rpartition(".")[2])
        if layer.kind != "norm" or not match:
            continue
        partner = size.get(f"{layer.path.rpartition('.')[0]}.conv{match[2]}".strip("."))
        if partner and partner.first != partner.last:
            votes += (size[layer.path].first == partner.first) - (size[layer.path].first == partner.last)
    return Habits(not after, votes > 0)


def _flatten(node: Module, inner: set[str], habits: Habits, size: Mapping[str, Widths], inside: bool) -> list[Layer]:
    inside = inside or (node.path in inner and node.layer is None)
    children = list(node.children.values())
    place: Callable[[Module], Key] = lambda child: _inner_key(child, habits) if inside else _outer_key(child, habits)
    keys = {child.name: place(child) for child in children}
    children.sort(key=lambda child: (keys[child.name], natural(child.name)))
    parts = [(child, _flatten(child, inner, habits, size, inside)) for child in children]
    parts = _rechained(parts, keys, size)
    return ([node.layer] if node.layer else []) + [layer for _, part in parts for layer in part]


def _rechained(
    parts: list[tuple[Module, list[Layer]]], keys: Mapping[str, Key], size: Mapping[str, Widths]
) -> list[tuple[Module, list[Layer]]]:
    """Put siblings whose names say nothing in the order in which their widths chain best."""
    result: list[tuple[Module, list[Layer]]] = []
    start = 0
    while start < len(parts):
        end = start + 1
        while end < len(parts) and keys[parts[end][0].name] == keys[parts[start][0].name]:
            end += 1
        run = parts[start:end]
        if len(run) > 1 and not any(re.search(r"\d", child.name) for child, _ in run):
            before = _ends([layer for _, part in result for layer in part], size)
            ends = [_ends(part, size) for _, part in run]
            run = [run[i] for i in best_chain(ends, before.last)]
        result.extend(run)
        start = end
    return result


def _ends(layers: Sequence[Layer], size: Mapping[str, Widths]) -> Widths:
    known = [size[layer.path] for layer in layers if size[layer.path].last]
    return Widths(known[0].first, known[-1].last) if known else Widths(0, 0)


def _numbered(name: str, norm_first: bool) -> Key | None:
    match = NUMBERED.fullmatch(name.lower())
    if not match:
        return None
    within = (5 if norm_first else 30) if match[1] in NORMS else 40 if match[1] in TAIL else 20
    return (float(match[2]), float(within))


def _outer_key(child: Module, habits: Habits) -> Key:
    """Return where a module stands among stages, stem and head."""
    token = canonical_role(child.path if child.layer else f"{child.path}.weight") or canonical_role(child.name)
    if token in TOP_PLACES and not _holds_blocks(child):
        return (TOP_PLACES[token], *(_numbered(child.name, habits.convolution_norm_first) or (0.0, 0.0)))
    around = surroundings(child.name)
    if around in TOP_PLACES:
        return (TOP_PLACES[around], 0.0, 0.0)
    return (MIDDLE, *(_numbered(child.name, habits.convolution_norm_first) or (0.0, 0.0)))


def _holds_blocks(child: Module) -> bool:
    return sum(layer.kind in ("conv", "linear") for layer in child.layers()) > 4


def _inner_key(child: Module, habits: Habits) -> Key:
    """Return where a module stands within a block."""
    token = canonical_role(child.path) if child.layer else ""
    around = surroundings(child.name)
    if token in ("norm1", "norm2", "norm3") and (match := re.search(r"(\d)$", token)):
        first = (
            habits.attention_norm_first
            if child.layer and child.layer.attribute("norm") != "batch"
            else habits.convolution_norm_first
        )
        return (float(match[1]), 5.0 if first else 30.0)
    if token in TOKEN_PLACES:
        return TOKEN_PLACES[token]
    if around in CONTEXT_PLACES:
        return CONTEXT_PLACES[around]
    return _numbered(child.name, habits.convolution_norm_first) or (2.0, 25.0)
