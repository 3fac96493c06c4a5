"""Try how fast a start learns: a made-up task, learned for some dozens of steps."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from tli_cli.fitting.made_up_tasks import Classes, MadeUpTask, Restoring, first_of
from tli_cli.fitting.samples import drawn_classes, marked_classes, samples_for
from tli_cli.report import Progress
from tli_cli.seeding import generator_for

CLASSES, FEW = 10, 5
"""The most classes that are learned, and the number of them under which each holds several kinds of inputs, as many as
make `CLASSES`."""
KINDS = 4
"""How many kinds of vectors make a class: of one alone, any start learns it at once."""
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

    `progress` is told of every step; `tokens` says that the inputs are no numbers, `restoring` that
    noise is to be taken off them in place of classes to be told.
    """

    shape: tuple[int, ...]
    seed: int
    progress: Progress | None = None
    tokens: bool = False
    restoring: bool = False

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
        """Return the mean accuracy of a copy of `model` while it learns; None where it cannot be trained."""
        try:
            given = self._given(model)
            task = self._noisy(model) if self.restoring else self._classes(model, self._told(given).shape[1])
            return max(self._accuracy(deepcopy(model), task.moved(given.device), turn) for turn in range(len(RATES)))
        except Exception:  # a model's own code may raise anything
            return None

    def may_mislead(self, model: nn.Module) -> bool:
        """Tell whether fits within a family are in doubt, as measured: `model` takes a line, or gives something of each
        place, for which its last layers would follow what the source's own classes ask for."""
        return not self.tokens and (len(self.shape) == 2 or self._given(model).ndim > 2)

    def may_measure(self, model: nn.Module) -> bool:
        """Tell whether what `model` gives may be measures, no classes: something of each place, or few numbers."""
        given = self._given(model)
        return given.ndim > 2 or given[0].numel() < FEW

    def restores(self, model: nn.Module) -> bool:
        """Tell whether `model` gives an image, or a signal, like the one that it takes; not so if it cannot be run."""
        try:
            return not self.tokens and len(self.shape) > 1 and self._given(model).shape[1:] == self.shape
        except Exception:  # a model's own code may raise anything
            return False

    def _given(self, model: nn.Module) -> torch.Tensor:
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return first_of(model.eval()(self._made(model, 2, 0).to(device)))

    def _told(self, whole: object) -> torch.Tensor:
        """Return what a network gives as `(samples, classes)`: of several values the first, averaged over its places;
        one number is held against zero.

        Raises:
            ValueError: it tells something of every token. Its head may stay that of its source then, and of that a
                made-up language says nothing.
        """
        given = first_of(whole)
        if given.ndim > 2 and self.tokens:
            raise ValueError("a value for every token")
        if given.ndim == 3 and not (len(self.shape) == 2 and given.shape[2] == self.shape[1]):  # no line, but tokens
            given = given.movedim(2, 1)
        told = given.reshape(len(given), *(given.shape[1:2] or (1,)), -1).mean(-1)[:, :CLASSES]
        return told if told.shape[1] > 1 else torch.cat([torch.zeros_like(told), told], 1)

    def _noisy(self, model: nn.Module) -> MadeUpTask:
        clean = self._made(model, IMAGES + TESTED, 0)
        return Restoring.drawn(clean, generator_for(self.seed, "noise of a trial"))

    def _classes(self, model: nn.Module, classes: int) -> MadeUpTask:
        """Return a task of which of the `classes` each input is of, of `CLASSES` at most."""
        count, generator = IMAGES + TESTED, generator_for(self.seed, "drawn classes")
        together = -(-CLASSES // classes) if classes < FEW else 1
        kinds = classes * (KINDS if len(self.shape) == 1 and not self.tokens else together)
        if len(self.shape) == 3:
            inputs, labels = drawn_classes(count, self.shape, kinds, generator)
        else:
            inputs, labels = marked_classes(self._made(model, kinds, 1), self._made(model, count, 0), generator)
        return Classes(inputs, labels % classes, self._told, CLASSES)

    def _made(self, model: nn.Module, count: int, turn: int) -> torch.Tensor:
        sample = torch.zeros(1, *self.shape, dtype=torch.long if self.tokens else torch.float32)
        return samples_for([sample], model, count, self.seed + turn)[0]

    def _accuracy(self, model: nn.Module, task: MadeUpTask, turn: int) -> float:
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
                chosen = torch.randint(IMAGES, (BATCH,), generator=generator).to(task.inputs.device)
                optimizer.zero_grad()
                torch.autograd.backward(task.loss(model.train(), chosen))
                optimizer.step()
                if self.progress is not None:
                    self.progress(turn * STEPS + step + 1, len(RATES) * STEPS, "steps of a trial on made-up inputs")
                if (step + 1) % EVERY == 0:
                    with torch.no_grad():
                        found.append(task.reached(model.eval(), slice(IMAGES, None)))
        return sum(found) / len(found)
