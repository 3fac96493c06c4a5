"""Write an `Architecture` as a small JSON object in which repeated blocks are repeated numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tli_cli.architecture import Architecture, AxisTree, Layer, TensorSpec
from tli_cli.catalogue.decode import USES
from tli_cli.catalogue.sizes import Growth


class Table:
    """Distinct values, numbered in the order in which they first appear."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._number: dict[str, int] = {}

    def number(self, row: Any) -> int:
        """Return the number of `row`, a new one if it was not seen before."""
        key = repr(row)
        if key not in self._number:
            self._number[key] = len(self.rows)
            self.rows.append(row)
        return self._number[key]


@dataclass
class _Encoder:
    architecture: Architecture
    dtypes: Table = field(default_factory=Table)
    recipes: Table = field(default_factory=Table)
    numbers: Table = field(default_factory=Table)
    templates: Table = field(default_factory=Table)
    shapes: dict[str, list[int]] = field(default_factory=dict)
    made_in: list[str] = field(default_factory=list)
    last_tensor: int = -1

    def __post_init__(self) -> None:
        self.order = {tensor.name: i for i, tensor in enumerate(self.architecture.tensors)}

    def layer(self, layer: Layer) -> int:
        names = [name for _, name in layer.tensors]
        path = _split(layer.path, names[0])
        tensors = [self.tensor(role, name, layer.block) for role, name in layer.tensors]
        block, stage = _split(layer.block, layer.path), _split(layer.stage, layer.path)
        numbers = self.numbers.number(layer.numbers)
        return self.templates.number([layer.kind, path, block, stage, layer.attributes, numbers, tensors])

    def tensor(self, role: str, name: str, block: str) -> list[Any]:
        spec, index = self.architecture.by_name[name], self.order[name]
        step, self.last_tensor = index - self.last_tensor, index
        short_role: Any = 0 if role == name.rpartition(".")[2] else role
        dtype = self.dtypes.number([spec.dtype, int(spec.buffer)])
        recipe = self.architecture.initial.get(name)
        number = -1 if recipe is None else self.recipes.number(recipe)
        return [short_role, step, dtype, number, self.axes(spec, index, block)]

    def axes(self, spec: TensorSpec, index: int, block: str) -> list[Any]:
        axes = self.architecture.axes.get(spec.name)
        if axes is None:
            return [-1, *spec.shape]
        if tuple(self.architecture.size_of(axis.tree) for axis in axes) != spec.shape:
            self.shapes[str(index)] = list(spec.shape)
        mask = sum(1 << d for d, axis in enumerate(axes) if axis.contracted)
        return [mask, *(self.tree(axis.tree, block) for axis in axes)]

    def tree(self, tree: AxisTree, block: str) -> Any:
        """Number spaces of the same block backwards from the newest, others from the start; 0 is a new one."""
        if isinstance(tree, tuple):
            return [tree[0], *(self.tree(child, block) for child in tree[1:])]
        newest = len(self.made_in)
        if tree < newest:
            return tree - newest if self.made_in[tree] == block else tree + 1
        self.made_in.extend([block] * (tree + 1 - newest))
        return 0 if tree == newest else tree + 1


def encode(architecture: Architecture, growth: Mapping[str, Growth]) -> dict[str, Any]:
    """Return `architecture` as a JSON-able object; `growth` says what follows each option."""
    encoder = _Encoder(architecture)
    layers = [encoder.layer(layer) for layer in architecture.layers]
    nodes, graph = _graph(architecture)
    order = encoder.order
    return {
        "names": front_coded([tensor.name for tensor in architecture.tensors]),
        "layers": layers,
        "templates": encoder.templates.rows,
        "dtypes": encoder.dtypes.rows,
        "recipes": encoder.recipes.rows,
        "numbers": encoder.numbers.rows,
        "graph": graph,
        "nodes": nodes.rows,
        "sizes": [space.size for space in architecture.spaces],
        "kinds": _runs([_kind(architecture, i) for i in range(len(architecture.spaces))]),
        "ties": {str(order[t.name]): order[t.tied_to] for t in architecture.tensors if t.tied_to is not None},
        "shapes": encoder.shapes,
        "growth": {option: rule.to_json(order) for option, rule in growth.items()},
    }


def _graph(architecture: Architecture) -> tuple[Table, list[int]]:
    nodes, graph, last = Table(), [], -1
    for i, node in enumerate(architecture.graph):
        step = None if node.layer < 0 else node.layer - last
        last = last if node.layer < 0 else node.layer
        graph.append(nodes.number([node.op, step, node.index, *(i - j for j in node.inputs)]))
    return nodes, graph


def _kind(architecture: Architecture, space: int) -> str:
    """Return the kind of a space, and how code uses it: `head_width.dotted`."""
    uses = [use for use in USES if space in getattr(architecture, use)]
    return ".".join([architecture.spaces[space].kind, *uses])


def _runs(kinds: list[str]) -> str:
    """Return the kinds as a string of letters after their list: `channels,input ABBA`."""
    table = Table()
    letters = "".join(chr(ord("A") + table.number(kind)) for kind in kinds)
    return f"{','.join(table.rows)} {letters}"


def _split(path: str, near: str) -> Any:
    """Return how many of the components of `near` begin `path`, and the rest of it if there is any."""
    mine, other = path.split(".") if path else [], near.split(".")
    shared = _shared(mine, other)
    return shared if shared == len(mine) else [shared, ".".join(mine[shared:])]


def _shared(left: list[str], right: list[str]) -> int:
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count


def front_coded(names: list[str]) -> str:
    """Return names as lines: how many components are those of the name before, and the rest."""
    lines, before = [], [""]
    for name in names:
        parts = name.split(".")
        shared = min(_shared(parts, before), 9, len(parts) - 1)
        lines.append(f"{shared}{'.'.join(parts[shared:])}")
        before = parts
    return "\n".join(lines)
