"""Models of sentencepiece: a protocol buffer, of which the list of pieces is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tli_cli.errors import TliError

UNKNOWN, CONTROL = 2, 3
"""Types of pieces that stand for no text; others are text, single bytes, or not used."""
_PIECE, _TRAINER = 1, 2
_NAME, _TYPE = 1, 3
_ROLE_IDS = {40: "unk", 41: "bos", 42: "eos", 43: "pad"}
_USUAL_IDS = {"unk": 0, "bos": 1, "eos": 2, "pad": -1}
_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5


def read_pieces(data: bytes, origin: str) -> tuple[dict[str, int], set[str], dict[str, str]]:
    """Return the pieces with their ids, those that are special, and the roles that they have.

    Raises:
        TliError: `data` is no model of sentencepiece.
    """
    try:
        fields = list(_fields(data))
        trainer = next(
            (dict(_fields(value)) for key, value in fields if key == _TRAINER and isinstance(value, bytes)), {}
        )
        pieces = [_piece(value) for key, value in fields if key == _PIECE and isinstance(value, bytes)]
    except (IndexError, ValueError) as error:
        raise TliError(f"{origin}: expected a model of sentencepiece, found something else") from error
    if not pieces:
        raise TliError(f"{origin}: expected a model of sentencepiece, found no pieces in it")
    tokens = {name: number for number, (name, _) in reversed(list(enumerate(pieces)))}
    return tokens, {name for name, kind in pieces if kind in (UNKNOWN, CONTROL)}, _roles(trainer, pieces)


def _roles(trainer: Mapping[int, int | bytes], pieces: list[tuple[str, int]]) -> dict[str, str]:
    numbers = {**_USUAL_IDS, **{role: trainer[key] for key, role in _ROLE_IDS.items() if key in trainer}}
    known = {role: number for role, number in numbers.items() if isinstance(number, int) and number < len(pieces)}
    return {role: pieces[n][0] for role, n in known.items() if n >= 0 and pieces[n][1] in (UNKNOWN, CONTROL)}


def _piece(data: bytes | int) -> tuple[str, int]:
    parts = dict(_fields(data)) if isinstance(data, bytes) else {}
    name, kind = parts.get(_NAME), parts.get(_TYPE, 1)
    if not isinstance(name, bytes) or not isinstance(kind, int):
        raise ValueError("a piece without a name")
    return name.decode("utf-8", "surrogateescape"), kind


def _fields(data: bytes | int) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a message."""
    if isinstance(data, int):
        raise ValueError("a number in the place of a message")
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value - (1 << 64) if value >> 63 else value
            continue
        if kind not in (_LONG, _BYTES, _SHORT):
            raise ValueError(f"a field of type {kind}")
        length, at = _varint(data, at) if kind == _BYTES else (8 if kind == _LONG else 4, at)
        if at + length > len(data):
            raise IndexError("a field behind the end")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
