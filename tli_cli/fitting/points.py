"""Decide at planning time which layers are solved, and for which values of the source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from math import log2

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.fitting.trunk import Place, trunk_points
from tli_cli.fitting.work import octaves_apart
from tli_cli.plan import Fit, Plan, Point
from tli_cli.planning.spaces.leaf_maps import Taken
from tli_cli.planning.spaces.maps import MapBook

Levels = Mapping[float, list[Place]]
"""The points of a network by the number of their places in octaves."""

FAR = 2.5
"""How many octaves of the number of places two points may be apart."""


def with_fits(plan: Plan, target: Architecture, source: Architecture, model: int) -> Plan:
    """Return `plan` with a fit for every point of `target` that `source`, the source `model` of the plan, can serve;
    what they change is marked in the steps."""
    book = MapBook(target)
    book.adopt(plan.maps)
    fits = _beyond_exact(plan, target, plan_fits(target, source, book, model))
    reasons = _reasons(target, fits)
    fitted = ((step, reasons.get(step.target, "")) for step in plan.steps)
    steps = [replace(s, action="transfer", resizer="fit", reason=r, exact=False) if r else s for s, r in fitted]
    return replace(plan, steps=tuple(steps), maps=tuple(book.maps), fits=tuple(fits))


def _beyond_exact(plan: Plan, target: Architecture, fits: Sequence[Fit]) -> list[Fit]:
    """Leave out the first fits, whose layers the plan takes over exactly, with all that stands before them."""
    inexact = {step.layer for step in plan.steps if not step.exact}
    paths = [layer.path for layer in target.layers]
    taken = {step.layer: piece.source for step in plan.steps for piece in step.pieces}
    for i, fit in enumerate(fits):
        end = max(paths.index(path) for path in (fit.target.layer, fit.target.norm) if path in paths)
        partner = taken.get(fit.target.layer, "").startswith(fit.source.layer + ".")
        if bool(fit.target.block) != bool(fit.source.block):  # what reads a sum that the source lacks says what it is
            behind = (paths.index(later.target.layer) for later in fits[i + 1 :] if later.source != fit.source)
            end = next(behind, len(paths) - 1)
        if not partner or any(path in inexact for path in paths[: end + 1]):
            return list(fits[i:])
    return []


def _reasons(target: Architecture, fits: Sequence[Fit]) -> dict[str, str]:
    """Return for each tensor that the fits write to what it is fitted to."""
    owners = {layer.path: layer for layer in target.layers}
    found: dict[str, str] = {}
    for fit in fits:
        for path in (fit.target.layer, fit.target.norm, fit.target.scale):
            for _, name in owners[path].tensors if path in owners else ():
                found[name] = f"fitted to {fit.source.block or fit.source.norm or fit.source.layer}"
    paths = [layer.path for layer in target.layers]
    ends = sorted(paths.index(fit.target.layer) for fit in fits)
    for layer in target.layers[ends[0] : ends[-1] + 1] if ends else ():
        for role, name in layer.tensors:
            if role in ("running_mean", "running_var"):
                found.setdefault(name, "statistics of made-up inputs")
            elif not target.by_name[name].buffer:
                found.setdefault(name, "fitted on the way")
    return found


def plan_fits(target: Architecture, source: Architecture, book: MapBook, model: int) -> list[Fit]:
    """Return a fit for every trunk point of `target`, in execution order, to the point of `source` at the nearest
    resolution and the same depth.

    A source of one resolution alone, as a ViT has, is spread over all of the target that is not far from it, and one of
    several over such a target.
    """
    mine, theirs = _levels(target, 0.0), _levels(source, octaves_apart(target, source))
    pairs = [pair for group in _together(mine, theirs) for pair in _in_order(*group, target)]
    fits = []
    for place, partner in sorted(pairs, key=lambda pair: pair[0].index):
        channels = book.expression(place.tree, partner.tree, Taken(source, model, "channels"))
        fits.append(Fit(place.point, partner.point, channels, model))
    return fits


def _together(mine: Levels, theirs: Levels) -> list[tuple[list[Place], list[Place]]]:
    """Return the points of the resolutions that belong together: each of either side to the nearest of the other."""
    links = {(level, _near(level, theirs)) for level in mine} | {(_near(level, mine), level) for level in theirs}
    groups: list[tuple[set[float], set[float]]] = []
    for here, there in links:
        if here is None or there is None:
            continue
        joined = [group for group in groups if here in group[0] or there in group[1]]
        groups = [group for group in groups if group not in joined]
        groups.append(({here}.union(*(g[0] for g in joined)), {there}.union(*(g[1] for g in joined))))
    return [(_points_at(mine, group[0]), _points_at(theirs, group[1])) for group in groups]


def _near(level: float, levels: Iterable[float]) -> float | None:
    """Return which of `levels` is nearest to `level`, the finer one of two; None where all are far."""
    near = [other for other in levels if abs(other - level) <= FAR and (level == 0) == (other == 0)]
    return min(near, key=lambda other: (abs(other - level), -other), default=None)


def _points_at(levels: Levels, chosen: set[float]) -> list[Place]:
    return sorted((place for level in chosen for place in levels[level]), key=lambda place: place.index)


def _levels(architecture: Architecture, octaves: float) -> dict[float, list[Place]]:
    """Return the points by the number of their places in octaves, `octaves` added where there is more than one."""
    found: dict[float, list[Place]] = {}
    places = list(trunk_points(architecture))
    for i in reversed(range(len(places) - 1)):  # a map over places stands where the next map over channels does
        if all(architecture.spaces[leaf].kind == "grid" for leaf in leaves(places[i].tree)):
            places[i] = replace(places[i], tree=places[i + 1].tree, count=places[i + 1].count)
    for place in places:
        if place.count:
            found.setdefault(log2(place.count) + octaves if place.count > 1 else 0.0, []).append(place)
    return found


def _in_order(
    targets: Sequence[Place], sources: Sequence[Place], architecture: Architecture
) -> list[tuple[Place, Place]]:
    """Pair each point of the target `architecture` with a source point: evenly, in order, the last with the last.

    Where the source is a plain chain, a block stands for as many of its layers as it mixes places; the rest is idle.
    """
    count, others = len(targets), len(sources)
    if any(place.point.block for place in targets) and not any(place.point.block for place in sources):
        reached = list(accumulate(_mixing_layers(architecture, place.point) for place in targets))
        if reached[-1] >= others:
            return [(t, sources[min(max(r, 1), others) - 1]) for t, r in zip(targets, reached, strict=True)]
    return [(place, sources[max(-(-(i + 1) * others // count) - 1, 0)]) for i, place in enumerate(targets)]


def _mixing_layers(architecture: Architecture, point: Point) -> int:
    """Return how many layers of a point's block mix places: convolutions wider than one place; 1 for a chain."""
    if not point.block:
        return 1
    inside = [layer for layer in architecture.layers if layer.path.startswith(point.block + ".")]
    return sum(max(layer.attribute("kernel", (1,)), default=1) > 1 for layer in inside if layer.kind == "conv")
