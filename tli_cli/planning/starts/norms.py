"""Batch norms go with the layer before them: statistics of other channels would do harm."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import prod

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.axis_maps.expressions import expression_columns
from tli_cli.grouping import grouped
from tli_cli.matching.segments import blocks_of, split_ends
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import Unit, main_tensor
from tli_cli.matching.values import Matching, Pair
from tli_cli.pieces import AxisExpression, Piece
from tli_cli.planning.spaces.maps import MapBook


def norms_follow(target: Architecture, source: Architecture, matching: Matching) -> Matching:
    """Return `matching` with each batch norm paired with the norm behind the partner of the layer before it.

    A batch norm behind a layer that nothing feeds is left unpaired, and so is one whose layer's partner has no norm;
    one whose partner the source does not run is left as it is. Where no graph shows what stands before them, norms of
    one name stay together, and so does one with its partner of which its place in the file tells nothing.
    """
    before = normalised_layers(target)
    normalised = normalised_layers(source)
    behind = grouped(normalised, normalised.__getitem__)
    sources = {unit.place: unit for unit in matching.sources if unit.kind == "norm"}
    feeds = {pair.target.place: pair for pair in matching.pairs}
    pairs = dict(matching.by_target)
    told = bool(target.graph and source.graph)
    loose = sources.keys() - {norm for norms in behind.values() for norm in norms}
    for unit in matching.targets:
        if unit.kind != "norm" or unit.flavour != "batch" or unit.place not in before:
            continue
        fed = feeds.get(before[unit.place])
        held = pairs.get(unit.key)
        place, path = (held.source.place, held.source.path) if held is not None else (-1, "")
        idle = bool(source.run) and place not in source.run
        named = any(f".{one}".endswith(f".{other}") for one, other in ((unit.path, path), (path, unit.path)))
        if held is not None and (idle or (not told and (place in loose or named))):
            continue
        partners = [sources[norm] for norm in behind.get(fed.source.place, ()) if norm in sources] if fed else []
        if fed is None or not partners:
            pairs.pop(unit.key, None)
        elif unit.key not in pairs or pairs[unit.key].source not in partners:
            pairs[unit.key] = Pair(unit, partners[-1], unit_similarity(unit, partners[-1]), repeat=fed.repeat)
    return matching.with_pairs(pairs)


def norms_of_others(target: Architecture, units: Sequence[Unit], pairs: Iterable[Pair]) -> Iterator[tuple[int, int]]:
    """Yield for each batch norm that is fed, behind a layer that is not fed from one of its kind and size, the places
    of both; of layers of the stem, which differ in the input's channels alone, none."""
    fed = {pair.target.place: pair for pair in pairs}
    stem = {unit.place for block in split_ends(blocks_of(units))[0] for unit in block.units}
    for norm, linear in normalised_layers(target).items():
        pair = fed.get(linear)
        same = pair is not None and pair.target.exact_label == pair.source.exact_label
        if norm in fed and linear not in stem and not same and target.layers[norm].attribute("norm") == "batch":
            yield norm, linear


