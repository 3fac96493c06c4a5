"""How tokenisers write tokens, and what such a token stands for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

Decode = Callable[[str], bytes]
"""Give the text of a token, as `Vocabulary.texts` has it."""

META = "▁"
"""What sentencepiece writes for a space."""
RAW = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A single byte."""


def _byte_letters() -> Mapping[int, int]:
    """Return the byte of each letter that GPT-2's tokeniser writes bytes with: printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {**{byte: byte for byte in plain}, **{256 + i: byte for i, byte in enumerate(rest)}}


_BYTES = _byte_letters()
_LETTERS = frozenset(map(chr, _BYTES))


def of_bytes(token: str) -> bytes:
    """Return the bytes that the letters of `token` stand for; its own where they stand for none."""
    if not _LETTERS.issuperset(token):
        return token.encode("utf-8", "surrogatepass")
    return token.translate(_BYTES).encode("latin-1")


def of_pieces(token: str) -> bytes:
    """Return the text of a piece of sentencepiece."""
    return token.replace(META, " ").encode("utf-8", "surrogatepass")


def of_words(prefix: str) -> Decode:
    """Return what reads tokens that begin a word unless they begin with `prefix` (WordPiece)."""

    def decode(token: str) -> bytes:
        if prefix and token.startswith(prefix) and token != prefix:
            return plain(token[len(prefix) :])
        return plain(token if stands_alone(token) else f" {token}")

    return decode


def of_endings(inner: Decode, suffix: str) -> Decode:
    """Return what reads tokens that end a word if they end with `suffix`."""

    def decode(token: str) -> bytes:
        if token.endswith(suffix) and token != suffix:
            return inner(token.removesuffix(suffix)) + b" "
        return inner(token)

    return decode


def plain(token: str) -> bytes:
    """Return the text of a token that is written as it is."""
    return token.encode("utf-8", "surrogatepass")


def stands_alone(token: str) -> bool:
    """Tell whether `token` is one mark, or one ideograph, which are cut from words with or without a space."""
    if len(token) != 1:
        return False
    return unicodedata.category(token)[0] in "PS" or unicodedata.name(token, "").startswith("CJK")


def guessed(tokens: Iterable[str]) -> tuple[Decode, bool]:
    """Return what reads `tokens`, by the marks that they bear, and whether words are marked where they end."""
    marks = {"##": 0, "Ġ": 0, META: 0, "</w>": 0}
    for token in tokens:
        for mark in ("##", "Ġ", META):
            marks[mark] += token.startswith(mark)
        marks["</w>"] += token.endswith("</w>")
    most = max(marks, key=lambda mark: marks[mark])
    if not marks[most]:
        return plain, False
    return {
        "##": (of_words("##"), False),
        "Ġ": (of_bytes, False),
        META: (of_pieces, False),
        "</w>": (of_endings(of_bytes, "</w>"), True),
    }[most]
