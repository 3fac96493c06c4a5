"""Where the bytes of a tensor to be written come from: each part of them is put in its place when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Protocol, Union, runtime_checkable

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.files import FileRange, opened, read_at
from tli_cli.checkpoints.finite import all_finite
from tli_cli.checkpoints.writing.layout import tensor_bytes
from tli_cli.dtypes import byte_count
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

_STEP = 1 << 18
"""So many bytes are read and looked at in one go: they fit in the cache of a processor."""


@runtime_checkable
class Content(Protocol):
    """The bytes of one tensor."""

    @property
    def length(self) -> int:
        """How many bytes there are."""
        ...

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`, all of it. Parts are asked for in any order and by several
        threads."""
        ...


Produced = Union["torch.Tensor", memoryview, FileRange, Content]


@dataclass(frozen=True)
class Held:
    """Bytes in memory."""

    data: memoryview

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self.data.nbytes

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        out[:] = self.data[start : start + len(out)]


@dataclass(frozen=True)
class Copied:
    """Bytes of a file as they are; `nonfinite` is called, if given, where values of `dtype` among them are NaN or
    infinite."""

    piece: FileRange
    dtype: str = ""
    nonfinite: Callable[[], None] | None = None

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self.piece.length

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        with opened(self.piece) as descriptor:
            for at in range(0, len(out), _STEP):
                part = out[at : at + _STEP]
                read_at(descriptor, self.piece.path, self.piece.offset + start + at, part)
                if self.nonfinite is not None and not all_finite(part, self.dtype):
                    self.nonfinite()


class Looked:
    """The bytes of `content`; `look` is called once, by the thread that fills the first part of it."""

    def __init__(self, content: Content, look: Callable[[], None]) -> None:
        self._content, self._look = content, look
        self._waiting = Lock()

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self._content.length

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        if self._waiting.acquire(blocking=False):
            self._look()
        self._content.fill(start, out)


@dataclass(frozen=True)
class Made:
    """The bytes of `content`, values of `dtype`; `nonfinite` is called where some of them are NaN or infinite."""

    content: Content
    dtype: str
    nonfinite: Callable[[], None]

    @property
    def length(self) -> int:
        """How many bytes there are."""
        return self.content.length

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        self.content.fill(start, out)
        if not all(all_finite(out[at : at + _STEP], self.dtype) for at in range(0, len(out), _STEP)):
            self.nonfinite()


@dataclass(frozen=True)
class Repeated:
    """Bytes that the file being written already holds, from `offset` on."""

    descriptor: int
    offset: int
    length: int

    def fill(self, start: int, out: memoryview) -> None:
        """Put the bytes from `start` on into `out`."""
        done = 0
        while done < len(out):
            count = os.preadv(self.descriptor, [out[done:]], self.offset + start + done)
            if count == 0:
                raise CheckpointError("the file became shorter while it was written; nothing was written")
            done += count


def content_of(spec: TensorSpec, value: Produced) -> Content:
    """Return the bytes of `value`; raise `CheckpointError` if it is not as `spec` announced it."""
    if isinstance(value, FileRange):
        value = Copied(value)
    if not isinstance(value, memoryview | Content):
        found = (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        if found != (spec.shape, spec.dtype):
            raise CheckpointError(f"{spec.name}: expected {spec.dtype} {spec.shape}, was given {found[1]} {found[0]}")
        value = tensor_bytes(value)
    content = Held(value.cast("B")) if isinstance(value, memoryview) else value
    expected = byte_count(spec.shape, spec.dtype)
    if content.length != expected:
        raise CheckpointError(
            f"{spec.name}: {spec.dtype} {spec.shape} takes {expected:,} bytes, was given {content.length:,}"
        )
    return content
