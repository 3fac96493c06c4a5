"""Bring what a target feeds its fresh head to the size that heads are started for, or the head to what it reads.

Networks without norms grow large values in training. Their own head has grown with them; in a fresh one the same values
make a loss that a plain start does not have, and steps that are too long. A layer that was fitted is made smaller; one
that was copied stays as it is, and the head is drawn smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from tli_cli.architecture import LINEAR, Architecture
from tli_cli.describe.last_layers import BOUNDED
from tli_cli.describe.walks import walked
from tli_cli.fitting.observe import frozen, watched
from tli_cli.plan import EDITED, Plan

SIZE = 0.5
"""The root of the mean square of what feeds a fresh head."""
LARGE, HUGE = 2.0, 1e3
"""The sizes of what a head reads between which it is drawn smaller: from the latter on, made-up inputs are not such as
the network takes, like numbers in place of what joins the nodes of a graph."""


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
    it read values of `SIZE`; 1 where these are not `LARGE`, are `HUGE` or cannot be seen."""
    seen = _read(model, arguments, lambda path, _: path == weight.rpartition(".")[0])
    size = float(seen[-1][1].float().pow(2).mean().sqrt()) if seen else 0.0
    return SIZE / size if LARGE < size < HUGE else 1.0


def draw_smaller(model: nn.Module, weight: str | None, arguments: Sequence[torch.Tensor]) -> None:
    """Multiply the head of `weight`, if there is one, in place, by `head_factor`."""
    if weight is not None:
        factor = head_factor(model, weight, arguments)
        model.get_parameter(weight).detach().mul_(factor)


def _fed(model: nn.Module, plan: Plan, arguments: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return what the last linear layer of `model` reads on `arguments`, if nothing feeds that layer; else None."""
    seen = _read(model, arguments, lambda _, module: isinstance(module, (nn.Linear, nn.Conv2d)))
    step = plan.by_target.get(f"{seen[-1][0]}.weight") if seen else None
    return seen[-1][1] if step is not None and step.action == "keep" else None


def _read(
    model: nn.Module, arguments: Sequence[torch.Tensor], counts: Callable[[str, nn.Module], bool]
) -> list[tuple[str, torch.Tensor]]:
    """Return what the modules that count, by path and kind, read while `model` runs on `arguments`, each with its
    path, in order."""
    seen: list[tuple[str, torch.Tensor]] = []
    with watched(frozen(model), counts, lambda p, given, _: seen.extend((p, g) for g in given[:1])), torch.no_grad():
        model(*arguments)
    return seen


METHODS = ("auto", "fit")
"""The methods that say how large a fresh head starts; all others leave it to its constructor."""


def bare_head(plan: Plan, target: Architecture) -> str | None:
    """Return the weight of the only head of `target`, where it starts as its constructor starts it and reads, past no
    norm, a linear map that is fed from a source; None where there is none such."""
    if plan.method not in METHODS or EDITED in plan.notes:
        return None
    linear = [i for i in range(len(target.graph)) if _weight(target, i)]
    heads = [
        i for i in linear if all(target.graph[j].layer < 0 or j == i for j in walked([i], target.readers.__getitem__))
    ]
    if len(heads) != 1:
        return None
    head = _weight(target, heads[0])
    steps = plan.by_target
    fresh = head in steps and steps[head].action == "keep" and steps[head].initial == "constructor"
    read = [_weight(target, i) for i in walked(target.graph[heads[0]].inputs, lambda i: _before(target, i))]
    return head if fresh and any(name and steps[name].action == "transfer" for name in read) else None


def _weight(target: Architecture, index: int) -> str:
    """Return the weight of the linear map at a node of the graph; empty where it is none."""
    if target.kinds[index] not in LINEAR:
        return ""
    return target.layers[target.graph[index].layer].tensor("weight") or ""


def _before(target: Architecture, index: int) -> tuple[int, ...]:
    """Return what a node reads; nothing of linear maps, and of what gives values of one size."""
    node = target.graph[index]
    return () if target.kinds[index] in (*LINEAR, "norm") or node.op in BOUNDED else node.inputs
