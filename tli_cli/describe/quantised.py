"""Quantised layers: codes and the scales beside them, which mean something only together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate

from tli_cli.architecture import TensorSpec
from tli_cli.dtypes import PACKED
from tli_cli.grouping import gathered

_SCALE = re.compile(r"scale|scb|absmax|quant|zero", re.IGNORECASE)
_CODES = re.compile(r"weight|pack|w_q|blocks|data|codes", re.IGNORECASE)
_INTEGERS = frozenset({"int8", "uint8", "int16", "uint16", "int32", "uint32"})


def quantised_layers(tensors: Iterable[TensorSpec]) -> dict[str, str]:
    """Return the path of the quantised layer that each tensor of one belongs to.

    A layer is quantised if it holds codes (small floats, or integers named like weights) and scales beside them. What
    is named below a tensor (`weight.absmax`, `weight.quant_state.nf4`) belongs to that tensor's layer.
    """
    specs = {spec.name: spec for spec in tensors}
    if not any(_may_hold_codes(spec.dtype) for spec in specs.values()):
        return {}
    owners = (next(path for path in accumulate(name.split("."), "{}.{}".format) if path in specs) for name in specs)
    members = gathered((o.rpartition(".")[0], spec) for o, spec in zip(owners, specs.values(), strict=True))
    return {spec.name: path for path, held in members.items() if _is_quantised(path, held) for spec in held}


def _is_quantised(path: str, held: Sequence[TensorSpec]) -> bool:
    codes = {spec.name for spec in held if _holds_codes(spec, spec.name[len(path) :])}
    scales = {spec.name for spec in held if _SCALE.search(spec.name[len(path) :])}
    return bool(scales) and bool(codes - scales)


def _may_hold_codes(dtype: str) -> bool:
    return dtype.startswith("float8") or dtype in PACKED or dtype in _INTEGERS


def _holds_codes(spec: TensorSpec, leaf: str) -> bool:
    return _may_hold_codes(spec.dtype) and (spec.dtype not in _INTEGERS or bool(_CODES.search(leaf)))


KINDS: tuple[tuple[str, str], ...] = (
    (r"\.(qweight|qzeros|g_idx)$", "GPTQ or AWQ"),
    (r"\.(absmax|quant_map|quant_state\.\w+)$", "bitsandbytes, 4 bits"),
    (r"\.SCB$", "bitsandbytes, 8 bits"),
    (r"\.weight_(packed|shape|zero_point)$", "compressed-tensors"),
    (r"\.(weight_scale(_inv)?|scale_weight)$", "8-bit values with scales"),
)
"""Tensors that stand in place of a weight, or beside it, and who writes them so."""
PLAIN = "load the model with the library that made it, dequantise it (transformers: model.dequantize()), save that"


def said_of_quantised(tensors: Sequence[TensorSpec], others: Sequence[TensorSpec]) -> tuple[str, ...]:
    """Return what the user should know of quantised layers among `tensors` of a source where `others`, the target's,
    are none; nothing if there are none."""
    if quantised_layers(others):
        return ()
    found = set(quantised_layers(tensors).values())
    if not found:
        return ()
    kinds = (what for pattern, what in KINDS if any(re.search(pattern, spec.name) for spec in tensors))
    kind = next(kinds, "codes with scales beside them")
    count = f"{len(found)} {'layer is' if len(found) == 1 else 'layers are'} quantised ({kind}), such as"
    return (f"{count} {min(found)}, and can feed no plain weights; {PLAIN}",)
