"""Coupled axes without a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tli_cli.architecture import Axis, Layer, Space


def infer_spaces(
    layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]
) -> tuple[tuple[Space, ...], dict[str, tuple[Axis, ...]]]:
    """Return the spaces and axes."""
    return (), {}
