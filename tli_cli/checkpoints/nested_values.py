"""What stands in the dictionaries of a pickle."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from tli_cli.checkpoints.stand_ins import Unread


def items(node: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield keys and values; not `items()`, which a pickle can give an ordered dict of its own."""
    return ((key, node[key]) for key in node)


def is_tensor(value: object) -> bool:
    """Tell whether `value` is a tensor, or stands for one that is not read yet; torch is not imported to ask."""
    if isinstance(value, Unread):
        return True
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def kind_of(value: object) -> str:
    """Return what `value` is, for people."""
    return "a tensor" if is_tensor(value) else type(value).__name__


def path_to(path: str, key: object) -> str:
    """Return the path of what is called `key` at `path`."""
    return f"{path}.{key}" if path else str(key)


def said_at(path: str) -> str:
    """Return what a message says of where something was looked for."""
    return f" under {path!r}" if path else ""
