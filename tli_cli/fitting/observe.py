"""Run the source once and keep what it computes at the points that are to be reproduced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from tli_cli.fitting.tape import Join, JoinTape, channel_dim, mark
from tli_cli.grouping import grouped
from tli_cli.plan import Point

SPECIAL: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"": nn.Identity(), "hardtanh": functional.relu6}


@dataclass(frozen=True)
class Observed:
    """The values at one point before its activation, the dimension of their channels, and the activation's name."""

    values: torch.Tensor
    dim: int
    activation: str

    def first(self, count: int) -> Observed:
        """Return what was observed on the first `count` samples."""
        return replace(self, values=self.values[:count])

    def activated(self) -> torch.Tensor:
        """Return the values behind the activation."""
        return activation(self.activation)(self.values)


def activation(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the activation that the execution graph calls `name`; the identity where there is none."""
    found: Callable[[torch.Tensor], torch.Tensor] = SPECIAL.get(name) or getattr(functional, name)
    return found


@contextmanager
def watched(
    model: nn.Module, counts: Callable[[str, nn.Module], bool], keep: Callable[[str, Any, Any], None]
) -> Iterator[None]:
    """Have `keep` told what each module that counts, by path and kind, is given and gives, with its path."""
    with ExitStack() as handles:
        for path, module in model.named_modules():
            if counts(path, module):
                hook = module.register_forward_hook(lambda _, given, made, p=path: keep(p, given, made))
                handles.enter_context(hook)
        yield


def frozen(model: nn.Module) -> nn.Module:
    """Return `model` in evaluation mode, with no parameter that requires a gradient."""
    return model.eval().requires_grad_(False)


def observe(model: nn.Module, arguments: Sequence[torch.Tensor], points: Sequence[Point]) -> dict[Point, Observed]:
    """Return what `model` computes at `points` on `arguments`; points that are not reached are absent."""
    found: dict[Point, Observed] = {}
    joined = [point for point in points if point.block]
    with ExitStack() as handles:
        for point in points:
            if not point.block:
                handles.enter_context(_watch_chain(model, point, found))
        with torch.no_grad():
            frozen(model)(*arguments)
    for layers in _rounds(joined):
        with ExitStack() as handles, torch.enable_grad():
            for hook in (hook for point in layers for hook in _watch_join(model, point, found)):
                handles.enter_context(hook)
            model(*arguments)
    return found


def observe_in_parts(
    model: nn.Module, arguments: Sequence[torch.Tensor], points: Sequence[Point], size: int
) -> dict[Point, Observed]:
    """Return what `observe` does, `size` samples at a time: what lies between the points takes memory too."""
    cuts = [torch.split(part, size) for part in arguments]
    parts = [observe(model, some, points) for some in zip(*cuts, strict=True)]
    return {
        point: replace(first, values=torch.cat([part[point].values for part in parts]))
        for point, first in parts[0].items()
    }


def _rounds(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points in groups of at most one for each block."""
    blocks = grouped(dict.fromkeys(points), lambda point: point.block)
    return [[point for point in found if point] for found in zip_longest(*blocks.values())]


def _watch_chain(model: nn.Module, point: Point, found: dict[Point, Observed]) -> Any:
    layer = model.get_submodule(point.layer)

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and point not in found:
            found[point] = Observed(output.detach().clone(), channel_dim(layer, output), point.activation)

    return model.get_submodule(point.norm or point.layer).register_forward_hook(keep)


def _watch_join(model: nn.Module, point: Point, found: dict[Point, Observed]) -> list[Any]:
    layer, block = model.get_submodule(point.layer), model.get_submodule(point.block)
    made: list[torch.Tensor] = []
    stack = ExitStack()

    def keep(join: Join) -> None:
        dim = join_dim(layer, made[0], join.branch, exact=not (point.norm or point.scale))
        if dim is not None:
            found[point] = Observed(join.total, dim, point.activation)

    def enter(module: nn.Module, inputs: Any) -> None:
        stack.enter_context(JoinTape(keep))

    def watch(module: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, torch.Tensor):
            return None
        made[:] = [output.detach().clone()]
        return mark(output)

    def leave(module: nn.Module, inputs: Any, output: Any) -> Any:
        stack.close()
        return output.detach() if isinstance(output, torch.Tensor) else None

    return [
        block.register_forward_pre_hook(enter),
        layer.register_forward_hook(watch),
        block.register_forward_hook(leave, always_call=True),
    ]


def join_dim(layer: nn.Module, made: torch.Tensor, branch: torch.Tensor, *, exact: bool) -> int | None:
    """Return the dimension of `branch`, a permutation of the layer's output `made`, on which trunk channels are.

    For a map over tokens that is the dimension which the map leaves alone.
    """
    order = permutation(made, branch, exact=exact)
    if order is None:
        return None
    if isinstance(layer, nn.Linear) and made.ndim == 3 and order == (0, 2, 1):
        return branch.ndim - 1
    return order.index(channel_dim(layer, made))


def permutation(made: torch.Tensor, branch: torch.Tensor, *, exact: bool) -> tuple[int, ...] | None:
    """Return the order of dimensions with which `made.permute(order)` is `branch`, up to a factor for each channel."""
    if made.ndim != branch.ndim:
        return None
    orders = [tuple(range(made.ndim))]
    if made.ndim >= 3:
        inner = list(range(1, made.ndim))
        orders += [(0, *inner[1:], inner[0]), (0, inner[-1], *inner[:-1])]
    for order in dict.fromkeys(orders):
        moved = made.permute(order)
        if moved.shape == branch.shape and (not exact or torch.allclose(moved, branch, rtol=1e-3, atol=1e-5)):
            return order
    return None
