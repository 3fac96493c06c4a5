"""From names, shapes and dtypes alone to an architecture: what a bare checkpoint can tell of its network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.describe.blocks import with_blocks
from tli_cli.describe.from_names.heads import stands_by_head
from tli_cli.describe.from_names.kinds import is_norm_name, kind_of, norm_kind
from tli_cli.describe.from_names.order import inferred_order
from tli_cli.describe.from_names.roles import ROLES, place_of
from tli_cli.describe.from_names.rows import as_run
from tli_cli.describe.from_names.siblings import sibling_roles
from tli_cli.describe.from_names.spaces_from_names import infer_spaces
from tli_cli.describe.from_names.turned_weights import transposed
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.describe.renaming import renamed, spoken
from tli_cli.describe.vocabulary import canonical_role

LENGTHS = (WITH_LENGTH, "weight.gain")
"""Roles of what a weight is multiplied by after it has been divided by its own length."""


def describe_names(
    tensors: Sequence[TensorSpec],
    *,
    order_from: str = "inferred",
    origin: str = "",
    config: Mapping[str, Any] | None = None,
) -> Architecture:
    """Return the architecture that names, shapes and dtypes tell of.

    With `order_from` "inferred" the order of `tensors` is taken to be lost and is guessed; with "file" or "definition"
    it is kept, unless the widths of layers show that it is not the order of execution. `config` is the Hugging Face
    configuration beside the file, if any: it tells the number of heads.

    >>> describe_names([TensorSpec("fc2.weight", (2, 8)), TensorSpec("fc1.weight", (8, 4))]).layers[0].path
    'fc1'
    """
    plain = spoken([t.name for t in tensors])
    said = [replace(t, name=plain[t.name], tied_to=t.tied_to and plain.get(t.tied_to, t.tied_to)) for t in tensors]
    by_head = {plain[t.name] for t in tensors if stands_by_head(t.name)}
    described = replace(_described(said, order_from, config or {}, by_head), origin=origin)
    real = {name: own for own, name in plain.items() if name != own}
    return renamed(described, real) if real else described


def _described(
    tensors: Sequence[TensorSpec], order_from: str, config: Mapping[str, Any], by_head: Collection[str]
) -> Architecture:
    groups = _groups(tensors)
    shapes = {t.name: t.shape for t in tensors}
    layers = [_layer(path, roles, shapes) for path, roles in groups.items()]
    layers = _told_by_siblings(transposed(_with_loose_biases(layers, shapes), shapes), shapes)
    given = [layer.path for layer in layers]
    layers = with_blocks(layers)
    layers = inferred_order(layers, shapes) if order_from == "inferred" else as_run(layers, shapes)
    layers, spaces, axes, guessed = infer_spaces(layers, shapes, config, by_head)
    order_from = order_from if [layer.path for layer in layers] == given else "inferred"
    return Architecture(tuple(tensors), tuple(layers), (), spaces, axes, {}, order_from, guessed=guessed)


def _with_loose_biases(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Give a head's bias whose weight is the table of tokens to that table: the one matrix of as many rows that has no
    bias."""
    rows = {layer.path: shapes[w][0] for layer in layers if (w := layer.tensor("weight")) and len(shapes[w]) == 2}
    free = [a for a in layers if a.path in rows and a.tensor("bias") is None and not a.path.endswith("bias")]
    moved: dict[str, list[tuple[str, str]]] = {}
    for layer in layers:
        (role, name), *others = layer.tensors
        alone = all(other.startswith("tied.") for other, _ in others)
        if alone and (role == "bias" or (name == layer.path and name.endswith("bias"))):
            size, long = max(shapes[name], default=1), sum(d > 1 for d in shapes[name])
            homes = [other.path for other in free if size == rows[other.path] and long <= 1]
            if len(homes) == 1 and homes[0] not in moved:
                moved[homes[0]] = [("bias", name), *others]
    gone = {name for found in moved.values() for _, name in found}
    left = [layer for layer in layers if not gone.intersection(name for _, name in layer.tensors)]
    return [replace(a, tensors=(*a.tensors, *moved[a.path])) if a.path in moved else a for a in left]


def _told_by_siblings(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    roles = sibling_roles(layers, shapes)
    return [layer.with_attributes(role_name=roles[layer.path]) if layer.path in roles else layer for layer in layers]


def _groups(tensors: Sequence[TensorSpec]) -> dict[str, dict[str, str]]:
    """Return layer path -> role -> tensor name, in the order of first appearance."""
    by_name = {t.name: t for t in tensors}
    names = set(by_name)
    homes = {name.rpartition(".")[0] for name in names}
    normed = {home.rpartition(".")[0] for home in homes if is_norm_name(home)}
    groups: dict[str, dict[str, str]] = {}
    for tensor in tensors:
        path, role = place_of(tensor, names, normed)
        if role == "bias" and (linear := _only_linear(path, tensor, by_name)):
            path = linear
        if role in groups.get(path, {}):
            path, role = tensor.name, f"weight.{tensor.name}"
        groups.setdefault(path, {})[role] = tensor.name
    return {path: _sorted_roles(roles) for path, roles in groups.items()}


def _only_linear(module: str, bias: TensorSpec, by_name: Mapping[str, TensorSpec]) -> str:
    """Return the one linear layer within `module` that has no bias of its own, where the module holds its `bias`."""
    if f"{module}.weight" in by_name or len(bias.shape) != 1:
        return ""
    within = [n for n in by_name if n.startswith(f"{module}.") and n.count(".") == module.count(".") + 2]
    fits = len(within) == 1 and within[0].endswith(".weight") and by_name[within[0]].shape[:1] == bias.shape
    return within[0].rpartition(".")[0] if fits and len(by_name[within[0]].shape) == 2 else ""


def _sorted_roles(roles: dict[str, str]) -> dict[str, str]:
    rank = {role: i for i, role in enumerate(ROLES)}
    return dict(sorted(roles.items(), key=lambda item: rank.get(item[0], len(rank))))


def _layer(path: str, roles: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> Layer:
    main = roles.get("weight") or next(iter(roles.values()))
    kind = kind_of(path, roles, shapes)
    attributes: dict[str, Any] = {}
    if kind == "conv":
        shape = shapes[main]
        groups = shape[0] if shape[1] == 1 and shape[0] > 1 else 1
        attributes = {"groups": groups, "kernel": tuple(shape[2:])}
    elif kind == "norm":
        attributes = {"norm": norm_kind(path, roles)}
    elif kind == "linear" and main == path:
        attributes = {"transposed": True}  # a bare matrix, which vectors are multiplied by from the left
    if any(role in roles for role in LENGTHS):
        attributes["standardised"] = True
    if token := canonical_role(path):
        attributes["role_name"] = token
    return Layer(path, kind, tuple(roles.items()), attributes=tuple(sorted(attributes.items())))
