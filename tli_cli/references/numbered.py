"""Numbers of code for what the catalogue describes, which holds none: from the library, if it is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from tli_cli.architecture import Architecture, Number
from tli_cli.catalogue import recognise
from tli_cli.errors import TliError
from tli_cli.planning.numbers import were_run
from tli_cli.references.reference import Reference

TRIALS = 4
"""How many of the names that share a checkpoint's names and shapes are run."""

Numbers = Mapping[str, tuple[Number, ...]]


def with_numbers(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return `references`, those that the catalogue describes with the numbers of their code where another one was run.

    A checkpoint that several names fit has those nearest to the other one's: nothing in it tells of another.
    """
    run = next((r.architecture for r in references if were_run(r.architecture)), None)
    return tuple(references) if run is None else tuple(_numbered(r, run) for r in references)


def _numbered(reference: Reference, run: Architecture) -> Reference:
    architecture = reference.architecture
    if were_run(architecture):
        return reference
    wanted = Counter(number for layer in run.layers for number in layer.numbers)
    nearest: tuple[int, Architecture] | None = None
    for found in _candidates(reference):
        given = Counter(number for layer in found.layers for number in layer.numbers)
        apart = ((wanted - given) + (given - wanted)).total()
        if nearest is None or apart < nearest[0]:
            nearest = (apart, found)
        if not apart:
            break
    return reference if nearest is None else replace(reference, architecture=nearest[1])


def _candidates(reference: Reference) -> Iterator[Architecture]:
    names, prefix = _names(reference)
    for name in names[:TRIALS]:
        found = _with(reference.architecture, _numbers(name), prefix)
        if were_run(found):
            yield found


def _names(reference: Reference) -> tuple[Sequence[str], str]:
    """Return the catalogue's names that a reference may be, the likeliest first, and what stands before its names."""
    checkpoint = reference.checkpoint
    if checkpoint is None or reference.architecture.order_from != "recognised":
        return [reference.known_as] if reference.known_as else [], ""
    found = recognise(checkpoint.tensors)
    if found is None:
        return [], ""
    config = checkpoint.config or {}
    said = reference.known_as or (f"timm:{config['architecture']}" if "architecture" in config else "")
    names = (found.entry.reference, *found.others)
    return [said] if said in names else names, found.prefix


def _with(architecture: Architecture, numbers: Numbers, prefix: str) -> Architecture:
    """Return `architecture` with `numbers`, given by the names of first tensors without `prefix`."""
    layers = [
        replace(layer, numbers=numbers.get(layer.tensors[0][1].removeprefix(prefix), ()))
        for layer in architecture.layers
    ]
    return replace(architecture, layers=tuple(layers))


@lru_cache(maxsize=16)
def _numbers(reference: str) -> Numbers:
    """Return the numbers behind each layer of a library's model, by its first tensor; none if it cannot be run here."""
    try:
        from tli_cli.catalogue.subjects import subject_of
        from tli_cli.catalogue.survey import record, run

        subject = subject_of(*reference.split(":", 1))
        model, _, _ = record(subject, subject.defaults)
        architecture, problem = run(subject, model.to("meta"), subject.defaults, reference)
    except (ImportError, TliError):
        return {}
    return {} if problem else {layer.tensors[0][1]: layer.numbers for layer in architecture.layers}
