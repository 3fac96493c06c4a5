"""Which tensor of one network each tensor of another stands for where both are built of modules alike, whatever these
are called and in whichever order they are defined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from tli_cli.architecture import STATISTICS, TensorSpec
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.grouping import grouped

STANDARD = frozenset({"weight", "bias", *STATISTICS})
"""The last words of names that say what a tensor is."""


@dataclass(frozen=True)
class Module:
    """A module, or a tensor of `shape`: its whole `name`, and the `word` that its holder has for it.

    Modules share the number `form` that hold the same but for names, and `loose` that do but for names and sizes.
    """

    name: str
    word: str
    form: int
    loose: int
    held: tuple[Module, ...] = ()
    shape: tuple[int, ...] | None = None

    def number(self) -> int:
        """Return the first number in its word, or its last letter as one below zero where it counts; -1 if none."""
        found = re.search(r"\d+|(?<![a-z])[a-h]$", self.word)
        return -1 if found is None else int(found[0]) if found[0].isdigit() else ord(found[0]) - ord("z")

    def role(self) -> str:
        """Return what its name says that it is for; empty if nothing."""
        path = self.name.removesuffix(self.word) + self.word.partition(".")[0]
        return canonical_role(f"0.{path}" if "." in path else path)  # what is within a module is no stem or head


def by_modules(tensors: Sequence[TensorSpec], known: Sequence[TensorSpec]) -> dict[str, tuple[str, str]]:
    """Return what each tensor would be called in the network of those `known`, and which of these it is like, by
    modules that hold the same: of the same sizes where that tells them apart, and everywhere but for layers. Nothing if
    neither that nor names tell which is which. What is more of a row than there is like the last of that.
    """
    mine, theirs = (_module("", "", [(spec, spec.name) for spec in side]) for side in (tensors, known))
    try:
        return dict(_like(mine, theirs, theirs.name))
    except LookupError:
        return {}


def _module(name: str, word: str, held: Sequence[tuple[TensorSpec, str]]) -> Module:
    """Return the module `name` that holds tensors, each called something within; what holds one module alone is it."""
    if len(held) == 1 and not held[0][1]:
        shape, said = held[0][0].shape, word if word in STANDARD else ""
        return Module(name, word, hash((said, shape)), hash((said, len(shape))), shape=shape)
    found = []
    for part, items in grouped(held, lambda item: item[1].partition(".")[0]).items():
        rest = [(spec, within.partition(".")[2]) for spec, within in items]
        found.append(_module(f"{name}.{part}".lstrip("."), part, rest))
    if len(found) == 1 and found[0].shape is None:
        return replace(found[0], word=f"{word}.{found[0].word}".lstrip("."))
    form, loose = (hash(tuple(sorted(map(attrgetter(of), found)))) for of in ("form", "loose"))
    return Module(name, word, form, loose, tuple(found))


def _like(mine: Module, theirs: Module, path: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield what is found for the tensors of a module that would be called `path` in the network, or raise."""
    if mine.shape is None and theirs.shape is None:
        for own, other, word in _pairs(mine.held, theirs.held):
            yield from _like(own, other, f"{path}.{word}".lstrip("."))
    elif mine.form == theirs.form or (mine.loose == theirs.loose and mine.word in STANDARD):
        yield mine.name, (path, theirs.name)
    else:
        raise LookupError


def _pairs(mine: Sequence[Module], theirs: Sequence[Module]) -> Iterator[tuple[Module, Module, str]]:
    """Yield what two modules hold in pairs, with what the other side would call it; raise if that is not the same."""
    if all(module.word[0].isdigit() for module in (*mine, *theirs)):
        rows = [sorted(side, key=Module.number) for side in (mine, theirs)]
        for place, own in enumerate(rows[0]):
            other = rows[1][min(place, len(theirs) - 1)]
            more = max(place - len(theirs) + 1, 0)
            yield own, other, re.sub(r"^\d+", str(other.number() + more), other.word)
        return
    for form in (attrgetter("form"), attrgetter("loose")):
        forms, others = (grouped(side, form) for side in (mine, theirs))
        same = [key for key, alike in forms.items() if len(alike) == len(others.get(key, ()))]
        for key in same:
            yield from ((a, b, b.word) for a, b in _told(forms[key], others[key]))
        mine, theirs = ([module for module in side if form(module) not in same] for side in (mine, theirs))
    if mine or theirs:
        raise LookupError


def _told(mine: Sequence[Module], theirs: Sequence[Module]) -> list[tuple[Module, Module]]:
    """Return modules that hold the same in pairs: by their names, by what these say that they are for, as the only ones
    left over, or by their numbers; raise if nothing tells them apart."""
    found: list[tuple[Module, Module]] = []
    for told in (attrgetter("word"), Module.role):
        own, others = (grouped(side, told) for side in (mine, theirs))
        same = [key for key, alike in own.items() if key and len(alike) == len(others.get(key, ())) == 1]
        found += [(own[key][0], others[key][0]) for key in same]
        mine, theirs = ([module for module in side if told(module) not in same] for side in (mine, theirs))
    numbers = [{module.number() for module in side} for side in (mine, theirs)]
    counted = all(len(found) == len(mine) and len({n < 0 for n in found}) == 1 for found in numbers)
    if len(mine) > 1 and not counted:
        raise LookupError
    return [*found, *zip(*(sorted(side, key=Module.number) for side in (mine, theirs)), strict=True)]
