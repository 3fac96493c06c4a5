"""The notes of our writer on where values come from, in formats that have no place for them: a small file of JSON."""

from __future__ import annotations

import json

NOTES = "tli.json"
MAX_NOTES = 1 << 20


def read_notes(text: bytes) -> dict[str, str]:
    """Return what notes say; what is none says nothing, and is no reason to stop."""
    try:
        notes = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    known = notes.items() if isinstance(notes, dict) else ()
    return {key: value for key, value in known if isinstance(value, str)}
