"""The TLI score: how much of one architecture can be fed from another, layer by layer, and how well.

    score = sum of weight(t) * worth(t) over the target's units / sum of weight(t)
    worth = layers * similarity * keeping * place * context + whole, the product 0 where nothing feeds the unit

`weight` grows with the logarithm of a unit's size: what a unit takes part in does not grow with its elements, and a
classifier over many classes must not outweigh a trunk. `keeping` (`keeping.py` here) says that growth and shrinking are
not the same. `place` is less than 1 where the source unit serves a second time, or stands elsewhere. `context` is
how far the two blocks hold the same units and look as far: a convolution whose block also has a gate, or has no norm,
is fed with values made for other surroundings. `layers` and `whole` are of the unit's stage (`wholes.py`). Sums are of
whole numbers: order does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log2, prod, sqrt

from tli_cli.architecture import Architecture
from tli_cli.matching.bags import overlap
from tli_cli.matching.segments import Block
from tli_cli.matching.settings import OTHER_SETTING
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.scoring.keeping import keeping
from tli_cli.scoring.wholes import PARTS, fed_in_stage, stage_shares

REPEATED = 0.5
ADDED = 0.9
"""What a unit of a block that is added to its stage is worth: such a block starts by changing nothing."""

MOVED = 0.95
MINOR = 0.25
"""What a norm, a scale, a position or a token weighs beside a convolution of its size."""

MAJOR_KINDS = frozenset({"conv", "dense", "linear", "embedding"})
ONE = 1 << 20


@dataclass(frozen=True, slots=True)
class Score:
    """The score of each direction, in [0, 1], the shares of elements fed, and the blocks that hold it down."""

    source: str
    target: str
    forward: float
    backward: float
    coverage_forward: float
    coverage_backward: float
    worst: tuple[tuple[str, float], ...] = ()

    @property
    def mean(self) -> float:
        """The mean of both directions."""
        return (self.forward + self.backward) / 2


def unit_weight(unit: Unit) -> int:
    """Return what `unit` weighs in the score, in units of 1 / `ONE`."""
    return _weight(unit.kind, prod(unit.shape) * (prod(unit.kernel) if unit.kind == "conv" else 1))


@lru_cache(maxsize=1 << 14)
def _weight(kind: str, size: int) -> int:
    return round(ONE * log2(1 + size) * (1.0 if kind in MAJOR_KINDS else MINOR))


def fed_weight(weight: int, similarity: float, *, use: float, in_place: bool, context: float) -> int:
    """Return what of `weight` a pair feeds, in the same units; all of it only for an identical partner in its place.

    `similarity` is what is kept of it; `use` is 1 for the first use of a source unit, else `ADDED` or `REPEATED`.
    """
    return round(weight * similarity * use * (1.0 if in_place else MOVED) * context)


def ratio(fed: int, total: int) -> float:
    """Return the score that `fed` makes, in units of 1 / `PARTS` of those of `total`."""
    return fed / (PARTS * total) if total else 0.0


@dataclass(frozen=True)
class Standing:
    """What the score needs to know of one side's units, by key: their order, their blocks and their weights."""

    rank: Mapping[Key, int]
    home: Mapping[Key, Block]
    weight: Mapping[Key, int]

    @classmethod
    def of(cls, units: Sequence[Unit], blocks: Sequence[Block]) -> Standing:
        """Return where `units` stand, in `blocks`."""
        home = {unit.key: block for block in blocks for unit in block.units}
        weight = {unit.key: unit_weight(unit) for unit in units}
        return cls({unit.key: i for i, unit in enumerate(units)}, home, weight)


