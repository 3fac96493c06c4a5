"""The units that matchers pair: layers, and the parts of fused layers (query, key and value of one projection)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

from tli_cli.architecture import LINEAR, UNTOLD, Architecture, Layer
from tli_cli.describe.renaming import counted_from_one
from tli_cli.describe.spaces import leaves
from tli_cli.describe.turned import turned_layers
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.describe.vocabulary_places import stream
from tli_cli.describe.walks import layer_behind
from tli_cli.dtypes import is_float
from tli_cli.matching.parts import Part, part_roles, parts_of
from tli_cli.matching.settings import UNKNOWN, setting_numbers

NO_VALUES = "numbers"
"""The flavour of what picks rows or masks places, which is never computed with."""
_LABELS: dict[tuple[object, ...], int] = {}

Key = tuple[int, int]
"""A unit within its architecture: its layer's place and the number of its part, -1 for the whole layer."""


@dataclass(frozen=True)
class Unit:
    """A layer, or one part of a fused layer.

    `shape` is the weight's, of this part alone, without axes of size 1 and with summed-over axes behind the others:
    dense layers are `(out, in)` whether they are linear layers or 1x1 convolutions. `place` is the index of the layer
    in its architecture; `part` is the number of the part, of `parts` along the weight's axis `dim`, and -1 for a whole
    layer. `positions` is the number of places where it puts out its channels, those of one frame of a clip. `attends`
    says that it makes the queries of an attention; `setting` is a number of what its tensors do not tell.
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
    parts: int = 1
    dim: int = 0
    attends: bool = False
    setting: int = UNKNOWN

    @cached_property
    def key(self) -> Key:
        """Identify the unit within its architecture."""
        return (self.place, self.part)

    @property
    def taken(self) -> int:
        """The number of channels that a layer with weights takes."""
        alone = self.flavour == "grouped" or len(self.shape) < 2
        return self.shape[0] if alone else self.shape[1] // max(prod(self.kernel), 1)

    @property
    def home(self) -> str:
        """The block that the unit stands in by its path; a unit outside of blocks is one by itself."""
        return self.block or self.path

    @cached_property
    def stream(self) -> str:
        """The stream of its block that its name puts it in, "" for the first one and where there are no two."""
        return stream(self.path.removeprefix(self.block)) if self.block != self.path else ""

    @cached_property
    def label(self) -> int:
        """A number that the units share which are alike in all that similarity looks at."""
        looks = (self.kind, self.flavour, self.shape, self.kernel, self.role)
        return _LABELS.setdefault(looks, len(_LABELS))

    @cached_property
    def exact_label(self) -> tuple[object, ...]:
        """What two units have in common that compute the same function of the same input, values apart."""
        return (self.kind, self.flavour, self.shape, () if self._is_pointwise else self.kernel)

    @cached_property
    def form_label(self) -> tuple[object, ...]:
        """What two units have in common that differ in width at most."""
        kernel = self.kernel[-2:]  # time, if any, apart
        return (self.kind, self.flavour, () if self._is_pointwise else tuple(k > 1 for k in kernel))

    @property
    def _is_pointwise(self) -> bool:
        """Tell whether the kernel says nothing: a linear layer, a 1x1 convolution, or one that covers its whole map."""
        return self.positions == 1 or (self.kind == "dense" and all(size == 1 for size in self.kernel))


def main_tensor(layer: Layer) -> str | None:
    """Return the name of the tensor that gives the layer its shape: its weight, else its first tensor."""
    for role, name in layer.tensors:
        if role == "weight" or role.startswith("weight."):
            return name
    return layer.tensors[0][1] if layer.tensors else None


def _canonical_shape(architecture: Architecture, layer: Layer, name: str) -> tuple[int, ...]:
    shape = architecture.by_name[name].shape
    axes = architecture.axes.get(name)
    is_vector = len(shape) > 2 and sum(size > 1 for size in shape) == 1
    if layer.kind in LINEAR and not is_vector:
        summed = [axis.contracted for axis in axes] if axes else [False] + [True] * (len(shape) - 1)
        out = [size for size, s in zip(shape, summed, strict=True) if not s]
        inner = [size for size, s in zip(shape, summed, strict=True) if s]
        width = prod(inner)
        experts = _experts(architecture, layer, name)
        return (prod(out) // experts, width, experts) if experts > 1 else (prod(out), width)
    return tuple(size for size in shape if size != 1)


def _experts(architecture: Architecture, layer: Layer, name: str) -> int:
    """Return how many matrices the weight of a linear layer holds, of which one is picked for each input."""
    made, axes = architecture.made(name), architecture.axes.get(name, ())
    if layer.kind != "linear" or len(axes) < 3 or len(made) < 2 or not isinstance(made[0], int):
        return 1
    space = architecture.spaces[made[0]]
    return space.size if space.kind == "choices" else 1


def _flavour(layer: Layer, dtype: str) -> str:
    if layer.kind == "norm":
        return str(layer.attribute("norm", ""))
    if layer.kind == UNTOLD and not is_float(dtype):
        return NO_VALUES
    groups = layer.attribute("groups", 1) if layer.kind == "conv" else 0
    return f"transposed{groups}" if groups and layer.attribute("transposed") else "grouped" if groups > 1 else ""


def _kernel(architecture: Architecture, layer: Layer, name: str) -> tuple[int, ...]:
    """Return the kernel of a convolution, or the patch of an image that a linear layer takes as one vector."""
    kernel = tuple(layer.attribute("kernel", ()))
    if layer.kind == "conv":
        return kernel or architecture.by_name[name].shape[2:]
    summed = [axis.tree for axis in architecture.axes.get(name, ()) if axis.contracted]
    spaces = [architecture.spaces[leaf] for tree in summed for leaf in leaves(tree)]
    patch = layer.kind == "linear" and layer.attribute("positions", 0) > 1
    if not patch or {space.kind for space in spaces} != {"grid", "input"}:
        return kernel
    return tuple(space.size for space in spaces if space.kind == "grid")


def _places(layer: Layer) -> int:
    """Return at how many places a layer puts out its channels, those of one frame of a clip; 0 if that is unknown.

    A convolution that is made for more than the only place of its map has two.
    """
    places, frames = positions_of(layer), int(layer.attribute("frames", 0) or 0)
    return places // frames if frames > 1 and places > frames else places


def positions_of(layer: Layer) -> int:
    """Return at how many places of all a layer puts out its channels, two where it is made for more than a single one;
    0 if that is unknown."""
    places = int(layer.attribute("positions", 0) or 0)
    return 2 if places == 1 and _is_made_for_more(layer) else places


def _is_made_for_more(layer: Layer) -> bool:
    """Tell whether a convolution has a stride, or meets zeros around its input: one that covers its map needs none."""
    moves = layer.moves or ()
    return any(step > 1 for steps in moves[1:2] for step in steps) or any(map(any, (*moves[2:3], *moves[4:])))


def _kind(layer: Layer, kernel: tuple[int, ...]) -> str:
    if layer.kind in LINEAR:
        covers = positions_of(layer) == 1
        return "dense" if covers or all(size == 1 for size in kernel) else "conv"
    return layer.kind


def _fused(architecture: Architecture, layer: Layer, name: str, role: str, count: int) -> tuple[int, list[Part]]:
    """Return the weight's axis that is fused and its parts, `count` of them by the graph; none if the layer is not."""
    axes = architecture.axes.get(name)
    if not axes or layer.kind not in LINEAR:
        return 0, []
    made = [d for d, axis in enumerate(axes) if not axis.contracted]
    dim = made[-1] if made and _experts(architecture, layer, name) > 1 else next(iter(made), 0)
    if architecture.graph:
        # two parts are not enough to tell: the turned and the unturned channels of a rotary embedding look like that
        parts = parts_of(architecture, axes[dim].tree, count if count > 2 else 0, layer.attribute("parts", ()))
        return dim, parts if len(parts) > 1 and count == len(parts) else []
    told = len(part_roles(role)) if len(made) == 1 else int(layer.attribute("cut", 0))
    parts = parts_of(architecture, axes[dim := made[-1]].tree, told) if told else []
    return dim, parts if told == len(parts) else []


