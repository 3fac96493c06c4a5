"""Quantised layers: values that mean something only together with their scales."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.checkpoints.dtypes import PACKED
from tli_cli.plan import Step

REASON = "quantised values go with their scales, all as they are or none"

_SCALE = re.compile(r"scale|scb|absmax|quant|zero", re.IGNORECASE)
_CODES = re.compile(r"weight|pack|w_q|blocks|data", re.IGNORECASE)
_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"})
_ZERO_IS_ZERO = ("float8", "int8")


def quantised_layers(tensors: Iterable[TensorSpec]) -> dict[str, str]:
    """Return the path of the quantised layer that each tensor of one belongs to.

    A layer is quantised if it holds codes (small floats, or integers named like weights) and scales beside them. What
    is named below a tensor (`weight.absmax`, `weight.quant_state.nf4`) belongs to that tensor's layer.
    """
    specs = {spec.name: spec for spec in tensors}
    members: dict[str, list[TensorSpec]] = defaultdict(list)
    for name, spec in specs.items():
        owner = next((above for above in accumulate(name.split("."), "{}.{}".format) if above in specs), name)
        members[owner.rpartition(".")[0]].append(spec)
    return {spec.name: path for path, held in members.items() if _is_quantised(path, held) for spec in held}


def _is_quantised(path: str, held: Sequence[TensorSpec]) -> bool:
    codes = {spec.name for spec in held if _holds_codes(spec, spec.name[len(path) :])}
    scales = {spec.name for spec in held if _SCALE.search(spec.name[len(path) :])}
    return bool(scales) and bool(codes - scales)


def _holds_codes(spec: TensorSpec, leaf: str) -> bool:
    if spec.dtype.startswith("float8") or spec.dtype in PACKED:
        return True
    return spec.dtype in _INTEGERS and bool(_CODES.search(leaf))


def whole_or_kept(
    steps: Sequence[Step], target: Architecture, sources: Sequence[Architecture], keep_values: str
) -> list[Step]:
    """Return `steps` without those that feed a part of a quantised layer, change it, or read its codes as numbers."""
    wanted = quantised_layers(target.tensors)
    offered = [quantised_layers(source.tensors) for source in sources]
    if not wanted and not any(offered):
        return list(steps)
    members: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.target in wanted:
            members[wanted[step.target]].append(step)
    whole = {path for path, held in members.items() if _is_whole(path, held, target, sources, offered)}
    torn = {step.target for step in steps if _is_torn(step, target, wanted, offered, whole)}
    not_silent = {step.block for step in steps if step.target in torn and step.initial == "zeros" and step.exact}
    return [
        _kept(step, keep_values)
        if step.target in torn
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


def _kept(step: Step, keep_values: str) -> Step:
    return replace(
        step, action="keep", pieces=(), resizer="", similarity=0.0, exact=False, initial=keep_values, reason=REASON
    )
