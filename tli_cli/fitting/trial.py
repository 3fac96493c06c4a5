"""Try how fast a start learns: a made-up task, learned for some dozens of steps."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tli_cli.fitting.samples import drawn_classes, marked_classes, samples_for
from tli_cli.report import Progress
from tli_cli.seeding import generator_for

CLASSES, LEAST_CLASSES = 10, 5
"""The most classes that are learned, and the least that tell one start from another."""
IMAGES, TESTED = 1024, 512
"""How many inputs are learned, and how many others the accuracy is taken on."""
STEPS, BATCH, EVERY = 60, 64, 15
"""How long a start learns, on how many at once, and after how many steps the accuracy is taken."""
RATES = (3e-3, 1e-2)
"""The learning rates, of which the better one counts for each start."""
WARMUP = 10
FASTER = 0.08
"""By how much the accuracy of a plain start has to be higher, on average over its steps, to learn faster than a fit."""
WORK = 5e11
"""About how many multiplications two trials may take."""
PASSES = len(RATES) * (3 * STEPS * BATCH + STEPS // EVERY * TESTED)
"""How often the network is run on one input in a trial; a step is as much as three."""


@dataclass(frozen=True)
class Trial:
    """A task drawn from `seed`: of characters for networks that take images of `shape`, of marked inputs for others.

    `progress` is told of every step; `tokens` says that the inputs are no numbers.
    """

    shape: tuple[int, ...]
    seed: int
    progress: Progress | None = None
    tokens: bool = False

    @staticmethod
    def is_short(multiplications: int) -> bool:
        """Tell whether trying a network that takes `multiplications` for each sample takes a minute at most."""
        return 2 * PASSES * multiplications <= WORK

    @classmethod
    def for_inputs(
        cls, arguments: Sequence[torch.Tensor], multiplications: int, seed: int, progress: Progress | None = None
    ) -> Trial | None:
        """Return the task for a network that takes `arguments` and `multiplications` for each sample; None where it
        takes several inputs, or tokens in a table, or where trying takes long."""
        shape = tuple(arguments[0].shape[1:]) if len(arguments) == 1 else ()
        tokens = bool(shape) and not arguments[0].is_floating_point()
        known = len(shape) == 1 if tokens else len(shape) in (1, 2, 3)
        return cls(shape, seed, progress, tokens) if known and cls.is_short(multiplications) else None

    def learned(self, model: nn.Module) -> float | None:
        """Return the mean accuracy of a copy of `model` over the steps in which it learns; None where it cannot be
        trained, or gives too few classes to tell anything."""
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                given = model.eval()(self._made(model, 2, 0).to(device))
            if not isinstance(given, torch.Tensor) or given.ndim != 2 or given.shape[1] < LEAST_CLASSES:
                return None
            inputs, labels = (value.to(device) for value in self._task(model, min(given.shape[1], CLASSES)))
            return max(self._accuracy(deepcopy(model), inputs, labels, turn) for turn in range(len(RATES)))
        except Exception:  # a model's own code may raise anything
            return None

    def _task(self, model: nn.Module, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `model` learns and is tested on, and which of the `classes` each is of."""
        count, generator = IMAGES + TESTED, generator_for(self.seed, "drawn classes")
        if len(self.shape) == 3:
            return drawn_classes(count, self.shape, classes, generator)
        return marked_classes(self._made(model, classes, 1), self._made(model, count, 0), generator)

    def _made(self, model: nn.Module, count: int, turn: int) -> torch.Tensor:
        sample = torch.zeros(1, *self.shape, dtype=torch.long if self.tokens else torch.float32)
        return samples_for([sample], model, count, self.seed + turn)[0]

    def _accuracy(self, model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, turn: int) -> float:
        """Train `model` in place with one of `RATES` and return its mean accuracy on the last inputs."""
        rate = RATES[turn]
        parameters = [p.requires_grad_() for p in model.parameters() if p.is_floating_point()]
        optimizer = torch.optim.AdamW(parameters, rate, weight_decay=0.01)
        generator, found = generator_for(self.seed, "steps of a trial"), []
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(self.seed)  # for dropout
            for step in range(STEPS):
                for group in optimizer.param_groups:
                    group["lr"] = rate * min(1.0, (step + 1) / WARMUP)
                chosen = torch.randint(IMAGES, (BATCH,), generator=generator).to(inputs.device)
                optimizer.zero_grad()
                torch.autograd.backward(cross_entropy(model.train()(inputs[chosen])[:, :CLASSES], labels[chosen]))
                optimizer.step()
                if self.progress is not None:
                    self.progress(turn * STEPS + step + 1, len(RATES) * STEPS, "steps of a trial on made-up classes")
                if (step + 1) % EVERY == 0:
                    with torch.no_grad():
                        given = model.eval()(inputs[IMAGES:])[:, :CLASSES]
                    found.append(float((given.argmax(1) == labels[IMAGES:]).float().mean()))
        return sum(found) / len(found)
