"""The embedded catalogue: every timm and torchvision architecture by name, with neither library installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tli_cli.catalogue.loading import load, load_entry
    from tli_cli.catalogue.naming import CatalogueName, Entry, Resolved, names, parse_name, resolve_name
    from tli_cli.catalogue.near import Near, nearest
    from tli_cli.catalogue.recognition import Recognition, recognise

__all__ = [
    "CatalogueName",
    "Entry",
    "Near",
    "Recognition",
    "Resolved",
    "load",
    "load_entry",
    "names",
    "nearest",
    "parse_name",
    "recognise",
    "resolve_name",
]

_HOMES = {
    "Near": "near",
    "Recognition": "recognition",
    "load": "loading",
    "load_entry": "loading",
    "nearest": "near",
    "recognise": "recognition",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: listing names needs none of what recognising does."""
    if name not in __all__:
        raise AttributeError(f"module 'tli_cli.catalogue' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"tli_cli.catalogue.{_HOMES.get(name, 'naming')}"), name)
    globals()[name] = found
    return found
