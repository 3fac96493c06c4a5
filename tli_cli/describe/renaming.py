"""An architecture under other names, and names as people say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.blocks import with_blocks


def spoken(names: Sequence[str]) -> dict[str, str]:
    """Return each name without what stands for nothing in it, such as the underscores before its parts.

    A name that would be another's stays as it is.

    >>> spoken(["_blocks.0._bn1.weight"])
    {'_blocks.0._bn1.weight': 'blocks.0.bn1.weight'}
    """
    plain = [".".join(part.lstrip("_") or part for part in name.split(".")) for name in names]
    return dict(zip(names, plain if len(set(plain)) == len(plain) else names, strict=True))


def renamed(architecture: Architecture, names: Mapping[str, str]) -> Architecture:
    """Return `architecture` with its tensors under other names, its layers' paths and blocks as these say."""
    layers = [_renamed_layer(layer, names) for layer in architecture.layers]
    return replace(
        architecture,
        tensors=tuple(
            replace(t, name=names.get(t.name, t.name), tied_to=t.tied_to and names.get(t.tied_to, t.tied_to))
            for t in architecture.tensors
        ),
        layers=tuple(with_blocks(layers)),
        axes={names.get(name, name): axes for name, axes in architecture.axes.items()},
        initial={names.get(name, name): value for name, value in architecture.initial.items()},
    )


def _renamed_layer(layer: Layer, names: Mapping[str, str]) -> Layer:
    path = layer.path
    for _, name in layer.tensors:
        new, rest = names.get(name, name), name.removeprefix(layer.path)
        if name.startswith(layer.path) and new.endswith(rest):
            path = new.removesuffix(rest)
            break
    return replace(layer, path=path, tensors=tuple((role, names.get(name, name)) for role, name in layer.tensors))
