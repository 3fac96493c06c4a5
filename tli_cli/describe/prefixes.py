"""What stands before all names of one network and not before those of another one of the same names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tli_cli.grouping import gathered


def prefix_change(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, str]:
    """Return what to take from the start of the names and what to put there, so that most of them are `wanted`."""
    ends = gathered((name[at:], name[:at]) for name in wanted for at in _starts(name))
    known, votes = set(wanted), Counter[tuple[str, str]]()
    for name in names:
        votes.update(("", prefix) for prefix in ends.get(name, ()))
        votes.update((name[:at], "") for at in _starts(name) if at and name[at:] in known)
    return min(votes, key=lambda change: (-votes[change], len("".join(change)), change)) if votes else ("", "")


def _starts(name: str) -> Iterator[int]:
    yield 0
    yield from (i + 1 for i, letter in enumerate(name) if letter == ".")


def changed(name: str, change: tuple[str, str]) -> str:
    """Return `name` with another start, as `prefix_change` gives it."""
    taken, put = change
    return put + name[len(taken) :] if name.startswith(taken) else name
