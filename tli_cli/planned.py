"""Plans between references, as often as they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tli_cli.kinship.ancestry import Values, ancestry
from tli_cli.planning.injection import plan_injection
from tli_cli.references.shared_tokens import shared_tokens

if TYPE_CHECKING:
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

    `held` are the values of each source, and `keep_values` and `labels` are those of `plan_injection`.
    """
    architectures, akin = [source.architecture for source in sources], ancestry(held)
    tokens = shared_tokens(sources, target, options)
    unproved = {i for i, source in enumerate(sources) if source.unproved}

    def planned(given: Options) -> Plan:
        return plan_injection(target.architecture, architectures, given, keep_values, akin, tokens, labels, unproved)

    return planned
