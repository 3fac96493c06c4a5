"""Tables that a source has beside others, and that feed nothing: what is looked up in them is added, perhaps."""

from __future__ import annotations

from tli_cli.matching.similarity import LOOKED_UP
from tli_cli.matching.units import Unit
from tli_cli.matching.values import Matching


def beside_lost_tables(matching: Matching) -> dict[int, str]:
    """Return the target's tables, by place, whose partners stand in one module with such a table of their width."""
    used = {pair.source.key for pair in matching.pairs}
    lost = {_where(unit): unit.path for unit in matching.sources if unit.kind in LOOKED_UP and unit.key not in used}
    fed = [pair for pair in matching.pairs if pair.source.kind in LOOKED_UP and _where(pair.source) in lost]
    return {p.target.place: f"the source has {lost[_where(p.source)]} beside it, which may be added" for p in fed}


def _where(unit: Unit) -> tuple[str, tuple[int, ...]]:
    return unit.path.rpartition(".")[0], unit.shape[-1:]
