"""Making the next tensor while the last one is being written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.dtypes import byte_count

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

AHEAD_LIMIT = 64 << 20
"""Tensors of more bytes are not made ahead: two of the largest at once would cost memory and gain nothing."""


def produced(specs: Sequence[TensorSpec], produce: Callable[[TensorSpec], T]) -> Generator[T]:
    """Yield `produce(spec)` for each of `specs` in order, the small ones one step ahead in another thread."""
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and not needed to read

    with ThreadPoolExecutor(1, thread_name_prefix="produce") as pool:
        ahead: Future[T] | None = None
        try:
            for i, spec in enumerate(specs):
                value = produce(spec) if ahead is None else ahead.result()
                following = specs[i + 1 : i + 2]
                small = following and byte_count(following[0].shape, following[0].dtype) <= AHEAD_LIMIT
                ahead = pool.submit(produce, following[0]) if small else None
                yield value
                del value
        finally:
            if ahead is not None:
                ahead.cancel()
