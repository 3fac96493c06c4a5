"""Names in the catalogue: listing them, and finding the one that a user means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tli_cli.catalogue.sizes import OPTIONS
from tli_cli.catalogue.store import index
from tli_cli.errors import TliError, UnknownReferenceError
from tli_cli.registry import did_you_mean

LIBRARIES = ("timm", "torchvision")
_DIGITS = 10
"""A number of as many digits, or more, is none of classes or channels."""
"""The libraries in the order in which a bare name is looked up."""


@dataclass(frozen=True, slots=True)
class CatalogueName:
    """A name in the catalogue, written `library:name`."""

    library: str
    name: str

    def __str__(self) -> str:
        return f"{self.library}:{self.name}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index holds of one name.

    Attributes:
        structure: the number of the stored architecture, which several names may share.
        defaults: the library's own `num_classes` and `in_chans`; an option that is absent cannot be given.
        input_size: the shape of one sample, channels first.
        version: the library's version when the catalogue was built.
    """

    library: str
    name: str
    structure: int
    defaults: Mapping[str, int]
    input_size: tuple[int, ...]
    version: str

    def __str__(self) -> str:
        return f"{self.library} {self.name}"

    @property
    def reference(self) -> str:
        """How it is named whatever else is called so: `timm:resnet50`."""
        return f"{self.library}:{self.name}"

    def given(self, options: Mapping[str, int]) -> str:
        """Return `timm resnet50, num_classes=37`: the entry, and the `options` that are not the library's own."""
        own = known_entry(self.library, self.name).defaults
        return ", ".join([str(self), *(f"{key}={value}" for key, value in options.items() if own.get(key) != value)])


@dataclass(frozen=True)
class Resolved:
    """What a name stands for: its entry, the options given with it, and what the user should be told."""

    entry: Entry
    options: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


def names(pattern: str | None = None) -> list[CatalogueName]:
    """Return the names that hold `pattern`, or match it if it is a glob, in any case of letters; all if it is None."""
    found = [CatalogueName(library, name) for library in LIBRARIES for name in index()["models"][library]]
    if pattern is None:
        return found
    glob = (pattern if any(c in pattern for c in "*?[") else f"*{pattern}*").lower()
    return [name for name in found if fnmatchcase(str(name), glob) or fnmatchcase(name.name, glob)]


def parse_name(text: str) -> tuple[str | None, str, dict[str, str]]:
    """Return library (None if not given), name and options of `timm:resnet50?num_classes=10&in_chans=1`.

    >>> parse_name("timm:resnet50,num_classes=10")
    ('timm', 'resnet50', {'num_classes': '10'})
    """
    name, mark, query = text.partition("?" if "?" in text else ",")
    pairs = [part.partition("=") for part in query.replace(",", "&").split("&")] if mark else []
    if any(not key or not value for key, _, value in pairs):
        raise TliError(f"{text!r}: expected options such as ?num_classes=10&in_chans=1 after the name, found {query!r}")
    library, colon, rest = name.partition(":")
    options = {key: value for key, _, value in pairs}
    return (library, rest, options) if colon else (None, name, options)


def known_entry(library: str, name: str) -> Entry:
    """Return the entry of the exact `name` in `library`, which must be there."""
    return _entry(library, name, index()["models"][library][name])


def plainness(library: str, name: str) -> tuple[int, int, str]:
    """Return what a name is sorted by, the plainest first: timm before others, short before long."""
    return (LIBRARIES.index(library), len(name), name)


def entries_of(structures: Collection[int]) -> list[Entry]:
    """Return the entries of the architectures numbered `structures`, the plainest name first."""
    listed = ((library, name, row) for library, rows in index()["models"].items() for name, row in rows.items())
    held = (one for one in listed if one[2][0] in structures)
    return [_entry(*one) for one in sorted(held, key=lambda one: plainness(one[0], one[1]))]


def _entry(library: str, name: str, row: list[Any], classes: int | None = None) -> Entry:
    structure, stored_classes, size = row
    classes = stored_classes if classes is None else classes
    defaults = {"in_chans": size[0]} if classes is None else {"num_classes": classes, "in_chans": size[0]}
    return Entry(library, name, structure, defaults, tuple(size), index()["libraries"][library])


def resolve_name(text: str) -> Resolved:
    """Return the entry that `text` names; raise `UnknownReferenceError` with suggestions if there is none.

    `text` may carry a library, options, one of timm's pretrained tags (`efficientnet_b0.ra_in1k`), or a name that timm
    has since changed.
    """
    library, name, given = parse_name(text)
    if library is not None and library not in LIBRARIES:
        raise UnknownReferenceError(
            f"{text!r}: the catalogue holds {' and '.join(LIBRARIES)}, not {library!r}; your own "
            "class is named path/to/net.py:Net or 'path/to/net.py:Net(64, act=\"gelu\")'"
        )
    options = {key: _number(text, key, value) for key, value in given.items()}
    holders = [one for one in LIBRARIES if name in index()["models"][one]] if library is None else [library]
    for holder in holders or ["timm"]:
        if name in index()["models"][holder]:
            entry = known_entry(holder, name)
            return Resolved(entry, options, _choice_note(entry, holders))
        if holder == "timm" and (found := _other_name(name)):
            return Resolved(found[0], options, found[1])
    raise unknown_name(text, library, name)


def _choice_note(entry: Entry, holders: list[str]) -> str:
    others = [holder for holder in holders if holder != entry.library]
    if not others:
        return ""
    return (
        f"{entry.name} is taken from {entry.library} {entry.version}; write {others[0]}:{entry.name} for the other one"
    )


def _other_name(name: str) -> tuple[Entry, str] | None:
    """Return the timm entry that a tagged or a former name stands for, and the note that says so."""
    renamed = index()["renamed"].get(name)
    plain, _, tag = (renamed or name).partition(".")
    row = index()["models"]["timm"].get(plain)
    if row is None:
        return None
    tags = index()["tags"].get(plain, {})
    if tag and tag not in tags and not renamed:
        return None
    entry = _entry("timm", plain, row, tags.get(tag))
    note = f"{name} is now {renamed} in timm" if renamed else ""
    said = (
        f"{plain} with {entry.defaults['num_classes']} classes; the weights of {tag!r} are not part of it"
        if tag
        else ""
    )
    return entry, "; ".join(part for part in (note, said) if part)


def _number(text: str, key: str, value: str) -> int:
    if key not in OPTIONS:
        raise TliError(
            f"{text!r}: the catalogue takes {' and '.join(OPTIONS)}, not {key!r}; "
            f"other arguments need the library itself: install it and write timm:NAME?{key}={value}"
        )
    if not (value.isascii() and value.isdigit() and len(value) < _DIGITS) or (int(value) == 0 and key == "in_chans"):
        raise TliError(f"{text!r}: {key} must be a positive number of at most {_DIGITS - 1} digits, found {value!r}")
    return int(value)


def unknown_name(text: str, library: str | None, name: str) -> UnknownReferenceError:
    """Return the error for a name that nothing is called, with what comes close."""
    known = [one for each in ([library] if library else LIBRARIES) for one in index()["models"][each]]
    plain, bracket, inside = name.partition("(")
    if bracket and plain in known:
        hint = f"arguments stand behind a question mark: '{plain}?{inside.rstrip(')').replace(', ', '&')}'"
    else:
        hint = did_you_mean(name, known) or "`tli archs` lists them; a model of transformers is named hf:DIR"
    missing = "" if library else ", and there is no such file"
    return UnknownReferenceError(f"unknown architecture {text!r}: the catalogue has no such name{missing}; {hint}")
