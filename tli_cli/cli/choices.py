"""Closed choices of the command line."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from tli_cli.options import DTYPES

_METHODS = (
    "auto", "fit", "maps", "net2net", "even", "combo", "crop", "resize", "select", "tile", "magnitude", "fna", "dpiat",
)  # fmt: skip


def _choices(name: str, values: Iterable[str]) -> type[Enum]:
    return Enum(name, {value: value for value in values}, type=str)  # type: ignore[return-value]


Matcher = _choices("Matcher", ("dp", "path"))
Method = _choices("Method", _METHODS)
OnNonfinite = _choices("OnNonfinite", ("error", "keep"))
Dtype = _choices("Dtype", DTYPES)