def averages_unevenly(layer: Layer, source: Layer, piece: Piece, book: MapBook) -> bool:
    """Tell whether a norm averages over parts end to end that do not all grow by one whole factor; where it does so
    group by group, whether a part that grows has channels in several groups."""
    flavour = layer.attribute("norm")
    over = flavour in ("layer", "rms") or (flavour == "group" and layer.attribute("positions", 1) > 1)
    summed = [e for e in piece.axes if isinstance(e, tuple) and e[0] == "+"]
    if layer.kind != "norm" or not over or not summed:
        return False
    groups = layer.averages or 1
    if groups == 1:
        factors = {_factor(part, book) for part in summed[-1][1:]}
        return factors != {float(round(max(factors)))}
    runs = _runs(summed[-1], book)
    if source.averages == prod(expression_columns(e, book.maps) for e in piece.axes):
        return False  # each channel alone
    factors = {factor for _, factor in runs}
    if len(factors) > 1 or groups != source.averages or not min(factors).is_integer():
        return factors != {1.0}
    ends = list(accumulate(columns for columns, _ in runs))
    size = ends[-1] // groups
    return size > 0 and any(start // size != (end - 1) // size for start, end in pairwise([0, *ends]) if end > start)


def _runs(expression: AxisExpression, book: MapBook) -> list[tuple[int, float]]:
    """Return the runs of source channels, in order, whose copies stand in their place, and how many of each."""
    if isinstance(expression, int):
        made = book.maps[expression]
        factor = made.rows / made.columns if made.columns else 0.0
        return [(1, 1.0)] * made.columns if made.rule == "same" else [(made.columns, factor)]
    if expression[0] == "+":
        return [run for part in expression[1:] for run in _runs(part, book)]
    first, rest = expression[1], expression[2:]
    outer = book.maps[first] if isinstance(first, int) else None
    inner = _runs(rest[0] if len(rest) == 1 else ("*", *rest), book)
    if outer is not None and outer.rule == "same":
        return inner * outer.columns
    return [(expression_columns(expression, book.maps), _factor(expression, book))]


def _factor(expression: AxisExpression, book: MapBook) -> float:
    """Return how many times as many indices an expression makes as it takes; 0 where it takes none."""
    if isinstance(expression, int):
        made = book.maps[expression]
        return made.rows / made.columns if made.columns else 0.0
    factors = [_factor(child, book) for child in expression[1:]]
    return prod(factors) if expression[0] == "*" else factors[0] if len(set(factors)) == 1 else 0.0


def normalised_layers(architecture: Architecture) -> dict[int, int]:
    """Return for each norm that normalises the output of one linear map alone the index of that map."""
    if not architecture.graph:
        return _by_order(architecture)
    found: dict[int, int] = {}
    for node in architecture.graph:
        if node.op != "layer" or architecture.layers[node.layer].kind != "norm" or not node.inputs:
            continue
        before = architecture.graph[node.inputs[0]]
        if before.op == "layer" and architecture.layers[before.layer].kind in LINEAR:
            found[node.layer] = before.layer
    return found


def _by_order(architecture: Architecture) -> dict[int, int]:
    """Without a graph: a norm normalises the linear map defined just before it, if that makes as many channels; of
    batch norms defined behind as many maps, each its own."""
    layers = architecture.layers
    found: dict[int, int] = {}
    for index, (before, layer) in enumerate(pairwise(layers)):
        if layer.kind != "norm" or before.kind not in LINEAR:
            continue
        pairs = [(index, index + 1)]
        if architecture.order_from != "inferred" and layer.tensor("running_var"):
            maps, norms = (
                _run(layers, range(index, -1, -1), LINEAR),
                _run(layers, range(index + 1, len(layers)), ("norm",)),
            )
            rows = list(zip(maps[::-1], norms, strict=False)) if len(maps) == len(norms) else []
            pairs = rows if rows and all(_are_as_wide(architecture, *pair) for pair in rows) else pairs
        found |= {norm: linear for linear, norm in pairs if _are_as_wide(architecture, linear, norm)}
    return found


def _run(layers: Sequence[Layer], places: Iterable[int], kinds: Collection[str]) -> list[int]:
    """Return the first of `places` as long as the layers there are of `kinds`, in one block."""
    found: list[int] = []
    for place in places:
        if layers[place].kind not in kinds or (found and layers[place].block != layers[found[0]].block):
            break
        found.append(place)
    return found


def _are_as_wide(architecture: Architecture, linear: int, norm: int) -> bool:
    widths = [_width(architecture, architecture.layers[place]) for place in (linear, norm)]
    return widths[0] == widths[1]


def _width(architecture: Architecture, layer: Layer) -> int:
    name = main_tensor(layer)
    return next(iter(architecture.by_name[name].shape), 0) if name else 0


def told_by_makers(matching: Matching, target: Architecture, source: Architecture) -> set[int]:
    """Return the target's norms, by place, that both sides show to stand behind one pair of layers."""
    mine, theirs = _makers(target), _makers(source)
    partners = {pair.target.place: pair.source.place for pair in matching.pairs if not pair.repeat}
    norms = {p.target.place: p.source.place for p in matching.pairs if p.target.kind == "norm"}
    return {t for t, s in norms.items() if t in mine and s in theirs and partners.get(mine[t]) == theirs[s]}


def _makers(architecture: Architecture) -> Mapping[int, int]:
    """Return for each norm the layer before it, as the graph, the order of definition or, where that is lost, a module
    that holds the two alone tells."""
    if architecture.graph or architecture.order_from != "inferred":
        return normalised_layers(architecture)
    homes = grouped(range(len(architecture.layers)), lambda i: architecture.layers[i].path.rpartition(".")[0])
    couples = [sorted(home, key=lambda i: architecture.layers[i].kind == "norm") for home in homes.values()]
    found = {norm: linear for linear, norm in (c for c in couples if len(c) == 2) if _are(architecture, linear, norm)}
    sides = {_side(architecture, linear, norm) for norm, linear in found.items()} - {0}
    return found if sides == {1} else {}


def _are(architecture: Architecture, linear: int, norm: int) -> bool:
    layers = architecture.layers
    return layers[linear].kind in LINEAR and layers[norm].kind == "norm"


def _side(architecture: Architecture, linear: int, norm: int) -> int:
    """Return 1 for a norm as wide as what the layer makes, -1 as what it takes, 0 where widths do not tell."""
    layer, names = architecture.layers[linear], [main_tensor(architecture.layers[place]) for place in (linear, norm)]
    (made, taken, *_), (width, *_) = (architecture.by_name[name or ""].shape for name in names)
    if made == taken or layer.attribute("groups", 1) > 1 or layer.attribute("transposed"):
        return 0
    return (width == made) - (width == taken)
