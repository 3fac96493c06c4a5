"""The one family of errors that users see."""

from __future__ import annotations

from collections.abc import Iterable


class TliError(Exception):
    """A problem with the input: one message that says what, where, and what to do (exit code 1)."""


class UnknownReferenceError(TliError):
    """A reference that names no checkpoint, architecture or factory."""


class CheckpointError(TliError):
    """A file that cannot be read as a checkpoint, or must not be."""


class PlanError(TliError):
    """A plan that does not fit its source, its target or this version."""


class TraceError(TliError):
    """A model that could not be built or traced."""


class GateError(TliError):
    """A gate (`--min`, `--min-score`, `--min-coverage`, `--strict`) that was not met (exit code 3)."""


SHOWN = 8
"""How many problems a message spells out."""

MAX_SAID = 300
"""The most characters that are repeated of what foreign code says when it fails."""


def first_line(error: BaseException) -> str:
    """Return the first line of what foreign code said when it failed, or the kind of `error` where it said nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:MAX_SAID]


def join_problems(summary: str, problems: Iterable[str]) -> str:
    """Return `summary` followed by the problems, one a line, the first of them spelled out."""
    lines = list(problems)
    shown = [f"  - {line}" for line in lines[:SHOWN]]
    if len(lines) > SHOWN:
        shown.append(f"  - and {len(lines) - SHOWN} more")
    return "\n".join([summary, *shown])
