"""Which channels of queries and keys a rotary embedding turns together (RoFormer, arXiv 2104.09864): neighbours, or
those of two halves. No shape tells, and no name but those of projects that are known for one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.matching.units import Unit, main_tensor
from tli_cli.matching.values import Pair

IN_PAIRS = re.compile(r"(^|\.)(wq|wk|wqkv|attn_(q|k|qkv))(\.|$)")
"""Queries and keys in files of LLaMA's and Mistral's authors (meta-llama/llama, `llama/model.py`), of gpt-fast and of
llama.cpp, whose neighbours turn together; flash-attention's `Wqkv` is turned in halves."""
REASON = "its channels may turn in pairs in one of the files and in halves in the other"


def turned_otherwise(pair: Pair, target: Architecture, source: Architecture, units: Sequence[Unit]) -> str:
    """Return why queries or keys may be turned otherwise than their partners, where one side is a file that is named
    as those of which neighbours turn, and the other is not or has code that turns halves; empty if nothing says so.

    `units` are the target's: a table of positions among them says that nothing is turned.
    """
    named = [bool(IN_PAIRS.search(unit.path)) for unit in (pair.target, pair.source)]
    if named[0] == named[1] or any(unit.role == "position" for unit in units):
        return ""
    other, unit = (target, pair.target) if named[1] else (source, pair.source)
    return REASON if not other.graph or _turns_halves(other, unit) else ""


def _turns_halves(architecture: Architecture, unit: Unit) -> bool:
    name = main_tensor(architecture.layers[unit.place])
    return any(_holds_halves(axis.tree) for axis in architecture.axes.get(name or "", ()) if not axis.contracted)


def _holds_halves(tree: AxisTree) -> bool:
    if not isinstance(tree, tuple):
        return False
    first, *others = tree[1:]
    return (tree[0] == "+" and first in others) or any(_holds_halves(child) for child in tree[1:])
