"""Plans between references, as often as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tli_cli.branches.merging import merged
from tli_cli.branches.splitting import split, splittable
from tli_cli.kinship.ancestry import UNTRAINED, Values, ancestry, looks_untrained
from tli_cli.matching import MATCHERS
from tli_cli.planning.between import Told, plan_injection
from tli_cli.planning.doubted import doubted_layers
from tli_cli.references.shared_tokens import shared_tokens
from tli_cli.scoring.score import score_matching

if TYPE_CHECKING:
    from tli_cli.architecture import Architecture
    from tli_cli.options import Labels, Options
    from tli_cli.plan import Plan
    from tli_cli.references import Reference


def planner(
    sources: Sequence[Reference],
    target: Reference,
    options: Options,
    keep_values: str,
    held: Sequence[Values | None],
    labels: tuple[Labels, Labels],
) -> Callable[[Options], Plan]:
    """Return what plans from `sources` to `target` by given options, the same in all but its method as `options`.

    `held` are the values of each source; `keep_values` is that of `plan_injection`, and `labels` are those of `Told`.
    """
    architectures = [source.architecture for source in sources]
    named = options.skip or options.pair
    sums = splittable(architectures[0], target.architecture) if len(sources) == 1 and not named else []
    wanted = merged(target.architecture, sums)
    several = options.method == "auto" and len(sources) > 1
    unproved = {i for i, source in enumerate(sources) if source.unproved}
    idle = [i for i, v in enumerate(held) if v is not None and several and looks_untrained(architectures[i], v.read)]
    idle = idle if len(idle) < len(sources) else []
    told = Told(ancestry(held), shared_tokens(sources, target, options), labels, unproved, idle)
    said = tuple(f"{sources[i].text} {UNTRAINED}; it feeds nothing" for i in idle)
    branched = sources[0].branched or (architectures[0] if sums else None)
    score = _score(branched, target.architecture, options) if branched and len(sources) == 1 else None

    def planned(given: Options) -> Plan:
        plan = plan_injection(wanted, architectures, given, keep_values, told)
        plan = split(plan, target.architecture, sums, keep_values) if sums else plan
        return replace(plan, notes=(*plan.notes, *said), score=plan.score if score is None else score)

    return planned


def _score(source: Architecture, target: Architecture, options: Options) -> float:
    """Return the score of two networks as they are, whatever sums of branches in them are taken for."""
    matching = MATCHERS.get(options.matcher)(source, target)
    return score_matching(matching, doubted_layers(source, target, matching))
