"""How names are spelled: their natural order, what those of one kind share, and what stands before all of one
network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from tli_cli.describe.vocabulary import is_second
from tli_cli.grouping import gathered


def prefix_change(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, str]:
    """Return what to take from the start of the names and what to put there, so that most of them are `wanted`: rather
    what is not named as the second copy of a network, and rather little."""
    ends = gathered((name[at:], name[:at]) for name in wanted for at in _starts(name))
    known, votes = set(wanted), Counter[tuple[str, str]]()
    for name in names:
        votes.update(("", prefix) for prefix in ends.get(name, ()))
        votes.update((name[:at], "") for at in _starts(name) if at and name[at:] in known)

    def rank(change: tuple[str, str]) -> tuple[int, bool, int, tuple[str, str]]:
        return -votes[change], any(map(is_second, "".join(change).split("."))), len("".join(change)), change

    return min(votes, key=rank) if votes else ("", "")


def _starts(name: str) -> Iterator[int]:
    yield 0
    yield from (i + 1 for i, letter in enumerate(name) if letter == ".")


def changed(name: str, change: tuple[str, str]) -> str:
    """Return `name` with another start, as `prefix_change` gives it."""
    taken, put = change
    return put + name[len(taken) :] if name.startswith(taken) else name


@lru_cache(maxsize=1024)
def enclosing(path: str) -> tuple[str, ...]:
    """Return the modules on the way to `path`, the outermost first, and `path` itself.

    >>> enclosing("layers.0.fc1")
    ('layers', 'layers.0', 'layers.0.fc1')
    """
    parent = path.rpartition(".")[0]
    return (*enclosing(parent), path) if "." in path else (path,)


def apart(path: str, other: str) -> tuple[str, str]:
    """Return two paths without the names that both end in.

    >>> apart("encoder.layers.0", "teacher.layers.0"), apart("net.fc", "fc")
    (('encoder', 'teacher'), ('net', ''))
    """
    mine, theirs = path.split("."), other.split(".")
    while mine and theirs and mine[-1] == theirs[-1]:
        mine, theirs = mine[:-1], theirs[:-1]
    return ".".join(mine), ".".join(theirs)


def unnumbered(path: str) -> str:
    """Return what paths have in common that differ in numbers alone."""
    return re.sub(r"[0-9]+", "", path)


@lru_cache(maxsize=4096)
def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which block 2 comes before block 10."""
    return tuple(
        (0, int(piece), "") if piece.isdecimal() else (1, 0, piece)
        for piece in re.split(r"(\d+)", name.lower())
        if piece
    )


def stem_of(name: str) -> str:
    """Return what a name says beside that it is a convolution's or a norm's: `dw` of `conv_dw` and of `bn_dw`."""
    return re.sub(r"batch_?norm|norm|bn|conv(olution)?|_", "", name.lower())


def family(name: str) -> str:
    """Return the letters that a numbered name begins with, and the whole of any other."""
    match = re.match(r"[a-z]*", name.lower())
    return match[0] if match and re.search(r"\d", name) else name


def last_number(name: str) -> str:
    """Return the number at the end of a name that begins with a letter, "" if there is none."""
    match = re.fullmatch(r"[a-z].*?(\d+)", name.lower())
    return match[1] if match else ""
