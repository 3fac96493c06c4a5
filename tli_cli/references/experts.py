"""Mixtures of experts as the target has them: experts that stand one by one in a file are read as one tensor for all of
them, or one tensor as one for each expert."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.checkpoints import Checkpoint
from tli_cli.checkpoints.in_files import InFiles, Part
from tli_cli.checkpoints.layouts.joined import PartsReader, put_together
from tli_cli.describe.from_names.names import describe_names
from tli_cli.grouping import gathered
from tli_cli.matching.units import Unit, main_tensor, units_of
from tli_cli.references.bare import describe_bare
from tli_cli.references.borrowed import with_axes_of
from tli_cli.references.values import Reference

ROLES = {"gate": ("gate",), "up": ("up",), "gate_up": ("gate", "up"), "fc1": ("fc1",), "fc2": ("fc2",)}
"""The layers of an expert, and what those that are fused hold, in this order."""
TOGETHER, APART = "its experts are read as one tensor", "its experts are read one by one"


@dataclass(frozen=True)
class _Matrix:
    """One layer of the experts of a block.

    `name` is its tensor, `{}` in the place of the expert's number where each has its own; `shape` is that of one
    expert, and `turned` says that it is `(in, out)`.
    """

    name: str
    shape: tuple[int, ...]
    turned: bool


@dataclass(frozen=True)
class _Mixture:
    """The experts of one block, by role, and how many there are."""

    block: str
    count: int
    matrices: Mapping[str, _Matrix]
    norm: str = ""

    @property
    def is_listed(self) -> bool:
        """Whether each expert has tensors of its own."""
        return all("{}" in matrix.name for matrix in self.matrices.values())

    @property
    def parts(self) -> set[str]:
        """What the layers of an expert hold."""
        return {part for role in self.matrices for part in ROLES[role]}


def with_experts_of(source: Reference, target: Reference) -> Reference:
    """Return `source` with its experts as `target` has them; as it is where it holds none, or holds them so.

    It is described by names alone then: no graph shows what it computes in that form, and nothing of it is called exact
    if one did before.
    """
    checkpoint = source.checkpoint
    if checkpoint is None or not _may_hold(source.architecture, target.architecture):
        return source
    mine, theirs = (_mixtures(reference.architecture.tensors) for reference in (target, source))
    pairs = list(zip(mine, theirs, strict=False))
    unlike = [a.is_listed == b.is_listed or a.parts != b.parts for a, b in pairs]
    if not pairs or len(mine) != len(theirs) or any(unlike):
        return source
    read = _apart(checkpoint, pairs) if mine[0].is_listed else _together(checkpoint, pairs)
    said = f"{source.text}: {APART if mine[0].is_listed else TOGETHER}, as the target has them"
    known = bool(source.architecture.graph)
    bare = replace(source, checkpoint=read, notes=(*source.notes, said), doubts=(), recognised=None, unproved=known)
    return describe_bare(bare, read.tensors)


def with_known_experts(source: Reference, target: Reference) -> Reference:
    """Return a `source` that names alone describe with the axes of its experts as the `target` has them, which was run,
    where both hold one tensor for all: names do not tell them."""
    own, known = source.architecture, target.architecture
    if own.graph or not known.graph or not (_holds_threes(own) and _holds_threes(known)):
        return source
    mine, theirs = (_mixtures(architecture.tensors) for architecture in (known, own))
    pairs = list(zip(mine, theirs, strict=False))
    if len(mine) != len(theirs) or any(a.is_listed or b.is_listed for a, b in pairs):
        return source
    like = {b.matrices[r].name: m.name for a, b in pairs for r, m in a.matrices.items() if r in b.matrices}
    streams = {b.norm: a.norm for a, b in pairs}
    return replace(source, architecture=with_axes_of(own, known, like, streams))


def _may_hold(first: Architecture, second: Architecture) -> bool:
    """Tell whether the one holds tensors that may be those of all experts, and the other those of each, in whose names
    two numbers stand."""
    threes = _holds_threes(first), _holds_threes(second)
    parted = (spec.name.split(".") for spec in (second if threes[0] else first).tensors)
    return threes[0] != threes[1] and any(sum(map(str.isdecimal, words)) > 1 for words in parted)


def _holds_threes(architecture: Architecture) -> bool:
    return any(len(spec.shape) == 3 and min(spec.shape) > 1 for spec in architecture.tensors)


def _mixtures(tensors: Sequence[TensorSpec]) -> list[_Mixture]:
    """Return the experts of each block in order, as names and shapes tell."""
    described = describe_names(sorted(tensors, key=lambda spec: spec.name), order_from="inferred")
    blocks = gathered((unit.block, unit) for unit in units_of(described) if unit.block and unit.part <= 0)
    found = (_mixture(described, block, units) for block, units in blocks.items())
    return [mixture for mixture in found if mixture is not None]


def _mixture(described: Architecture, block: str, units: Sequence[Unit]) -> _Mixture | None:
    norm = next((main_tensor(described.layers[unit.place]) or "" for unit in units if unit.kind == "norm"), "")
    width = described.by_name[norm].shape[0] if norm else 0
    listed: dict[tuple[str, str], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    stacked: dict[str, tuple[str, tuple[int, ...]]] = {}
    for unit in units:
        name = main_tensor(described.layers[unit.place]) or ""
        shape = described.by_name[name].shape
        role = "gate_up" if (unit.part, unit.parts, unit.role) == (0, 2, "gate") else unit.role
        if role not in ROLES:
            continue
        if len(described.layers[unit.place].tensors) > 1 and (len(shape) == 3 or _numbered(name, block)):
            return None  # with biases, of which nothing is known
        if len(shape) == 3:
            stacked[role] = name, shape
        elif len(shape) == 2 and (number := _numbered(name, block)) is not None:
            listed[role, number[0]].append((number[1], shape))
    if stacked:
        if _stands_beside(described, {name for name, _ in stacked.values()}):
            return None
        counts = {shape[0] for _, shape in stacked.values()}
        matrices = {role: _Matrix(name, shape[1:], _is_turned(role, shape[1:], width)) for role, (name, shape) in
                    stacked.items()}  # fmt: skip
        return _Mixture(block, counts.pop(), matrices, norm) if len(counts) == 1 else None
    alike = {role: (name, held) for (role, name), held in listed.items() if _are_alike(held)}
    counts = {len(held) for _, held in alike.values()}
    if len(alike) < len(listed) or len(counts) != 1 or counts == {1}:
        return None
    matrices = {role: _Matrix(name, held[0][1], False) for role, (name, held) in alike.items()}
    return _Mixture(block, counts.pop(), matrices, norm)


def _stands_beside(described: Architecture, names: Collection[str]) -> bool:
    """Tell whether modules that hold experts as one tensor hold something else, such as biases: how their parts lie is
    not known then."""
    homes = {name.removesuffix(".weight").rpartition(".")[0] for name in names}
    return any(
        spec.name.removesuffix(".weight").rpartition(".")[0] in homes and spec.name not in names
        for spec in described.tensors
        if len(spec.shape) in (1, 2) and spec.name.endswith("bias")
    )


def _numbered(name: str, block: str) -> tuple[str, int] | None:
    """Return `name` with `{}` in the place of the first number within `block`, and that number."""
    parts = name.split(".")
    for at in range(block.count(".") + 1, len(parts)):
        if parts[at].isdecimal():
            return ".".join([*parts[:at], "{}", *parts[at + 1 :]]), int(parts[at])
    return None


def _are_alike(held: Sequence[tuple[int, tuple[int, ...]]]) -> bool:
    return sorted(number for number, _ in held) == list(range(len(held))) and len({shape for _, shape in held}) == 1


def _is_turned(role: str, shape: tuple[int, ...], width: int) -> bool:
    """Tell whether a matrix is `(in, out)`: it takes, or at the end makes, the `width` channels of the stream."""
    out, into = shape
    return (out != width == into) if role == "fc2" else (into != width == out)


def _moved(name: str, home: _Mixture, other: _Mixture) -> str:
    """Return what a tensor of the block of `home` is called in that of `other`."""
    return f"{other.block}.{name.removeprefix(f'{home.block}.')}"


def _together(checkpoint: Checkpoint, pairs: Sequence[tuple[_Mixture, _Mixture]]) -> Checkpoint:
    layouts: dict[str, InFiles] = {}
    for mine, theirs in pairs:
        for role, matrix in mine.matrices.items():
            held = [theirs.matrices[part] for part in _held(role, theirs)]
            layouts[_moved(matrix.name, mine, theirs)] = _stack(checkpoint, held, matrix, theirs.count)
    return put_together(checkpoint, layouts)


def _held(role: str, other: _Mixture) -> tuple[str, ...]:
    """Return as what layers of `other` it holds the layer called `role`."""
    return (role,) if role in other.matrices else ROLES[role]


def _stack(checkpoint: Checkpoint, held: Sequence[_Matrix], wanted: _Matrix, count: int) -> InFiles:
    """Return what stands in a file, expert by expert, for one tensor of all experts."""
    outs = [matrix.shape[0] for matrix in held]
    rows, columns = sum(outs), held[0].shape[1]
    steps = (1, rows) if wanted.turned else (columns, 1)
    parts = [
        Part(checkpoint.stored_names[matrix.name.format(expert)], matrix.shape, expert * rows * columns + before, steps)
        for expert in range(count)
        for matrix, before in zip(held, (sum(outs[:i]) * steps[0] for i in range(len(outs))), strict=True)
    ]
    return InFiles((count, columns, rows) if wanted.turned else (count, rows, columns), tuple(parts))


def _apart(checkpoint: Checkpoint, pairs: Sequence[tuple[_Mixture, _Mixture]]) -> Checkpoint:
    parts: dict[str, Part] = {}
    for mine, theirs in pairs:
        for role, matrix in theirs.matrices.items():
            wanted = _held(role, mine)
            for place, part in enumerate(wanted):
                name = _moved(mine.matrices[part].name, mine, theirs)
                for expert in range(theirs.count):
                    parts[name.format(expert)] = _slice(matrix, expert, place, len(wanted))
    reader = PartsReader(checkpoint, parts)
    return Checkpoint(checkpoint.path, reader, checkpoint.config, {spec.name for spec in reader.tensors})


def _slice(matrix: _Matrix, expert: int, place: int, count: int) -> Part:
    """Return which elements of a tensor of all experts are a layer of one of them, at `place` of `count` in one."""
    first, last = matrix.shape
    rows, columns = (last, first) if matrix.turned else (first, last)
    steps = (1, last) if matrix.turned else (last, 1)
    shape = (rows // count, columns)
    return Part(matrix.name, shape, expert * prod(matrix.shape) + place * shape[0] * steps[0], steps)
