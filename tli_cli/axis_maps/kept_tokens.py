"""The tokens that keep their rows by a plan: what both models can be given."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tli_cli.axis_maps.listing import parsed
from tli_cli.plan import Plan

_RULE = "tokens"
"""The rule of maps that take rows by token."""


@dataclass(frozen=True)
class KeptTokens:
    """The tokens that two models have in common: their rows `mine` in the target's table of `rows` rows, and `theirs`
    in the source's of `columns`."""

    mine: torch.Tensor
    theirs: torch.Tensor
    rows: int
    columns: int


def kept_tokens(plan: Plan) -> KeptTokens | None:
    """Return the tokens that keep their rows by `plan`, None where all rows are taken by index."""
    axis_map = next((m for m in plan.maps if m.rule == _RULE), None)
    if axis_map is None:
        return None
    index = torch.from_numpy(parsed(axis_map.listing, axis_map.rows, axis_map.columns)[0])
    mine = (index >= 0).nonzero()[:, 0]
    return KeptTokens(mine, index[mine], axis_map.rows, axis_map.columns)
