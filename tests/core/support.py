"""What the tests of the core share: descriptions of the small networks, plans between them, and byte comparison."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

from tests.models import NETS, example_for, randomised
from tli_cli import apply_tli
from tli_cli.architecture import Architecture
from tli_cli.initial import constant_start
from tli_cli.injection.injector import injector_for
from tli_cli.options import Options
from tli_cli.plan import Plan, Step
from tli_cli.planning.between import plan_injection
from tli_cli.providers.module import describe_live

State = Mapping[str, torch.Tensor]
SMALL = ("mobilenet", "vit", "decoder")
"""Networks of different structure, where a law over every method is to stay quick."""


def build(name: str, seed: int = 0, **sizes: int) -> nn.Module:
    """Return the network `name` with values from `seed`."""
    return randomised(NETS[name](**sizes), seed)


@cache
def _described(name: str, sizes: tuple[tuple[str, int], ...]) -> Architecture:
    return describe_live(build(name, **dict(sizes)), example_for(name))


def described(name: str, **sizes: int) -> Architecture:
    """Return the traced architecture of the network `name`."""
    return _described(name, tuple(sorted(sizes.items())))


@cache
def _planned(name: str, source: tuple[Any, ...], target: tuple[Any, ...], options: Options) -> Plan:
    return plan_injection(_described(name, target), [_described(name, source)], options, "target")


def plan_between(name: str, source: Mapping[str, int], target: Mapping[str, int], **options: Any) -> Plan:
    """Return the plan between two sizes of the network `name`."""
    return _planned(name, tuple(sorted(source.items())), tuple(sorted(target.items())), Options(**options))


def carried_out(plan: Plan, source: State, target: State) -> dict[str, torch.Tensor]:
    """Return what `plan` makes of the values of `source` and the initial values of `target`."""

    def initial(step: Step) -> torch.Tensor:
        value = target[step.target]
        constant = constant_start(step.initial, value.shape, value.dtype)
        return value if constant is None else constant

    injector = injector_for(plan, lambda model, tensor: source[tensor], initial)
    return {step.target: injector.make(step).to(target[step.target].dtype) for step in plan.steps}


def same_bytes(a: State, b: State) -> bool:
    """Tell whether two states have the same names and the same bytes."""
    return a.keys() == b.keys() and all(_bytes(a[name]) == _bytes(b[name]) for name in a)


def _bytes(tensor: torch.Tensor) -> tuple[torch.dtype, torch.Size, bytes]:
    return tensor.dtype, tensor.shape, tensor.cpu().numpy().tobytes()


def distance(source: nn.Module, target: nn.Module, example: tuple[torch.Tensor, ...]) -> float:
    """Return the largest difference of the outputs over the largest output."""
    with torch.no_grad():
        wanted, found = source(*example), target(*example)
    return float((wanted - found).abs().max() / wanted.abs().max())


def promises(plan: Plan) -> bool:
    """Tell whether the plan says that the function is kept: every step exact and nothing of the source left over."""
    return all(step.exact for step in plan.steps) and not plan.unused


def doubted(plan: Plan) -> dict[str, str]:
    """Return what is moved and not exact, with the reasons."""
    return {step.target: step.reason for step in plan.steps if step.action == "transfer" and not step.exact}


def ported(target: nn.Module, source: nn.Module, example: torch.Tensor) -> tuple[Plan, float]:
    """Return the plan from `source` to `target`, and how far their outputs are apart."""
    given, wanted = randomised(source, 1), randomised(target, 2)
    plan = apply_tli(wanted, given, example=example.float(), options=Options(method="maps"))
    return plan, distance(given, wanted, (example,))
