"""In one word, how the target differs from the source."""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.values import Matching
from tli_cli.plan import AxisMap, Step

RELATIONS = ("same", "adapted", "wider", "narrower", "deeper", "shallower", "resized", "other")


def relation_of(steps: Sequence[Step], maps: Sequence[AxisMap], matchings: Sequence[Matching]) -> str:
    """Return one of `RELATIONS`; the first source decides."""
    matching = matchings[0]
    weighted = [unit for unit in matching.targets if unit.kind in WEIGHTED]
    pairs = {pair.target.key: pair for pair in matching.pairs}
    alike = [
        unit
        for unit in weighted
        if unit.key in pairs and pairs[unit.key].source.form_label == unit.form_label and not pairs[unit.key].repeat
    ]
    added = [unit for unit in weighted if unit.key in pairs and pairs[unit.key].repeat]
    if len(alike) + len(added) < 0.8 * len(weighted):
        return "other"
    if all(step.resizer == "copy" or step.exact for step in steps if step.action == "transfer" or step.exact) and all(
        step.action == "transfer" for step in steps
    ):
        return "same"
    grown = any(m.rule.startswith("widen") for m in maps)
    shrunk = any(m.rule == "strongest" for m in maps)
    used = {pair.source.key for pair in matching.pairs}
    dropped = [unit for unit in matching.sources if unit.kind in WEIGHTED and unit.key not in used]
    words = [
        word
        for word, holds in (
            ("wider", grown),
            ("narrower", shrunk),
            ("deeper", bool(added)),
            ("shallower", len(dropped) > 0.05 * len(matching.sources)),
        )
        if holds
    ]
    return " and ".join(words) or "adapted"
