"""Turn a finished recording into an `Architecture`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import STATISTICS, Architecture, Axis, AxisTree, Layer, Node, TensorSpec
from tli_cli.describe.blocks import with_blocks
from tli_cli.describe.last_layers import UNBOUNDED, gives_features
from tli_cli.describe.spelling import enclosing
from tli_cli.describe.tracing.edges import Code, passed_on
from tli_cli.describe.tracing.nested_parts import POSITIONS, part_ranks, part_sizes, unnested
from tli_cli.describe.tracing.numbers import constants_after, numbers_after
from tli_cli.describe.tracing.recording import Recording
from tli_cli.describe.tracing.reductions import settle_weighed_sums
from tli_cli.describe.tracing.unrun import with_unrun
from tli_cli.describe.tracing.values import RecordedLayer, Value
from tli_cli.describe.tracing.weighing import note_weighed
from tli_cli.describe.used_spaces import UsedSpaces
from tli_cli.describe.walks import walked

STANDARD_ROLES = {"weight", "bias", *STATISTICS}
POOLS = ("max_pool", "avg_pool")


def assemble(
    recording: Recording, tensors: tuple[TensorSpec, ...], outputs: Sequence[Value], origin: str
) -> Architecture:
    """Return the architecture that `recording` describes; tensors that were not used stand where they are defined."""
    settle_weighed_sums(recording)
    _mark_classes(recording, outputs)
    tensors = tuple(replace(t, worked=tuple(recording.worked.get(t.name, ()))) for t in tensors)
    layers = _layers(recording, tensors)
    used, axes = _spaces(recording, tensors, layers)
    layers, axes = with_unrun((layers, axes), tensors, recording.layer_of.keys())
    layers = with_blocks(layers)
    return Architecture(
        tensors,
        tuple(layers),
        _graph(recording, outputs),
        used.spaces,
        axes,
        order_from="trace",
        origin=origin,
        coded=_numbered(recording, _coded(recording), used),
        dotted=_numbered(recording, [*recording.dotted, *recording.statistics.measured], used),
        averaged=_numbered(recording, _averaged(recording), used),
    )


def _averaged(recording: Recording) -> list[AxisTree]:
    """Return what takes as many copies of each channel: what is averaged over, and that of which the largest is taken
    where the channels that a norm has beside copies may be it, as zeros are, but not the mean of all."""
    table, layers = recording.table, recording.layers
    largest = [
        leaf
        for index, trees in recording.extremes
        for leaf in {*table.leaves(*trees)} & _normed(recording, zero=index < 0 or layers[index].kind != "norm")
    ]
    return [*recording.averaged, *recording.statistics.averaged, *largest]


def _normed(recording: Recording, *, zero: bool) -> set[int]:
    """Return what norms run over, or those alone that leave channels beside copies at `zero`."""
    flavours = {name: recording.layers[i].attributes.get("norm") for name, i in recording.layer_of.items()}
    norms = (name for name, flavour in flavours.items() if flavour and (flavour == "rms" or not zero))
    return {*recording.table.leaves(*(tree for name in norms for tree in recording.parameter_dims.get(name, ())))}


def _coded(recording: Recording) -> list[AxisTree]:
    """Return what code uses in a way that copies of channels change."""
    return [*recording.coded, *recording.turned, *recording.statistics.changed, *recording.table.twisted]


def _numbered(recording: Recording, trees: Sequence[AxisTree], used: UsedSpaces) -> frozenset[int]:
    """Return the spaces that `trees` run over, as far as they are axes of tensors."""
    return used.numbers_of(recording.table.leaves(*trees))


def _mark_classes(recording: Recording, outputs: Sequence[Value]) -> None:
    """Mark the outputs' channels as classes where nothing but the layers that make them carries them, and these make
    other than features, such as what two towers give to be multiplied with each other."""
    table = recording.table
    met = {*table.leaves(*recording.dotted, *recording.statistics.met)}
    for value in outputs:
        final = {*table.leaves(_channels(recording, value))}
        contracted = {
            leaf
            for name, index in recording.layer_of.items()
            for leaf in _summed_leaves(recording, name, index)
            if leaf in final
        }
        for leaf in () if _is_rectified_map(recording, value) else final - contracted - met - _features(recording):
            table.mark(leaf, "classes")


def _is_rectified_map(recording: Recording, value: Value) -> bool:
    """Tell whether an output is a map that an activation without bounds has gone over: features, as no scores of places
    are. What is pooled to one place may be scores all the same, as SqueezeNet's are."""
    node = recording.nodes[value.node]
    while node.op in POOLS and len(node.inputs) == 1:
        node = recording.nodes[node.inputs[0]]
    return node.op in UNBOUNDED and len(value.dims) > 3 and any(recording.table.size(dim) > 1 for dim in value.dims[2:])


def _features(recording: Recording) -> set[int]:
    """Return the channels that layers make which would give features if they were the last."""
    table = recording.table
    matrices = ((name, dims) for name, dims in recording.parameter_dims.items() if len(dims) == 2)
    return {
        leaf
        for name, (first, last) in matrices
        if gives_features(name.rpartition(".")[0], table.size(first), table.size(last))
        for leaf in table.leaves(first)
    }


def _channels(recording: Recording, value: Value) -> AxisTree:
    """Return the dimension of an output that holds its channels: the second of maps and of signals, else the last."""
    table, dims = recording.table, value.dims
    return dims[1] if len(dims) > 3 or (len(dims) == 3 and table.kinds(dims[-1]) <= POSITIONS) else dims[-1]


