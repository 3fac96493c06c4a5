"""Short texts for people: shapes, sizes, shares, lists of names."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor


def shape_text(shape: Sequence[int]) -> str:
    """Return `64x3x7x7`, or `scalar`."""
    return "x".join(str(size) for size in shape) or "scalar"


def share_text(share: float) -> str:
    """Return a share in [0, 1] as a percentage, cut so that only all of it reads 100 %."""
    return f"{floor(share * 1000 + 1e-9) / 10:.1f} %"


def similarity_text(similarity: float) -> str:
    """Return a similarity or score with two digits, cut so that only 1 reads 1.00."""
    return f"{floor(similarity * 100 + 1e-9) / 100:.2f}"


def score_text(score: float) -> str:
    """Return a score with four digits, cut so that only 1 reads 1.0000."""
    return f"{floor(score * 10_000 + 1e-9) / 10_000:.4f}"


def count_text(count: int, one: str) -> str:
    """Return `1 tensor` or `1,234 tensors`."""
    return f"{count:,} {one if count == 1 else one + 's'}"


def size_text(size: int) -> str:
    """Return a number of bytes as `97.8 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def join_names(names: Sequence[str]) -> str:
    """Return the names with what they share said once: `attn.{q,k,v}.weight` for three that differ there."""
    parts = [name.split(".") for name in dict.fromkeys(names)]
    if len(parts) < 2:
        return ".".join(*parts) if parts else ""
    shortest = min(map(len, parts))
    head = shared_items(parts, shortest - 1)
    tail = shared_items([part[::-1] for part in parts], shortest - 1 - head)
    inner = ",".join(".".join(part[head : len(part) - tail]) for part in parts)
    return ".".join([*parts[0][:head], f"{{{inner}}}", *parts[0][len(parts[0]) - tail :]])


def shared_items(parts: Sequence[Sequence[str]], most: int) -> int:
    """Return how many leading items all of `parts` share, at most `most`."""
    return next((i for i in range(most) if len({part[i] for part in parts}) > 1), max(most, 0))


def parent(name: str) -> str:
    """Return the dotted path that `name` stands in, empty at the top."""
    return name.rpartition(".")[0]
