"""In a few words, how the target differs from the source."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.matching.residuals import is_residual
from tli_cli.matching.segments import WEIGHTED
from tli_cli.matching.units import Unit, main_tensor
from tli_cli.matching.values import Matching, Pair
from tli_cli.plan import Plan, Step
from tli_cli.planning.starts.filled_branches import gains_branches
from tli_cli.planning.starts.foreign import holds

FAMILY = 0.8
OTHER = "other"
"""The relation of two models of different families."""
UNLIKE = "unlike"
"""The relation of two models of which `auto` moves nothing."""
SHORTENED = "shortened"
"""The relation of a plain chain to one of more layers, in which what is kept reads what other layers made."""

FAMILIAR = 0.7
"""The score under which a target that has more than its source in one respect and less in another is of another family:
of 57 pairs, the 29 of one family score 0.84 or more, the others 0.62 or less."""

BEGUN = 0.5
"""The share of a target's values from which on it counts as of its source's family, if all that they are made
of computes what it did: an encoder, with something else behind."""

NOT_WIDTH = ("classes", "grid")
"""Kinds of spaces whose size says nothing of a network's width."""


def of_another_family(plan: Plan) -> bool:
    """Tell whether the target of `plan` is of another family than its source, whatever the relation is called."""
    words = plan.relation.split(" and ")
    less = "shallower" in words or SHORTENED in words
    return plan.relation in (OTHER, UNLIKE) or (
        less and len(words) > 1 and plan.score < FAMILIAR and not _begins_alike(plan.steps)
    )


def _begins_alike(steps: Sequence[Step]) -> bool:
    """Tell whether a target begins as its source does, and takes nothing else of it."""
    moved = [step for step in steps if step.action == "transfer"]
    fed, whole = (sum(prod(step.shape) for step in some) for some in (moved, steps))
    return all(step.exact for step in moved) and fed >= BEGUN * whole


def relation_of(steps: Sequence[Step], matching: Matching, target: Architecture, source: Architecture) -> str:
    """Return `same`, `adapted`, `other`, or which of `wider`, `narrower`, `deeper`, `shallower`, `shortened` hold."""
    weighted = [unit for unit in matching.targets if unit.kind in WEIGHTED]
    pairs = matching.by_target
    alike = [u for u in weighted if u.key in pairs and pairs[u.key].source.form_label == u.form_label]
    trunk = gains_branches(target, source) or gains_branches(source, target)
    few = len(alike) < FAMILY * len(weighted) and not holds(matching)
    if trunk or (few and not _begins_alike(steps)):
        return OTHER
    used = {pair.source.key for pair in matching.pairs} | {head.key for _, head in matching.heads}
    inner = [pairs[unit.key] for unit in weighted[:-1] if unit.key in pairs and not pairs[unit.key].repeat]
    inner = [p for p in inner if _makes_channels(target, p.target) and _makes_channels(source, p.source)]
    words = {
        "wider": any(pair.target.shape[0] > pair.source.shape[0] for pair in inner),
        "narrower": any(pair.target.shape[0] < pair.source.shape[0] for pair in inner),
        "deeper": bool(matching.added_blocks) or any(unit.key in matching.reused for unit in weighted),
    }
    left = [u.kind in WEIGHTED and u.key not in used for u in matching.sources]
    words[SHORTENED if _breaks(left, inner, matching, target) else "shallower"] = any(left)
    found = " and ".join(word for word, holds in words.items() if holds)
    same = all(step.resizer == "copy" for step in steps) and not matching.heads
    return found or ("same" if same else "adapted")


def _breaks(left: Sequence[bool], inner: Sequence[Pair], matching: Matching, target: Architecture) -> bool:
    """Tell whether a source unit that is `left` out stands before one of the `inner` pairs in a plain chain, where what
    comes later read what it made."""
    kept = {pair.source.key for pair in inner}
    last = max((i for i, unit in enumerate(matching.sources) if unit.key in kept), default=0)
    return any(left[:last]) and is_residual(target, range(len(target.layers))) is False


def _makes_channels(architecture: Architecture, unit: Unit) -> bool:
    """Tell whether what a unit makes are channels, not classes or places."""
    made = architecture.made(main_tensor(architecture.layers[unit.place]))
    return {architecture.spaces[leaf].kind for tree in made for leaf in leaves(tree)}.isdisjoint(NOT_WIDTH)
