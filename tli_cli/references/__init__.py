"""What the user named, on either side: a file, a directory, a name, or code."""

from __future__ import annotations

from tli_cli.references.as_used import with_sums
from tli_cli.references.reference import check_input_shape, resolve, resolve_all
from tli_cli.references.relating import as_its_configuration, related, with_configurations
from tli_cli.references.values import Reading, Reference

__all__ = [
    "Reading",
    "Reference",
    "as_its_configuration",
    "check_input_shape",
    "related",
    "resolve",
    "resolve_all",
    "with_configurations",
    "with_sums",
]
