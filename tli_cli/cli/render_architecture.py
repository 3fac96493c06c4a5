"""Show what is known of one model, and the names of those that are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tli_cli.architecture import STATISTICS, Architecture, AxisTree, Layer
from tli_cli.cli import render
from tli_cli.cli.render import Style
from tli_cli.cli.text import count_text, shape_text, size_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tli_cli.catalogue import CatalogueName

WIDTHS = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int16": 2}
ORDERS = {
    "trace": "traced execution",
    "catalogue": "the catalogue's trace",
    "recognised": "the recognised architecture",
    "definition": "definition",
    "file": "the order in the file",
    "inferred": "inferred from names and shapes",
}
HEADER = ("layer", "kind", "role", "tensor", "shape", "dtype", "block", "spaces")


def render_architecture(architecture: Architecture, style: Style, *, every: bool = False) -> None:
    """Print layers, kinds, blocks, order, parameters and size."""
    if style is Style.JSON:
        render.as_json(architecture_value(architecture))
    elif style is Style.CSV:
        render.as_csv(HEADER, _cells(architecture))
    elif style is Style.PLAIN:
        render.plain(facts_of(architecture))
        render.plain(_cells(architecture))
    else:
        render.show(*architecture_parts(architecture, every=every))


def architecture_parts(architecture: Architecture, *, every: bool = False) -> Iterator[RenderableType]:
    """Yield the heading and the table of layers."""
    from rich.text import Text

    table = render.plain_table("layer", "kind", "shape", "tensors", "attributes")
    for block, group in groupby(architecture.layers, key=lambda layer: layer.block):
        layers = list(group)
        if block and [layer.path for layer in layers] != [block]:
            table.add_row(Text(block, style="bold"))
        for layer in layers:
            table.add_row(*_row(architecture, layer, block, every=every))
    yield table
    yield render.facts_table(facts_of(architecture))


def facts_of(architecture: Architecture) -> Iterator[tuple[str, str]]:
    """Yield what is worth saying about the whole model, as name and value."""
    dtypes = dict.fromkeys(tensor.dtype for tensor in architecture.tensors)
    size = sum(t.size * WIDTHS.get(t.dtype, 1) for t in architecture.tensors if t.tied_to is None)
    yield "model", architecture.origin
    yield "parameters", f"{architecture.parameters:,}"
    yield "tensors", f"{len(architecture.tensors):,} in {count_text(len(architecture.layers), 'layer')}"
    yield "dtype", ", ".join(dtypes)
    yield "size", size_text(size)
    yield "order", ORDERS.get(architecture.order_from, architecture.order_from)
    yield "graph", count_text(len(architecture.graph), "operation") if architecture.graph else "not known"
    yield "coupled axes", f"{count_text(len(architecture.spaces), 'space')}, {len(architecture.axes)} tensors"


def architecture_value(architecture: Architecture) -> dict[str, Any]:
    """Return the JSON value of an architecture, without its version."""
    by_name = architecture.by_name
    return {
        "origin": architecture.origin,
        "fingerprint": architecture.fingerprint,
        "order_from": architecture.order_from,
        "parameters": architecture.parameters,
        "spaces": [{"size": space.size, "kind": space.kind} for space in architecture.spaces],
        "layers": [
            {
                "path": layer.path,
                "kind": layer.kind,
                "block": layer.block,
                "stage": layer.stage,
                "attributes": dict(layer.attributes),
                "tensors": [
                    {
                        "role": role,
                        "name": name,
                        "shape": list(by_name[name].shape),
                        "dtype": by_name[name].dtype,
                        "buffer": by_name[name].buffer,
                        "tied_to": by_name[name].tied_to,
                        "spaces": [axis_text(axis.tree) for axis in architecture.axes.get(name, ())],
                        "summed": [d for d, axis in enumerate(architecture.axes.get(name, ())) if axis.contracted],
                    }
                    for role, name in layer.tensors
                ],
            }
            for layer in architecture.layers
        ],
    }


def _row(architecture: Architecture, layer: Layer, block: str, *, every: bool) -> list[str]:
    shapes = [architecture.by_name[name].shape for _, name in layer.tensors]
    inside = bool(block) and layer.path.startswith(f"{block}.")
    name = f"  {layer.path[len(block) + 1 :]}" if inside else layer.path
    if every:
        roles = ", ".join(
            f"{role} {shape_text(shape)}{_over(architecture, name)}"
            for (role, name), shape in zip(layer.tensors, shapes, strict=True)
        )
    else:
        shown = ("statistics" if role in STATISTICS else role for role, _ in layer.tensors)
        roles = ", ".join(dict.fromkeys(shown))
    told = {key: value for key, value in layer.attributes if every or not _usual(key, value)}
    attributes = (f"{key} {shape_text(value) if isinstance(value, tuple) else value}" for key, value in told.items())
    return [name, layer.kind, shape_text(shapes[0]) if shapes else "", roles, ", ".join(attributes)]


def _over(architecture: Architecture, name: str) -> str:
    axes = architecture.axes.get(name, ())
    return f" over {' x '.join(axis_text(axis.tree) for axis in axes)}" if axes else ""


def _usual(key: str, value: object) -> bool:
    """Return whether an attribute goes without saying: unit strides, one group, the numbers of places and frames, the
    role that the name tells."""
    ones = value == 1 or (isinstance(value, tuple) and set(value) == {1})
    return key in ("positions", "frames", "role_name") or (ones and key in ("groups", "stride", "dilation"))


def _cells(architecture: Architecture) -> Iterator[tuple[object, ...]]:
    for layer in architecture.layers:
        for role, name in layer.tensors:
            spec = architecture.by_name[name]
            spaces = " x ".join(axis_text(axis.tree) for axis in architecture.axes.get(name, ()))
            yield layer.path, layer.kind, role, name, shape_text(spec.shape), spec.dtype, layer.block, spaces


def axis_text(tree: AxisTree) -> str:
    """Return the spaces that an axis runs over, by number: `7`, `3*4` for a product, `5+5+6` for parts end to end."""
    if isinstance(tree, int):
        return str(tree)
    parts = (f"({axis_text(t)})" if isinstance(t, tuple) and tree[0] == "*" else axis_text(t) for t in tree[1:])
    return str(tree[0]).join(parts)


def render_names(names: Sequence[CatalogueName], style: Style) -> None:
    """Print one name a line; in columns when a person looks."""
    texts = [str(name) for name in names]
    if style is Style.JSON:
        render.as_json({"architectures": texts})
    elif style is Style.PLAIN:
        render.plain((text,) for text in texts)
    else:
        from rich.columns import Columns

        render.show(Columns(texts, column_first=True, padding=(0, 2)), f"{len(texts):,} architectures")
