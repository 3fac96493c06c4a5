"""Text files that a user names: read whole within bounds, or refused with one message."""

from __future__ import annotations

import sys
from pathlib import Path

from tli_cli.errors import TliError

MAX_TEXT = 16 << 20
"""The most characters of a list: a line for each of a hundred thousand names or rows is a tenth of it."""


def read_text(name: str, expected: str, limit: int = MAX_TEXT) -> str:
    """Return the text in the file called `name`, or from standard input if that is `-`.

    Raises:
        TliError: it cannot be read, is no UTF-8, or has more than `limit` characters where `expected` should be.
    """
    called = "standard input" if name == "-" else name
    try:
        if name == "-":
            text = sys.stdin.read(limit + 1)
        else:
            with Path(name).open(encoding="utf-8-sig") as file:
                text = file.read(limit + 1)
    except UnicodeDecodeError as error:
        raise TliError(f"{called}: cannot be read: expected {expected} in UTF-8, found other bytes") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TliError(f"{called}: cannot be read: {reason}; expected a file with {expected}") from error
    if len(text) > limit:
        raise TliError(f"{called}: expected {expected} of at most {limit:,} characters, found more; name another file")
    return text
