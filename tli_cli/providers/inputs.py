"""What to run a user's own model on, where the user does not say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from traceback import extract_tb

import torch
from torch import nn

from tli_cli.errors import TliError, TraceError
from tli_cli.options import InputShape

IMAGE_SIZES = (224, 32, 64, 28, 299, 256, 384, 128, 96, 48, 192, 160, 16, 8, 512)
LENGTHS = (16, 64, 128, 1024)


def shapes_of(input_shape: InputShape) -> tuple[tuple[int, ...], ...]:
    """Return one shape for each input of a model: that of one, or those of several."""
    several = [shape for shape in input_shape if isinstance(shape, tuple)]
    return tuple(several) if several else (tuple(size for size in input_shape if isinstance(size, int)),)


def guess_input(
    create: Callable[..., nn.Module], input_shape: InputShape | None, reference: str
) -> tuple[torch.Tensor, ...]:
    """Return a batch of two samples on the `meta` device on which the model runs: of `input_shape` if given.

    Raises:
        TliError: the model cannot be made.
        TraceError: no input is given and none of the usual ones fits.
    """
    model = _made(create, reference).eval()
    if input_shape is not None:
        samples = list(_of_shapes(shapes_of(input_shape)))
        return next((sample for sample in samples if _runs(model, sample)), samples[0])
    for candidate in _candidates(model):
        if _runs(model, (candidate,)):
            return (candidate,)
    raise TraceError(
        f"{reference}: no usual input fits this model; give one sample's shape with --input-shape 3,224,224, "
        "or the shapes of several inputs as 3,224,224;10"
    )


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


def told(error: Exception) -> str:
    """Return what went wrong in a user's code, and where."""
    last = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error) or 'no message'} ({Path(last.filename).name}, line {last.lineno})"


def _runs(model: nn.Module, sample: tuple[torch.Tensor, ...]) -> bool:
    try:
        with torch.no_grad():
            model(*sample)
    except Exception:  # any failure of the user's model means: not this input
        return False
    return True


def _of_shapes(shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield a batch of two for each shape: of values, then of tokens, in every combination."""
    for dtypes in product((torch.float32, torch.int64), repeat=len(shapes)):
        yield tuple(torch.empty(2, *s, dtype=dtype, device="meta") for s, dtype in zip(shapes, dtypes, strict=True))


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
