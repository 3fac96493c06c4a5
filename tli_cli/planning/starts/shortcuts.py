"""Projections around a branch, in a target whose source has no shortcuts: they start at zero, so that only the branch
counts, as in the source."""

from __future__ import annotations

from tli_cli.architecture import Architecture
from tli_cli.matching.values import Matching
from tli_cli.planning.identity import silencers
from tli_cli.planning.starts.plain import gains_branches

NO_SHORTCUT = "the source has no shortcut"


def surplus_shortcuts(target: Architecture, source: Architecture, matching: Matching) -> set[int]:
    """Return the layers that must give zero so that no projection adds to a branch that the source feeds.

    Nothing without both execution graphs, where the source has shortcuts of its own, or where the branch is an addition
    that starts at zero itself.
    """
    if not gains_branches(target, source):
        return set()
    fed = {pair.target.place for pair in matching.pairs}
    own = fed - {pair.target.place for pair in matching.pairs if pair.repeat or pair.target.key in matching.reused}
    found: set[int] = set()
    for node in target.graph:
        if node.op == "add" and len(node.inputs) == 2:
            ends = [silencers(target, i) for i in node.inputs]
            for branch, shortcut in (ends, ends[::-1]):
                if branch and branch <= own and not shortcut & fed:
                    found |= shortcut
    return found
