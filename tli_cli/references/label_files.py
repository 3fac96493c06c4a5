"""What the classes of a model are called, by a list that the user names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tli_cli.errors import TliError
from tli_cli.options import Labels
from tli_cli.references.labels import labels_in
from tli_cli.texts import read_json, read_text

EXPECTED = "one class a line"
NUMBERED = re.compile(r"(\d{1,9})(?:\s*[,:\t]\s*|\s+)(.+)", re.ASCII)


def labels_from(file: str) -> Labels:
    """Return the classes that a file lists: one a line in the order of the rows, or with the row before each; or JSON,
    a list of names, or names by row, rows by name, or a model's configuration.

    Raises:
        TliError: the file cannot be read, or names no class.
    """
    in_json = file.casefold().endswith(".json")
    found = labels_in(_of_json(read_json(file, EXPECTED)) if in_json else _of_lines(read_text(file, EXPECTED)))
    if not found:
        raise TliError(f"{file}: expected {EXPECTED}, or JSON as id2label has it; found none that names a row alone")
    return found


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
    by_name = all(type(value) is int for value in raw.values())
    return raw if labels_in(raw) else {"label2id" if by_name else "id2label": raw}
