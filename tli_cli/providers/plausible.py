"""Whether a configuration may be what it says, before anything is built from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

COUNTS = re.compile(r"^(n|num)_(.*_)?(layer|block)|^(?!max_).*(layer|block|depth)s?$")
"""Settings that count layers; a most of some, such as the `max_window_layers` of Qwen, is no count."""

MOST_LAYERS = 1_000
"""No model has more in a row."""

EXPERTS = re.compile(r"(^|_)experts?$")
"""Settings that count experts."""

MOST_EXPERTS = 10_000
"""No layer has more; a file holds tensors for each of them."""

MOST_LABELS = 1_000_000
"""The library names each of them as it reads a configuration."""

TOO_MANY = f"it asks for more than {MOST_LAYERS:,} layers, {MOST_EXPERTS:,} experts, or {MOST_LABELS:,} labels"


def is_plausible(config: Mapping[str, Any], most: int = MOST_LAYERS) -> bool:
    """Tell whether no part of `config` asks for more than `most` layers, or for more experts than any layer has, or for
    more labels than are worth naming."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        waiting += [value for value in part.values() if isinstance(value, Mapping)]
        layers = [value for key, value in part.items() if COUNTS.search(key) and "size" not in key]
        experts = [value for key, value in part.items() if EXPERTS.search(key)]
        labels = [part.get("num_labels")]
        if _exceeds(layers, most) or _exceeds(experts, MOST_EXPERTS) or _exceeds(labels, MOST_LABELS):
            return False
    return True


def _exceeds(values: Sequence[Any], most: int) -> bool:
    """Tell whether a number among `values`, or in a list among them, is more than `most`."""
    counts = (count for value in values for count in (value if isinstance(value, list) else [value]))
    return any(count > most for count in counts if isinstance(count, int))
