"""What to run a user's own model on, where the user does not say."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import nn

from tli_cli.describe.failures import told
from tli_cli.describe.tracing.meta import without_values
from tli_cli.describe.tracing.reach import reach_of
from tli_cli.errors import TliError, TraceError, first_line
from tli_cli.options import InputShape

IMAGE_SIZES = (224, 32, 64, 28, 299, 256, 384, 128, 96, 48, 192, 160, 16, 8, 512)
LENGTHS = (16, 64, 128, 1024)


@dataclass(frozen=True)
class Inputs:
    """What a model is run on: tensors on the `meta` device, or lists and dictionaries of such, in order and by name."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What is given in order, if it is all tensors and nothing is given by name; else nothing."""
        plain = not self.kwargs and all(isinstance(value, torch.Tensor) for value in self.args)
        return self.args if plain else ()


def shapes_of(input_shape: InputShape) -> tuple[tuple[int, ...], ...]:
    """Return one shape for each input of a model: that of one, or those of several."""
    if isinstance(input_shape, Mapping):
        return tuple(input_shape.values())
    several = [shape for shape in input_shape if isinstance(shape, tuple)]
    return tuple(several) if several else (tuple(size for size in input_shape if isinstance(size, int)),)


def guess_input(create: Callable[..., nn.Module], input_shape: InputShape | None, reference: str) -> Inputs:
    """Return a batch of two samples on the `meta` device on which the model runs: of `input_shape` if given and the
    model takes that, for the other one of two models may take other channels or places.

    Raises:
        TliError: the model cannot be made.
        TraceError: no input is given and none of the usual ones fits.
    """
    model = _made(create, reference).eval()
    shapes = [(2, *shape) for shape in shapes_of(input_shape)] if input_shape is not None else []
    given = first_that_runs(model, shapes, names_of(input_shape)) if shapes else None
    if given is not None and (not given.tensors or len(shapes) > 1 or _runs(model, given)):
        return given
    sizes = shapes[0][2:] if shapes else ()
    for candidate in (*_of_other_channels(model, sizes), *_candidates(model)):
        if _runs(model, inputs := Inputs((candidate,))):
            return inputs
    if given is not None:
        return given
    raise TraceError(
        f"{reference}: no usual input fits this model; give one sample's shape with --input-shape 3,224,224, "
        "or the shapes of several inputs as 3,224,224;10 or by name as 'image=3,224,224;tokens=10'"
    )


def first_that_runs(model: nn.Module, shapes: Sequence[tuple[int, ...]], names: Sequence[str] = ()) -> Inputs:
    """Return tensors of `shapes` on which the model runs, of values or of tokens; where none do, those of values."""
    samples = [Inputs(kwargs=dict(zip(names, s, strict=True))) if names else Inputs(s) for s in _of_shapes(shapes)]
    return next((inputs for inputs in samples if _runs(model, inputs)), samples[0])


def names_of(input_shape: InputShape | None) -> tuple[str, ...]:
    """Return the names of a model's inputs where they are given by name."""
    return tuple(input_shape) if isinstance(input_shape, Mapping) else ()


def takes_by_name(model: nn.Module, names: Sequence[str]) -> bool:
    """Tell whether the arguments of the model's `forward` are called so."""
    try:
        inspect.signature(model.forward).bind(**dict.fromkeys(names))
    except TypeError:
        return False
    return True


def _made(create: Callable[..., nn.Module], reference: str) -> nn.Module:
    """Return the model on the `meta` device; where its constructor reads values, made on the CPU and moved there."""
    try:
        with torch.device("meta"):
            return create()
    except TliError:
        raise
    except Exception:  # any failure of the user's code may come of the device
        try:
            return create().to("meta")
        except Exception as error:
            raise TliError(f"{reference}: cannot be made: {told(error)}") from error


def _runs(model: nn.Module, inputs: Inputs) -> bool:
    with reach_of(model) as reach:
        try:
            with torch.no_grad(), without_values(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of code that is given something else than it takes
                model(*inputs.args, **inputs.kwargs)
        except Exception:  # any failure of the user's model before its last layer means: not this input
            return reach.is_whole
    return True


def _of_shapes(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield tensors of each shape: of values, then of tokens, in every combination.

    Raises:
        TliError: they have more values than can be counted.
    """
    for dtypes in product((torch.float32, torch.int64), repeat=len(shapes)):
        try:
            yield tuple(torch.empty(s, dtype=dtype, device="meta") for s, dtype in zip(shapes, dtypes, strict=True))
        except (RuntimeError, TypeError) as error:
            raise TliError(f"no input of {list(shapes)} can be made: {first_line(error)}") from error


def _candidates(model: nn.Module) -> Iterator[torch.Tensor]:
    """Yield inputs for the first layer that has weights, then for the first of each other kind: the first that is
    defined need not be the first that runs."""
    firsts: dict[type[nn.Module], nn.Module] = {}
    for module in model.modules():
        if isinstance(module, _FIRST):
            firsts.setdefault(type(module), module)
    for first in firsts.values():
        yield from _inputs_of(first)
    if not any(isinstance(first, nn.Conv2d) for first in firsts.values()):
        yield from (torch.empty(2, 3, size, size, device="meta") for size in IMAGE_SIZES)


def _of_other_channels(model: nn.Module, sizes: tuple[int, ...]) -> Iterator[torch.Tensor]:
    """Yield an input of `sizes` with the channels that the first convolution over as many axes takes, then grey and
    coloured images."""
    convolutions = (m for m in model.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d)))
    first = next((m.in_channels for m in convolutions if len(m.kernel_size) == len(sizes)), None)
    for channels in dict.fromkeys(([first] if first else []) + ([1, 3] if len(sizes) == 2 else [])):
        yield torch.empty(2, channels, *sizes, device="meta")


def _inputs_of(first: nn.Module) -> Iterator[torch.Tensor]:
    """Yield inputs for one layer: images, signals, vectors or tokens."""
    if isinstance(first, nn.Embedding):
        yield from (torch.zeros(2, length, dtype=torch.int64, device="meta") for length in LENGTHS)
    elif isinstance(first, nn.Linear):
        yield torch.empty(2, first.in_features, device="meta")
        yield torch.empty(2, 16, first.in_features, device="meta")
        side = int((first.in_features) ** 0.5)
        yield torch.empty(2, 1, side, side, device="meta")
        side = int((first.in_features / 3) ** 0.5)
        yield torch.empty(2, 3, side, side, device="meta")
    elif isinstance(first, nn.Conv1d):
        yield from (torch.empty(2, first.in_channels, length, device="meta") for length in (*LENGTHS, 16000))
    elif isinstance(first, nn.Conv3d):
        yield from (torch.empty(2, first.in_channels, 16, size, size, device="meta") for size in (112, 224, 32))
    elif isinstance(first, nn.Conv2d):
        yield from (torch.empty(2, first.in_channels, size, size, device="meta") for size in IMAGE_SIZES)


_FIRST = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding)
