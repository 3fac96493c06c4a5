"""What to expect of a source with a score, in a word."""

from __future__ import annotations

HELPS = 0.5
"""From here on every source that was looked at gave its target a good part of what it could gain."""

MAY_HURT = 0.1
"""Under this a source is worth what a fit makes of it, and may leave its target worse than a plain start."""


def outlook(score: float) -> str:
    """Return what to expect of a source with this score: `helps`, `may help` or `may hurt`.

    >>> outlook(0.93), outlook(0.3), outlook(0.04)
    ('helps', 'may help', 'may hurt')
    """
    return "helps" if score >= HELPS else "may help" if score >= MAY_HURT else "may hurt"
