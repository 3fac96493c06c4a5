"""Quantised layers: values that mean something only together with their scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.quantised import quantised_layers
from tli_cli.describe.spelling import changed, prefix_change
from tli_cli.grouping import grouped
from tli_cli.pieces import Piece
from tli_cli.plan import Step

REASON = "quantised values go with their scales, all as they are or none"
HIDDEN = "its layer is quantised in the source, and others are not in its place"

_ZERO_IS_ZERO = ("float8", "int8")


def whole_or_kept(
    steps: Sequence[Step], target: Architecture, sources: Sequence[Architecture], keep_values: str
) -> list[Step]:
    """Return `steps` without those that feed a part of a quantised layer, change it, or read its codes as numbers."""
    wanted = quantised_layers(target.tensors)
    offered = [quantised_layers(source.tensors) for source in sources]
    if not wanted and not any(offered):
        return list(steps)
    members = grouped((step for step in steps if step.target in wanted), lambda step: wanted[step.target])
    counts = [Counter(own.values()) for own in offered]
    whole = {path for path, held in members.items() if _is_whole(path, held, target, sources, offered, counts)}
    torn = {step.target for step in steps if _is_torn(step, target, wanted, offered, whole)}
    hidden = [_hidden(target, source, own) for source, own in zip(sources, offered, strict=True)]
    fed = {step.target: {piece.model for piece in step.pieces} for step in steps if step.target not in wanted}
    lost = {name for name, models in fed.items() if any(name in hidden[model] for model in models)} - torn
    not_silent = {step.block for step in steps if step.target in torn and step.initial == "zeros" and step.exact}
    return [
        _kept(step, keep_values, REASON if step.target in torn else HIDDEN)
        if step.target in torn or step.target in lost
        else replace(step, exact=step.exact and (not step.block or step.block not in not_silent))
        for step in steps
    ]


def _is_whole(
    path: str,
    held: Sequence[Step],
    target: Architecture,
    sources: Sequence[Architecture],
    offered: Sequence[Mapping[str, str]],
    counts: Sequence[Mapping[str, int]],
) -> bool:
    """Tell whether the layer at `path` is one of a source, tensor by tensor, and all of it."""
    homes = set()
    for step in held:
        copied = _copied(step)
        if copied is None:
            return False
        model, name = copied
        home = offered[model].get(name)
        if home is None or name[len(home) :] != step.target[len(path) :]:
            return False
        if sources[model].by_name[name].dtype != target.by_name[step.target].dtype:
            return False
        homes.add((model, home))
    if len(homes) != 1:
        return False
    model, home = homes.pop()
    return counts[model][home] == len(held)


def _copied(step: Step) -> tuple[int, str] | None:
    """Return the source tensor that `step` copies, whole or all of its parts in their own places, and its model."""
    first, *others = step.pieces or (None,)
    if first is None or step.resizer != "copy" or len(first.names) != 1:
        return None
    if others and any(_without_ranges(piece) != _without_ranges(first) for piece in step.pieces):
        return None
    if first.target_range is not None and not _covers(step):
        return None
    return first.model, first.source


def _without_ranges(piece: Piece) -> Piece:
    return replace(piece, target_range=None, source_range=None)


def _covers(step: Step) -> bool:
    """Tell whether the pieces of `step`, side by side, are the parts of one axis, each where it is in the source."""
    cuts = [piece.target_range for piece in step.pieces]
    if any(piece.source_range != cut for piece, cut in zip(step.pieces, cuts, strict=True)):
        return False
    places = sorted(cut for cut in cuts if cut is not None)
    axis, lengths = places[0][0], step.pieces[0].target_view or step.shape
    ends = [0, *(stop for _, _, stop in places)]
    starts = [start for _, start, _ in places]
    return len(places) == len(cuts) and {a for a, _, _ in places} == {axis} and [*starts, lengths[axis]] == ends


def _is_torn(
    step: Step,
    target: Architecture,
    wanted: Mapping[str, str],
    offered: Sequence[Mapping[str, str]],
    whole: set[str],
) -> bool:
    if step.target not in wanted:
        return any(name in offered[piece.model] for piece in step.pieces for name in piece.names)
    is_zero = not step.pieces and step.initial == "zeros"
    if is_zero and target.by_name[step.target].dtype.startswith(_ZERO_IS_ZERO):
        return False
    return wanted[step.target] not in whole


def _hidden(target: Architecture, source: Architecture, offered: Mapping[str, str]) -> Collection[str]:
    """Return the tensors of plain layers of `target` whose namesakes are quantised in `source`."""
    paths = set(offered.values())
    plain = {spec.name: spec.name.rpartition(".")[0] for spec in target.tensors}
    change = prefix_change(list(plain), [spec.name for spec in source.tensors]) if paths else ("", "")
    layers = {name: changed(path, change) for name, path in plain.items()}
    return {name for name, path in layers.items() if path in paths or f"{path}.weight" in paths}


def _kept(step: Step, keep_values: str, reason: str) -> Step:
    return replace(
        step, action="keep", pieces=(), resizer="", similarity=0.0, exact=False, initial=keep_values, reason=reason
    )