def fed_weights(
    matching: Matching,
    source: Standing | None = None,
    target: Standing | None = None,
    doubted: Collection[int] = (),
) -> dict[Key, int]:
    """Return by target unit what it is fed, in units of 1 / `PARTS` of its weight's; 0 where a unit is absent.

    `source` and `target` save working them out again; layers `doubted`, by place, are set otherwise than they show.
    """
    theirs = source or Standing.of(matching.sources, matching.source_blocks)
    mine = target or Standing.of(matching.targets, matching.target_blocks)
    in_step = len(mine.rank) == len(theirs.rank)
    grown = {unit.key for pair in matching.stages if not pair.added for unit in pair.target.units}
    own = {}
    for pair in matching.pairs:
        key, partner = pair.target.key, pair.source.key
        kernels = prod(pair.target.kernel) == prod(pair.source.kernel)  # a linear layer is a 1x1 convolution
        same = matching.one_network and pair.target.shape == pair.source.shape and kernels
        own[key] = fed_weight(
            mine.weight[key],
            (1.0 if same else pair.similarity)
            * keeping(pair.target, pair.source)
            * (OTHER_SETTING if pair.target.place in doubted else 1.0),
            use=(ADDED if key in grown else REPEATED) if pair.repeat else 1.0,
            in_place=same or pair.anchored or (in_step and mine.rank[key] == theirs.rank[partner]),
            context=1.0 if same else _context(pair, mine.home[key], theirs.home[partner], windows=matching.windows),
        )
    fed = {key: PARTS * value for key, value in own.items()}
    for stages in matching.stages:
        shares = stage_shares(stages.kinship, stages.reach * stages.level, stages.room)
        for key in (unit.key for unit in stages.target.units):
            fed[key] = fed_in_stage(own.get(key, 0), mine.weight[key], shares)
    return fed


def _context(pair: Pair, target: Block, source: Block, *, windows: bool) -> float:
    """Return `context`; without `windows`, as layers alone count, one that is identical or proven needs none."""
    if windows:
        return context(target, source, proven=pair.anchored)
    return 1.0 if pair.anchored or pair.similarity == 1 else overlap(target.forms, source.forms)


def score_matching(matching: Matching, doubted: Collection[int] = ()) -> float:
    """Return the score of a matching, in [0, 1]: the weighted mean over target units of how well each is fed."""
    return ratio(sum(fed_weights(matching, doubted=doubted).values()), sum(map(unit_weight, matching.targets)))


def likeness(matching: Matching, doubted: Collection[int] = ()) -> float:
    """Return the score without what only a fit can take over: of a stage as a whole counts what both do by the same
    means."""
    stages = tuple(replace(pair, reach=pair.kinship) for pair in matching.stages)
    return score_matching(replace(matching, stages=stages), doubted)


def coverage_of(matching: Matching, target: Architecture) -> float:
    """Return the share of the target's elements that stand in a paired unit."""
    places = {pair.target.place for pair in matching.pairs}
    sizes = {spec.name: spec.size for spec in target.tensors}
    total = sum(sizes.values())
    fed = sum(sizes[name] for place, layer in enumerate(target.layers) if place in places for _, name in layer.tensors)
    return fed / total if total else 0.0


def worst_blocks(matching: Matching, count: int = 5, doubted: Collection[int] = ()) -> tuple[tuple[str, float], ...]:
    """Return the blocks that cost the score most, the worst first, each with the mean worth of its units."""
    standing = Standing.of(matching.targets, matching.target_blocks)
    fed = fed_weights(matching, target=standing, doubted=doubted)
    lost: dict[str, int] = defaultdict(int)
    weight: dict[str, int] = defaultdict(int)
    for key, own in standing.weight.items():
        block = standing.home[key].name
        lost[block] += PARTS * own - fed.get(key, 0)
        weight[block] += PARTS * own
    ranked = sorted((block for block in lost if lost[block]), key=lambda block: (-lost[block], block))
    return tuple((block, round(1.0 - lost[block] / weight[block], 6)) for block in ranked[:count])


def context(target: Block, source: Block, *, proven: bool = False) -> float:
    """Return the context of a pair of layers, in [0, 1]: the share of like layers, or of the window if that is less.

    Where the graphs prove the pair, the layers around it are known to be the same but for their sizes.
    """
    window = window_share(target.window, source.window)
    return window if proven else min(overlap(target.forms, source.forms), window)


def window_share(target: float, source: float) -> float:
    """Return what a block that looks through the window `target` is given by one that looks through `source`.

    What a larger window let in, every layer of the block was made for; a smaller one is held whole.

    >>> window_share(5, 3), window_share(0, 3), round(window_share(3, 5), 3)
    (1.0, 1.0, 0.775)
    """
    return sqrt(target / source) if 0 < target < source else 1.0
