"""What the classes of a model are called: by the configuration beside it, or by a list that the user names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints import read_config
from tli_cli.errors import TliError
from tli_cli.options import Labels
from tli_cli.texts import read_json, read_text

if TYPE_CHECKING:
    from tli_cli.references.values import Reference

_NO_NAME = re.compile(r"LABEL_\d+|\d+")
"""What a class is called that nobody has named."""
EXPECTED = "one class a line"
KEYS = {"id2label", "label2id", "label_names"}
"""What configurations call their classes."""
NUMBERED = re.compile(r"(\d{1,9})(?:\s*[,:\t]\s*|\s+)(.+)", re.ASCII)


def labels_of(reference: Reference, file: str | None = None) -> Labels:
    """Return the classes of `reference`, as `file` lists them, or else what lies beside it; none where nothing does.

    Raises:
        TliError: `file` cannot be read, or names no class.
    """
    if file is not None:
        found = labels_in(listed_in(file))
        if not found:
            raise TliError(
                f"{file}: expected {EXPECTED}, or JSON as id2label has it; found none that names a row alone"
            )
        return found
    if reference.checkpoint is not None:
        return labels_in(reference.checkpoint.config or {})
    path = Path(reference.text.removeprefix("hf:").partition("?")[0])
    beside = path / "config.json" if path.is_dir() else path
    if beside.suffix != ".json" or not beside.is_file():
        return {}
    return labels_in(read_config(beside) or {})


def labels_in(config: Mapping[str, Any]) -> Labels:
    """Return the classes that `config` names, of transformers or timm; a name that stands there twice names none."""
    by_row, by_name, in_order = (config.get(key) for key in ("id2label", "label2id", "label_names"))
    pairs: list[tuple[Any, Any]] = []
    if isinstance(by_row, Mapping):
        pairs = [(name, row) for row, name in by_row.items()]
    elif isinstance(by_name, Mapping):
        pairs = list(by_name.items())
    elif isinstance(in_order, list):
        pairs = [(name, row) for row, name in enumerate(in_order)]
    plain = [(n, r) for n, r in pairs if isinstance(n, str) and n.isprintable() and not _NO_NAME.fullmatch(n)]
    named = [(name, int(row)) for name, row in plain if re.fullmatch(r"\d{1,9}", str(row), re.ASCII)]
    counts = Counter(name for name, _ in named)
    return {name: row for name, row in named if counts[name] == 1}


def shared_labels(several: Sequence[Labels]) -> Labels:
    """Return the labels of several sources, none where they differ."""
    return several[0] if all(labels == several[0] for labels in several) else {}


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
