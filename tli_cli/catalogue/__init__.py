"""The embedded catalogue: every timm and torchvision architecture by name, with neither library installed."""

from tli_cli.catalogue.load import load, load_entry
from tli_cli.catalogue.names import CatalogueName, Entry, Resolved, names, parse_name, resolve_name
from tli_cli.catalogue.nearest import Near, nearest
from tli_cli.catalogue.recognise import Recognition, recognise

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
