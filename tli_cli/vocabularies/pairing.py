"""Which rows of the source's table stand for each token of the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Union

from tli_cli.axis_maps.listing import MAX_PARTS, listed
from tli_cli.vocabularies.specials import STANDS_FOR
from tli_cli.vocabularies.vocabulary import ROLES, Vocabulary

_LONGEST = 256
"""The most bytes of a token that is cut into pieces."""

Parts = tuple[int, ...]
"""The source's rows whose mean a token starts from; none for the mean of all."""


Tokens = Union["TokenRows", str]
"""The rows that two vocabularies have in common, or why rows are taken by index."""


@dataclass(frozen=True)
class TokenRows:
    """The rows of `target`'s tokens among those of `source`.

    The same token keeps its row. One that the source lacks starts as the mean of the fewest, and then longest, pieces
    of the source that make it up (vocabulary transfer, arXiv 2112.14569; fast vocabulary transfer, arXiv 2402.09977),
    else as the mean of all rows (Hewitt 2021; so does `transformers` where it resizes embeddings). A special token is
    the same if it is written alike, or has the same role.
    """

    target: Vocabulary
    source: Vocabulary

    @cached_property
    def _kept(self) -> Mapping[int, int]:
        """The tokens that both have."""
        source, found = self.source, {}
        for token, text in self._texts:
            row = source.by_text.get(text)
            row = source.by_byte.get(text) if row is None else row
            found[token] = source.by_special.get(text.decode("utf-8", "replace")) if row is None else row
        for token, byte in self.target.raw.items():
            row = source.by_byte.get(byte)
            found[token] = source.by_text.get(byte) if row is None else row
        found |= {token: self._special(token, name) for token, name in self.target.specials.items()}
        return {token: row for token, row in found.items() if row is not None}

    @cached_property
    def _composed(self) -> Mapping[int, Parts]:
        """The tokens that are made of pieces."""
        cut = Cutter(self.source)
        made = ((token, cut.pieces(text)) for token, text in self._texts if token not in self._kept)
        return {token: parts for token, parts in made if parts}

    @property
    def _texts(self) -> Iterator[tuple[int, bytes]]:
        """The target's tokens as the source would mark their place in a word."""
        for token, text in self.target.texts.items():
            yield token, _recast(text, self.target.ends_words, self.source.ends_words)

    def _special(self, token: int, name: str) -> int | None:
        """Return the source's row of the special token that is written as `name`, or has its role."""
        source = self.source
        row = source.by_special.get(name)
        row = source.by_text.get(name.encode("utf-8", "replace")) if row is None else row
        if row is not None:
            return row
        roles = [role for role in ROLES if self.target.roles.get(role) == token]
        roles += [STANDS_FOR[role] for role in roles if role in STANDS_FOR]
        return next((source.roles[role] for role in roles if role in source.roles), None)

    def fits(self, rows: int, columns: int) -> bool:
        """Tell whether tables of `rows` and `columns` rows may be those of the two vocabularies."""
        return self.target.fits(rows) and self.source.fits(columns)

    def moves(self, rows: int, columns: int) -> bool:
        """Tell whether any row is not that of the same index."""
        return rows != columns or any(parts != (row,) for row, parts in enumerate(self._rows(rows, columns)))

    def listing(self, rows: int, columns: int) -> str:
        """Return what each row of the target is made of, as `tli_cli.axis_maps.listing` has it."""
        return listed(self._rows(rows, columns))

    def _rows(self, rows: int, columns: int) -> Iterator[Parts]:
        """Yield the parts of each row; rows that no token has stand for such rows of the source, in order."""
        named = {*self.source.texts, *self.source.raw, *self.source.specials}
        spare = (row for row in range(columns) if row not in named)
        mine = {*self.target.texts, *self.target.raw, *self.target.specials}
        for row in range(rows):
            if row in mine:
                parts = (self._kept[row],) if row in self._kept else self._composed.get(row, ())
                yield tuple(part for part in parts if part < columns)
            else:
                yield tuple(part for part in (next(spare, None),) if part is not None)

    def counts(self, rows: int) -> tuple[int, int, int]:
        """Return how many of the target's tokens keep their row, are made of pieces, and start at the mean of all."""
        kept, composed = (sum(token < rows for token in found) for found in (self._kept, self._composed))
        tokens = {*self.target.texts, *self.target.raw, *self.target.specials}
        return kept, composed, sum(token < rows for token in tokens) - kept - composed


class Cutter:
    """Cuts texts into tokens of `source`."""

    def __init__(self, source: Vocabulary) -> None:
        self._source = source
        self._ids = {**source.by_byte, **source.by_text}
        self._ids.pop(b"", None)
        self._most = min(_LONGEST, max(map(len, self._ids), default=0))

    def pieces(self, text: bytes) -> Parts:
        """Return the pieces that make up `text`, as the source would write it or, where it cannot, with or without the
        space that marks a word; none if there are not."""
        forms = [text, text.decode("utf-8", "replace").lower().encode()] if self._source.lowercase else [text]
        forms += [_unmarked(form, self._source.ends_words) for form in forms]
        forms = [form for form in dict.fromkeys(forms) if form]
        whole = next((self._ids[form] for form in forms if form in self._ids), None)
        if whole is not None:
            return (whole,)
        return next(filter(None, map(self._cut, forms)), ())

    def _cut(self, text: bytes) -> Parts:
        """Return the fewest pieces of `text`, those with the longest among them where there are several ways."""
        length = len(text)
        if length > _LONGEST:
            return ()
        ids, most = self._ids, min(self._most, length)
        # for what lies behind each place: how many pieces, minus the longest's length, the first one's length
        best: list[tuple[int, int, int] | None] = [None] * length + [(0, 0, 0)]
        for start in range(length - 1, -1, -1):
            found = None
            for stop in range(min(length, start + most), start, -1):
                rest = best[stop]
                if rest is None or (found is not None and rest[0] + 1 > found[0]):
                    continue
                if text[start:stop] in ids:
                    size = stop - start
                    way = (rest[0] + 1, min(rest[1], -size), size)
                    found = way if found is None or way < found else found
            best[start] = found
        parts = []
        at = 0
        while at < length:
            step = best[at]
            if step is None:
                return ()
            parts.append(ids[text[at : at + step[2]]])
            at += step[2]
        return tuple(parts) if len(parts) <= MAX_PARTS else ()


def _recast(text: bytes, ends: bool, wanted: bool) -> bytes:
    """Return `text` with the space that marks a word's beginning at its end, or the other way round."""
    if ends == wanted:
        return text
    if ends:
        return b" " + text[:-1] if text.endswith(b" ") and text != b" " else text
    return text[1:] + b" " if text.startswith(b" ") and text.strip() else text


def _unmarked(text: bytes, ends: bool) -> bytes:
    """Return `text` without the space that marks a word, or with one if it has none."""
    if ends:
        return text[:-1] if text.endswith(b" ") else text + b" "
    return text[1:] if text.startswith(b" ") else b" " + text
