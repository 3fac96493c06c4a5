"""Import a user's own class or factory, on its explicit form only."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from tli_cli.catalogue.libraries import import_timm
from tli_cli.errors import TliError, UnknownReferenceError
from tli_cli.registry import did_you_mean


def load_factory(reference: str) -> Callable[..., Any]:
    """Return what `path/net.py:Net` or `package.module:factory` names. This runs that file or package.

    Raises:
        UnknownReferenceError: there is no such file, package or attribute.
        TliError: importing it fails.
    """
    where, _, name = reference.rpartition(":")
    module = _module_from_file(Path(where)) if where.endswith(".py") else _module_by_name(where)
    try:
        found = reduce(getattr, name.split("."), module)
    except AttributeError as error:
        public = [n for n in vars(module) if not n.startswith("_")]
        hint = did_you_mean(name, public) or f"it has {', '.join(public[:8])}"
        raise UnknownReferenceError(f"{reference}: {where} has no {name!r}; {hint}") from error
    if not callable(found):
        raise TliError(f"{reference}: expected a class or function, found {type(found).__name__}")
    return found


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownReferenceError(f"{path}: no such file")
    name = f"_tli_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TliError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise TliError(f"{path}: importing it failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    return module


def _module_by_name(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        if name.partition(".")[0] in ("timm", "torchvision"):
            import_timm()
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UnknownReferenceError(f"{name}: no such package or module ({error})") from error
    except Exception as error:
        raise TliError(f"{name}: importing it failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
