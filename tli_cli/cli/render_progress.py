"""Show how far long work has come, on standard error: a bar where a person looks, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from tli_cli.cli import render
from tli_cli.report import Progress

SHOWN_AFTER = 1.0
"""Seconds to the first sight of a bar: what is over by then needs none, and rich is not imported for it."""
BETWEEN_LINES = 60.0
"""Seconds to the first line, and from one line to the next."""
_BETWEEN_LOOKS = 0.1


class _State:
    """What was told last."""

    def __init__(self, said: str) -> None:
        self.done, self.of, self.name, self.begun = 0, 0, said, monotonic()

    def tell(self, done: int, of: int, name: str) -> None:
        self.done, self.of, self.name = done, of, name

    @property
    def count(self) -> str:
        return f"{self.done:,} of {self.of:,}" if self.of else ""

    @property
    def line(self) -> str:
        return f"{self.count}: {self.name}" if self.of else f"{self.name}: {monotonic() - self.begun:.0f} s so far"


@contextmanager
def progress(said: str) -> Iterator[Progress]:
    """Give a function to be told `(done, of, name)`; until it is, `said` is shown for what is being done."""
    state, over = _State(said), Event()
    thread = Thread(target=_bar if sys.stderr.isatty() else _lines, args=(state, over), daemon=True)
    thread.start()
    try:
        yield state.tell
    finally:
        over.set()
        thread.join()


def _lines(state: _State, over: Event) -> None:
    while not over.wait(BETWEEN_LINES):
        render.note(state.line)


def _bar(state: _State, over: Event) -> None:
    if over.wait(SHOWN_AFTER):
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.BarColumn(),
        bars.TextColumn("{task.fields[count]}"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}", markup=False),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(state.name, total=None, count="")
        while not over.wait(_BETWEEN_LOOKS):
            total, count = state.of or None, state.count
            bar.update(task, completed=state.done, total=total, description=state.name, count=count)