def _cuts(architecture: Architecture) -> dict[int, int]:
    """Return in how many parts the graph cuts the output of each layer, halves of rotary embeddings apart."""
    turned = turned_layers(architecture.graph)
    cuts: dict[int, int] = {}
    for node in architecture.graph:
        if node.op == "part" and node.inputs:
            before = architecture.graph[node.inputs[0]]
            if before.layer >= 0 and (before.layer, True) not in turned:
                cuts[before.layer] = max(cuts.get(before.layer, 0), node.index + 1)
    return cuts


def units_of(architecture: Architecture) -> tuple[Unit, ...]:
    """Return the units of `architecture` in the order of its layers."""
    cuts, attending = _cuts(architecture), attending_layers(architecture)
    mains = [main_tensor(layer) for layer in architecture.layers]
    settings = setting_numbers(architecture, mains, attending)
    paths = [path.rpartition(".")[0] for path in counted_from_one([f"{a.path}.weight" for a in architecture.layers])]
    found: list[Unit] = []
    for place, (layer, name) in enumerate(zip(architecture.layers, mains, strict=True)):
        if name is None:
            continue
        kernel = _kernel(architecture, layer, name)
        whole = Unit(
            place,
            layer.path,
            _kind(layer, kernel),
            _canonical_shape(architecture, layer, name),
            kernel,
            _flavour(layer, architecture.by_name[name].dtype),
            str(layer.attribute("role_name") or canonical_role(paths[place]) or _recurrent_role(name)),
            layer.block,
            layer.stage,
            _places(layer),
            attends=place in attending,
            setting=settings.get(place, UNKNOWN),
        )
        recurs = bool(_recurrent_role(name))  # the parts are gates of one state
        dim, parts = (0, []) if recurs else _fused(architecture, layer, name, whole.role, cuts.get(place, 0))
        found.extend(_split(architecture, whole, dim, parts) if parts else [whole])
        if [(unit.path, unit.role) for unit in found[-2:]] == [(layer.path, "hh"), (layer.path, "ih")]:
            found[-2:] = found[:-3:-1]  # what a state is read by behind what an input is, in whichever order they run
    return tuple(found)


def _recurrent_role(name: str) -> str:
    """Return `ih` or `hh` for a weight of torch's recurrent layers, which one module holds many of."""
    last = name.rpartition(".")[2]
    return canonical_role(last.removeprefix("weight_")) if last.startswith("weight_") else ""


def _split(architecture: Architecture, whole: Unit, dim: int, parts: list[Part]) -> list[Unit]:
    roles = part_roles(whole.role)
    return [
        replace(
            whole,
            shape=(architecture.size_of(part.tree), *whole.shape[1:]),
            role=roles[index] if len(roles) == len(parts) else whole.role,
            part=index,
            parts=len(parts),
            dim=dim,
        )
        for index, part in enumerate(parts)
    ]


FAR = 25
"""How many nodes back from a product its queries are looked for."""


def attending_layers(architecture: Architecture) -> frozenset[int]:
    """Return the layers that make the left side of a product of two values, as attention's queries are."""
    graph = architecture.graph
    products = (node for node in graph if node.op == "matmul" and len(node.inputs) == 2)
    return frozenset({layer_behind(graph, node.inputs[0], FAR) for node in products} - {-1})
