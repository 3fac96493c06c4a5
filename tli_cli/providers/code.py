"""Import a user's own class or factory, on its explicit form only."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from tli_cli.catalogue.libraries import import_torchvision
from tli_cli.describe.failures import told
from tli_cli.errors import TliError, UnknownReferenceError
from tli_cli.registry import did_you_mean

_DEEPEST = 4
"""How many directories above a file are tried as the package that its relative imports go up to."""
_ROOT = "_tli_root"
"""What a module imported from beside a file is marked with: the directory that it was found in."""


def load_factory(reference: str) -> Callable[..., Any]:
    """Return what `path/net.py:Net` or `package.module:factory` names. This runs that file or package.

    Raises:
        UnknownReferenceError: there is no such file, package or attribute.
        TliError: importing it fails.
    """
    where, _, name = reference.rpartition(":")
    module = _module(where)
    try:
        found = reduce(getattr, name.split("."), module)
    except AttributeError as error:
        own = [n for n, held in vars(module).items() if getattr(held, "__module__", "") == module.__name__]
        public = [n for n in own if not n.startswith("_")]
        hint = did_you_mean(name, public) or f"it defines {', '.join(public[:8]) or 'no class and no function'}"
        raise UnknownReferenceError(f"{reference}: {where} has no {name!r}; {hint}") from error
    if isinstance(found, nn.Module):
        raise TliError(
            f"{reference}: expected a class, or a function that makes a model; found a {type(found).__name__} that is "
            f"made already: name its class, or a function that returns it"
        )
    if not callable(found):
        raise TliError(f"{reference}: expected a class or function, found {type(found).__name__}")
    return found


def _module(where: str) -> ModuleType:
    load = _module_by_name if not where.endswith(".py") else lambda name: _module_from_file(Path(name))
    try:
        return load(where)
    except TliError as error:
        if "operator torchvision::" not in str(error) or "torchvision" in sys.modules:
            raise
        import_torchvision()
        return load(where)


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UnknownReferenceError(f"{path}: no such file")
    depth = 0
    while True:
        try:
            with _as_a_script(path), _told(str(path)), _among_its_own(path.resolve().parents[depth]):
                return _module_in_package(path, depth) if depth else _module_alone(path)
        except TliError as error:
            if "relative import" not in str(error) or depth == _DEEPEST:
                raise
            depth = max(depth + 1, _depth(path))


def _depth(path: Path) -> int:
    """Return how many of the directories above a file are packages, its own first."""
    parents = path.resolve().parents
    return next((i for i, parent in enumerate(parents) if not (parent / "__init__.py").is_file()), 0)


def _module_alone(path: Path) -> ModuleType:
    """Import a file, which is run once as long as it stays as it is: what registers its classes may do so but once."""
    file = path.resolve()
    module = _run(path, file, file.stat().st_mtime_ns, file.stat().st_size)
    sys.modules[module.__name__] = module
    return module


@lru_cache(maxsize=64)
def _run(path: Path, file: Path, changed: int, size: int) -> ModuleType:
    name = f"_tli_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TliError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_in_package(path: Path, depth: int) -> ModuleType:
    """Import a file as a part of the package that is `depth` directories above it."""
    file = path.resolve()
    root = file.parents[depth]
    name = ".".join(file.relative_to(root).with_suffix("").parts)
    if name.endswith(".__init__"):
        name = name.removesuffix(".__init__")
    with _on_path(root):
        module = importlib.import_module(name)
    if module.__file__ is None or Path(module.__file__).resolve() != file:
        raise TliError(f"{path}: another package is called {name.partition('.')[0]} ({module.__file__}); rename one")
    return module


def _module_by_name(name: str) -> ModuleType:
    with _as_a_script(Path(name)), _told(name):
        return importlib.import_module(name)


@contextmanager
def _as_a_script(path: Path) -> Iterator[None]:
    """Have imports found beside a file and in the working directory, and no arguments of ours."""
    arguments = sys.argv
    sys.argv = [str(path)]
    try:
        with _on_path(Path.cwd()), _on_path(path.parent.resolve()):
            yield
    finally:
        sys.argv = arguments


@contextmanager
def _among_its_own(root: Path) -> Iterator[None]:
    """Forget what was imported from beside another file, which may have the same names, and mark what is now."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get(_ROOT, root) != root:
            del sys.modules[name]
    before = set(sys.modules)
    yield
    for name in sys.modules.keys() - before:
        module = sys.modules[name]
        if Path(getattr(module, "__dict__", {}).get("__file__") or "/").is_relative_to(root):
            setattr(module, _ROOT, root)


@contextmanager
def _on_path(directory: Path) -> Iterator[None]:
    entry = str(directory)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


@contextmanager
def _told(where: str) -> Iterator[None]:
    """Turn all that importing a user's code may raise into one message."""
    try:
        yield
    except TliError:
        raise
    except SystemExit as error:
        raise TliError(
            f"{where}: importing it ended the program, as a script does that reads its arguments; put what is not "
            'definitions under `if __name__ == "__main__":`'
        ) from error
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise UnknownReferenceError(f"{where}: no such package or module ({error})") from error
        raise TliError(f"{where}: importing it failed: {error}; install what it imports") from error
    except Exception as error:
        raise TliError(f"{where}: importing it failed: {told(error)}") from error
