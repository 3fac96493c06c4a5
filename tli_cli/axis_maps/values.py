"""The values of a plan's axis maps: by an explicit index, or by the map's rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tli_cli.axis_maps.checks import index_problems
from tli_cli.axis_maps.rules import RULES
from tli_cli.axis_maps.take import MapValues, Read, Take
from tli_cli.errors import PlanError
from tli_cli.pieces import AxisMap
from tli_cli.plan import Plan
from tli_cli.seeding import Draws, draws_for

LEAVE_SOME = ("rows", "tokens", "none")
"""Rules that leave target indices to what the target starts from."""


class PlanMaps(Sequence[MapValues]):
    """The values of a plan's maps; each is computed when it is first asked for, and kept."""

    def __init__(self, plan: Plan, read: Read) -> None:
        self._plan, self._read = plan, read
        self._known: dict[int, MapValues] = {}

    def __getitem__(self, index: int) -> MapValues:  # type: ignore[override]
        if index not in self._known:
            draws = draws_for(self._plan.seed, f"map {index}")
            self._known[index] = map_values(self._plan.maps[index], self._read, draws)
        return self._known[index]

    def __len__(self) -> int:
        return len(self._plan.maps)


def map_values(axis_map: AxisMap, read: Read, draws: Draws) -> MapValues:
    """Return the values of `axis_map`: by its explicit index if it has one, else by its rule."""
    if axis_map.index is not None:
        return _explicit(axis_map)
    return RULES.get(axis_map.rule.partition(" ")[0])(axis_map, read, draws)


def _explicit(axis_map: AxisMap) -> MapValues:
    if problems := list(index_problems(axis_map)):
        raise PlanError(f"axis map: {problems[0]}")
    index = np.array(axis_map.index, dtype=np.int64)
    copies = np.bincount(index.clip(0), minlength=axis_map.columns).clip(1)
    return MapValues(Take(index), Take(index, 1.0 / copies[index.clip(0)]))
