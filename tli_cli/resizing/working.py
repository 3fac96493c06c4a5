"""What every resizer does around its own arithmetic: equal shapes, ranks, precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import prod
from typing import TYPE_CHECKING

from tli_cli.errors import TliError

if TYPE_CHECKING:
    import torch

    from tli_cli.resizing import Resizer

    Core = Callable[[torch.Tensor, tuple[int, ...], torch.Generator, torch.Tensor | None], torch.Tensor]


def resizer(core: Core) -> Resizer:
    """Wrap `core`, which sees float32 or float64 values of the target's rank (at least 1) and another shape."""

    @wraps(core)
    def resized(
        tensor: torch.Tensor,
        shape: tuple[int, ...],
        *,
        generator: torch.Generator,
        initial: torch.Tensor | None = None,
    ) -> torch.Tensor:
        shape = tuple(shape)
        if tuple(tensor.shape) == shape:
            return tensor
        if 0 in shape:
            return tensor.new_empty(shape)
        if not tensor.numel():
            raise TliError(
                f"cannot resize an empty tensor of shape {tuple(tensor.shape)} to {shape}: it holds no value"
            )
        if tensor.is_complex():
            return _of_parts(resized, tensor, shape, generator, initial)
        wide = shape or (1,)
        values = fit_rank(_precise(tensor), wide)
        start = None if initial is None else _precise(initial).reshape(wide).to(values.device)
        result = values if tuple(values.shape) == wide else core(values, wide, generator, start)
        return result.reshape(shape).to(tensor.dtype).clone(memory_format=_contiguous())

    return resized


def _of_parts(
    resized: Resizer,
    tensor: torch.Tensor,
    shape: tuple[int, ...],
    generator: torch.Generator,
    initial: torch.Tensor | None,
) -> torch.Tensor:
    """Resize complex numbers as pairs of real ones; the axis of the pairs keeps its size."""
    import torch

    if tensor.ndim != len(shape):
        raise TliError(f"cannot resize complex numbers of shape {tuple(tensor.shape)} to {shape}: another rank")
    start = None if initial is None else torch.view_as_real(initial.to(tensor))
    pairs = torch.view_as_real(tensor.detach().resolve_conj())
    return torch.view_as_complex(resized(pairs, (*shape, 2), generator=generator, initial=start))


def _precise(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return tensor.detach() if tensor.dtype == torch.float64 else tensor.detach().to(torch.float32)


def _contiguous() -> torch.memory_format:
    import torch

    return torch.contiguous_format


def fit_rank(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a view of `tensor` with the rank of `shape`.

    Axes of size 1 are dropped or added first; what is left over is flattened into, or unflattened from, the last axis.
    """
    surplus = tensor.ndim - len(shape)
    if surplus > 0:
        dropped = _drop_ones(tensor, surplus)
        return dropped if dropped.ndim == len(shape) else dropped.flatten(start_dim=len(shape) - 1)
    return _add_axes(tensor, shape) if surplus < 0 else tensor


def _drop_ones(tensor: torch.Tensor, surplus: int) -> torch.Tensor:
    while surplus and tensor.shape[-1] == 1:
        tensor, surplus = tensor.squeeze(-1), surplus - 1
    while surplus and tensor.shape[0] == 1:
        tensor, surplus = tensor.squeeze(0), surplus - 1
    return tensor


def _add_axes(tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    while tensor.ndim < len(shape) and shape[len(shape) - tensor.ndim - 1] == 1 and shape[-1] != 1:
        tensor = tensor.unsqueeze(0)
    missing = len(shape) - tensor.ndim
    if not missing:
        return tensor
    last = tensor.ndim - 1
    # (64, 48) was flattened from (64, 3, 4, 4): put the axes back where the product says so.
    if tensor.ndim and tensor.shape[last] == prod(shape[last:]) != shape[last]:
        return tensor.reshape(*tensor.shape[:last], *shape[last:])
    return tensor.reshape(*tensor.shape, *([1] * missing))
