"""Recognise a checkpoint: the catalogue's entry that has its names and shapes, head, input and prefix apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.catalogue.adapt import adapted
from tli_cli.catalogue.decode import base_options, decode
from tli_cli.catalogue.loading import head_names, without
from tli_cli.catalogue.naming import Entry, entries_of
from tli_cli.catalogue.signature import WORD, Masks, Shape, followers, stored_signatures
from tli_cli.catalogue.store import read_row
from tli_cli.describe.renaming import with_prefix
from tli_cli.describe.spelling import enclosing

TRIALS = 6
"""How many architectures of one signature are compared with a checkpoint that lacks its head."""


@dataclass(frozen=True)
class Recognition:
    """What a checkpoint was recognised as.

    Attributes:
        entry: the plainest name of the architecture; `others` are the names that share its names and shapes.
        options: the `num_classes` and `in_chans` that the shapes tell of; 0 classes where there is no head.
        architecture: the entry's order and graph over exactly the checkpoint's tensors.
        prefix: what stands before the entry's names in the checkpoint.
        extra: the checkpoint's tensors that the entry has not, such as a head under another name.
        missing: the entry's tensors that the checkpoint has not.
        alike: the numbers of the other architectures that have its names and shapes.
        resized: the checkpoint's tensors that have other sizes than the entry's, such as those of another image.
    """

    entry: Entry
    options: Mapping[str, int]
    architecture: Architecture
    others: tuple[str, ...] = ()
    prefix: str = ""
    extra: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    alike: tuple[int, ...] = ()
    resized: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.entry.given(self.options)

    def readings(self, tensors: Sequence[TensorSpec]) -> Iterator[Recognition]:
        """Yield what `tensors`, which were recognised as this, may be as well: nothing in them tells which."""
        shapes = _below(tensors, self.prefix)
        for number in self.alike:
            fit = _fit(number, shapes)
            if fit.options == self.options and _fits_grids(fit.architecture, shapes):
                found = _recognition(fit, (self.entry.structure, *self.alike), tensors, self.prefix)
                if (found.extra, found.missing) == (self.extra, self.missing):
                    yield found


def recognise(tensors: Sequence[TensorSpec]) -> Recognition | None:
    """Return the catalogue's entry for `tensors`, given in any order; None if there is none."""
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    masks, signatures = stored_signatures()
    for prefix in _prefixes(list(shapes)):
        inner = _below(tensors, prefix)
        for found in _candidates(inner, masks, signatures):
            return _recognition(_best_fit(found, inner, masks), [n for n, _ in found], tensors, prefix)
    return None


def _below(tensors: Sequence[TensorSpec], prefix: str) -> dict[str, Shape]:
    """Return the shapes of the tensors whose names begin with `prefix`, by the rest of their names."""
    return {t.name[len(prefix) :]: t.shape for t in tensors if t.name.startswith(prefix)}


def _best_fit(found: Sequence[Sequence[int]], shapes: Mapping[str, Shape], masks: Masks) -> _Fit:
    """Return the first architecture whose head is there too, of the same image size if there are any, else one whose
    grids may be of another size."""
    image = masks.image(shapes.items())
    same = [number for number, other in found if other == image] or [number for number, _ in found]
    fits = []
    for number in same[:TRIALS]:
        fits.append(_fit(number, shapes))
        if not fits[-1].headless and _fits_grids(fits[-1].architecture, shapes):
            return fits[-1]
    return min(fits, key=lambda fit: (fit.headless, not _fits_grids(fit.architecture, shapes)))


def _fits_grids(architecture: Architecture, shapes: Mapping[str, Shape]) -> bool:
    """Tell whether the shapes that tell of another size of the image can be of this architecture's grids."""
    resized = adapted(architecture, [replace(t, shape=shapes.get(t.name, t.shape)) for t in architecture.tensors])
    return len(resized.axes) == len(architecture.axes)


