"""Steps from a source of which it is no longer known what it computes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tli_cli.plan import Plan, Step

UNPROVED = "its experts are read in another form than its class has them, so no graph shows that it computes the same"


def without_proof(plan: Plan, models: Collection[int]) -> Plan:
    """Return `plan` with no step called exact that takes something from one of the sources `models`."""
    return replace(plan, steps=tuple(_doubted(step, models) for step in plan.steps)) if models else plan


def _doubted(step: Step, models: Collection[int]) -> Step:
    if not step.exact or not any(piece.model in models for piece in step.pieces):
        return step
    return replace(step, exact=False, reason="; ".join(filter(None, (step.reason, UNPROVED))))
