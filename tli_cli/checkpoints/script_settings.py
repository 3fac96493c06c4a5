"""The whole numbers among the settings that training scripts save beside weights."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from itertools import islice
from typing import Any

from tli_cli.checkpoints.nested_values import items
from tli_cli.checkpoints.stand_ins import Inert

SETTINGS = ("model_args", "model_config", "config", "cfg", "args", "hparams", "hyper_parameters", "opt")
"""Where training scripts put what they built the model with, such as its number of heads."""
_MOST_SETTINGS = 1000
_DEEPEST_SETTINGS = 32


def whole_numbers(settings: object, seen: set[int], depth: int = 0) -> dict[str, Any]:
    """Return the whole numbers in `settings`, a dictionary or what `argparse` makes, and in those within it."""
    held = vars(settings) if isinstance(settings, Namespace) else settings
    held = held.held if isinstance(held, Inert) else held
    if not isinstance(held, Mapping) or id(held) in seen or len(seen) > _MOST_SETTINGS or depth > _DEEPEST_SETTINGS:
        return {}
    seen.add(id(held))
    found: dict[str, Any] = {}
    for name, value in islice(items(held), _MOST_SETTINGS):
        if type(value) is int:
            found[str(name)] = value
        elif inner := whole_numbers(value, seen, depth + 1):
            found[str(name)] = inner
    return found