def _prefixes(names: Sequence[str]) -> Iterator[str]:
    """Yield nothing, and then the modules that hold most of the tensors, the outermost first."""
    prefix = ""
    while True:
        yield prefix
        inside: dict[str, int] = {}
        for name in names:
            head, dot, _ = name[len(prefix) :].partition(".")
            if name.startswith(prefix) and dot:
                inside[head] = inside.get(head, 0) + 1
        widest = max(inside, key=lambda head: inside[head], default="")
        if not widest or inside[widest] < len(names) // 2:
            return
        prefix += f"{widest}."


def _candidates(
    shapes: Mapping[str, Shape], masks: Masks, signatures: Mapping[int, list[list[int]]]
) -> Iterator[Sequence[Sequence[int]]]:
    """Yield architectures that have the signature of `shapes`, or of `shapes` without one module."""
    below: dict[str, int] = {}
    total = 0
    for name, shape in shapes.items():
        if masks.counts(name):
            value = masks.contribution(name, shape)
            total += value
            for module in enclosing(name):
                below[module] = below.get(module, 0) + value
    for module, value in [("", 0), *below.items()]:
        found = signatures.get((total - value) % WORD)
        if found and not _is_one_of_many(module, below):
            yield found


def _is_one_of_many(module: str, others: Mapping[str, int]) -> bool:
    """Tell whether a module is the last of a numbered row: a block more than the architecture has, not its head."""
    match = re.fullmatch(r"(.*?\D)?(\d+)", module)
    return match is not None and int(match[2]) > 0 and f"{match[1] or ''}{int(match[2]) - 1}" in others


@dataclass(frozen=True)
class _Fit:
    """How an architecture fits: with which options, and whether its head is missing."""

    structure: int
    options: Mapping[str, int]
    architecture: Architecture
    headless: bool


def _fit(structure: int, shapes: Mapping[str, Shape]) -> _Fit:
    row = read_row(structure)
    options = base_options(row)
    architecture = decode(row, "", {})
    for option in options:
        found = _option(architecture, followers(row, architecture, option), options[option], shapes)
        options[option] = options[option] if found is None else found
    heads = followers(row, architecture, "num_classes")
    sized = architecture if options == base_options(row) else decode(row, "", options)
    differing = {t.name for t in sized.tensors if shapes.get(t.name, t.shape) != t.shape}
    headless = bool(heads) and (bool(heads & differing) or not heads <= shapes.keys())
    if headless:
        options["num_classes"] = 0
        sized = without(sized, frozenset(heads | head_names(row)) - (shapes.keys() - heads))
    return _Fit(structure, options, sized, headless)


def _option(architecture: Architecture, names: frozenset[str], base: int, shapes: Mapping[str, Shape]) -> int | None:
    """Return the value of an option that the first tensor which follows it tells of."""
    for tensor in architecture.tensors:
        if tensor.name not in names or len(shapes.get(tensor.name, ())) != len(tensor.shape):
            continue
        changed = [(a, b) for a, b in zip(tensor.shape, shapes[tensor.name], strict=True) if a != b]
        if not changed:
            return base
        before, after = changed[0]
        factor = before // base
        return after // factor if factor and before % base == 0 and after % factor == 0 and after else None
    return None


def _recognition(fit: _Fit, alike: Sequence[int], tensors: Sequence[TensorSpec], prefix: str) -> Recognition:
    """Return the recognition; names of the same signature, whatever their image, stand among the others."""
    entry, *others = sorted(entries_of(alike), key=lambda entry: entry.structure != fit.structure)
    whole = with_prefix(replace(fit.architecture, origin=str(entry)), prefix)
    held, expected = {t.name: t.shape for t in tensors}, {t.name for t in whole.tensors}
    return Recognition(
        entry,
        fit.options,
        adapted(whole, tensors),
        tuple(other.reference for other in others),
        prefix,
        tuple(t.name for t in tensors if t.name not in expected),
        tuple(t.name for t in whole.tensors if t.name not in held),
        tuple(number for number in alike if number != fit.structure),
        tuple(t.name for t in whole.tensors if held.get(t.name, t.shape) != t.shape),
    )
