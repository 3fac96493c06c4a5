"""Go through a target once and solve its layers on the way, so that it computes what its source computes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tli_cli.fitting.layouts import as_image, like_value, resized
from tli_cli.fitting.observe import Observed, frozen, join_dim, permutation
from tli_cli.fitting.solving import (
    NORMS,
    SOLVABLE,
    choose_rows,
    fit_layer,
    fit_norm,
    input_rows,
    output_rows,
    set_statistics,
)
from tli_cli.fitting.tape import Join, JoinTape, channel_dim, mark
from tli_cli.grouping import grouped
from tli_cli.plan import Fit

Channels = Callable[[Fit, torch.Tensor], torch.Tensor]
"""Take values `(samples, source channels, ...)` to `(samples, target channels, ...)`."""

RIDGE, NEAR = 0.01, 1.0
"""How strongly a solution is drawn to zero, and to what a source feeds a layer with."""


class _Reached(Exception):
    """The sum was found: the rest of the block need not run."""


@dataclass
class Fitter:
    """One pass over the target `model`; only state-dict entries in `free` are written to, those in `fed` come from the
    source and are kept near."""

    model: nn.Module
    fits: Sequence[Fit]
    observed: Mapping[Fit, Observed]
    channels: Channels
    free: Collection[str]
    fed: Collection[str]
    generator: torch.Generator
    done: set[Fit] = field(default_factory=set)
    _calibrated: set[str] = field(default_factory=set)

    def run(self, arguments: Sequence[torch.Tensor]) -> None:
        """Solve every fit in the order in which the model comes to it."""
        frozen(self.model)
        blocks = grouped((fit for fit in self.fits if fit.target.block), lambda fit: fit.target.block)
        with ExitStack() as handles:
            for path, module in self.model.named_modules():
                if isinstance(module, NORMS) and f"{path}.running_mean" in self.free:
                    handles.enter_context(module.register_forward_pre_hook(self._calibrate(path)))
            chained = (fit for fit in self.fits if not fit.target.block)
            for hook in (hook for fit in chained for hook in self._watch_chain(fit)):
                handles.enter_context(hook)
            for block, fits in blocks.items():
                run = self._watch_block(fits)
                module = self.model.get_submodule(block)
                handles.enter_context(module.register_forward_pre_hook(run, with_kwargs=True))
            with torch.no_grad():
                self.model(*arguments)

    def _calibrate(self, path: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            if path not in self._calibrated:
                self._calibrated.add(path)
                places = [d for d in range(inputs[0].ndim) if d != 1]
                set_statistics(module, inputs[0].mean(places), inputs[0].var(places, unbiased=False))

        return hook

    def _watch_chain(self, fit: Fit) -> list[Any]:
        """Solve a layer on the trunk when its input arrives."""
        layer = self.model.get_submodule(fit.target.layer)
        given: list[torch.Tensor] = []

        def before(module: nn.Module, inputs: Any) -> None:
            given[:] = [inputs[0]]

        def after(module: nn.Module, inputs: Any, output: Any) -> Any:
            if fit in self.done or not isinstance(output, torch.Tensor):
                return None
            self.done.add(fit)
            wanted = self._wanted(fit, output, channel_dim(layer, output))
            norm = self.model.get_submodule(fit.target.norm) if fit.target.norm else nn.Identity()
            if wanted is None or not self._solve(fit, layer, given[0], output, norm.forward(output), wanted):
                return None
            return layer.forward(given[0])

        return [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]

    def _watch_block(self, fits: Sequence[Fit]) -> Callable[[nn.Module, Any, Any], None]:
        """Run a block as far as each of its sums before it runs as a whole."""

        def hook(block: nn.Module, args: Any, kwargs: Any) -> None:
            for fit in fits:
                if fit not in self.done:
                    self.done.add(fit)
                    self._fit_join(fit, block, args, kwargs)

        return hook

    def _fit_join(self, fit: Fit, block: nn.Module, args: Any, kwargs: Any) -> None:
        layer = self.model.get_submodule(fit.target.layer)
        given: list[torch.Tensor] = []
        made: list[torch.Tensor] = []
        joins: list[Join] = []

        def watch(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            given[:], made[:] = [inputs[0].detach().clone()], [output.detach().clone()]
            return mark(output)

        def found(join: Join) -> None:
            joins.append(join)
            raise _Reached

        copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
        with layer.register_forward_hook(watch), suppress(_Reached), torch.enable_grad(), JoinTape(found):
            block.forward(*copies, **kwargs)
        if joins:
            self._solve_join(fit, layer, given[0], made[0], joins[0])

    def _solve_join(self, fit: Fit, layer: nn.Module, given: torch.Tensor, made: torch.Tensor, join: Join) -> None:
        exact = not (fit.target.norm or fit.target.scale)
        order = permutation(made, join.branch, exact=exact)
        dim = join_dim(layer, made, join.branch, exact=exact)
        if order is None or dim is None:
            return
        wanted = self._wanted(fit, join.total, dim)
        if wanted is None:
            return
        inverse = [order.index(d) for d in range(len(order))]
        rest = (wanted - (join.total - join.branch)).permute(inverse)
        scale = fit.target.scale
        if self._solve(fit, layer, given, made, join.branch.permute(inverse), rest) and scale:
            for name, parameter in self.model.named_parameters():
                if name in self.free and (name == scale or name.startswith(f"{scale}.")):
                    parameter.fill_(1.0)

    def _wanted(self, fit: Fit, value: torch.Tensor, dim: int) -> torch.Tensor | None:
        """Return the source's values in the layout of the target's `value`."""
        seen = self.observed.get(fit)
        mine = as_image(value, dim)
        if seen is None or mine is None:
            return None
        theirs = as_image(seen.values if fit.target.activation else seen.activated(), seen.dim)
        if theirs is None or len(theirs) != len(mine):
            return None
        mapped = self.channels(fit, theirs)
        if mapped.shape[1] != mine.shape[1]:
            return None
        return like_value(resized(mapped, mine.shape[2:]), value.shape, dim)

    def _solve(
        self,
        fit: Fit,
        layer: nn.Module,
        given: torch.Tensor,
        made: torch.Tensor,
        current: torch.Tensor,
        wanted: torch.Tensor,
    ) -> bool:
        """Solve `layer`, which makes `made` of `given` and of which `current` is made in turn, for `wanted` instead."""
        weight: torch.Tensor = layer.weight  # type: ignore[assignment]
        target = output_rows(layer, wanted)
        rows = choose_rows(target, weight[0].numel(), self.generator)
        if not isinstance(layer, SOLVABLE) or not len(rows) or f"{fit.target.layer}.weight" not in self.free:
            return False
        inputs, plain = input_rows(layer, given, rows), output_rows(layer, made)[rows]
        if not _explains(layer, inputs, plain):
            return False
        fed = f"{fit.target.layer}.weight" in self.fed
        slope = _slope(plain.double(), output_rows(layer, current)[rows].double()) if fed else None
        norm = self.model.get_submodule(fit.target.norm) if fit.target.norm else None
        values = target[rows].double()
        ridge = RIDGE if slope is None else NEAR
        result = fit_layer(layer, inputs, values, ridge, centred=norm is not None, slope=slope)
        if norm is not None:
            fit_norm(norm, result, values)
            self._calibrated.add(fit.target.norm)
        return True


def _slope(made: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
    """Return by what each channel of `made` `(rows, out)` is multiplied to be `current`, `(out)`."""
    centred = made - made.mean(0)
    return (centred * (current - current.mean(0))).sum(0) / centred.pow(2).sum(0).clamp_min(1e-12)


def _explains(layer: nn.Module, inputs: torch.Tensor, made: torch.Tensor) -> bool:
    """Tell whether the layer's output is what its weight makes of `inputs`: not so where its forward does more."""
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    groups = inputs.shape[0]
    split = weight.detach().double().reshape(groups, weight.shape[0] // groups, -1)
    given = (inputs @ split.transpose(1, 2)).movedim(0, 1).flatten(1)
    bias: torch.Tensor | None = layer.bias  # type: ignore[assignment]
    given = given if bias is None else given + bias.detach().double()
    return given.shape == made.shape and torch.allclose(given, made.double(), rtol=1e-2, atol=1e-3)
