"""Modules that code holds and does not run, such as the momentum average of an encoder or the target of a critic: what
holds the tensors of a module that is run is described as that."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import replace
from difflib import SequenceMatcher

from tli_cli.architecture import Axis, Layer, TensorSpec
from tli_cli.describe.spelling import enclosing
from tli_cli.grouping import gathered
from tli_cli.noted import CONVOLUTION, EPSILON, GROUPS

FEWEST = 3
"""Fewer layers say nothing of what they are, unless they stand in a row with those."""
Described = tuple[list[Layer], dict[str, tuple[Axis, ...]]]


def with_unrun(described: Described, tensors: Sequence[TensorSpec], run: Set[str]) -> Described:
    """Return the layers and axes, each outermost module of which no tensor is `run` as the one whose tensors are and
    have its names and shapes; of several of these, as the one whose name is most like its own."""
    layers, axes = described
    idle = {name for layer in layers for _, name in layer.tensors if run.isdisjoint(n for _, n in layer.tensors)}
    around = ((module, spec) for spec in (tensors if idle else ()) for module in enclosing(spec.name)[:-1])
    held = gathered((module, (spec.name.removeprefix(module), spec.shape)) for module, spec in around)
    alike = gathered(
        ((frozenset(members), sum(module + name in idle for name, _ in members)), module)
        for module, members in held.items()
    )
    done = set[str]()
    for module in sorted(held, key=len):
        offered = alike.get((frozenset(held[module]), 0))
        names = {module + name for name, _ in held[module]}
        if not offered or not idle.issuperset(names) or not done.isdisjoint(enclosing(module)):
            continue
        like = max(offered, key=lambda other: SequenceMatcher(None, module, other).ratio())
        copied = [_moved(layer, like, module) for layer in layers if layer.path.startswith(f"{like}.")]
        in_row = re.sub(r"\d+", "", module) == re.sub(r"\d+", "", like)
        if (in_row or len(copied) >= FEWEST) and names == {name for layer in copied for _, name in layer.tensors}:
            layers = [layer for layer in layers if names.isdisjoint(name for _, name in layer.tensors)] + copied
            axes = axes | {name: axes[own] for name in names if (own := like + name.removeprefix(module)) in axes}
            done.add(module)
    return layers, axes


def _moved(layer: Layer, module: str, to: str) -> Layer:
    """Return a layer of `module` as that of the module `to`, with the numbers of the layer itself alone."""
    return replace(
        layer,
        path=to + layer.path.removeprefix(module),
        tensors=tuple((role, to + name.removeprefix(module)) for role, name in layer.tensors),
        numbers=tuple(number for number in layer.numbers if number[0] in (CONVOLUTION, EPSILON, GROUPS)),
        constants=(),
    )
