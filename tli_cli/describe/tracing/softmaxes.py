"""Softmaxes: what they weigh, and what is scaled before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.describe.tracing.elementwise import note_bent, shape_preserving
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.values import Value


def softmax(rec: Recording, args: Sequence[Any], out: torch.Tensor) -> None:
    """Weigh the indices of one dimension against each other: channels among them are choices, which do not repeat."""
    if (value := rec.get(args[0])) is not None:
        rec.table.mark_choices(value.dims[args[1]])
        rec.coded.append(value.dims[args[1]])
        if value.node >= 0:
            _note_scaled_sum(rec, value)
            rec.weighed.append((len(rec.nodes), value.dims, args[1]))
            value = replace(
                value, node=rec.node("softmax", (value.node,), index=0 if value.masked else -1), masked=False
            )
        elif value.names:
            note_bent(rec, "softmax")
        shape_preserving(rec, value, out)


def _note_scaled_sum(rec: Recording, value: Value) -> None:
    """Note of layers that are added to something that the sum is scaled before a softmax."""
    node = rec.nodes[value.node]
    added = [rec.nodes[i].layer for i in node.inputs] if node.op == "add" else [node.layer]
    for layer in added if value.gain != 1.0 else ():
        if layer >= 0 and (node.op == "add" or rec.layers[layer].kind in ("bias", "position")):
            rec.layers[layer].attributes["scaled_in_sum"] = True
