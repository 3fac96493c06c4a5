from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest

from tli_cli.architecture import Architecture
from tli_cli.describe.from_names.names import describe_names
from tli_cli.describe.spaces import leaves

STILL = {"kernel", "grid", "batch"}


@dataclass(frozen=True)
class Agreement:
    """How far an inferred architecture agrees with a traced one, each in [0, 1]."""

    order: float
    kinds: float
    blocks: float
    coupled: float
    uncoupled: float


def concordant(wanted: list[str], given: list[str]) -> float:
    """The share of pairs that stand in the same relative order."""
    place = {path: i for i, path in enumerate(given)}
    pairs = list(combinations([place[path] for path in wanted if path in place], 2))
    return sum(a < b for a, b in pairs) / max(len(pairs), 1)


def couplings(traced: Architecture, inferred: Architecture) -> tuple[float, float]:
    """Return the share of the pairs coupled in the trace that are coupled here, and of the others that are not."""
    both, in_trace, here, sizes = Counter[Any](), Counter[Any](), Counter[Any](), Counter[int]()
    for name, axes in traced.axes.items():
        for d, axis in enumerate(axes):
            size = traced.by_name[name].shape[d]
            if size == 1 or all(traced.spaces[leaf].kind in STILL for leaf in leaves(axis.tree)):
                continue
            mine = inferred.axes[name][d].tree
            in_trace[size, axis.tree] += 1
            here[size, mine] += 1
            both[size, axis.tree, mine] += 1
            sizes[size] += 1
    pairs = [sum(n * (n - 1) // 2 for n in counts.values()) for counts in (both, in_trace, here, sizes)]
    apart = pairs[3] - pairs[1]
    return pairs[0] / max(pairs[1], 1), 1 - (pairs[2] - pairs[0]) / max(apart, 1)


@pytest.fixture
def agreement() -> Callable[..., Agreement]:
    def measure(traced: Architecture, order_from: str, config: dict[str, Any] | None) -> Agreement:
        tensors = sorted(traced.tensors, key=lambda t: t.name) if order_from == "inferred" else traced.tensors
        inferred = describe_names(tensors, order_from=order_from, config=config)
        known = {layer.path: layer for layer in inferred.layers}
        wanted = [layer for layer in traced.layers if layer.kind != "other"]
        same = [layer for layer in wanted if layer.path in known]
        kinds = sum(known[layer.path].kind == layer.kind for layer in same) / len(wanted)
        blocks = sum(known[layer.path].block == layer.block for layer in same) / len(wanted)
        order = concordant([layer.path for layer in same], [layer.path for layer in inferred.layers])
        return Agreement(order, kinds, blocks, *couplings(traced, inferred))

    return measure
