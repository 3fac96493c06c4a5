"""Writing a file block by block: each block is filled and written by one of several threads, in no order."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tli_cli.checkpoints.writing.contents import Content, Held
from tli_cli.checkpoints.writing.output import PendingFile

if TYPE_CHECKING:
    from concurrent.futures import Future

BLOCK = 4 << 20
"""The bytes of a block: enough for a disk to be fast, and few enough for the parts to stay in the cache."""

MAX_HELD = 16
"""So many blocks of values that were in memory may wait to be written."""

MAX_THREADS = 8


@dataclass
class _Block:
    """What goes to the file at `position`: contents from an offset on, at a place in the block."""

    position: int
    parts: list[tuple[Content, int, int, int]] = field(default_factory=list)
    used: int = 0
    buffer: mmap.mmap | None = None

    @property
    def room(self) -> int:
        """How much more goes into it: blocks end at multiples of their size, also after one that was cut off."""
        return BLOCK - self.position % BLOCK - self.used


class BlockWriter:
    """Puts contents into `file` one after another.

    Contents are asked for their bytes by the threads that write, so that reading, checking, computing and writing of
    several blocks overlap; the bytes of a file are the same for any number of threads. What is in memory is copied at
    once and may be forgotten. `see`, if given, is shown every block and where it stands, by the thread that writes it.
    """

    def __init__(self, file: PendingFile, see: Callable[[int, memoryview], None] | None = None) -> None:
        from concurrent.futures import ThreadPoolExecutor  # slow to import, and not needed to read

        self._file, self._see = file, see
        self._threads = min(MAX_THREADS, cores() + 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="write")
        self._pending: deque[Future[None]] = deque()
        self._free: SimpleQueue[mmap.mmap | None] = SimpleQueue()
        self._held: SimpleQueue[mmap.mmap | None] = SimpleQueue()
        for _ in range(MAX_HELD):
            self._held.put(None)
        self._block = _Block(0)

    @property
    def position(self) -> int:
        """Where the next content will begin."""
        return self._block.position + self._block.used

    def put(self, content: Content) -> None:
        """Append `content`.

        Raises:
            TliError: this content or an earlier one cannot be read.
            OSError: the file cannot be written.
        """
        done = 0
        while done < content.length:
            block = self._block
            count = min(content.length - done, block.room)
            if isinstance(content, Held):
                block.buffer = block.buffer or self._held.get() or mmap.mmap(-1, BLOCK)
                content.fill(done, memoryview(block.buffer)[block.used : block.used + count])
            else:
                block.parts.append((content, done, block.used, count))
            done += count
            block.used += count
            if not block.room:
                self._submit()

    def drain(self) -> None:
        """Wait until all that was put is written."""
        self._submit()
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Let go of the threads; what they have not begun is left."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self) -> None:
        block = self._block
        self._block = _Block(self.position)
        if block.used:
            self._pending.append(self._pool.submit(self._write, block))
        while len(self._pending) > 2 * self._threads:
            self._pending.popleft().result()

    def _write(self, block: _Block) -> None:
        buffers = self._free if block.buffer is None else self._held
        buffer = block.buffer or _taken(buffers) or mmap.mmap(-1, BLOCK)
        try:
            view = memoryview(buffer)[: block.used]
            for content, start, place, count in block.parts:
                content.fill(start, view[place : place + count])
            if self._see is not None:
                self._see(block.position, view)
            self._file.write_at(view, block.position)
        finally:
            buffers.put(buffer)


def _taken(buffers: SimpleQueue[mmap.mmap | None]) -> mmap.mmap | None:
    try:
        return buffers.get_nowait()
    except Empty:
        return None


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
