"""By which rule a space of a target is taken from one of a source, and whether that keeps the function."""

from __future__ import annotations

from collections.abc import Collection

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import leaves
from tli_cli.planning.spaces.tied_heads import undivided_spaces
from tli_cli.planning.spaces.traits import (
    CENTRED,
    ZERO,
    averaged_spaces,
    bent_spaces,
    lifted_spaces,
    normalised_spaces,
    repeats_of,
)

COLOURS = (1, 3)
"""How many channels of images are repeated for more; a latent's, or features in a row, mean each something else."""


class MapRules:
    """The rules for the spaces of one target; what is wider follows the rule `widen`, what is narrower `narrow`."""

    def __init__(self, target: Architecture, widen: str, narrow: str) -> None:
        self._target = target
        self._widen, self.narrow = widen, narrow
        self._normalised, self._lifted = normalised_spaces(target), lifted_spaces(target)
        self._bent, self._averaged = bent_spaces(target), averaged_spaces(target) | target.averaged
        self._repeats, self._undivided = repeats_of(target), undivided_spaces(target)
        self._their_repeats: dict[int, dict[AxisTree, AxisTree]] = {}
        summed = [(axis.tree, len(axes)) for axes in target.axes.values() for axis in axes if axis.contracted]
        self.summed = {leaf for tree, _ in summed for leaf in leaves(tree)}
        self._columns = {tree for tree, dims in summed if dims == 2}

    def rule(self, t: AxisTree, m: int, n: int, kind: str, use: str) -> str:
        """Return the rule by which `m` indices of `t` are taken from `n`."""
        if kind == "kernel":
            return f"kernel {use}".rstrip()
        if kind == "input":
            of_images = (m < n or n in COLOURS) and t not in self._columns
            return kind if of_images else "rows" if m < n else "input zero"
        if kind in ("summed", "patch", "grid", "offsets"):
            return kind
        if kind in ("classes", "vocabulary", "places"):
            return "rows"
        if not n:
            return "none"
        how = self._normalised.get(t) if m > n and m % n else None
        scale = f" {use}" if use and (how or "query" in use or "tied" in use) else ""
        if kind == "rotary":
            return f"rotary{scale}"
        if m < n:
            return self.narrow
        return f"{self._widen}{f' {how}' if how else ''}{scale}"

    def keeps(self, rule: str, t: AxisTree, m: int, n: int, made_up: Collection[int]) -> bool:
        """Tell whether a map by `rule` keeps the function; some layer makes up for copies over the spaces `made_up`."""
        word = rule.partition(" ")[0]
        if not n:
            return False
        if word == "spread" or (word == "rotary" and m % n == 0):
            return True
        if word == "input":
            made = (axis.tree for axes in self._target.axes.values() for axis in axes if not axis.contracted)
            apart = self._target.coded.union(*map(leaves, made)) if m < n else self._target.coded
            return apart.isdisjoint(leaves(t))
        if (self._target.coded | self._target.dotted.difference(made_up)).intersection(leaves(t)):
            return False
        if isinstance(t, tuple) and t[0] == "+" and len(set(t)) < len(t):
            return False  # the same channels side by side in several ways, such as a token and the mean of all
        if any(self._target.spaces[leaf].kind == "choices" for leaf in leaves(t)):  # a softmax weighs them
            return m > n and m % n == 0 and not self.summed.intersection(leaves(t))
        unlike = (CENTRED in rule and t in self._bent) or (ZERO in rule and t in self._lifted)
        unlike |= m % n > 0 and t in self._averaged
        at_zero = ZERO in rule or (CENTRED in rule and not self._undivided.get(t))
        undivided = t in self._undivided and not (at_zero and m < 2 * n)
        grown = word in ("widen", "net2net") and not unlike and not undivided
        return m > n and (grown or word == "kernel")

    def is_shared_less(self, t: AxisTree, source: Architecture, s: AxisTree, model: int) -> bool:
        """Tell whether `t` are keys of which there are more than of the source's `s`, for as many queries."""
        if model not in self._their_repeats:
            self._their_repeats[model] = repeats_of(source)
        mine, theirs = self._repeats.get(t), self._their_repeats[model].get(s)
        m, n = self._target.size_of(t), source.size_of(s)
        shared = 1 if mine is None else self._target.size_of(mine)
        return theirs is not None and m > n and m % n == 0 and m * shared == n * source.size_of(theirs)
