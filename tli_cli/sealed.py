"""Frozen values in JSON, with a digest as their seal: what was changed by hand is told from what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any

SEAL = "seal"
"""The key that the digest stands under."""


def sealed(value: Any, but: Collection[str] = (), **told: float) -> str:
    """Return a dataclass in JSON, byte for byte the same for equal ones, a list with an entry on each line, what is
    `told` of it, and the digest of all its fields `but` some."""
    lines = _encoded(value)
    more = [f'"{name}": {json.dumps(number)}' for name, number in told.items()]
    ordered = [lines[name] for name in sorted(lines, key=lambda name: name != "version")]
    return "{\n" + ",\n".join([*ordered, *more, f'"{SEAL}": "{_digest(lines, but)}"']) + "\n}\n"


def digest(value: Any, but: Collection[str] = ()) -> str:
    """Return what changes with any field of a dataclass `but` some."""
    return _digest(_encoded(value), but)


def _digest(lines: Mapping[str, str], but: Collection[str]) -> str:
    text = "\n".join(line for name, line in lines.items() if name not in but)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _encoded(value: Any) -> dict[str, str]:
    """Return each field of `value` in JSON, with its name."""
    encode = json.JSONEncoder(default=_shallow).encode
    return {name: f'"{name}": {_lines(held, encode)}' for name, held in _shallow(value).items()}


def _shallow(value: Any) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in fields(value)}


def _lines(value: Any, encode: Callable[[Any], str]) -> str:
    if not isinstance(value, tuple) or not value:
        return encode(value)
    return "[\n" + ",\n".join(f" {encode(entry)}" for entry in value) + "\n]"
