"""What the classes of a model are called, by a list that the user names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tli_cli.texts import read_json, read_text

EXPECTED = "one class a line"
KEYS = {"id2label", "label2id", "label_names"}
"""What configurations call their classes."""
NUMBERED = re.compile(r"(\d{1,9})(?:\s*[,:\t]\s*|\s+)(.+)", re.ASCII)


def listed_in(file: str) -> Mapping[str, Any]:
    """Return what a file lists, as a configuration would name it: one class a line in the order of the rows, or with
    the row before each; or JSON, a list of names, names by row, rows by name, or a configuration.

    Raises:
        TliError: the file cannot be read.
    """
    if file.casefold().endswith(".json"):
        return _of_json(read_json(file, EXPECTED))
    return _of_lines(read_text(file, EXPECTED))


def _of_lines(text: str) -> Mapping[str, Any]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    numbered = [NUMBERED.fullmatch(line) for line in lines]
    rows = [match[1] for match in numbered if match]
    if len(rows) == len(lines) and sorted(map(int, rows)) == list(range(len(lines))):
        return {"id2label": {match[1]: match[2] for match in numbered if match}}
    return {"label_names": lines}


def _of_json(raw: Any) -> Mapping[str, Any]:
    if isinstance(raw, list):
        return {"label_names": raw}
    if not isinstance(raw, Mapping):
        return {}
    if raw.keys() & KEYS:
        return raw
    return {"label2id" if all(type(value) is int for value in raw.values()) else "id2label": raw}
