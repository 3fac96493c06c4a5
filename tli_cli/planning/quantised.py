"""Quantised layers: values that mean something only together with their scales."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.quantised import quantised_layers
from tli_cli.describe.spelling import changed, prefix_change
from tli_cli.grouping import grouped
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
    whole = {path for path, held in members.items() if _is_whole(path, held, target, sources, offered)}
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
) -> bool:
    """Tell whether the layer at `path` is one of a source, tensor by tensor, and all of it."""
    homes = set()
    for step in held:
        piece = step.pieces[0] if len(step.pieces) == 1 else None
        if step.resizer != "copy" or piece is None or len(piece.names) != 1:
            return False
        name, source = piece.names[0], sources[piece.model]
        home = offered[piece.model].get(name)
        if home is None or name[len(home) :] != step.target[len(path) :]:
            return False
        if source.by_name[name].dtype != target.by_name[step.target].dtype:
            return False
        homes.add((piece.model, home))
    if len(homes) != 1:
        return False
    model, home = homes.pop()
    return sum(layer == home for layer in offered[model].values()) == len(held)


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
