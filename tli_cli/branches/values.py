"""What a sum of linear branches, or a chain of linear layers, does, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tli_cli.architecture import Layer, TensorSpec

if TYPE_CHECKING:
    import torch

    Held = Mapping[str, torch.Tensor]
    Linear = tuple[torch.Tensor, torch.Tensor]
    """A weight, or what each channel is multiplied by, and a bias."""


@dataclass(frozen=True)
class Act:
    """One operation within a sum of branches: a layer's (`conv`, `norm`, `scale`), or `add`.

    `inputs` are the acts before it, -1 for what all branches take; `signs` are those of a sum's two sides; `taps` say
    where the elements of a kernel stand in the largest one, axis by axis.
    """

    op: str
    inputs: tuple[int, ...]
    layer: Layer | None = None
    signs: tuple[float, ...] = ()
    taps: tuple[slice, ...] = ()

    @property
    def tensors(self) -> tuple[tuple[str, str], ...]:
        """The layer's tensors by role."""
        return self.layer.tensors if self.layer else ()

    def tensor(self, role: str) -> str:
        """Return the name of the layer's tensor of `role`; empty if there is none."""
        return dict(self.tensors).get(role, "")


@dataclass(frozen=True)
class Branches:
    """A sum of linear branches: `acts`, which do what `nodes` of the graph say with what `root` gives.

    Together they are `layer`, with `weight` and perhaps `bias`, in the place of the one of the largest kernel, whose
    element `centre` looks where the output stands.
    """

    root: int
    nodes: tuple[int, ...]
    acts: tuple[Act, ...]
    layer: Layer
    weight: TensorSpec
    bias: TensorSpec | None
    centre: tuple[int, ...]

    @property
    def ops(self) -> list[str]:
        """What the acts do."""
        return [act.op for act in self.acts]

    @property
    def names(self) -> set[str]:
        """The names of all tensors within."""
        return {name for act in self.acts for _, name in act.tensors}

    def form(self) -> tuple[str, ...]:
        """Return what tells such sums apart, but order and widths."""
        ops = [*self.ops, ""]
        known = [(act, act.layer and (ops[act.inputs[0]], act.layer.attribute("kernel"))) for act in self.acts]
        return tuple(sorted(f"{act.op} {act.signs} {told}" for act, told in known))

    def worked_out(self, role: str, read: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """Return the `weight` `(out, in / groups, *kernel)` or `bias` `(out,)`, in float64, from what `read` gives."""
        import torch

        own, taken = read(self.weight.name), self.weight.shape[1] * self.layer.attribute("groups", 1)
        start = torch.ones(taken, dtype=torch.float64), torch.zeros(taken, dtype=torch.float64)
        made: list[Linear] = []
        for act in self.acts:
            given = [made[i] if i >= 0 else start for i in act.inputs]
            if act.op == "add":
                (weight, bias), (other, shift) = ((self._whole(slope), bias) for slope, bias in given)
                first, second = act.signs
                made.append((first * weight + second * other, first * bias + second * shift))
                continue
            held = {named: read(name).to("cpu", torch.float64) for named, name in act.tensors}
            made.append(self._convolved(act, held, *given[0]) if act.op == "conv" else _scaled(act, held, *given[0]))
        return made[-1][role == "bias"].to(own)

    def _convolved(
        self, act: Act, held: Mapping[str, torch.Tensor], slope: torch.Tensor, shift: torch.Tensor
    ) -> Linear:
        """Return what a convolution makes of channels that are multiplied by `slope` and shifted by `shift`."""
        (rows, columns, *kernel), groups = self.weight.shape, self.layer.attribute("groups", 1)
        weight, taps = held["weight"].new_zeros(self.weight.shape), (slice(None), slice(None), *act.taps)
        weight[taps] = held["weight"]
        along = (groups, 1, columns, *[1] * len(kernel))
        apart = weight.reshape(groups, rows // groups, columns, *kernel)
        bias = (apart * shift.reshape(along)).flatten(2).sum(2).flatten()
        return (apart * slope.reshape(along)).reshape(weight.shape), bias + held.get("bias", 0.0)

    def _whole(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight of the layer that multiplies each channel by its `weight`, where it is no layer's yet."""
        if weight.ndim > 1:
            return weight
        whole = weight.new_zeros(self.weight.shape)
        for i, factor in enumerate(weight):
            whole[(i, i % whole.shape[1], *self.centre)] = factor
        return whole


def _scaled(act: Act, held: Held, weight: torch.Tensor, bias: torch.Tensor) -> Linear:
    """Return `weight` and `bias` behind a batch norm in evaluation mode, or a scale, whose tensors are `held`."""
    slope = held["weight"].flatten() if "weight" in held else bias.new_ones(len(held["running_var"]))
    shift = held.get("bias", 0.0)
    if act.op == "norm" and act.layer:
        slope = slope * (held["running_var"] + (act.layer.epsilon or 0.0)).rsqrt()
        shift = shift - held["running_mean"] * slope
    return weight * slope.reshape(-1, *[1] * (weight.ndim - 1)), bias * slope + shift
