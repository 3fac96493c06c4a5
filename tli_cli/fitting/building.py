"""What can be built for a reference so that it can be run, found without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tli_cli.catalogue.naming import LIBRARIES
from tli_cli.checkpoints.located import is_there
from tli_cli.errors import TliError
from tli_cli.references.configured import configured_reference
from tli_cli.references.reference import LIVE
from tli_cli.references.values import Reference

PACKAGES = {"timm": "timm", "torchvision": "torchvision", "hf": "transformers"}
"""The package that builds what each scheme names."""


@dataclass(frozen=True)
class Recipe:
    """What builds a model: `timm:resnet50`, `hf:config.json`, `net.py:Net?width=8`, and sizes that it is given."""

    text: str
    sizes: Mapping[str, Any]

    @property
    def is_code(self) -> bool:
        """Whether it was or will be run to be described: a user's own class, or a configuration of transformers."""
        return self.text.partition(":")[0] not in LIBRARIES


def recipe_for(reference: Reference, named: str | None = None) -> Recipe:
    """Return what builds the model of `reference`, or of `named`, the architecture that the user gave it.

    Raises:
        TliError: nothing is known that builds it, or the package that does is not installed.
    """
    found = _recipe(reference, named)
    scheme = found.text.partition(":")[0]
    package = PACKAGES.get(scheme)
    if package is not None and find_spec(package) is None:
        raise TliError(f"{named or reference.text} cannot be run: {package} is not installed")
    return found


def _recipe(reference: Reference, named: str | None) -> Recipe:
    from tli_cli import catalogue

    text = named or reference.text
    if not is_there(text):
        live = ":" in text and (LIVE.match(text) or text.partition(":")[0] in LIBRARIES)
        return Recipe(text if live else f"{catalogue.resolve_name(text).entry.library}:{text}", {})
    checkpoint = reference.checkpoint
    if checkpoint is not None and (configured := configured_reference(checkpoint)):
        return Recipe(configured, {})
    found = reference.recognised
    if found is None or found.prefix:
        raise TliError(f"{text} cannot be run: it holds no code, and no architecture is known for it (--source-arch)")
    return Recipe(f"{found.entry.library}:{found.entry.name}", found.options)
