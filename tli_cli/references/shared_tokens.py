"""The tokenisers of two models, named or beside their weights, and the rows that they have in common."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from pathlib import Path

from tli_cli.checkpoints.located import located
from tli_cli.errors import TliError
from tli_cli.options import Options
from tli_cli.references.values import Reference
from tli_cli.vocabularies.pairing import TokenRows, Tokens
from tli_cli.vocabularies.reading import SETTINGS, find_tokenizer, read_vocabulary

SAME = "their tokenisers are the same"


def shared_tokens(sources: Sequence[Reference], target: Reference, options: Options) -> tuple[Tokens, ...]:
    """Return for each of `sources` which of its rows stand for the tokens of `target`.

    Raises:
        TliError: a tokeniser that `options` names cannot be read.
    """
    named = options.source_tokenizer, options.target_tokenizer
    spaces = [{space.kind for space in reference.architecture.spaces} for reference in (*sources, target)]
    if not any(named) and not all("vocabulary" in kinds for kinds in spaces):
        return ("",) * len(sources)
    mine = tokenizer_of(target, options.target_tokenizer)
    return tuple(_shared(tokenizer_of(source, options.source_tokenizer), mine, named) for source in sources)


def _shared(theirs: Path | None, mine: Path | None, named: tuple[str | None, str | None]) -> Tokens:
    if theirs is None or mine is None:
        sides = [which for which, file in (("source", theirs), ("target", mine)) if file is None]
        told = " and ".join(f"--{side}-tokenizer" for side in sides)
        return f"no tokeniser of the {' and of the '.join(sides)} is known; {told} can name it"
    if _are_equal(theirs, mine):
        return SAME
    try:
        return TokenRows(read_vocabulary(mine), read_vocabulary(theirs))
    except TliError as error:
        if any(named):
            raise
        return str(error)


def tokenizer_of(reference: Reference, named: str | None) -> Path | None:
    """Return the file of the tokeniser that is `named`, or that lies beside what `reference` names."""
    if named is not None:
        path = Path(named)
        found = find_tokenizer(path) if path.is_dir() else path
        if found is None or not found.is_file():
            raise TliError(f"{named}: expected a tokeniser's file or directory, found none")
        return found
    path, _ = located(reference.text.removeprefix("hf:").partition("?")[0])
    if not path.exists():
        return None
    return find_tokenizer(path if path.is_dir() else path.parent)


def _are_equal(first: Path, second: Path) -> bool:
    """Tell whether two tokenisers, with what is said beside them, are byte for byte the same."""
    pairs = [(first, second), *((first.parent / name, second.parent / name) for name in SETTINGS)]
    try:
        return first.name == second.name and all(
            one.is_file() == other.is_file() and (not one.is_file() or filecmp.cmp(one, other, shallow=False))
            for one, other in pairs
        )
    except OSError:  # told where it is read
        return False
