"""What went wrong in code that is not ours."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

import torch

_NOT_THEIRS = (Path(torch.__file__).parent, Path(__file__).parents[1])
"""Where torch and this package lie."""


def told(error: BaseException) -> str:
    """Return what went wrong in a user's code or a library's, and the last of their lines that it went through."""
    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    theirs = [f for f in frames if not any(Path(f.filename).is_relative_to(place) for place in _NOT_THEIRS)]
    said = f"{type(error).__name__}: {(str(error) or 'no message').rstrip('.')}"
    return f"{said} ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else said
