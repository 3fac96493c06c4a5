"""What makes up for other numbers that code multiplies with: embeddings and norms for that of what goes on from them,
as the root of the width, and queries for copies of a head's channels and for another scale of their products with
keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import dropwhile, takewhile
from math import isclose, prod

from tli_cli.architecture import AS_HEAD, EPSILON, OF_THE_LAYER, OFFSET, Architecture, Layer, Number
from tli_cli.describe.spaces import leaves
from tli_cli.matching.units import Key, Unit
from tli_cli.matching.values import Matching, Pair
from tli_cli.planning.numbers import SCALES, SHRINKING, TOLERANCE, factor_of, scale_of, were_run, width_power
from tli_cli.planning.spaces.queries import Query, innermost, query_makers
from tli_cli.planning.spaces.traits import tied_heads


def scale_gains(target: Architecture, source: Architecture, matching: Matching) -> dict[int, float]:
    """Return by what the weights of layers of `target` must be multiplied so that what goes on from its embeddings, and
    from norms to the one layer that each feeds, is what goes on in `source`.

    A head that is the table of an embedding gives that much more, which the norm before it takes back. A source of
    which the graph alone is known is taken to be scaled by the same powers of its width.
    """
    if not (were_run(target) and source.graph):
        return {}
    mine, theirs = _norms_read_once(target), _norms_read_once(source)
    gains = {}
    for pair in matching.pairs:
        place = pair.target.place
        layer, partner = target.layers[place], source.layers[pair.source.place]
        free = place in mine and pair.source.place in theirs
        if layer.kind == partner.kind == "embedding" and (_as_head(layer) == _as_head(partner) or not were_run(source)):
            free = _is_read_alone(target, place)
        gain = _gain(pair, layer, partner if were_run(source) else None) if free else 1.0
        if not isclose(gain, 1.0, rel_tol=1e-6):
            gains[place] = gain
    for place, gain in [held for held in gains.items() if target.layers[held[0]].kind == "embedding"]:
        before = [target.graph[index].layer for head, index in tied_heads(target) if head == place]
        if any(norm < 0 or target.layers[norm].kind != "norm" for norm in before):
            del gains[place]
        else:
            gains |= {norm: gains.get(norm, 1.0) / gain for norm in before}
    return gains


def _norms_read_once(architecture: Architecture) -> set[int]:
    """Return the norms with a weight that feed one layer, and no output, and behind which nothing but scales stands."""
    graph, layers = architecture.graph, architecture.layers
    reads = zip(graph, architecture.readers, strict=True)
    found = {node.layer for node, read in reads if node.layer >= 0 and [graph[i].op for i in read] == ["layer"]}
    norms = {p for p in found if layers[p].attribute("norm") in ("layer", "rms") and layers[p].tensor("weight")}
    return {p for p in norms if {n[0] for n in layers[p].numbers} <= {*SCALES, EPSILON, OFFSET}}


def _gain(pair: Pair, layer: Layer, partner: Layer | None) -> float:
    """Return what stands first behind `partner` by what does behind `layer`; powers of the width alone without one."""
    if partner is None:
        m, n = ((unit.shape or (1,))[-1] for unit in (pair.target, pair.source))
        return float((n / m) ** width_power(_scales(layer), m))
    theirs, own = (prod(map(factor_of, _scales(held)), start=1.0) for held in (partner, layer))
    return theirs / (own or 1.0)


def _scales(layer: Layer) -> Iterator[Number]:
    """Yield the scales that stand first of all behind `layer`, where it does not serve as a head."""
    behind = takewhile(lambda number: number[0] != AS_HEAD, layer.numbers)
    return takewhile(lambda number: number[0] in SCALES, (n for n in behind if n[0] not in OF_THE_LAYER))


def _as_head(layer: Layer) -> list[Number]:
    """Return the numbers behind `layer` where it serves as a head."""
    return list(dropwhile(lambda number: number[0] != AS_HEAD, layer.numbers))


def _is_read_alone(architecture: Architecture, place: int) -> bool:
    """Tell whether all that is added to what the layer makes is made of it: no second table that is scaled with it."""
    made: set[int] = set()
    stream: set[int] = set()
    for index, node in enumerate(architecture.graph):
        inputs = set(node.inputs)
        if node.layer == place and not inputs & made:
            made.add(index)
            stream.add(index)
        elif inputs & made:
            if node.op == "add" and inputs & stream and not inputs <= made:
                return False
            made.add(index)
            if node.layer < 0 and inputs & stream:
                stream.add(index)
    return bool(made)


class Scales:
    """The queries of a target and of one source, with the numbers in code that scale their products.

    `places` are the layers behind which scales may differ, since queries of wider heads make up for it or both sides
    scale the products alike in other places, and `made_up` the spaces over which queries and keys meet.
    """

    def __init__(self, target: Architecture, source: Architecture, matching: Matching) -> None:
        self._target, self._source = target, source
        self._mine, self._theirs = _free_queries(target, matching.targets), _free_queries(source, matching.sources)
        wider = (p for p in matching.pairs if p.target.key in self._mine and self._is_wider(p))
        self.places = {place for pair in wider for place in self._mine[pair.target.key].places}
        self.places |= self._scaled_elsewhere(matching)
        trees = (innermost(target, unit) for unit in matching.targets if unit.key in self._mine)
        self.made_up = {leaf for tree in trees if tree is not None for leaf in leaves(tree)}

    def is_query(self, unit: Unit) -> bool:
        """Tell whether a unit of the target makes queries."""
        return unit.key in self._mine

    def rescale(self, pair: Pair) -> float | None:
        """Return by what queries must be multiplied so that products are scaled as in the source; None if the numbers
        in the code are not known.

        Where the source's alone are not, it is taken to be of the target's class, with the same powers of the width.
        """
        mine, theirs = self._mine.get(pair.target.key), self._theirs.get(pair.source.key)
        if mine is None or theirs is None or not self._target.was_run or mine.softmaxes != theirs.softmaxes:
            return None
        if were_run(self._source):
            whole = scale_of(self._source, theirs.places) / (scale_of(self._target, mine.places) or 1.0)
            return float(whole ** (1 / mine.softmaxes))
        widths = self._widths(pair)
        if not self._source.graph or widths is None or widths[0] <= widths[1]:
            return None
        numbers = (number for place in mine.places for number in self._target.layers[place].numbers)
        power = width_power(numbers, widths[0], SHRINKING) / mine.softmaxes
        return float((widths[1] / widths[0]) ** power)

    def _scaled_elsewhere(self, matching: Matching) -> set[int]:
        """Return the layers between queries and softmax where both sides scale the products alike, wherever they do."""
        alike = [
            (self._mine[p.target.key].places, self._theirs[p.source.key].places)
            for p in matching.pairs
            if (scale := self.rescale(p)) is not None and isclose(scale, 1, rel_tol=TOLERANCE)
            if not _lifts(self._target, self._mine[p.target.key].places)
            if not _lifts(self._source, self._theirs[p.source.key].places)
        ]
        mine = {place for places, _ in alike for place in places}
        theirs = {place for _, places in alike for place in places}
        return mine | {pair.target.place for pair in matching.pairs if pair.source.place in theirs}

    def _is_wider(self, pair: Pair) -> bool:
        """Tell whether heads are wider, and a cap over their products, if there is one, is the source's."""
        widths = self._widths(pair)
        mine, theirs = self._mine[pair.target.key].places, self._theirs.get(pair.source.key, Query()).places
        alike = not were_run(self._source) or _lifts(self._target, mine) == _lifts(self._source, theirs)
        return widths is not None and widths[0] > widths[1] and alike

    def _widths(self, pair: Pair) -> tuple[int, int] | None:
        """Return how wide heads are on both sides; None where that is not known."""
        mine, theirs = innermost(self._target, pair.target), innermost(self._source, pair.source)
        if mine is None or theirs is None:
            return None
        return self._target.size_of(mine), self._source.size_of(theirs)


def _free_queries(architecture: Architecture, units: Collection[Unit]) -> dict[Key, Query]:
    """Return the queries whose scale is free: nothing without tensors divides them by their length or deviation."""
    found, known = query_makers(architecture, units), {unit.key: unit for unit in units}
    trees = {key: innermost(architecture, known[key]) for key in found}
    return {
        key: query
        for key, query in found.items()
        if (tree := trees[key]) is None or architecture.averaged.isdisjoint(leaves(tree))
    }


def _lifts(architecture: Architecture, places: Collection[int]) -> list[float]:
    """Return the scales behind the first one of the layers `places`, where one takes another back, as around a cap."""
    numbers = (number for place in sorted(places) for number in architecture.layers[place].numbers)
    factors = [factor_of(number) for number in numbers if number[0] in SCALES]
    return factors[1:] if max(factors, default=0) > 1 else []