def _summed_leaves(recording: Recording, name: str, index: int) -> list[int]:
    roots = recording.parameter_dims.get(name, ())
    summed = recording.layers[index].kind in ("norm", "scale", "position")
    trees = (tree for d, tree in enumerate(roots) if summed or (name, d) in recording.contracted)
    return recording.table.leaves(*trees)


def _path(layer: RecordedLayer) -> str:
    """Return the module path shared by the layer's tensors, or the tensor's own name if it is no module's standard
    role."""
    names = list(layer.roles)
    modules = {name.rpartition(".")[0] for name in names}
    if len(modules) == 1:
        module, last = names[0].rpartition(".")[::2]
        if len(names) > 1 or last in STANDARD_ROLES:
            lasts = (name.rpartition(".")[2] for name in names)  # `in_proj` of `in_proj_weight` and `in_proj_bias`
            stems = {last.removesuffix("weight").removesuffix("bias").rstrip("_") for last in lasts}
            return f"{module}.{stems.pop()}".strip(".") if len(stems) == 1 else module
        return names[0]
    weights = [name for name in names if layer.roles[name].startswith("weight")] or names
    return weights[0].rpartition(".")[0]


def _layers(recording: Recording, tensors: Sequence[TensorSpec]) -> list[Layer]:
    order = {tensor.name: i for i, tensor in enumerate(tensors)}
    roles = [{name: role for name, role in layer.roles.items() if name in order} for layer in recording.layers]
    paths = [_path(layer) for layer in recording.layers]
    by_module = {path: i for i, path in enumerate(paths)}
    left = [t for t in tensors if t.name not in recording.layer_of]
    loose: dict[str, dict[str, str]] = defaultdict(dict)
    for tensor in left:
        module, _, last = tensor.name.rpartition(".")
        if tensor.tied_to is not None and tensor.tied_to in recording.layer_of:
            roles[recording.layer_of[tensor.tied_to]][tensor.name] = f"tied.{tensor.name}"
        elif module in by_module and last in STANDARD_ROLES and last not in roles[by_module[module]].values():
            roles[by_module[module]][tensor.name] = last
        else:
            loose[module if last in STANDARD_ROLES else tensor.name][tensor.name] = (
                last if last in STANDARD_ROLES else "weight"
            )
    sizes = part_sizes(recording)
    note_weighed(recording)
    numbers, constants = numbers_after(recording), constants_after(recording)
    layers = [
        Layer(
            path,
            layer.kind,
            tuple((role, name) for name, role in named.items()),
            attributes=tuple(sorted((layer.attributes | ({"parts": parts} if parts else {})).items())),
            numbers=noted,
            constants=acting,
        )
        for path, layer, named, parts, noted, acting in zip(
            paths, recording.layers, roles, sizes, numbers, constants, strict=True
        )
        if named
    ]
    first = {module: i for i, path in reversed([*enumerate(paths)]) for module in enclosing(path)[:-1]}
    return layers + [
        Layer(path, "other", tuple((role, name) for name, role in named.items()))
        for path, named in sorted(loose.items(), key=lambda item: _first_run_beside(item[0], first))
    ]


def _first_run_beside(path: str, first: Mapping[str, int]) -> int:
    """Return the place of the layer that is run `first` in the innermost module around `path` of which one is run."""
    return next((first[module] for module in reversed(enclosing(path)[:-1]) if module in first), 0)


def _is_summed(recording: Recording, layer: Layer, name: str, dim: int) -> bool:
    """Tell whether the layer sums over dimension `dim`; the width of an embedding that also serves as head does not
    count."""
    return (name, dim) in recording.contracted and not (layer.kind == "embedding" and dim > 0)


def _spaces(
    recording: Recording, tensors: Sequence[TensorSpec], layers: Sequence[Layer]
) -> tuple[UsedSpaces, dict[str, tuple[Axis, ...]]]:
    table = recording.table
    sizes = {tensor.name: tensor.shape for tensor in tensors}
    homes = {name: layer for layer in layers for _, name in layer.tensors if recording.parameter_dims.get(name)}
    trees = {
        name: [
            tree if table.size(tree) == size else table.leaf(size)
            for tree, size in zip(map(table.resolve, recording.parameter_dims[name]), sizes[name], strict=True)
        ]
        for name in homes
    }
    used = UsedSpaces(table, trees)
    axes = used.axes(lambda name, dim: _is_summed(recording, homes[name], name, dim))
    for tensor in tensors:
        if tensor.tied_to in axes:
            axes[tensor.name] = axes[tensor.tied_to]
    return used, axes


def _graph(recording: Recording, outputs: Sequence[Value]) -> tuple[Node, ...]:
    """Return the nodes that `outputs` depend on, without the parts of axes that carry positions instead of channels."""
    table = recording.table
    renamed: dict[int, int] = {}
    through: dict[int, Code] = {}
    graph: list[Node] = []
    nodes, _ = unnested(recording)
    ranks = part_ranks(nodes)
    used = set(walked((value.node for value in outputs), lambda i: nodes[i].inputs))
    for i, node in enumerate(nodes):
        if used and i not in used:
            continue
        kept = [at for at, j in enumerate(node.inputs) if j in renamed]
        before = [node.inputs[at] for at in kept]
        inputs = tuple(renamed[j] for j in before)
        own = recording.edges.before(i, kept, recording.numbers, recording.forgotten)
        code = passed_on(own, through, before)
        if node.op == "part" and (table.kinds(recording.part_axes[i]) & POSITIONS or node.index < 0):
            renamed[i], through[i] = inputs[0], code[0] if code else ()
            continue
        renamed[i] = len(graph)
        graph.append(Node(node.op, inputs, node.layer, ranks.get(i, node.index), code))
    return tuple(graph)
