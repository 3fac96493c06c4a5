"""The entry that comes nearest to a checkpoint that is none, and the difference in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.catalogue.decode import decode
from tli_cli.catalogue.features import Features, elements, features
from tli_cli.catalogue.naming import Entry, entries_of
from tli_cli.catalogue.signature import stored_signatures
from tli_cli.catalogue.store import read_numbers, read_row


@dataclass(frozen=True)
class Near:
    """The nearest entry.

    Attributes:
        overlap: how much of their names and shapes the two share, in [0, 1].
        differences: what the checkpoint has otherwise, in words.
    """

    entry: Entry
    overlap: float
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return f"nearest to {self.entry}: {'; '.join(self.differences) or 'the same names and shapes'}"


@lru_cache(maxsize=1)
def _stored() -> Features:
    return Features(read_numbers("features"))


def nearest(tensors: Sequence[TensorSpec]) -> Near | None:
    """Return the entry most like `tensors` in names and shapes, and in size where several are; None if none is."""
    scores = _stored().overlaps(features(tensors))
    best = float(scores.max(initial=0.0))
    if best <= 0.05:
        return None
    size = max(elements(tensors), 1)
    further = {int(n): abs(log(_stored().elements[n] / size)) for n in (scores == best).nonzero()[0]}
    entry = min(entries_of(further), key=lambda entry: further[entry.structure])
    return Near(entry, best, _differences(tensors, decode(read_row(entry.structure), "", {})))


def _differences(tensors: Sequence[TensorSpec], architecture: Architecture) -> tuple[str, ...]:
    masks = stored_signatures()[0]
    mine = {t.name: t.shape for t in tensors if masks.counts(t.name)}
    other = {t.name: t.shape for t in architecture.tensors if masks.counts(t.name)}
    counts, counted = _numbered(mine), _numbered(other)
    said, explained = [], set()
    for parent in sorted(counts.keys() & counted.keys()):
        if counts[parent] != counted[parent]:
            explained.add(parent)
            said.append(_depth(parent, counts[parent], counted[parent]))
    said.extend(_unshared(mine, other, explained))
    said.extend(_widths(mine, other, masks.grids))
    return tuple(said)


def _depth(parent: str, count: int, expected: int) -> str:
    more = abs(count - expected)
    word = "more" if count > expected else "fewer"
    return f"{more} {word} in {parent or 'the model'} ({count} instead of {expected})"


def _numbered(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return how many numbered children each module has that hold a matrix."""
    children: dict[str, set[str]] = {}
    for name, shape in shapes.items():
        if len(shape) < 2:
            continue
        parts = name.split(".")
        for i, part in enumerate(parts[:-1]):
            if re.fullmatch(r"\d+|[a-z_]+\d+", part) and i:
                children.setdefault(".".join(parts[:i]), set()).add(part)
    return {parent: len(found) for parent, found in children.items()}


def _unshared(
    mine: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]], explained: set[str]
) -> list[str]:
    said = []
    for names, word in ((mine.keys() - other.keys(), "only here"), (other.keys() - mine.keys(), "only there")):
        left = sorted(name for name in names if not any(name.startswith(f"{parent}.") for parent in explained))
        if left:
            what = "1 tensor" if len(left) == 1 else f"{len(left)} tensors"
            said.append(f"{what} {word}, such as {left[0]}")
    return said


def _widths(
    mine: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]], grids: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """Say by which sizes shared tensors differ, the commonest first."""
    changes: Counter[tuple[int, int]] = Counter()
    example: dict[tuple[int, int], str] = {}
    for name in mine.keys() & other.keys():
        if len(mine[name]) != len(other[name]):
            changes[len(mine[name]), -1] += 0
            continue
        for d, (here, there) in enumerate(zip(mine[name], other[name], strict=True)):
            if here != there and d not in grids.get(name, ()):
                changes[here, there] += 1
                example[here, there] = min(name, example.get((here, there), name))
    common = [change for change, count in sorted(changes.items(), key=lambda item: (-item[1], item[0])) if count]
    if not common:
        return []
    listed = ", ".join(f"{here} instead of {there} ({example[here, there]})" for here, there in common[:3])
    return [f"other widths: {listed}" + (f" and {len(common) - 3} more" if len(common) > 3 else "")]
