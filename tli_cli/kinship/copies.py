"""A file that holds one network twice: a student and its teacher, an encoder and its momentum encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.names import clean_names, dotted
from tli_cli.describe.vocabulary import is_second

MOST = 0.8
"""The share of a file's numbers that its copies must hold for it to be a file of copies."""
MIN_TENSORS = 8


@dataclass(frozen=True)
class Copies:
    """The modules that hold one network each, first the one to take, the tensors of it and all else, and the others."""

    modules: tuple[str, ...]
    kept: tuple[TensorSpec, ...]
    dropped: tuple[str, ...]

    def stand_in(self, names: Sequence[str]) -> bool:
        """Tell whether all modules stand among `names` as well: two parts of one size, as an encoder and a decoder."""
        return all(any(f".{module}." in f".{name}" for name in names) for module in self.modules)

    def __str__(self) -> str:
        first, *others = self.modules
        said = f"the same network is in it as {first} and as {' and '.join(others)}: {first} is taken"
        return f"{said}; #{others[0]} behind the file's name takes the other"


def copies(tensors: Sequence[TensorSpec]) -> Copies | None:
    """Return what `tensors` are without the second copy of one network; None if they hold each once.

    Modules are copies that stand side by side, have no number and hold the same names and shapes, of several layers:
    queries and keys of one attention are alike as well.
    """
    if averages := _averages(tensors):
        return averages
    total = sum(t.size for t in tensors)
    for prefix in _prefixes([t.name for t in tensors]):
        groups = list(_alike([t for t in tensors if t.name.startswith(prefix)], len(prefix)))
        dropped = {f"{prefix}{name}." for group in groups for name in group[1:]}
        held = {f"{prefix}{name}." for group in groups for name in group}
        if groups and sum(t.size for t in tensors if t.name.startswith(tuple(held))) >= MOST * total:
            modules = tuple(f"{prefix}{name}" for name in groups[0])
            second = tuple(t.name for t in tensors if t.name.startswith(tuple(dropped)))
            kept = tuple(t for t in tensors if not t.name.startswith(tuple(dropped)))
            return Copies(modules, kept, second)
    return None


def _averages(tensors: Sequence[TensorSpec]) -> Copies | None:
    """Return `tensors` without the module that holds many of them again under names without dots, if there is one."""
    shapes = {t.name: t.shape for t in tensors}
    found: dict[str, list[str]] = defaultdict(list)
    for name, said in dotted(shapes).items():
        module = name.rpartition(".")[0]
        inner = said.removeprefix(f"{module}.")
        found[module] += [n.removesuffix(inner) for n in shapes if n.endswith(inner) and shapes[n] == shapes[name]][:1]
    for module, homes in found.items():
        if len(homes) >= MIN_TENSORS:
            second = tuple(name for name in shapes if name.startswith(f"{module}."))
            kept = tuple(t for t in tensors if t.name not in set(second))
            return Copies((homes[0].rstrip(".") or "the rest", module), kept, second)
    return None


def _prefixes(names: Sequence[str]) -> Iterator[str]:
    """Yield nothing, and then the modules that hold everything."""
    prefix = ""
    while True:
        yield prefix
        heads = {name[len(prefix) :].partition(".")[0] for name in names}
        if len(heads) != 1 or any("." not in name[len(prefix) :] for name in names):
            return
        prefix += f"{heads.pop()}."


def _alike(tensors: Sequence[TensorSpec], start: int) -> Iterator[list[str]]:
    """Yield the names of modules that hold the same, the largest first and of each the one to take first."""
    inside: dict[str, dict[str, TensorSpec]] = defaultdict(dict)
    for tensor in tensors:
        module, dot, rest = tensor.name[start:].partition(".")
        if dot and not module[-1:].isdecimal():
            inside[module][rest] = tensor
    groups: dict[frozenset[tuple[str, tuple[int, ...]]], list[str]] = defaultdict(list)
    for module, held in inside.items():
        clean = clean_names(list(held))
        groups[frozenset((name, held[stored].shape) for name, stored in clean.items())].append(module)
    for held_alike, modules in sorted(groups.items(), key=lambda item: -len(item[0])):
        is_layer = all("." not in name for name, _ in held_alike)
        if len(modules) > 1 and not is_layer and (len(held_alike) >= MIN_TENSORS or any(map(is_second, modules))):
            yield sorted(modules, key=is_second)
