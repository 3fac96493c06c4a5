"""Live models by their references."""

from __future__ import annotations

from typing import Any

from tli_cli.architecture import Architecture
from tli_cli.providers import provided


def provide(reference: str, **given: Any) -> Architecture:
    """Return the architecture of the live model that `reference` names."""
    return provided(reference, **given).architecture
