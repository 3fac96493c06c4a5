"""Parsers of option values: each takes the text and raises a usage error that says what was expected."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from glob import escape, glob
from os import sep
from os.path import isdir

import typer

from tli_cli.options import HEAD_CHOICES, InputShape
from tli_cli.registry import did_you_mean

_UNITS = {"": 1, "B": 1} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("KMGT", start=1)
    for end, base in (("", 1000), ("B", 1000), ("IB", 1024))
}


def parse_size(text: str) -> int:
    """Return the bytes that `text` means: `5GB` or `5G` (10^9), `500MiB` (2^20), `1000`."""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2].upper() not in _UNITS or float(match[1]) <= 0:
        raise typer.BadParameter(f"expected a size such as 5GB or 500MiB, found {text!r}")
    return max(1, int(float(match[1]) * _UNITS[match[2].upper()]))


def parse_shape(text: str) -> InputShape:
    """Return a shape from `3,16,16` or `3x16x16`, several from `3,16,16;10`, by name from `image=3,16,16;tokens=10`.

    An empty one of several, as in `3,16,16;`, is a number alone.
    """
    names, shapes = zip(*(_named_shape(part) for part in text.split(";")), strict=True)
    parts = [part for shape in shapes for part in shape if shape != [""] or len(shapes) == 1]
    are_named = sum(bool(name) for name in names)
    if not all(part.isdigit() and int(part) > 0 for part in parts) or are_named not in (0, len(set(names))):
        raise typer.BadParameter(
            f"{text!r} is not a shape: expected positive numbers such as 3,224,224, or several shapes as 3,224,224;10 "
            "or, all by name, as 'image=3,224,224;tokens=10'"
        )
    found = tuple(tuple(int(part) for part in shape if part) for shape in shapes)
    if are_named:
        return dict(zip(names, found, strict=True))
    return found[0] if len(found) == 1 else found


def _named_shape(text: str) -> tuple[str, list[str]]:
    """Return the name before `=`, if there is one, and the numbers as they are written."""
    name, equals, shape = text.rpartition("=")
    numbers = [part.strip() for part in re.split(r"[,x]", shape.strip().strip("()").lower())]
    return (
        (name.strip(), numbers) if equals and name.strip().isidentifier() else ("", numbers if not equals else [text])
    )


def a_share(value: float | None) -> float | None:
    """Return `value`, a number from 0 to 1, but refuse others, and NaN."""
    if value is None or 0 <= value <= 1:
        return value
    percent = f"; {value:g} % is {value / 100:g}" if 1 < value <= 100 else ""
    raise typer.BadParameter(f"expected a number from 0 to 1, found {value:g}{percent}")


def parse_head(text: str) -> str:
    """Return `text` if it is `auto`, `fresh`, `keep`, `map` or `map:FILE`."""
    if text in HEAD_CHOICES or (text.startswith("map:") and len(text) > len("map:")):
        return text
    raise typer.BadParameter(f"{text!r} is not a head rule: expected auto, fresh, keep, map or map:FILE")


def none_of(text: str, known: Collection[str]) -> typer.BadParameter:
    """Return the error for a value that is not among those known, with what comes close."""
    return typer.BadParameter(f"{text!r} is none of {', '.join(known)}; {did_you_mean(text, known)}".removesuffix("; "))


def complete_reference(incomplete: str) -> Iterator[str]:
    """Yield the files and the catalogue names, with their library and without, that begin with `incomplete`."""
    for path in sorted(glob(escape(incomplete) + "*")):
        yield path + sep if isdir(path) else path
    from tli_cli.catalogue import names

    known = dict.fromkeys(text for name in names() for text in (name.name, str(name)))
    yield from (text for text in known if text.startswith(incomplete))
