"""Who may write to standard output: the commands, and not the code of others that they run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast

from tli_cli.errors import TliError


class _Aside:
    """Standard error in the place of standard output, which is kept as `data`."""

    def __init__(self, data: TextIO) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def data_stream() -> TextIO:
    """Return the stream that data goes to."""
    return cast(TextIO, getattr(sys.stdout, "data", sys.stdout))


@contextmanager
def others_aside() -> Iterator[None]:
    """Send what is printed in the block to standard error, except what is printed within `standard_output`."""
    with redirect_stdout(cast(TextIO, _Aside(data_stream()))):
        yield


@contextmanager
def standard_output() -> Iterator[None]:
    """Print what is printed in the block as data.

    Raises:
        TliError: it cannot be; a reader that has gone is no fault.
    """
    try:
        with redirect_stdout(data_stream()):
            yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TliError(f"standard output cannot be written: {error.strerror}; send it elsewhere") from error
