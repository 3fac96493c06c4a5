"""What is looked at and not read, however it is given, as references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from tli_cli.architecture import Architecture
from tli_cli.given import Model, Named, is_live, models_of, name_of
from tli_cli.references import Reading, Reference, resolve, resolve_all


def looked_at(model: Model, reading: Reading) -> Reference:
    """Return a model by name as it is read, a live one or a state dict, or what was inspected, as it is.

    Raises:
        TliError: it cannot be read or run, or is none of these.
    """
    if isinstance(model, Architecture):
        return Reference(model.origin, model)
    if is_live(model):
        from tli_cli.teachers import live_reference

        return live_reference(model, reading.input_shape)
    if isinstance(model, Mapping):
        from tli_cli.teachers import state_dict_reference

        return state_dict_reference(model, reading)
    return resolve(name_of(cast(Named, model)), reading)


def all_looked_at(models: Model | Sequence[Model], reading: Reading) -> tuple[Reference, ...]:
    """Return one or several models as they are looked at; every name that cannot be read is told in one message."""
    listed = models_of(models)
    if all(isinstance(one, str) for one in listed):
        return resolve_all(cast("list[str]", listed), reading)
    return tuple(looked_at(one, reading) for one in listed)


def called(models: Model | Sequence[Model], reading: Reading, what: str) -> tuple[list[str], dict[str, Reference]]:
    """Return what each of `models` is called, and those among them that are not given by name; where several have one
    name, the others are numbered."""
    listed = models_of(models, what)
    names, given = [one for one in listed if isinstance(one, str)], dict[str, Reference]()
    called = []
    for model in listed:
        if isinstance(model, str):
            called.append(model)
            continue
        reference = looked_at(model, reading)
        name, count = reference.text, 1
        while name in given or name in names:
            count += 1
            name = f"{reference.text} {count}"
        given[name] = replace(reference, text=name)
        called.append(name)
    return called, given
