"""Try how fast a start learns: a made-up task, learned for some dozens of steps."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tli_cli.fitting.samples import drawn_classes
from tli_cli.report import Progress
from tli_cli.seeding import generator_for

CLASSES = 10
IMAGES, TESTED = 1024, 512
"""How many images are learned, and how many others the accuracy is taken on."""
STEPS, BATCH, EVERY = 60, 64, 15
"""How long a start learns, on how many images at once, and after how many steps the accuracy is taken."""
RATES = (3e-3, 1e-2)
"""The learning rates, of which the better one counts for each start."""
WARMUP = 10
FASTER = 0.08
"""By how much the accuracy of a plain start has to be higher, on average over its steps, to learn faster than a fit."""
WORK = 5e11
"""About how many multiplications two trials may take."""
PASSES = len(RATES) * (3 * STEPS * BATCH + STEPS // EVERY * TESTED)
"""How often the network is run on one image in a trial; a step is as much as three."""


@dataclass(frozen=True)
class Trial:
    """A task of drawn characters for networks that take images of `shape`, drawn from `seed`.

    `progress` is told of every step.
    """

    shape: tuple[int, ...]
    seed: int
    progress: Progress | None = None

    @staticmethod
    def is_short(multiplications: int) -> bool:
        """Tell whether trying a network that takes `multiplications` for each sample takes a minute at most."""
        return 2 * PASSES * multiplications <= WORK

    @classmethod
    def for_inputs(
        cls, arguments: Sequence[torch.Tensor], multiplications: int, seed: int, progress: Progress | None = None
    ) -> Trial | None:
        """Return the task for a network that takes `arguments` and `multiplications` for each sample; None where it
        takes no image alone, or where trying takes long."""
        shape = tuple(arguments[0].shape[1:]) if arguments else ()
        known = len(arguments) == 1 and len(shape) == 3 and arguments[0].is_floating_point()
        return cls(shape, seed, progress) if known and cls.is_short(multiplications) else None

    def reached(self, model: nn.Module) -> float | None:
        """Return what `learned` does; None where the model cannot be trained."""
        try:
            return self.learned(model)
        except Exception:  # a model's own code may raise anything
            return None

    def learned(self, model: nn.Module) -> float:
        """Return the mean accuracy of a copy of `model` over the steps in which it learns; 0 if it gives no classes."""
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        images, labels = drawn_classes(IMAGES + TESTED, self.shape, CLASSES, generator_for(self.seed, "drawn classes"))
        images, labels = images.to(device), labels.to(device)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            given = model.eval()(images[:2])
        if not isinstance(given, torch.Tensor) or given.ndim != 2 or given.shape[1] < CLASSES:
            return 0.0
        return max(self._accuracy(deepcopy(model), images, labels, turn) for turn in range(len(RATES)))

    def _accuracy(self, model: nn.Module, images: torch.Tensor, labels: torch.Tensor, turn: int) -> float:
        """Train `model` in place with one of `RATES` and return its mean accuracy on the last images."""
        rate = RATES[turn]
        parameters = [p.requires_grad_() for p in model.parameters() if p.is_floating_point()]
        optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.01)
        generator, found = generator_for(self.seed, "steps of a trial"), []
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self.seed)  # for dropout
            for step in range(STEPS):
                for group in optimizer.param_groups:
                    group["lr"] = rate * min(1.0, (step + 1) / WARMUP)
                chosen = torch.randint(IMAGES, (BATCH,), generator=generator).to(images.device)
                optimizer.zero_grad()
                torch.autograd.backward(cross_entropy(model.train()(images[chosen])[:, :CLASSES], labels[chosen]))
                optimizer.step()
                if self.progress is not None:
                    self.progress(turn * STEPS + step + 1, len(RATES) * STEPS, "steps of a trial on made-up classes")
                if (step + 1) % EVERY == 0:
                    with torch.no_grad():
                        given = model.eval()(images[IMAGES:])[:, :CLASSES]
                    found.append(float((given.argmax(1) == labels[IMAGES:]).float().mean()))
        return sum(found) / len(found)
