"""Several references at once: globs, directories that are searched, lists in files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from glob import glob
from pathlib import Path
from types import MappingProxyType

from tli_cli.checkpoints.located import is_there
from tli_cli.decoding import has_controls
from tli_cli.errors import CheckpointError, TliError, UnknownReferenceError
from tli_cli.references.reference import SUFFIXES
from tli_cli.references.values import Reference
from tli_cli.texts import read_text

Places = Mapping[str, str]
"""Where references stand that were read from a file."""

NO_PLACES: Places = MappingProxyType({})
NO_MODELS: Mapping[str, Reference] = MappingProxyType({})

_LONGEST = 4096
"""The characters of the longest path that systems take."""

COMMENT = re.compile(r"(^|\s)#.*")
CALLED = re.compile(r":\w[\w.]*\(.*\)$")
"""A class with arguments in brackets, in which any character may stand."""


def expand(texts: Sequence[str], places: Places = NO_PLACES, besides: Collection[str] = NO_MODELS) -> list[str]:
    """Return `texts` with each glob, over files or over the catalogue, but not those in `besides`, in the place of what
    it matches, and nothing twice.

    Raises:
        TliError: a glob matches nothing.
    """
    found: dict[str, None] = {}
    for text in texts:
        try:
            found.update(dict.fromkeys(_matches(text) if text not in besides and is_glob(text) else [text]))
        except TliError as error:
            raise placed(error, text, places) from error
    return list(found)


def placed(error: TliError, reference: str, places: Places) -> TliError:
    """Return `error`, with the place at which `reference` stands if it was read from a file."""
    return TliError(f"{places[reference]}: {error}") if reference in places else error


def is_glob(text: str) -> bool:
    """Return whether `text` is a glob, and not a file that is called so or a name with options after `?`."""
    stem = text.partition("?")[0] if "=" in text.partition("?")[2] else CALLED.sub("", text)
    return any(c in stem for c in "*?[") and not is_there(text)


def _matches(pattern: str) -> list[str]:
    """Return what `pattern` stands for: files where it has a path or their ending, else names, or files of that name.

    Raises:
        UnknownReferenceError: it stands for nothing.
    """
    from tli_cli.catalogue import names

    of_files = "/" in pattern or os.sep in pattern or Path(pattern).suffix in SUFFIXES
    found = [] if of_files else [str(name) for name in names(pattern)]
    if found := found or sorted(glob(pattern, recursive=True)):
        return found
    raise UnknownReferenceError(
        f"{pattern!r} matches no file or directory"
        if of_files
        else f"{pattern!r} matches no name in the catalogue and no file here; `tli archs` lists the names"
    )


def read_names(file: str) -> dict[str, str]:
    """Return the references in a file, one a line, and where each stands; empty lines and comments do not count.

    A comment begins with a `#` at the beginning of a line or behind a space; `-` is standard input.

    Raises:
        TliError: there is none in it, or it is no text.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(file, "one reference a line").split("\n"), 1):
        place = f"{file}, line {number}"
        name = COMMENT.sub("", line).strip()
        if has_controls(name) or len(name) > _LONGEST:
            found_there = "control characters" if has_controls(name) else f"{len(name):,} characters"
            raise TliError(f"{place}: expected a reference, found {found_there}; name a list of references")
        if name:
            found.setdefault(name, place)
    if not found:
        raise TliError(f"{file}: expected one reference a line, found none")
    return found


def search(texts: Sequence[str], places: Places = NO_PLACES) -> list[str]:
    """Return `expand(texts, places)` with each directory in the place of the checkpoints in and below it.

    Raises:
        CheckpointError: a directory holds none.
    """
    found: dict[str, None] = {}
    for text in expand(texts, places):
        inside = list(_checkpoints_below(text)) if os.path.isdir(text) else [text]
        if not inside:
            none = CheckpointError(f"{text}: expected checkpoints in or below this directory, found none")
            raise placed(none, text, places)
        found.update(dict.fromkeys(inside))
    return list(found)


def _checkpoints_below(directory: str) -> Iterator[str]:
    """Yield the checkpoints in a directory, then those in what lies below."""
    from tli_cli.checkpoints.directory import checkpoints_in

    for folder, below, _ in os.walk(directory):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from map(str, checkpoints_in(Path(folder)))
