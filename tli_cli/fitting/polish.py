"""Bring a fitted target nearer to its source by gradient steps on made-up inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import torch
from torch import nn

from tli_cli.fitting.fit import Channels
from tli_cli.fitting.layouts import as_image, resized
from tli_cli.fitting.observe import Observed, activation, watched
from tli_cli.fitting.solving import NORMS
from tli_cli.fitting.work import Work
from tli_cli.plan import Fit
from tli_cli.report import Progress

RATE = 5e-3


@dataclass(frozen=True)
class Goal:
    """What a module of the target ought to give: images `(samples, channels, height, width)`, behind `activation`
    if named, and averaged where it gives more places than these."""

    module: str
    dim: int
    activation: str
    wanted: torch.Tensor

    def loss(self, output: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Return the mean squared difference over the variance of what is wanted."""
        image = as_image(activation(self.activation)(output), self.dim)
        assert image is not None
        wanted = self.wanted[chosen]
        image = resized(image, wanted.shape[2:])
        spread = (wanted - wanted.mean((0, 2, 3), keepdim=True)).pow(2).mean()
        return (image - wanted).pow(2).mean() / spread.clamp_min(1e-8)


def goals(
    model: nn.Module,
    arguments: Sequence[torch.Tensor],
    fits: Sequence[Fit],
    reached: Mapping[Fit, Observed],
    observed: Mapping[Fit, Observed],
    channels: Channels,
) -> list[Goal]:
    """Return what the modules of `model` ought to give; `reached` is what its own points give on `arguments`,
    `observed` what the source's give on these and on more."""
    paths = {f.target.block or f.target.norm or f.target.layer for f in fits}
    outputs: dict[str, torch.Tensor] = {}
    with _kept(model, paths, outputs), torch.no_grad():
        model.eval()(*arguments)
    found: dict[str, Goal] = {}
    for fit in fits:
        path = fit.target.block or fit.target.norm or fit.target.layer
        if fit not in reached or fit not in observed or path not in outputs:
            continue
        mine, theirs = reached[fit], observed[fit]
        behind = _behind(outputs[path], mine)
        image, source = as_image(mine.values, mine.dim), as_image(theirs.activated(), theirs.dim)
        if behind is None or image is None or source is None:
            continue
        coarser = torch.Size(min(sides) for sides in zip(image.shape[2:], source.shape[2:], strict=True))
        wanted = resized(channels(fit, source), coarser)
        if wanted.shape[1] == image.shape[1]:
            found[path] = Goal(path, mine.dim, "" if behind else mine.activation, wanted)
    return list(found.values())


def _behind(output: torch.Tensor, mine: Observed) -> bool | None:
    """Tell whether a module gives what lies behind the point's activation; None where that is no value of the point."""
    if output.shape != mine.values.shape:
        return None
    for value, behind in ((mine.activated(), True), (mine.values, False)):
        if torch.allclose(output, value, rtol=1e-3, atol=1e-4):
            return behind
    return None


def _kept(model: nn.Module, paths: Collection[str], outputs: dict[str, torch.Tensor]) -> AbstractContextManager[None]:
    """Keep in `outputs` the tensors that the modules at `paths` give."""

    def keep(path: str, _: Any, output: Any) -> None:
        outputs.update({path: output} if isinstance(output, torch.Tensor) else {})

    return watched(model, lambda path, _: path in paths, keep)


def difference(model: nn.Module, arguments: Sequence[torch.Tensor], goal: Goal, chosen: torch.Tensor) -> float:
    """Return how far `model` is from `goal` on the samples `chosen`: 1 where it does no better than a constant."""
    outputs: dict[str, torch.Tensor] = {}
    with _kept(model, {goal.module}, outputs), torch.no_grad():
        model.eval()(*(a[chosen] for a in arguments))
    return float(goal.loss(outputs[goal.module], chosen))


def polish(
    model: nn.Module,
    arguments: Sequence[torch.Tensor],
    wanted: Sequence[Goal],
    free: Collection[str],
    work: Work,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> None:
    """Take the gradient steps of `work` (Adam) on what is named in `free`, on all samples but the last ones, which stay
    unseen; the batch norms among it are in training mode, all else is not."""
    parameters = [p.requires_grad_(True) for name, p in model.named_parameters() if name in free]
    if not parameters or not wanted:
        return
    steps = work.steps
    optimizer = torch.optim.Adam(parameters, RATE)
    outputs: dict[str, torch.Tensor] = {}
    model.eval()
    for path, module in model.named_modules():
        if isinstance(module, NORMS) and f"{path}.running_mean" in free:
            module.train()
    with _kept(model, {goal.module for goal in wanted}, outputs), torch.enable_grad():
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = RATE * 0.5 * (1 + cos(pi * step / steps)) * min(1.0, (step + 1) / 5)
            chosen = torch.randint(work.samples - work.unseen, (work.batch,), generator=generator)
            optimizer.zero_grad()
            model(*(a[chosen] for a in arguments))
            losses = torch.stack([goal.loss(outputs[goal.module], chosen) for goal in wanted])
            torch.autograd.backward(losses.sum())
            optimizer.step()
            if progress is not None:
                progress(step + 1, steps, "fitting")
    model.eval().requires_grad_(False)
