"""Survey one model of a library: build it with several options, trace it, and write it as a catalogue entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from catalogue_builder.encode import encode
from catalogue_builder.vary import find_growth, space_growth, with_fan_numbers
from tli_cli.architecture import Architecture
from tli_cli.catalogue.decode import Reader, base_options, decode
from tli_cli.catalogue.sizes import Growth
from tli_cli.catalogue.subjects import Subject
from tli_cli.errors import TliError, TraceError, first_line
from tli_cli.providers.described import Variant, described, record, run


@dataclass(frozen=True)
class Survey:
    """What is known of one model.

    Attributes:
        row: the entry as `encode` writes it, `num_classes` of it 1000 where it takes the option.
        defaults: the values of the options that the library itself starts from.
        notes: what could not be found out, for the build's report.
    """

    row: Mapping[str, Any]
    defaults: Mapping[str, int]
    input_size: tuple[int, ...]
    traced: bool
    notes: tuple[str, ...] = ()


def traced(subject: Subject, options: Mapping[str, int]) -> tuple[Architecture, Variant]:
    """Build and trace; raise `TraceError` where the model cannot be built or run."""
    architecture, variant, problem = described(subject, options, "")
    if problem:
        raise TraceError(problem)
    return architecture, variant


def stored_options(subject: Subject) -> dict[str, int]:
    """Return the options of the stored architecture: timm's with 1000 classes, so that more names share it."""
    return dict(subject.defaults) | ({"num_classes": 1000} if subject.library == "timm" else {})


def survey(subject: Subject) -> Survey:
    """Return the catalogue entry of `subject`."""
    notes: list[str] = []
    headless = subject.library == "timm"
    options = stored_options(subject)
    architecture, base, problem = described(subject, options, f"{subject.library} {subject.name}")
    grown = _attempts(subject, base, {"num_classes": 7, "in_chans": 5}, notes)
    checks = _attempts(subject, base, {"num_classes": 0 if headless else 11, "in_chans": 1}, notes)
    growth = _growth(subject, architecture, base, grown, notes)
    initial, unfit = with_fan_numbers(base, [*grown, *checks])
    if unfit and headless:
        notes.append(f"initial values of {len(unfit)} tensors follow an option in an unknown way, such as {unfit[0]}")
    architecture = replace(architecture, initial=initial)
    row = encode(architecture, growth)
    for check in checks:
        if wrong := _mismatch(row, check):
            notes.append(f"no options: {wrong}")
            row = encode(architecture, growth := {})
            break
    row["head"] = _head(architecture, checks) if "num_classes" in growth else None
    return Survey(
        row, subject.defaults, subject.input_size, not problem, tuple([*notes, problem] if problem else notes)
    )


def _attempts(subject: Subject, base: Variant, changes: Mapping[str, int], notes: list[str]) -> list[Variant]:
    """Build with `changes` at once, or with each alone where that fails."""
    wanted = {option: value for option, value in changes.items() if option in base.options}
    if not wanted:
        return []
    try:
        return [record(subject, {**base.options, **wanted})[1]]
    except Exception as error:
        if len(wanted) == 1:
            notes.append(f"{wanted}: {first_line(error)[:120]}")
            return []
    return [v for option in wanted for v in _attempts(subject, base, {option: wanted[option]}, notes)]


def _growth(
    subject: Subject, architecture: Architecture, base: Variant, grown: list[Variant], notes: list[str]
) -> dict[str, Growth]:
    growth: dict[str, Growth] = {}
    for other in grown:
        changed = {option: value for option, value in other.options.items() if value != base.options[option]}
        try:
            growth |= find_growth(architecture, base, other)
        except ValueError as error:
            if len(changed) == 1:
                growth |= _traced_growth(subject, architecture, base, other, str(error), notes)
                continue
            alone = [v for option in changed for v in _attempts(subject, base, {option: changed[option]}, notes)]
            growth |= _growth(subject, architecture, base, alone, notes)
    return {option: rule for option, rule in growth.items() if rule.spaces or rule.dims}


def _traced_growth(
    subject: Subject, architecture: Architecture, base: Variant, other: Variant, problem: str, notes: list[str]
) -> dict[str, Growth]:
    """Trace again with the changed option, and compare the spaces."""
    try:
        changed, _ = traced(subject, other.options)
        return space_growth(architecture, changed, base, other)
    except (TliError, ValueError) as error:
        notes.append(f"{problem}; {error}")
        return {}


def _mismatch(row: Mapping[str, Any], check: Variant) -> str:
    """Return which tensor of `check` the entry gives another shape; empty if none."""
    options = {option: value for option, value in check.options.items() if option in row["growth"] and value}
    by_name = decode(row, "", options).by_name
    is_without = any(option not in row["growth"] for option in check.options)
    for name, shape in check.shapes.items():
        if name not in by_name or (by_name[name].shape != shape and not is_without):
            return f"with {dict(check.options)} {name} is {shape}"
    return ""


def _head(architecture: Architecture, checks: list[Variant]) -> list[int] | None:
    """Return the places of the tensors that are gone where there are no classes, None if that was not found out."""
    for check in checks:
        if check.options.get("num_classes") == 0:
            return [i for i, tensor in enumerate(architecture.tensors) if tensor.name not in check.shapes]
    return None


def retraced(subject: Subject, row: Mapping[str, Any]) -> Survey:
    """Return what `survey` would, taking initial values and what follows the options from the stored `row`."""
    options = stored_options(subject)
    model, variant, _ = record(subject, options)
    architecture, problem = run(subject, model.to("meta"), options, f"{subject.library} {subject.name}")
    before = decode(row, "", {})
    if problem or {t.name: t.shape for t in before.tensors} != variant.shapes:
        return survey(subject)
    steps = {"num_classes": 1000, "in_chans": 1}
    base = base_options(row)
    grown = {option: value + steps[option] for option, value in base.items()}
    shapes = {t.name: t.shape for t in decode(row, "", grown).tensors}
    try:
        growth = find_growth(architecture, Variant(base, variant.shapes, {}), Variant(grown, shapes, {}))
    except ValueError:
        return survey(subject)
    reader = Reader(row, {}, resolve=False)
    reader.layers()
    entry = encode(replace(architecture, initial=reader.initial, order_from="catalogue"), growth)
    entry["head"] = row["head"]
    return Survey(entry, subject.defaults, subject.input_size, True)
