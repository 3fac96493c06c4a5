"""What a caller in Python gives, checked at the boundary: names, paths, options and plans of the wrong type; and as
references what is looked at and not read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, Union, cast

from tli_cli.architecture import Architecture
from tli_cli.errors import TliError
from tli_cli.references import Reading, Reference, resolve, resolve_all

if TYPE_CHECKING:
    from torch import nn


Named = Union[str, "PathLike[str]"]
"""What names a reference: text, or the path of a file or directory."""
Model = Union[Named, "nn.Module", Architecture, Mapping[str, Any]]
"""What is looked at and not read: a name, a live module, a state dict, or what `inspect` returned of one."""


def name_of(reference: Named) -> str:
    """Return the text that names `reference`; raise `TliError` for what is no name."""
    if isinstance(reference, (str, PathLike)) and isinstance(text := fspath(reference), str):
        if not text:
            raise TliError("expected the name or path of a model, found an empty text; a variable may be unset")
        return text
    raise TliError(
        f"expected the name or path of a model, found {_kind(reference)}; tli_cli.inject reads files, and apply_tli "
        "takes live modules and state dicts, as do match, score, rank, matrix and inspect, which read no values"
    )


def names_of(references: Named | Sequence[Named], what: str = "source") -> list[str]:
    """Return the names of one or several `references`; raise `TliError` where there is none."""
    return [name_of(one) for one in _listed(references, what)]


def models_of(models: Model | Sequence[Model], what: str = "source") -> list[Model]:
    """Return one or several `models`, those that are named by their names; raise `TliError` where there is none."""
    return [one if _is_held(one) else name_of(one) for one in _listed(models, what)]


def _listed(given: object, what: str) -> list[Any]:
    """Return what is given one by one, alone or in a list; raise `TliError` where there is none."""
    single = isinstance(given, str | bytes | PathLike) or _is_held(given) or not isinstance(given, Iterable)
    listed = [given] if single else list(cast("Iterable[object]", given))
    if not listed:
        raise TliError(f"no {what} given: name at least one checkpoint or architecture")
    return listed


def _is_held(model: object) -> bool:
    """Tell whether a model is given as such and not by its name."""
    return isinstance(model, Mapping | Architecture) or is_live(model)


def is_live(model: object) -> TypeGuard[nn.Module]:
    """Tell whether `model` is a live module."""
    torch = sys.modules.get("torch")  # which who has a module has imported
    return torch is not None and isinstance(model, torch.nn.Module)


def path_of(path: Named, what: str) -> Path:
    """Return where `what` is, or goes to; raise `TliError` for what is no path."""
    if isinstance(path, (str, PathLike)) and isinstance(fspath(path), str):
        return Path(path)
    raise TliError(f"{what}: expected a path, found {_kind(path)}")


def require(value: Any, wanted: type, what: str, instead: str = "") -> None:
    """Raise `TliError` unless `value`, which the message calls `what`, is a `wanted`."""
    if not isinstance(value, wanted):
        raise TliError(f"{what}: expected tli_cli.{wanted.__name__}, found {_kind(value)}{instead and f'; {instead}'}")


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


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
