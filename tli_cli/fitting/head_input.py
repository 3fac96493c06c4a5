"""Bring what a target feeds its fresh head to the size that heads are started for, or the head to what it reads.

Networks without norms grow large values in training. Their own head has grown with them; in a fresh one the same values
make a loss that a plain start does not have, and steps that are too long. A layer that was fitted is made smaller; one
that was copied stays as it is, and the head is drawn smaller.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from tli_cli.fitting.observe import frozen, hooks
from tli_cli.plan import Plan

SIZE = 0.5
"""The root of the mean square of what feeds a fresh head."""
LARGE = 2.0
"""The size of what a head reads from which on it is drawn smaller."""


def size_for_head(model: nn.Module, plan: Plan, arguments: Sequence[torch.Tensor]) -> None:
    """Scale the last fitted layer of `model`, in place, so that what a fresh head reads has `SIZE` on `arguments`.

    Nothing is changed where the head is fed from a source, or reads more than what that layer gives, up to a factor.
    """
    point = plan.fits[-1].target
    layer = model.get_submodule(point.norm or point.layer)
    before = _fed(model, plan, arguments)
    parameters = [parameter for parameter in layer.parameters(recurse=False)]
    if before is None or not parameters or point.block or point.scale:
        return
    held = [parameter.detach().clone() for parameter in parameters]
    factor = SIZE / float(before.pow(2).mean().sqrt().clamp_min(1e-6))
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(factor)
        after = _fed(model, plan, arguments)
        if after is None or not torch.allclose(after, factor * before, rtol=1e-3, atol=1e-4 * SIZE):
            for parameter, value in zip(parameters, held, strict=True):
                parameter.copy_(value)


def head_factor(model: nn.Module, weight: str, arguments: Sequence[torch.Tensor]) -> float:
    """Return by what the head of `weight` is multiplied, so that on `arguments` it gives `model` what it would give if
    it read values of `SIZE`; 1 where these are not `LARGE`, or cannot be seen."""
    seen: list[torch.Tensor] = []
    with hooks() as handles:
        head = dict(frozen(model).named_modules()).get(weight.rpartition(".")[0])
        if head is None:
            return 1.0
        handles.append(head.register_forward_pre_hook(lambda _module, given: seen.extend(given[:1])))
        with torch.no_grad():
            model(*arguments)
    size = float(seen[-1].float().pow(2).mean().sqrt()) if seen else 0.0
    return SIZE / size if LARGE < size < float("inf") else 1.0


def draw_smaller(model: nn.Module, weight: str | None, arguments: Sequence[torch.Tensor]) -> None:
    """Multiply the head of `weight`, if there is one, in place, by `head_factor`."""
    if weight is not None:
        factor = head_factor(model, weight, arguments)
        model.get_parameter(weight).detach().mul_(factor)


def _fed(model: nn.Module, plan: Plan, arguments: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return what the last linear layer of `model` reads on `arguments`, if nothing feeds that layer; else None."""
    last: list[tuple[str, torch.Tensor]] = []
    with hooks() as handles:
        for path, module in frozen(model).named_modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                handles.append(module.register_forward_pre_hook(lambda _m, given, p=path: last.append((p, given[0]))))
        with torch.no_grad():
            model(*arguments)
    step = plan.by_target.get(f"{last[-1][0]}.weight") if last else None
    return last[-1][1] if step is not None and step.action == "keep" else None
