"""What the user named, on either side: a file, a directory, a name, or code."""

from __future__ import annotations

from tli_cli.references.reference import (
    Reading,
    Reference,
    as_its_configuration,
    check_input_shape,
    related,
    resolve,
    resolve_all,
    with_configurations,
)

__all__ = [
    "Reading",
    "Reference",
    "as_its_configuration",
    "check_input_shape",
    "related",
    "resolve",
    "resolve_all",
    "with_configurations",
]
