"""What the classes of a model are called, by the configuration beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints import read_config
from tli_cli.errors import TliError
from tli_cli.options import Labels
from tli_cli.references.label_files import EXPECTED, listed_in

if TYPE_CHECKING:
    from tli_cli.references.reference import Reference

_NO_NAME = re.compile(r"LABEL_\d+|\d+")
"""What a class is called that nobody has named."""


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
    named = [(n, int(r)) for n, r in pairs if _is_name(n) and re.fullmatch(r"\d{1,9}", str(r), re.ASCII)]
    counts = Counter(name for name, _ in named)
    return {name: row for name, row in named if counts[name] == 1}


def shared_labels(several: Sequence[Labels]) -> Labels:
    """Return the labels of several sources, none where they differ."""
    return several[0] if all(labels == several[0] for labels in several) else {}


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and not _NO_NAME.fullmatch(value)
