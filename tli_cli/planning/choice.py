"""Which of several sources feeds each target block, and which are mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp, prod

from tli_cli.matching.units import Key
from tli_cli.matching.values import Matching, Pair
from tli_cli.scoring.score import score_matching

Choice = Mapping[Key, Mapping[int, float]]
"""Target unit -> source model -> weight; the weights of a unit sum to one."""

Akin = Callable[[int, int], bool]
"""Tell whether two sources, by their numbers, come from one ancestor."""

TEMPERATURE = 0.1
ABOUT_EQUAL = 0.95
MUCH_LIKER = 1.5
"""How many times as alike a block of another source must be before it takes the place of the main source's."""


def main_model(matchings: Sequence[Matching]) -> int:
    """Return the source of the highest score, which is measured to rank sources by what they gain; among equals the one
    that feeds most of the target, then the first."""
    if len(matchings) == 1:
        return 0
    worth = [(round(score_matching(matching), 6), _fed(matching)) for matching in matchings]
    return worth.index(max(worth))


def _fed(matching: Matching) -> float:
    return sum(prod(p.target.shape) * p.similarity * (0.5 if p.repeat else 1.0) for p in matching.pairs)


def choose_models(matchings: Sequence[Matching], top_k: int, akin: Akin) -> Choice:
    """Return for each target unit the models that feed it; all units of a block come from the same model.

    One model is the main source: the channels of two networks do not mean the same, so that a block of another one
    takes its place only where the main source has none or one that is far less alike.

    With `top_k` above one, up to that many models are mixed with softmax weights (the "multiple matches" of arXiv
    2101.02757), but only units that every one of them feeds from a layer of the same shape and in the same place, and
    only of models that are `akin`, such as fine-tuned ones: the mean of networks that were trained apart is worth
    less than either (arXiv 2203.05482).
    """
    pairs = [matching.by_target for matching in matchings]
    main, likeness = main_model(matchings), _block_likeness(matchings)
    choice: dict[Key, dict[int, float]] = {}
    for unit in matchings[0].targets:
        worth = list(likeness[unit.home])
        worth[main] *= MUCH_LIKER
        ranked = sorted(range(len(matchings)), key=lambda m: (-worth[m], m))
        best = pairs[ranked[0]].get(unit.key)
        if best is None:
            choice[unit.key] = {}
            continue
        others = [m for m in ranked[1:] if akin(ranked[0], m) and _mixable(pairs[m].get(unit.key), best)]
        mixed = [ranked[0], *others[: top_k - 1]]
        weights = [exp(pairs[m][unit.key].similarity / TEMPERATURE) for m in mixed]
        choice[unit.key] = {m: w / sum(weights) for m, w in zip(mixed, weights, strict=True)}
    return choice


def _block_likeness(matchings: Sequence[Matching]) -> dict[str, list[float]]:
    """Return for each target block the summed similarity of what each model has for it."""
    likeness: dict[str, list[float]] = {}
    for model, matching in enumerate(matchings):
        for unit in matching.targets:
            likeness.setdefault(unit.home, [0.0] * len(matchings))
        for pair in matching.pairs:
            likeness[pair.target.home][model] += pair.similarity
    return likeness


def _mixable(pair: Pair | None, best: Pair) -> bool:
    if pair is None:
        return False
    alike = pair.source.exact_label == best.source.exact_label and pair.source.place == best.source.place
    return alike and pair.similarity >= ABOUT_EQUAL * best.similarity and not pair.repeat and not best.repeat
