"""Whether a configuration may be what it says, before anything is built from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

COUNTS = re.compile(r"^(n|num)_(.*_)?(layer|block)|^(?!max_).*(layer|block|depth)s?$")
"""Settings that count layers; a most of some, such as the `max_window_layers` of Qwen, is no count."""

MOST_LAYERS = 1_000
"""No model has more in a row."""


def is_plausible(config: Mapping[str, Any], most: int = MOST_LAYERS) -> bool:
    """Tell whether no part of `config` asks for more than `most` layers."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        waiting += [value for value in part.values() if isinstance(value, Mapping)]
        named = [value for key, value in part.items() if COUNTS.search(key) and "size" not in key]
        counts = [count for value in named for count in (value if isinstance(value, list) else [value])]
        if any(count > most for count in counts if isinstance(count, int)):
            return False
    return True
