"""What a fit is worth, told on made-up inputs that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tli_cli.fitting.layouts import as_image
from tli_cli.fitting.observe import Observed, observe_in_parts
from tli_cli.fitting.solving import solve
from tli_cli.fitting.work import Work
from tli_cli.plan import Fit

NOTHING = 0.95
"""The difference over the variance, on inputs not seen before, from which on a fit has learned nothing that helps."""
RIDGE = 0.01
FLAT = 0.05
"""The share of the mean spread of all channels under which a channel counts as flat: it is read as if it had this."""
INDEPENDENT = 1e-6
"""The share of the largest variance from which on a direction of the channels counts as one."""
LEAST = 64
"""The least unseen samples to read from: fewer tell nothing."""
COLLAPSED = 0.5
"""The share of the directions that both its source and its plain start have under which a target has too few."""


@dataclass(frozen=True)
class Features:
    """What a model gives at the last point: which share of the source's variance a linear map reads from it, and how
    many directions its channels have."""

    read: float
    directions: int


@dataclass(frozen=True)
class Worth:
    """How far the last fitted point is from its source's values, over their variance, and the features there: of the
    source, of the fitted target, and of what it was and could have been without the fit, none if samples are few."""

    apart: float
    source: Features
    fitted: Features
    before: Sequence[Features]

    @property
    def is_nothing(self) -> bool:
        """Whether the target was as well off before."""
        if self.apart >= NOTHING or not self.before:
            return self.apart >= NOTHING
        fewest = min(self.source.directions, self.before[-1].directions)
        read_before = max(features.read for features in self.before)
        return self.fitted.read <= read_before or self.fitted.directions < COLLAPSED * fewest


class Reader:
    """Tells what of the source's values at the last point of `fits` can be read from a target there.

    Being near to a source is not enough: where the target's channels are to follow a few of the source's alone, it can
    be near to these and tell inputs apart less than random weights do.
    """

    def __init__(
        self, fits: Sequence[Fit], arguments: Sequence[torch.Tensor], observed: Mapping[Fit, Observed], work: Work
    ) -> None:
        self._work, self._count = work, 3 * work.unseen
        self._inputs = tuple(value[-self._count :] for value in arguments)
        fit = next((fit for fit in reversed(fits) if fit in observed), None)
        self._point = fit.target if fit else None
        self._wanted = self._means(observed[fit]) if fit and work.unseen >= LEAST else None
        self.can_read = self._wanted is not None
        """Whether there are samples enough, and a point that the source reaches."""

    @property
    def source(self) -> Features:
        """What the source itself gives there."""
        return Features(1.0, _directions(self._wanted) if self._wanted is not None else 0)

    def features(self, model: nn.Module) -> Features:
        """Return what `model` gives there; nothing where the point is not reached."""
        if self._point is None or self._wanted is None:
            return Features(0.0, 0)
        reached = observe_in_parts(model, self._inputs, [self._point], self._work.solved)
        given = self._means(reached[self._point]) if self._point in reached else None
        if given is None:
            return Features(0.0, 0)
        return Features(readable(given, self._wanted, self._work.unseen), _directions(given))

    def _means(self, observed: Observed) -> torch.Tensor | None:
        """Return what was observed on the last samples, averaged over all places, `(samples, channels)`."""
        image = as_image(observed.activated()[-self._count :], observed.dim)
        return None if image is None else image.mean((2, 3)).double()


def _directions(values: torch.Tensor) -> int:
    """Return how many directions the channels of `values` `(samples, channels)` have: copies add none."""
    spread = torch.linalg.svdvals(values - values.mean(0)).pow(2)
    return int((spread > INDEPENDENT * spread.max()).sum())


def readable(given: torch.Tensor, wanted: torch.Tensor, unseen: int) -> float:
    """Return which share of the variance of `wanted` `(samples, channels)` a linear map of `given` explains on the last
    `unseen` samples, having been found by ridge regression on those before."""
    seen = given[:-unseen]
    spread = seen.std(0)
    inputs = (given - seen.mean(0)) / spread.clamp_min(FLAT * float(spread.mean()) + 1e-12)
    weight, bias = solve(inputs[None, :-unseen], wanted[None, :-unseen], ridge=RIDGE, centred=True)
    rest = wanted[-unseen:] - inputs[-unseen:] @ weight[0].T - bias[0]
    about = wanted[-unseen:] - wanted[-unseen:].mean(0)
    return 1.0 - float(rest.pow(2).sum() / about.pow(2).sum().clamp_min(1e-12))
