"""What a caller in Python gives, checked at the boundary: names, paths, options and plans of the wrong type."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard, Union, cast

from tli_cli.architecture import Architecture
from tli_cli.errors import TliError

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
