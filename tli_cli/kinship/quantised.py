"""Layers of a source that are stored in few bits, of which nothing can be made but the same layers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tli_cli.architecture import TensorSpec
from tli_cli.describe.quantised import quantised_layers

KINDS: tuple[tuple[str, str], ...] = (
    (r"\.(qweight|qzeros|g_idx)$", "GPTQ or AWQ"),
    (r"\.(absmax|quant_map|quant_state\.\w+)$", "bitsandbytes, 4 bits"),
    (r"\.SCB$", "bitsandbytes, 8 bits"),
    (r"\.weight_(packed|shape|zero_point)$", "compressed-tensors"),
    (r"\.(weight_scale(_inv)?|scale_weight)$", "8-bit floats with scales"),
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
