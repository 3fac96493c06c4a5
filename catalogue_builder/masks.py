"""What is left out of signatures: the sizes that heads, inputs and images give tensors, and what is worked out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tli_cli.architecture import Architecture
from tli_cli.catalogue.signature import LEFT_OUT, Masks
from tli_cli.describe.spaces import leaves


def find_masks(architectures: Iterable[tuple[Architecture, frozenset[str], frozenset[str]]]) -> Masks:
    """Return the masks for `architectures`, each with the names of its head's and its input's tensors."""
    heads: set[str] = set()
    inputs: dict[str, set[int]] = {}
    grids: dict[str, set[int]] = {}
    computed = set(LEFT_OUT)
    for architecture, head, stem in architectures:
        heads |= head
        for tensor in architecture.tensors:
            axes = architecture.axes.get(tensor.name, ())
            if tensor.buffer and architecture.initial.get(tensor.name, ((None,),))[0][0] == "data":
                computed.add(tensor.name.rpartition(".")[2])
            for d, axis in enumerate(axes):
                kinds = {architecture.spaces[space].kind for space in leaves(axis.tree)}
                if "grid" in kinds:
                    grids.setdefault(tensor.name, set()).add(d)
                elif tensor.name in stem and "input" in kinds:
                    inputs.setdefault(tensor.name, set()).add(d)
    return Masks(frozenset(heads), _sorted(inputs), _sorted(grids), frozenset(computed))


def _sorted(dims: Mapping[str, set[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(sorted(found)) for name, found in dims.items()}
