"""Show how far long work has come, on standard error: a bar where a person looks, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from tli_cli.cli import render
from tli_cli.report import Progress

SECONDS = 60.0
"""How long it takes to the first line and from one line to the next."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Give a function to be told `(done, of, name)`."""
    if not sys.stderr.isatty():
        yield lines(SECONDS)
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(done: int, of: int, name: str) -> None:
            bar.update(task, completed=done, total=of, description=name)

        yield tell


def lines(seconds: float, clock: Callable[[], float] = monotonic) -> Progress:
    """Return a function that writes a line of what it is told, but never two within so many `seconds`."""
    before = clock()

    def tell(done: int, of: int, name: str) -> None:
        nonlocal before
        if clock() - before >= seconds:
            before = clock()
            render.note(f"{done:,} of {of:,}: {name}")

    return tell
