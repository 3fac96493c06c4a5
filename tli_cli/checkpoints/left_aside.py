"""What is said of what stands beside the state dict that is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tli_cli.checkpoints.nested_values import items, kind_of, path_to

PLAIN_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "weights",
    "teacher",
)
"""Where training scripts put the weights, the likeliest first."""
AVERAGED = re.compile(r"(^|_)(ema|averaged|swa)($|_)")
EXCHANGED = {"message_hub": AVERAGED, "averaging_state": re.compile("current_model_state")}
"""What mmengine and Lightning keep beside averages that they save as weights, and what they call those weights."""


def lines_on(node: Mapping[Any, Any], path: str, chosen: str) -> Iterator[str]:
    """Yield a line on each thing in `node` but the `chosen` one."""
    before = before_averages(node)
    for key, value in items(node):
        name = path_to(path, key)
        if key in before and key != chosen:
            yield f"{name}: weights before they were averaged, {entries(len(value))}; the averages are {chosen}"
        elif key != chosen:
            yield line_on(name, value)


def before_averages(node: Mapping[Any, Any]) -> list[str]:
    """Return what the weights themselves are called where the averages have their name."""
    called = [how for key, how in EXCHANGED.items() if key in node]
    named = [str(key) for key, value in items(node) if isinstance(value, Mapping)] if called else []
    return [key for key in named if any(how.search(key) for how in called)]


def line_on(name: str, value: object) -> str:
    """Return a line on one thing that is left aside."""
    if AVERAGED.search(name) and isinstance(value, Mapping):
        return f"{name}: averaged weights, {entries(len(value))}; choose them with --ema {name.rpartition('.')[2]}"
    named = name.rpartition(".")[2] in PLAIN_KEYS
    if isinstance(value, Mapping) and (named or any(str(key).endswith(".weight") for key in value)):
        return f"{name}: weights, {entries(len(value))}, not the ones chosen"
    if isinstance(value, Mapping | list | tuple | set):
        return f"{name}: training state, {entries(len(value))}"
    return f"{name}: {kind_of(value)}"


def entries(count: int) -> str:
    """Return `count` entries in words."""
    return f"{count} {'entry' if count == 1 else 'entries'}"
