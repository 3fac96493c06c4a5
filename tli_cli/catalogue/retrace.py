"""Trace a model of the catalogue again and keep the rest of its entry, for when only the tracer has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tli_cli.catalogue.decode import Reader, base_options, decode
from tli_cli.catalogue.encode import encode
from tli_cli.catalogue.subjects import Subject
from tli_cli.catalogue.survey import Survey, record, run, stored_options, survey
from tli_cli.catalogue.vary import Variant, find_growth


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
