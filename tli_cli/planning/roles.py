"""Which tensor of the source unit answers to which tensor of the target unit, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tli_cli.architecture import Architecture, Axis, AxisTree, Layer, TensorSpec
from tli_cli.matching.units import Unit, main_tensor

PART_LETTERS = ("q", "k", "v")


@dataclass(frozen=True)
class Share:
    """The part of one tensor that belongs to a unit: `start:stop` of its first axis, and the axes of that part."""

    spec: TensorSpec
    role: str
    start: int
    stop: int
    axes: tuple[Axis, ...]

    @property
    def whole(self) -> bool:
        """Whether the share is the whole tensor."""
        return not self.spec.shape or (self.start == 0 and self.stop == self.spec.shape[0])


def shares(architecture: Architecture, unit: Unit) -> Iterator[Share]:
    """Yield the unit's share of each tensor of its layer."""
    layer = architecture.layers[unit.place]
    main = main_tensor(layer)
    fused_width = architecture.by_name[main].shape[0] if main else 0
    for role, name in layer.tensors:
        spec = architecture.by_name[name]
        axes = architecture.axes.get(name, ())
        if unit.part < 0 or not spec.shape:
            yield Share(spec, role, 0, spec.shape[0] if spec.shape else 1, axes)
        elif spec.shape[0] == fused_width:
            yield Share(spec, role, unit.start, unit.stop, _part_axes(axes, unit.part))
        elif _part_of(role, layer) == unit.part:
            yield Share(spec, role.partition(".")[0], 0, spec.shape[0], axes)


def _part_axes(axes: tuple[Axis, ...], part: int) -> tuple[Axis, ...]:
    tree: AxisTree = axes[0].tree
    assert isinstance(tree, tuple)
    return (Axis(tree[1 + part], axes[0].contracted), *axes[1:])


def _part_of(role: str, layer: Layer) -> int:
    """Return the part that a separate bias such as `q_bias` belongs to, -1 if its name does not say."""
    del layer
    last = role.partition(".")[2]
    return PART_LETTERS.index(last[0]) if last[:1] in PART_LETTERS and last[1:2] in ("_", "") else -1


def answering(target: Share, offered: list[Share]) -> Share | None:
    """Return the share of `offered` that plays the role of `target`; None if the source unit has none."""
    same = [share for share in offered if share.role == target.role]
    if same:
        return same[0]
    alike = [share for share in offered if share.role.partition(".")[0] == target.role.partition(".")[0]]
    return alike[0] if len(alike) == 1 and "." in (target.role + alike[0].role) else None
