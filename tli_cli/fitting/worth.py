"""What a fit is worth, told on made-up inputs that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tli_cli.fitting.layouts import as_image
from tli_cli.fitting.observe import Observed, observe_in_parts
from tli_cli.fitting.ridge import solve
from tli_cli.fitting.work import Work
from tli_cli.plan import Fit

NOTHING = 0.95
"""The difference over the variance, on inputs not seen before, from which on a fit has learned nothing that helps."""
RIDGE = 0.01


@dataclass(frozen=True)
class Worth:
    """How far the last fitted point is from its source's values, over their variance, and which share of these a linear
    map reads there: of the fitted target, and at most before."""

    apart: float
    read: float
    read_before: float

    @property
    def is_nothing(self) -> bool:
        """Whether the target was as well off before."""
        return self.apart >= NOTHING or self.read <= self.read_before


class Reader:
    """Tells how much of what the source computes at the last point of `fits` can be read from a target there.

    Being near to a source is not enough: where the target's channels are to follow a few of the source's alone, it can
    be near to these and tell inputs apart less than random weights do.
    """

    def __init__(
        self, fits: Sequence[Fit], arguments: Sequence[torch.Tensor], observed: dict[Fit, Observed], work: Work
    ) -> None:
        self._fit = next((fit for fit in reversed(fits) if fit in observed), None)
        self._work = work
        self._inputs = tuple(value[-3 * work.unseen :] for value in arguments)
        self._wanted = self._means(observed[self._fit]) if self._fit and work.unseen else None

    def read(self, model: nn.Module) -> float:
        """Return the share of the variance that is read from `model`, on unseen samples; 0 where the point is not
        reached."""
        if self._fit is None or self._wanted is None:
            return 0.0
        point = self._fit.target
        reached = observe_in_parts(model, self._inputs, [point], self._work.solved)
        given = self._means(reached[point]) if point in reached else None
        return readable(given, self._wanted, self._work.unseen) if given is not None else 0.0

    def _means(self, observed: Observed) -> torch.Tensor | None:
        """Return what was observed on the last samples, averaged over all places, `(samples, channels)`."""
        image = as_image(observed.activated()[-3 * self._work.unseen :], observed.dim)
        return None if image is None else image.mean((2, 3)).double()


def readable(given: torch.Tensor, wanted: torch.Tensor, unseen: int) -> float:
    """Return which share of the variance of `wanted` `(samples, channels)` a linear map of `given` explains on the last
    `unseen` samples, having been found by ridge regression on those before."""
    seen = given[:-unseen]
    inputs = (given - seen.mean(0)) / (seen.std(0) + 1e-6)
    weight, bias = solve(inputs[None, :-unseen], wanted[None, :-unseen], ridge=RIDGE, centred=True)
    rest = wanted[-unseen:] - inputs[-unseen:] @ weight[0].T - bias[0]
    spread = wanted[-unseen:] - wanted[-unseen:].mean(0)
    return 1.0 - float(rest.pow(2).sum() / spread.pow(2).sum().clamp_min(1e-12))
