"""What is known of one tensor while a model runs, and of one layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tli_cli.architecture import AxisTree
from tli_cli.noted import Number

Origin = frozenset[tuple[str, int]]
"""The parameter axes, as (tensor name, dimension), that one dimension of a value runs over."""

NOWHERE: Origin = frozenset()


@dataclass(slots=True)
class Borders:
    """What code puts around the places of values, and cuts off those of convolutions.

    `padded` gives by value the zeros before and behind its places, `slid` where the number of the convolution that made
    a value is noted, and `cut` that number as it was before a part of the value was cut off; `edged` says where the
    number of what repeated or mirrored the edges of a value is noted.
    """

    padded: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    slid: dict[int, int] = field(default_factory=dict)
    cut: dict[int, Number] = field(default_factory=dict)
    edged: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor of the run: a tree for each dimension, and where it comes from.

    `node` is the graph node that made it, -1 where it depends on no input; `names` are the state-dict entries that
    it is computed from, if it depends on no input; `origins` has one entry for each dimension;
    `standardised` says that sums over a parameter's own entries went into it, `expanded` that it is a parameter that
    was given to every sample of the batch, `addends` that it is a sum or a row of several parameters. Of a
    normalisation that is written out, `centred` has its mean taken off, `root` is a deviation or a length, and
    `rsqrt` is the inverse of one or what was divided by one. `picks` is the dimension whose largest values it numbers;
    `masked` says that a constant made in code acts on it, index by index, `averaged` that it is a mean over places,
    and `in_mean` which of its steps came before that. `every` says which index of factors of its dimensions it has
    alone, and which number says so, `beside` the dimension of places (counted from the last) of which some are cut
    off, how many before it and how many behind it. `chain` lists the operations since its node was made and `steps`
    the numbers noted meanwhile, `own` those of them that are a norm's, `epsilon` is what was added to the variance,
    `over` are the numbers of the statistics that it is made of, and `gain` is what it was multiplied with.
    """

    dims: tuple[AxisTree, ...]
    node: int = -1
    names: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    rsqrt: bool = False
    root: bool = False
    centred: bool = False
    standardised: bool = False
    expanded: bool = False
    addends: bool = False
    picks: AxisTree | None = None
    masked: bool = False
    averaged: bool = False
    in_mean: frozenset[int] = frozenset()
    chain: tuple[str, ...] = ()
    steps: frozenset[int] = frozenset()
    own: frozenset[int] = frozenset()
    beside: tuple[int, int, int] | None = None
    every: tuple[tuple[AxisTree, int, int], ...] = ()
    epsilon: float | None = None
    over: frozenset[int] = frozenset()
    gain: float = 1.0

    def origin(self, dim: int) -> Origin:
        """Return the parameter axes under dimension `dim`."""
        return self.origins[dim] if len(self.origins) == len(self.dims) else frozenset()


@dataclass(slots=True)
class RecordedLayer:
    """A layer as it is found: its tensors' roles, and what its operation says of it."""

    kind: str
    roles: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)


def are_addends(values: Sequence[Value]) -> bool:
    """Tell whether several parameters are put together of which each is used as it is."""
    return len(values) > 1 and all(len(v.names) == 1 or v.addends for v in values)
