"""What a start is to learn in a trial: which class an input is of, or what it is without its noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

NOISE = 0.5
"""How strong the noise is that is to be taken off, over the deviation of what it lies on."""

Rows = torch.Tensor | slice
"""Which of the inputs are looked at."""


class MadeUpTask(Protocol):
    """Inputs, and what is to be told of them."""

    @property
    def inputs(self) -> torch.Tensor:
        """What a network is given."""

    def moved(self, device: torch.device) -> MadeUpTask:
        """Return the task on `device`."""

    def loss(self, model: nn.Module, rows: Rows) -> torch.Tensor:
        """Return how wrong `model` is."""

    def reached(self, model: nn.Module, rows: Rows) -> float:
        """Return which share of what is to be told `model` tells."""


@dataclass(frozen=True)
class Classes:
    """Which class each input is of; `told` turns what a network gives into `(samples, classes)`.

    The accuracy is as much above chance as it would be `among` so many classes.
    """

    inputs: torch.Tensor
    labels: torch.Tensor
    told: Callable[[object], torch.Tensor]
    among: int

    def moved(self, device: torch.device) -> Classes:
        """Return the task on `device`."""
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))

    def loss(self, model: nn.Module, rows: Rows) -> torch.Tensor:
        """Return the cross entropy."""
        return cross_entropy(self.told(model(self.inputs[rows])), self.labels[rows])

    def reached(self, model: nn.Module, rows: Rows) -> float:
        """Return the accuracy."""
        given = self.told(model(self.inputs[rows]))
        wrong = 1 - float((given.argmax(1) == self.labels[rows]).float().mean())
        return 1 - wrong * (1 - 1 / self.among) / (1 - 1 / given.shape[1])


@dataclass(frozen=True)
class Restoring:
    """What each input is without the noise that lies on it, `clean` `(samples, channels, *places)`."""

    inputs: torch.Tensor
    clean: torch.Tensor

    @classmethod
    def drawn(cls, clean: torch.Tensor, generator: torch.Generator) -> Restoring:
        """Return the task of taking off noise that is laid on `clean`."""
        return cls(clean + NOISE * clean.std() * torch.randn(clean.shape, generator=generator), clean)

    def moved(self, device: torch.device) -> Restoring:
        """Return the task on `device`."""
        return replace(self, inputs=self.inputs.to(device), clean=self.clean.to(device))

    def loss(self, model: nn.Module, rows: Rows) -> torch.Tensor:
        """Return the mean square of what is left of the noise."""
        return mse_loss(first_of(model(self.inputs[rows])), self.clean[rows])

    def reached(self, model: nn.Module, rows: Rows) -> float:
        """Return the share of the variance that is explained."""
        clean = self.clean[rows]
        left = mse_loss(first_of(model(self.inputs[rows])), clean) / mse_loss(clean.mean(0).expand_as(clean), clean)
        return max(0.0, 1 - float(left))


def first_of(given: object) -> torch.Tensor:
    """Return the first tensor of what a network gives."""
    while not isinstance(given, torch.Tensor):
        given = next(iter(given.values() if isinstance(given, Mapping) else given))  # type: ignore[call-overload]
    return given
