"""The values of tensors that a constructor computes, built on the CPU without filling in what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tli_cli.architecture import InitialValue
from tli_cli.catalogue.record import Recorder
from tli_cli.describe.tracing.constants import unsaved
from tli_cli.initial import stored

_DRAWS = {"normal_", "uniform_", "bernoulli_", "exponential_"}
LARGE = 1 << 20
"""The number of elements above which a tensor is not filled in."""


class Sparing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Leave out every in-place operation on large tensors, so that their memory is never touched, and draws if told."""

    def __init__(self, *, draws: bool = False, large: int = LARGE) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left_out = frozenset() if draws else _DRAWS
        self._large = large

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if (
            func._schema.is_mutable
            and isinstance(args[0], torch.Tensor)
            and (name in self._left_out or args[0].numel() > self._large)
        ):
            return args[0]
        return func(*args, **(kwargs or {}))


def computed_values(
    create: Callable[[], nn.Module], names: Collection[str], drawn: Collection[str], large: int = LARGE
) -> dict[str, InitialValue]:
    """Return the values of the tensors `names` of the model that `create` makes.

    Tensors in `drawn` may hold drawn numbers: they are made twice with everything of up to `large` elements filled in,
    and where the two differ they are given by mean and standard deviation.
    """
    values: dict[str, InitialValue] = {}
    exact = [name for name in names if name not in drawn]
    if exact:
        with Sparing(), Recorder():
            state = create().state_dict()
        values.update((name, exactly(state[name])) for name in exact)
    if drawn:
        values.update(_drawn_values(create, drawn, large))
    return values


def computed_constants(create: Callable[[], nn.Module], model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the values of the buffers that `model`, which `create` makes, does not save, but those that are drawn."""
    names = unsaved(model)
    if not names:
        return {}
    try:
        with torch.random.fork_rng(devices=[]), Sparing(), Recorder() as recorder:
            made = unsaved(create())
    except Exception:  # a constructor may need what was left out
        return {}
    programs = {name: recorder.program(tensor) for name, tensor in made.items()}
    return {
        name: tensor
        for name, tensor in made.items()
        if not tensor.is_meta and (program := programs[name]) is not None and not program.random
    }


def exactly(tensor: torch.Tensor) -> InitialValue:
    """Return the operation that gives the values of `tensor`: one number where they are all the same."""
    flat = tensor.detach().reshape(-1)
    if flat.numel() and tensor.dtype != torch.bool and bool((flat == flat[0]).all()):
        value = flat[0].item()
        return (("zero_",),) if value == 0 else (("fill_", value),)
    if tensor.ndim == 2 and tensor.is_floating_point() and bool((tensor == torch.eye(*tensor.shape)).all()):
        return (("eye_",),)
    return stored(tensor)


def _drawn_values(create: Callable[[], nn.Module], names: Collection[str], large: int) -> dict[str, InitialValue]:
    states = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]), Sparing(draws=True, large=large):
            torch.manual_seed(seed)
            state = create().state_dict()
            states.append({name: state[name].clone() for name in names})
    values: dict[str, InitialValue] = {}
    for name in names:
        first, second = states[0][name], states[1][name]
        if torch.equal(first, second):
            values[name] = exactly(first)
        else:
            values[name] = (("normal_", float(first.mean()), float(first.std(unbiased=False))),)
    return values
