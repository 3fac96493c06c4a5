"""Text files that a user names: read whole within bounds, or refused with one message."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from typing import Any

from tli_cli.errors import TliError

MAX_TEXT = 16 << 20
"""The most characters of a list: a line for each of a hundred thousand names or rows is a tenth of it."""

WAIT = 5.0
"""So many seconds a pipe may take until something writes to it."""


def read_text(name: str, expected: str, limit: int = MAX_TEXT) -> str:
    """Return the text in the file or pipe called `name`, or from standard input if that is `-`.

    Raises:
        TliError: it cannot be read, is no UTF-8, or has more than `limit` characters where `expected` should be.
    """
    called = "standard input" if name == "-" else name
    try:
        if name == "-":
            text = sys.stdin.read(limit + 1)
        else:
            with open(name, encoding="utf-8-sig", opener=_opened) as file:
                text = file.read(limit + 1)
    except UnicodeDecodeError as error:
        raise TliError(f"{called}: cannot be read: expected {expected} in UTF-8, found other bytes") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TliError(f"{called}: cannot be read: {reason}; expected a file with {expected}") from error
    if len(text) > limit:
        raise TliError(f"{called}: expected {expected} of at most {limit:,} characters, found more; name another file")
    return text


def read_json(name: str, expected: str) -> Any:
    """Return what the JSON in a file says.

    Raises:
        TliError: it cannot be read, or is none.
    """
    try:
        return json.loads(read_text(name, expected))
    except (ValueError, RecursionError) as error:
        raise TliError(f"{name}: expected JSON with {expected}, found {str(error)[:120]}") from error


def _opened(name: str, flags: int) -> int:
    """Open `name`; raise `OSError` where it is a pipe that nothing writes to."""
    descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            _await_writer(descriptor)
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _await_writer(descriptor: int) -> None:
    ready, _, _ = select.select([descriptor], [], [], WAIT)
    if not ready:
        try:
            os.read(descriptor, 1)
        except BlockingIOError:  # something holds it, and will write
            return
        raise OSError(None, f"nothing has written to this pipe for {WAIT:g} seconds")
