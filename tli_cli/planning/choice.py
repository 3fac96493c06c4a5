"""Which of several sources feeds each target block, and which are mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp

from tli_cli.matching.values import Matching, Pair

Choice = Mapping[tuple[int, int], Mapping[int, float]]
"""Target unit -> source model -> weight; the weights of a unit sum to one."""

TEMPERATURE = 0.1
ABOUT_EQUAL = 0.95


def choose_models(matchings: Sequence[Matching], top_k: int = 1) -> Choice:
    """Return for each target unit the models that feed it: all units of a block come from the same best model.

    With `top_k` above one, up to that many models are mixed with softmax weights (the "multiple matches" of arXiv
    2101.02757), but only units that every one of them feeds from a layer of the same shape and in the same place:
    elsewhere the channels of two sources do not mean the same. Sources that share an ancestor, such as fine-tuned
    ones, gain by it.
    """
    pairs = [{pair.target.key: pair for pair in matching.pairs} for matching in matchings]
    worth = _block_worth(matchings)
    choice: dict[tuple[int, int], dict[int, float]] = {}
    for unit in matchings[0].targets:
        block = unit.block or unit.path
        ranked = sorted((m for m in range(len(matchings)) if unit.key in pairs[m]), key=lambda m: (-worth[block][m], m))
        if not ranked:
            choice[unit.key] = {}
            continue
        best = pairs[ranked[0]][unit.key]
        mixed = [m for m in ranked[:top_k] if _mixable(pairs[m][unit.key], best)]
        weights = [exp(pairs[m][unit.key].similarity / TEMPERATURE) for m in mixed]
        choice[unit.key] = {m: w / sum(weights) for m, w in zip(mixed, weights, strict=True)}
    return choice


def _block_worth(matchings: Sequence[Matching]) -> dict[str, list[float]]:
    worth: dict[str, list[float]] = {}
    for model, matching in enumerate(matchings):
        for unit in matching.targets:
            worth.setdefault(unit.block or unit.path, [0.0] * len(matchings))
        for pair in matching.pairs:
            value = pair.similarity * (0.5 if pair.repeat else 1.0)
            worth[pair.target.block or pair.target.path][model] += value
    return worth


def _mixable(pair: Pair, best: Pair) -> bool:
    if pair is best:
        return True
    alike = pair.source.exact_label == best.source.exact_label and pair.source.place == best.source.place
    return alike and pair.similarity >= ABOUT_EQUAL * best.similarity and not pair.repeat and not best.repeat
