"""Read what `encode` wrote: an `Architecture` with the sizes that the options ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tli_cli.architecture import Architecture, Axis, AxisTree, InitialValue, Layer, Node, Space, TensorSpec, tree_size
from tli_cli.catalogue.sizes import resolved

USES = ("averaged", "coded", "dotted", "guessed")
"""What an architecture says of some of its spaces."""


def decode(row: Mapping[str, Any], origin: str, options: Mapping[str, int]) -> Architecture:
    """Return the architecture in `row`; `options` overrides the values of `num_classes` and `in_chans`."""
    reader = Reader(row, options)
    layers = reader.layers()
    tensors = tuple(spec for spec in reader.specs if spec is not None)
    return Architecture(
        tensors,
        layers,
        _graph(row),
        reader.spaces,
        {spec.name: reader.axes[spec.name] for spec in tensors if spec.name in reader.axes},
        {spec.name: reader.initial[spec.name] for spec in tensors if spec.name in reader.initial},
        order_from="catalogue",
        origin=origin,
        **reader.uses,
    )


def names_of(row: Mapping[str, Any]) -> list[str]:
    """Return the tensors' names in definition order."""
    names, before = [], [""]
    for line in row["names"].split("\n"):
        before = [*before[: int(line[0])], *line[1:].split(".")]
        names.append(".".join(before))
    return names


def base_options(row: Mapping[str, Any]) -> dict[str, int]:
    """Return the options that the architecture takes, with the values that it was stored with."""
    return {option: rule[0] for option, rule in row["growth"].items()}


class Reader:
    """One pass over the layers of a stored architecture."""

    def __init__(self, row: Mapping[str, Any], options: Mapping[str, int], *, resolve: bool = True) -> None:
        self.row = row
        self.names = names_of(row)
        self.specs: list[TensorSpec | None] = [None] * len(self.names)
        self.axes: dict[str, tuple[Axis, ...]] = {}
        self.initial: dict[str, InitialValue] = {}
        base = base_options(row)
        given = {**base, **options}
        kinds = _kinds(row["kinds"])
        self.sizes = _sizes(row, base, given)
        self.spaces = tuple(Space(size, kind[0]) for size, kind in zip(self.sizes, kinds, strict=True))
        self.uses = {use: frozenset(i for i, kind in enumerate(kinds) if use in kind[1:]) for use in USES}
        self.recipes = (
            [_recipe(recipe, base, given) for recipe in row["recipes"]] if resolve else frozen(row["recipes"])
        )
        self.shape_steps = {
            (tensor, d): step * (given[option] - base[option])
            for option, (_, _, dims) in row["growth"].items()
            for tensor, d, step in dims
        }
        self.made = 0
        self.last = -1

    def layers(self) -> tuple[Layer, ...]:
        """Read every layer, and with it `specs`, `axes` and `initial`."""
        self.numbers = [frozen(numbers) for numbers in self.row["numbers"]]
        templates = [frozen(template) for template in self.row["templates"]]
        return tuple(self._layer(*templates[number]) for number in self.row["layers"])

    def _layer(
        self, kind: str, path: Any, block: Any, stage: Any, attributes: Any, numbers: int, tensors: Any
    ) -> Layer:
        named = tuple(self._tensor(*tensor) for tensor in tensors)
        here = _joined(path, named[0][1])
        noted = self.numbers[numbers]
        return Layer(here, kind, named, _joined(block, here), _joined(stage, here), attributes, noted)

    def _tensor(self, role: Any, step: int, dtype: int, recipe: int, axes: Any) -> tuple[str, str]:
        self.last = index = self.last + step
        name = self.names[index]
        if axes[0] < 0:
            shape = tuple(size + self.shape_steps.get((index, d), 0) for d, size in enumerate(axes[1:]))
        else:
            trees = [self._tree(tree) for tree in axes[1:]]
            self.axes[name] = tuple(Axis(tree, bool(axes[0] >> d & 1)) for d, tree in enumerate(trees))
            stored = self.row["shapes"].get(str(index))
            shape = tuple([tree_size(tree, self.sizes) for tree in trees] if stored is None else stored)
        if recipe >= 0:
            self.initial[name] = self.recipes[recipe]
        kind, buffer = self.row["dtypes"][dtype]
        tied = self.row["ties"].get(str(index))
        self.specs[index] = TensorSpec(name, shape, kind, None if tied is None else self.names[tied], bool(buffer))
        return (role or name.rpartition(".")[2], name)

    def _tree(self, tree: Any) -> AxisTree:
        if isinstance(tree, tuple):
            return (tree[0], *(self._tree(child) for child in tree[1:]))
        if tree < 0:
            return self.made + int(tree)
        space = self.made if tree == 0 else int(tree) - 1
        self.made = max(self.made, space + 1)
        return space


def _kinds(text: str) -> list[list[str]]:
    """Return for each space its kind and how code uses it."""
    listed, _, letters = text.partition(" ")
    kinds = [kind.split(".") for kind in listed.split(",")]
    return [kinds[ord(letter) - ord("A")] for letter in letters]


def _sizes(row: Mapping[str, Any], base: Mapping[str, int], given: Mapping[str, int]) -> list[int]:
    sizes: list[int] = list(row["sizes"])
    for option, (_, spaces, _) in row["growth"].items():
        for space, step in spaces:
            sizes[space] += step * (given[option] - base[option])
    return sizes


def _graph(row: Mapping[str, Any]) -> tuple[Node, ...]:
    graph, last = [], -1
    for i, number in enumerate(row["graph"]):
        op, step, index, *inputs = row["nodes"][number]
        last = last if step is None else last + step
        graph.append(Node(op, tuple(i - distance for distance in inputs), -1 if step is None else last, index))
    return tuple(graph)


def _recipe(recipe: Any, base: Mapping[str, int], given: Mapping[str, int]) -> InitialValue:
    return tuple((step[0], *(frozen(resolved(number, base, given)) for number in step[1:])) for step in recipe)


def _joined(path: Any, near: str) -> str:
    shared, rest = (path, "") if isinstance(path, int) else path
    parts = near.split(".")[:shared]
    return ".".join([*parts, rest] if rest else parts)


def frozen(value: Any) -> Any:
    """Return nested lists as nested tuples."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value
