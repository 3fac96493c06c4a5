"""What the user named, on either side: a file, a directory, a name, or code."""

from __future__ import annotations

from tli_cli.references.reference import Reading, Reference, related, resolve, resolve_all

__all__ = ["Reading", "Reference", "related", "resolve", "resolve_all"]
