"""Load an architecture by name, with other options where it takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tli_cli.architecture import Architecture, Layer, Node, TensorSpec
from tli_cli.catalogue.decode import base_options, decode, names_of
from tli_cli.catalogue.naming import Entry, resolve_name
from tli_cli.catalogue.store import read_row
from tli_cli.errors import TliError


def load(name: str, *, num_classes: int | None = None, in_chans: int | None = None) -> Architecture:
    """Return the architecture called `name`; options in the name give way to the keywords.

    Raises:
        UnknownReferenceError: nothing is called so.
        TliError: it does not take an option, or a number as small.
    """
    resolved = resolve_name(name)
    given = {"num_classes": num_classes, "in_chans": in_chans}
    return load_entry(resolved.entry, {**resolved.options, **{k: v for k, v in given.items() if v is not None}})


def load_entry(entry: Entry, options: Mapping[str, int]) -> Architecture:
    """Return the architecture of `entry` with `options` in place of its defaults."""
    row = read_row(entry.structure)
    taken = base_options(row)
    for option, value in options.items():
        if value < (option == "in_chans"):
            raise TliError(f"{entry}: {option} must be a positive number, found {value}")
        if option not in taken and entry.defaults.get(option) != value:
            raise TliError(
                f"{entry} does not take {option}={value}: in the catalogue its {option} is "
                f"{entry.defaults.get(option, 'fixed')}; build it with the library, or name another architecture"
            )
    wanted = {option: value for option, value in {**entry.defaults, **options}.items() if option in taken}
    headless = wanted.get("num_classes") == 0
    if headless and row.get("head") is None:
        raise TliError(f"{entry} cannot be had without its head: num_classes must be positive")
    if headless:
        del wanted["num_classes"]
    architecture = decode(row, entry.given({**entry.defaults, **options}), wanted)
    return without(architecture, head_names(row)) if headless else architecture


def head_names(row: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the tensors that a model without classes has not."""
    stored = names_of(row)
    return frozenset(stored[i] for i in row.get("head") or ())


def without(architecture: Architecture, dropped: frozenset[str]) -> Architecture:
    """Return `architecture` without the tensors `dropped`; what read a layer left empty reads its input, and where one
    of several names of a tensor is dropped, another one stands in its place."""
    kept: list[Layer] = []
    number: dict[int, int] = {}
    heirs = _heirs(architecture.tensors, dropped)
    for i, layer in enumerate(architecture.layers):
        own = [(role, heirs.get(name, name)) for role, name in layer.tensors]
        left = {name: role for role, name in reversed(own) if name not in dropped}
        tensors = tuple((role, name) for role, name in own if left.get(name) == role)
        if tensors:
            number[i] = len(kept)
            kept.append(layer if tensors == layer.tensors else replace(layer, tensors=tensors))
    return replace(
        architecture,
        tensors=tuple(_led(t, heirs) for t in architecture.tensors if t.name not in dropped),
        layers=tuple(kept),
        graph=_bridged(architecture.graph, number),
        axes={name: axes for name, axes in architecture.axes.items() if name not in dropped},
        initial={name: value for name, value in architecture.initial.items() if name not in dropped},
    )


def _heirs(tensors: Sequence[TensorSpec], dropped: frozenset[str]) -> dict[str, str]:
    """Return for each dropped tensor that others are tied to the first of these."""
    heirs: dict[str, str] = {}
    for spec in tensors:
        if spec.tied_to in dropped and spec.name not in dropped:
            heirs.setdefault(spec.tied_to, spec.name)
    return heirs


def _led(spec: TensorSpec, heirs: Mapping[str, str]) -> TensorSpec:
    first = heirs.get(spec.tied_to or "", spec.tied_to)
    return spec if first == spec.tied_to else replace(spec, tied_to=None if first == spec.name else first)


def _bridged(graph: tuple[Node, ...], number: Mapping[int, int]) -> tuple[Node, ...]:
    """Return the graph without the nodes of layers that have no number."""
    place: dict[int, int] = {}
    nodes: list[Node] = []
    for i, node in enumerate(graph):
        inputs = tuple(place[j] for j in node.inputs if j in place)
        if node.layer >= 0 and node.layer not in number:
            if inputs:
                place[i] = inputs[0]
            continue
        place[i] = len(nodes)
        code = node.code and tuple(own for j, own in zip(node.inputs, node.code, strict=False) if j in place)
        nodes.append(Node(node.op, inputs, number.get(node.layer, -1), node.index, code))
    return tuple(nodes)
