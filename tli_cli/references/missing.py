"""What to say of a reference that looks like a file's and names none."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

from tli_cli.registry import did_you_mean

HUB = re.compile(r"\w+://.+|[A-Za-z][\w-]*/[\w.-]+")
"""What a model is called on the web, and not on this machine."""
_LOOKED_AT = 10_000
"""At most so many files beside it are held against its name."""


def missing_hint(text: str) -> str:
    """Return what may have been meant by `text`, which names no file, behind a semicolon; empty where nothing tells."""
    path = Path(text)
    if ".py:" in text:
        return "; a class or function of yours is named path/to/net.py:Net, or 'path/to/net.py:Net(64, act=\"gelu\")'"
    if path.parts[:1] == ("~",):
        return f"; ~ is for shells to expand: name {path.expanduser()}"
    if hint := did_you_mean(path.name, _beside(path)):
        return f"; {hint}"
    return "; nothing is downloaded: name a file here" if HUB.fullmatch(text) else ""


def _beside(path: Path) -> list[str]:
    try:
        with os.scandir(path.parent) as entries:
            return [entry.name for entry in islice(entries, _LOOKED_AT)]
    except (OSError, ValueError):
        return []
