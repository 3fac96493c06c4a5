"""JSON into frozen values: every field of the type that its annotation says, or one message that says what is not."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Hashable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints
from unicodedata import bidirectional, category

from tli_cli.errors import PlanError, join_problems

T = TypeVar("T")
Place = tuple[Any, ...]
"""Where a value stands: the place that holds it, and its field or index there."""

Decoder = Callable[[Any, Place, "Problems"], Any]

MAX_DEPTH = 16
"""How deeply lists may be nested where any value is allowed."""

_MAX_PROBLEMS = 8
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""The characters that have what follows run the other way."""
_MAX_INTEGER = 1 << 63
_JSON_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


class Problems(list[str]):
    """What is wrong, as far as it is worth telling."""

    def add(self, where: Place, expected: str, found: Any) -> None:
        """Note that `expected` was wanted at `where`; raise `PlanError` when there are enough of these."""
        self.append(f"{_path(where)}: expected {expected}, found {_shown(found)}")
        if len(self) >= _MAX_PROBLEMS:
            self.tell()

    def tell(self) -> None:
        """Raise `PlanError` if there are any."""
        if self:
            raise PlanError(join_problems("not a plan that can be carried out:", self))


def parse(text: str, *, max_length: int, max_brackets: int) -> Any:
    """Return what the JSON `text` says, in bounded time and memory.

    Raises:
        PlanError: it is no JSON, too large, holds a key twice, or numbers that are none.
    """
    if len(text) > max_length:
        raise PlanError(f"not a plan: expected at most {max_length:,} characters, found more")
    if text.count("[") + text.count("{") > max_brackets:
        raise PlanError(f"not a plan: expected at most {max_brackets:,} lists and objects, found more")
    try:
        return json.loads(text, object_pairs_hook=without_duplicates, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"not a plan: expected JSON, found {str(error)[:120] or 'nothing'}") from error


def decode(cls: type[T], raw: Any, where: str) -> T:
    """Return the `cls` that `raw` describes; raise `PlanError` with the first problems if it describes none."""
    problems = Problems()
    kind: Any = cls
    value: T = _decoder(kind)(raw, (where,), problems)
    problems.tell()
    return value


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return what a JSON object says; raise `ValueError` if it says something twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {double[:40]!r} twice in one object")
    return result


def _refuse(name: str) -> Any:
    raise ValueError(f"{name}, which is no number")


@cache
def _decoder(kind: Hashable) -> Decoder:
    """Return what decodes a value annotated as `kind`."""
    arguments = get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if is_dataclass(kind):
        return _dataclass(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return _either(arguments)
    if get_origin(kind) is tuple:
        return _repeated(arguments[0]) if arguments[-1] is Ellipsis else _fixed(arguments)
    raise TypeError(f"no way to decode {kind}")


def _dataclass(cls: Any) -> Decoder:
    hints = get_type_hints(cls)
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]

    def decoded(raw: Any, where: Place, problems: Problems) -> Any:
        if not isinstance(raw, dict):
            problems.add(where, "an object", raw)
            return None
        for name in raw:
            if name not in hints:
                problems.add(where, f"only the fields {', '.join(hints)}", name)
        for name in needed:
            if name not in raw:
                problems.add(where, f"a field {name!r}", "none")
        known = {name: _decoder(hints[name])(raw[name], (where, name), problems) for name in raw if name in hints}
        return None if problems else cls(**known)

    return decoded


def _either(kinds: tuple[Any, ...]) -> Decoder:
    """Decode `X | None`, or `int | tuple[...]`: a list goes to the tuple."""
    optional = type(None) in kinds
    listed = [_decoder(kind) for kind in kinds if get_origin(kind) is tuple]
    plain = [_decoder(kind) for kind in kinds if get_origin(kind) is not tuple and kind is not type(None)]

    def decoded(raw: Any, where: Place, problems: Problems) -> Any:
        if raw is None and optional:
            return None
        return (listed if isinstance(raw, list) and listed else plain or listed)[0](raw, where, problems)

    return decoded


def _repeated(kind: Any) -> Decoder:
    def decoded(raw: Any, where: Place, problems: Problems) -> Any:
        if not isinstance(raw, list):
            problems.add(where, "a list", raw)
            return None
        inner = _decoder(kind)
        return tuple([inner(item, (where, i), problems) for i, item in enumerate(raw)])

    return decoded


def _fixed(kinds: tuple[Any, ...]) -> Decoder:
    def decoded(raw: Any, where: Place, problems: Problems) -> Any:
        if not isinstance(raw, list) or len(raw) != len(kinds):
            problems.add(where, f"a list of {len(kinds)}", raw)
            return None
        return tuple([_decoder(kind)(raw[i], (where, i), problems) for i, kind in enumerate(kinds)])

    return decoded


def _anything(raw: Any, where: Place, problems: Problems, depth: int = 0) -> Any:
    if isinstance(raw, list):
        if depth == MAX_DEPTH:
            problems.add(where, f"at most {MAX_DEPTH} lists in each other", raw)
            return None
        return tuple([_anything(item, where, problems, depth + 1) for item in raw])
    for kind, scalar in _SCALARS.items():
        if kind is not Any and type(raw) is kind:
            return scalar(raw, where, problems)
    problems.add(where, "a number, text or a list", raw)
    return None


def _whole(raw: Any, where: Place, problems: Problems) -> Any:
    if type(raw) is not int or abs(raw) >= _MAX_INTEGER:
        problems.add(where, "a whole number of at most 63 bits", raw)
    return raw


def _number(raw: Any, where: Place, problems: Problems) -> Any:
    if type(raw) not in (int, float) or not (abs(raw) < _MAX_INTEGER if type(raw) is int else math.isfinite(raw)):
        problems.add(where, "a finite number", raw)
        return None
    return float(raw)


def _truth(raw: Any, where: Place, problems: Problems) -> Any:
    if not isinstance(raw, bool):
        problems.add(where, "true or false", raw)
    return raw


def _text(raw: Any, where: Place, problems: Problems) -> Any:
    if not isinstance(raw, str) or not encodable(raw) or has_controls(raw):
        problems.add(where, "text without control characters", raw)
    return raw


_SCALARS: dict[Any, Decoder] = {int: _whole, float: _number, bool: _truth, str: _text, Any: _anything}


def _path(where: Place) -> str:
    if len(where) == 1:
        return str(where[0])
    outer, key = where
    return f"{_path(outer)}[{key}]" if isinstance(key, int) else f"{_path(outer)}.{key}"


def has_controls(text: str) -> bool:
    """Tell whether `text` holds characters that a terminal would obey, or that show others in another order."""
    return not text.isprintable() and any(map(_is_control, text))


def shown(text: str) -> str:
    """Return `text` with escapes for what a terminal would obey and what no encoding has: file names may hold it."""
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _is_control(c) or category(c) == "Cs" else c for c in text)


def _is_control(character: str) -> bool:
    return category(character) in ("Cc", "Zl", "Zp") or bidirectional(character) in _TURNING


def encodable(text: str) -> bool:
    """Tell whether a text can be written."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return ascii(value[:40])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.6g}" if isinstance(value, float) else f"{value:,}"[:40]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return _JSON_NAMES.get(type(value), type(value).__name__)
