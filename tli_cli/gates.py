"""Gates for pipelines: what was asked for and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from tli_cli.errors import GateError
from tli_cli.options import Options
from tli_cli.plan import SKIPPED, Plan

FEWEST, MOST = 4, 400
"""Digits behind the point: those that are shown if they suffice, and more than any two different numbers need."""
SHOWN = 3
"""How many left-overs are named."""


def check_gates(plan: Plan, options: Options) -> None:
    """Raise `GateError` with every gate of `options` that `plan` does not meet."""
    missed = []
    min_score, min_coverage = options.min_score, options.min_coverage
    if min_score is not None and plan.score < min_score:
        asked, found = apart(min_score, plan.score)
        missed.append(f"--min-score asks for {asked}, found {found}")
    if min_coverage is not None and plan.coverage < min_coverage:
        asked, found = apart(min_coverage, plan.coverage)
        missed.append(f"--min-coverage asks for {asked}, found {found}")
    if options.strict:
        kept = [step.target for step in plan.steps if step.action != "transfer" and step.reason != SKIPPED]
        if kept or plan.unused:
            here, there = _named(kept), _named(plan.unused)
            missed.append(f"--strict allows no left-overs, found {here} in the target, {there} in the source")
    if missed:
        raise GateError("; ".join(missed))


def _named(names: Sequence[str]) -> str:
    """Return how many there are, and the first few."""
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} ({shown})" if names else "none"


def check_minimum(score: float, minimum: float | None) -> None:
    """Raise `GateError` if `score` is under `minimum`."""
    if minimum is not None and score < minimum:
        asked, found = apart(minimum, score)
        raise GateError(f"--min asks for a score of {asked}, found {found}")


def apart(asked: float, found: float) -> tuple[str, str]:
    """Return both numbers with as many digits as it takes to tell them apart; `found`, the lesser, is cut.

    >>> apart(0.9, 0.69734)
    ('0.9000', '0.6973')
    >>> apart(0.69996, 0.699955)
    ('0.7000', '0.6999')
    """
    texts = ("", "")
    for digits in range(FEWEST, MOST):
        texts = (_text(asked, digits, ROUND_HALF_EVEN), _text(found, digits, ROUND_FLOOR))
        if texts[0] != texts[1]:
            break
    return texts


def _text(value: float, digits: int, rounding: str) -> str:
    return f"{Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), rounding):f}"
