"""Gates for pipelines: what was asked for and what was found."""

from __future__ import annotations

from tli_cli.errors import GateError
from tli_cli.plan import Plan


def check_gates(plan: Plan, *, strict: bool, min_score: float | None, min_coverage: float | None) -> None:
    """Raise `GateError` with every gate that `plan` does not meet."""
    missed = []
    if min_score is not None and plan.score < min_score:
        missed.append(f"--min-score asks for {min_score:.4f}, found {plan.score:.4f}")
    if min_coverage is not None and plan.coverage < min_coverage:
        missed.append(f"--min-coverage asks for {min_coverage:.1%}, found {plan.coverage:.1%}")
    if strict:
        kept = sum(step.action != "transfer" for step in plan.steps)
        if kept or plan.unused:
            missed.append(
                f"--strict allows no left-overs, found {kept} in the target, {len(plan.unused)} in the source"
            )
    if missed:
        raise GateError("; ".join(missed))


def check_minimum(score: float, minimum: float | None) -> None:
    """Raise `GateError` if `score` is under `minimum`."""
    if minimum is not None and score < minimum:
        raise GateError(f"--min asks for a score of {minimum:.4f}, found {score:.4f}")
