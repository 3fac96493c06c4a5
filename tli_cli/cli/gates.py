"""Gates for pipelines: what was asked for and what was found."""

from __future__ import annotations

from tli_cli.cli.text import score_text, share_text
from tli_cli.errors import GateError
from tli_cli.plan import Plan


def check_gates(plan: Plan, *, strict: bool, min_score: float | None, min_coverage: float | None) -> None:
    """Raise `GateError` with every gate that `plan` does not meet."""
    missed = []
    if min_score is not None and plan.score < min_score:
        missed.append(f"--min-score asks for {score_text(min_score)}, found {score_text(plan.score)}")
    if min_coverage is not None and plan.coverage < min_coverage:
        missed.append(f"--min-coverage asks for {share_text(min_coverage)}, found {share_text(plan.coverage)}")
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
        raise GateError(f"--min asks for a score of {score_text(minimum)}, found {score_text(score)}")
