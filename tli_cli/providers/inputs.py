"""What to run a user's own model on, where the user does not say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from tli_cli.errors import TraceError

IMAGE_SIZES = (224, 32, 64, 28, 299, 256, 384, 128, 96, 48, 192, 160, 16, 8, 512)
LENGTHS = (16, 64, 128, 1024)


def guess_input(
    create: Callable[..., nn.Module], input_shape: tuple[int, ...] | None, reference: str
) -> tuple[torch.Tensor, ...]:
    """Return a batch of two samples on the `meta` device on which the model runs: of `input_shape` if given.

    Raises:
        TraceError: no input is given and none of the usual ones fits.
    """
    if input_shape is not None:
        return (torch.empty(2, *input_shape, device="meta"),)
    try:
        with torch.device("meta"):
            model = create()
    except NotImplementedError:
        model = create().to("meta")
    model.eval()
    for sample in _candidates(model):
        try:
            with torch.no_grad():
                model(sample)
        except Exception:  # any failure of the user's model means: not this input
            continue
        return (sample,)
    raise TraceError(
        f"{reference}: no usual input fits this model; give one sample's shape with --input-shape 3,224,224"
    )


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
