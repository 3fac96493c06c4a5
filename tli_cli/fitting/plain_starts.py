"""Which start without a source a network learns a made-up task fastest from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import nn

from tli_cli.architecture import LINEAR, Architecture
from tli_cli.fitting.trial import Trial
from tli_cli.initial import DRAWN
from tli_cli.plan import Plan, Step

OWN = "constructor"
"""The start that the network's own constructor gives."""
BETTER = 0.03
"""By how much the accuracy of another start has to be higher, on average over its steps, to take its place: three
trials of one network told two starts apart by 0.041, 0.058 and 0.066."""

RULES = (OWN, *DRAWN)
"""How a network may start that no file gives values."""

Starts = tuple[Callable[[str], nn.Module], Sequence[str]]
"""What gives a network, started without a source by a rule, and the rules."""


@dataclass
class PlainStarts:
    """The starts of a network without a source that `made` gives by each of `rules`, of which the first is its own.

    Each start, of these and others, is tried once, when it is first held against another one.
    """

    trial: Trial
    made: Callable[[str], nn.Module]
    rules: Sequence[str]
    _tried: dict[nn.Module, float | None] = field(default_factory=dict, init=False)

    def learn_faster(self, start: nn.Module, by: float) -> bool:
        """Tell whether one of them learns faster than `start`, by more than `by` of the accuracy, or, where that is
        negative, slower by less; not so where one cannot be trained."""
        return self._beats(self._best[1], start, by)

    def outdoes(self, other: nn.Module, start: nn.Module, by: float) -> bool:
        """Tell the same of `other` in place of them."""
        return self._beats(self._reached(other), start, by)

    def _beats(self, best: float | None, start: nn.Module, by: float) -> bool:
        reached = self._reached(start) if best is not None else None
        return best is not None and reached is not None and best > reached + by

    def _reached(self, start: nn.Module) -> float | None:
        if start not in self._tried:
            self._tried[start] = self.trial.learned(start)
        return self._tried[start]

    @property
    def rule(self) -> str:
        """What the fastest one is drawn by: the constructor's own way, unless another one is faster by far."""
        return self._best[0]

    @cached_property
    def _best(self) -> tuple[str, float | None]:
        first, *others = self.rules
        model = self.made(first)
        own = self.trial.learned(model)
        if own is None or not others or self.trial.may_measure(model):  # others start far from measures
            return first, own
        reached = {rule: self.trial.learned(self.made(rule)) or 0.0 for rule in others}
        rule = max(reached, key=lambda name: reached[name], default=first)
        return (rule, reached[rule]) if reached.get(rule, 0.0) > own + BETTER else (first, own)


def started(plan: Plan, architecture: Architecture, rule: str) -> Plan:
    """Return `plan`, which moves nothing, with the weights of linear maps drawn by `rule` and their biases at zero."""
    if rule == OWN:
        return plan
    tied = {name for spec in architecture.tensors if spec.tied_to for name in (spec.name, spec.tied_to)}
    linear = {name for layer in architecture.layers if layer.kind in LINEAR for _, name in layer.tensors} - tied
    return replace(plan, steps=tuple(_drawn(step, rule) if step.target in linear else step for step in plan.steps))


def _drawn(step: Step, rule: str) -> Step:
    if step.initial != OWN or 0 in step.shape or step.role not in ("weight", "bias"):
        return step
    return replace(step, initial=rule if len(step.shape) > 1 else "zeros")
