"""Layers of the target that are left as they start, whatever a source has for them, because the user asks for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from tli_cli.architecture import Architecture
from tli_cli.describe.spelling import enclosing
from tli_cli.errors import TliError, join_problems
from tli_cli.matching.values import Matching
from tli_cli.registry import did_you_mean

SHOWN = 8
"""How many modules a message names."""


def left_out(target: Architecture, patterns: Sequence[str]) -> frozenset[str]:
    """Return the tensors of the layers that `patterns` name: by their own paths, or by those of modules around them.

    Raises:
        TliError: a pattern names nothing.
    """
    modules = {module for layer in target.layers for module in enclosing(layer.path)}
    chosen = {pattern: {path for path in modules if fnmatchcase(path, pattern)} for pattern in patterns}
    if lost := [_said_of(pattern, modules) for pattern, found in chosen.items() if not found]:
        raise TliError(join_problems(f"--skip: {target.origin} has no layer or module of that name:", lost))
    named = set().union(*chosen.values())
    layers = (layer for layer in target.layers if not named.isdisjoint(enclosing(layer.path)))
    return frozenset(name for layer in layers for _, name in layer.tensors)


def _said_of(pattern: str, modules: Collection[str]) -> str:
    outermost = sorted(module for module in modules if "." not in module)
    hint = did_you_mean(pattern, modules)
    return f"{pattern}; {hint or 'it has ' + ', '.join(outermost[:SHOWN])}"


def without(matching: Matching, target: Architecture, names: Collection[str]) -> Matching:
    """Return `matching` without the pairs of layers that hold a tensor of `names`; a block that holds such a layer is
    none that is to change nothing."""
    left = _places(target, names)
    pairs = tuple(pair for pair in matching.pairs if pair.target.place not in left)
    return replace(matching, pairs=pairs, added_blocks=matching.added_blocks - {target.layers[i].block for i in left})


def partners(matching: Matching, source: Architecture, target: Architecture, names: Collection[str]) -> set[str]:
    """Return the tensors of `source` that would feed the layers of `target` that hold a tensor of `names`."""
    left = _places(target, names)
    layers = (source.layers[pair.source.place] for pair in matching.pairs if pair.target.place in left)
    return {name for layer in layers for _, name in layer.tensors}


def _places(target: Architecture, names: Collection[str]) -> set[int]:
    return {i for i, layer in enumerate(target.layers) if any(name in names for _, name in layer.tensors)}
