"""The units that matchers pair: layers, and the parts of fused layers (query, key and value of one projection)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tli_cli.architecture import Architecture, AxisTree, Layer
from tli_cli.describe.vocabulary import canonical_role

PART_ROLES = {
    "qkv": ("q", "k", "v"),
    "kv": ("k", "v"),
    "gate_up": ("gate", "up"),
}
_LABELS: dict[tuple[object, ...], int] = {}


@dataclass(frozen=True)
class Unit:
    """A layer, or one part of a fused layer.

    `shape` is the weight's, of this part alone, without axes of size 1 and with summed-over axes behind the others:
    dense layers are `(out, in)` whether they are linear layers or 1x1 convolutions. `start` and `stop` delimit the
    part on the weight's first axis. `place` is the index of the layer in its architecture.
    """

    place: int
    path: str
    kind: str
    shape: tuple[int, ...]
    kernel: tuple[int, ...] = ()
    flavour: str = ""
    role: str = ""
    block: str = ""
    stage: str = ""
    positions: int = 0
    part: int = -1
    start: int = 0
    stop: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """Identify the unit within its architecture."""
        return (self.place, self.part)

    @cached_property
    def label(self) -> int:
        """A number that the units share which are alike in all that similarity looks at."""
        looks = (self.kind, self.flavour, self.shape, self.kernel, self.role)
        return _LABELS.setdefault(looks, len(_LABELS))

    @cached_property
    def exact_label(self) -> tuple[object, ...]:
        """What two units have in common that compute the same function of the same input, values apart."""
        return (self.kind, self.flavour, self.shape, () if self.positions == 1 else self.kernel)

    @cached_property
    def form_label(self) -> tuple[object, ...]:
        """What two units have in common that differ in width at most."""
        return (self.kind, self.flavour, () if self.positions == 1 else tuple(k > 1 for k in self.kernel))


def main_tensor(layer: Layer) -> str | None:
    """Return the name of the tensor that gives the layer its shape: its weight, else its first tensor."""
    for role, name in layer.tensors:
        if role == "weight" or role.startswith("weight."):
            return name
    return layer.tensors[0][1] if layer.tensors else None


def _canonical_shape(architecture: Architecture, layer: Layer, name: str) -> tuple[int, ...]:
    shape = architecture.by_name[name].shape
    axes = architecture.axes.get(name)
    if layer.kind in ("conv", "linear"):
        summed = [axis.contracted for axis in axes] if axes else [False] + [True] * (len(shape) - 1)
        out = [size for size, s in zip(shape, summed, strict=True) if not s]
        inner = [size for size, s in zip(shape, summed, strict=True) if s]
        width = 1
        for size in inner:
            width *= size
        return (*out, width)
    return tuple(size for size in shape if size != 1)


def _flavour(layer: Layer) -> str:
    if layer.kind == "norm":
        return str(layer.attribute("norm", ""))
    groups = layer.attribute("groups", 1)
    return f"transposed{groups}" if layer.attribute("transposed") and layer.kind == "conv" else _grouping(layer, groups)


def _grouping(layer: Layer, groups: int) -> str:
    return "grouped" if layer.kind == "conv" and groups > 1 else ""


def _kind(layer: Layer, kernel: tuple[int, ...]) -> str:
    if layer.kind in ("conv", "linear") and all(size == 1 for size in kernel):
        return "dense"
    return "dense" if layer.kind == "conv" and layer.attribute("positions") == 1 else layer.kind


def _parts(architecture: Architecture, place: int, layer: Layer, name: str, split: dict[int, int]) -> list[AxisTree]:
    """Return the trees of the parts on the weight's first axis; one tree if the layer is not fused."""
    axes = architecture.axes.get(name)
    if not axes or layer.kind not in ("conv", "linear") or axes[0].contracted:
        return []
    tree = axes[0].tree
    if not isinstance(tree, tuple) or tree[0] != "+":
        return []
    parts = list(tree[1:])
    if architecture.graph:
        return parts if split.get(place) == len(parts) else []
    return parts if len(parts) in (2, 3) else []


def units_of(architecture: Architecture) -> tuple[Unit, ...]:
    """Return the units of `architecture` in the order of its layers."""
    split: dict[int, int] = {}
    for node in architecture.graph:
        if node.op == "part" and node.inputs:
            before = architecture.graph[node.inputs[0]]
            if before.layer >= 0:
                split[before.layer] = max(split.get(before.layer, 0), node.index + 1)
    found: list[Unit] = []
    for place, layer in enumerate(architecture.layers):
        name = main_tensor(layer)
        if name is None:
            continue
        shape = _canonical_shape(architecture, layer, name)
        kernel = tuple(layer.attribute("kernel", ()))
        if layer.kind == "conv" and not kernel:
            kernel = architecture.by_name[name].shape[2:]
        role = canonical_role(layer.path)
        common = (_kind(layer, kernel), shape, kernel, _flavour(layer), role, layer.block, layer.stage)
        positions = int(layer.attribute("positions", 0) or 0)
        parts = _parts(architecture, place, layer, name, split)
        found.extend(_split_unit(architecture, place, layer.path, common, positions, parts))
    return tuple(found)


def _split_unit(
    architecture: Architecture,
    place: int,
    path: str,
    common: tuple[str, tuple[int, ...], tuple[int, ...], str, str, str, str],
    positions: int,
    parts: list[AxisTree],
) -> list[Unit]:
    kind, shape, kernel, flavour, role, block, stage = common
    if not parts:
        return [Unit(place, path, kind, shape, kernel, flavour, role, block, stage, positions)]
    roles = PART_ROLES.get(role, ())
    units, start = [], 0
    for index, tree in enumerate(parts):
        size = architecture.size_of(tree)
        part_role = roles[index] if len(roles) == len(parts) else role
        units.append(
            Unit(
                place,
                path,
                kind,
                (size, *shape[1:]),
                kernel,
                flavour,
                part_role,
                block,
                stage,
                positions,
                index,
                start,
                start + size,
            )
        )
        start += size
    return units
