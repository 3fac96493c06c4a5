"""Find sums of linear branches over one input, as RepVGG (arXiv 2101.03697) and MobileOne (arXiv 2206.04040) train
them, and linear layers with batch norms."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.branches.values import Act, Branches
from tli_cli.describe.walks import walked
from tli_cli.noted import CONVOLUTION, EPSILON, GROUPS, OUTPUTS, POOLED, WEIGHED

Reached = dict[int, frozenset[int]]
"""By a node that goes in, the nodes between that and one that comes out, which is among them."""
Sides = tuple[int, ...]
Window = tuple[Sides, Sides, Sides, Sides]
"""Of a convolution, axis by axis: kernel, stride, zeros before the input, dilation; of a linear layer nothing."""

NORMED = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
SIGNS = {"sub": (1.0, -1.0), "rsub": (-1.0, 1.0)}
"""What the two sides of a sum are multiplied by where code subtracts."""
OTHERWISE = (("div 0",), ("div 1",))
"""How tensors are used that divide."""
WITHIN = {CONVOLUTION, EPSILON, WEIGHED, *SIGNS}
"""The numbers that are understood within a branch."""


def branches_of(architecture: Architecture, around: bool) -> list[Branches]:
    """Return the widest sums of branches and chains of layers of which nothing within is read elsewhere; with `around`,
    what goes around all layers may be a branch."""
    graph = architecture.graph
    reached: list[Reached] = []
    for index in range(len(graph)):
        reached.append(_reach(architecture, index, reached, around))
    found: list[Branches] = []
    covered: set[int] = set()
    for index in reversed(range(len(reached))):
        ways = sorted(reached[index].items()) if index not in covered else []
        made = (_branches(architecture, root, tuple(sorted(way))) for root, way in ways if len(way) > 1)
        if branches := next((one for one in made if one and not {"add", "norm"}.isdisjoint(one.ops)), None):
            covered.update(branches.nodes)
            found.append(branches)
    return found[::-1]


def _reach(architecture: Architecture, index: int, reached: Sequence[Reached], around: bool) -> Reached:
    """Return the nodes of which node `index` is a linear function, itself among them, and what lies between."""
    node, itself = architecture.graph[index], {index: frozenset[int]()}
    kind = _kind(architecture, architecture.layers[node.layer]) if node.layer >= 0 else ""
    before = [reached[i] for i in node.inputs]
    if len(before) == 2 and node.op == "add":
        shared = before[0].keys() & before[1].keys()
        roots = (root for root in shared if around or (before[0][root] and before[1][root]))
        return {root: before[0][root] | before[1][root] | {index} for root in roots} | itself
    taken = before[0] if kind and len(before) == 1 else {}
    if kind == "conv":
        ahead = {root: way for root, way in taken.items() if way and len(reached[root]) == 1}
        takes = {root: way for root, way in ahead.items() if _takes_over(architecture, way, node.layer)}
        taken = {node.inputs[0]: frozenset[int](), **takes}
    return {root: way | {index} for root, way in taken.items()} | itself


def _takes_over(architecture: Architecture, way: Collection[int], conv: int) -> bool:
    """Tell whether a linear layer can take over what acts before it: norms, where it puts no zeros around."""
    before = [architecture.graph[i].layer for i in way]
    norms = all(place >= 0 and architecture.layers[place].attribute("norm") for place in before)
    return norms and not any((_window(architecture.layers[conv]) or ((),) * 4)[2])


def _kind(architecture: Architecture, layer: Layer) -> str:
    """Return what a layer is in a branch: `conv`, `norm`, `scale`; empty for what is not linear, or not known well."""
    roles = {role for role, _ in layer.tensors}
    specs = [architecture.by_name[name] for _, name in layer.tensors]
    otherwise = any(len(s.worked) > 1 or s.worked[:1] in OTHERWISE or s.tied_to for s in specs)
    if otherwise or layer.offset or layer.attribute("transposed") or layer.attribute("standardised"):
        return ""
    if layer.kind in LINEAR and {"weight"} <= roles <= {"weight", "bias"}:
        return "conv" if _window(layer) else ""
    if layer.attribute("norm") == "batch" and {"running_mean", "running_var"} <= roles <= NORMED and layer.epsilon:
        return "norm"
    return "scale" if layer.kind == "scale" and roles == {"weight"} else ""


def _window(layer: Layer) -> Window | None:
    """Return how a convolution looks at its input; None where that is not known."""
    if layer.kind == "linear":
        return (), (), (), ()
    moves = (layer.moves or ())[1:]
    return (tuple(layer.attribute("kernel", ())), *moves) if len(moves) == 3 else None


def _taps(window: Window, whole: Window) -> tuple[slice, ...] | None:
    """Return where the elements of a kernel stand in that of `whole`, axis by axis; None where it looks elsewhere, or
    gives more or fewer places."""
    found: list[slice] = []
    if len(window[0]) != len(whole[0]):
        return None
    for size, stride, zeros, step, most, *others in zip(*window, *whole, strict=True):
        first, apart = others[1] - zeros, others[2]
        even = first >= 0 and 2 * first + step * (size - 1) == apart * (most - 1) and stride == others[0]
        if not even or first % apart or (size > 1 and step % apart):
            return None
        found.append(slice(first // apart, (first + step * (size - 1)) // apart + 1, max(step // apart, 1)))
    return tuple(found)


def _branches(architecture: Architecture, root: int, nodes: tuple[int, ...]) -> Branches | None:
    """Return `nodes` as one layer; None where they are none, or something of them is not known."""
    graph, place = architecture.graph, {node: i for i, node in enumerate(nodes)}
    layers = {i: architecture.layers[graph[i].layer] for i in nodes if graph[i].layer >= 0}
    windows = {i: window for i, layer in layers.items() if layer.kind in LINEAR and (window := _window(layer))}
    signs = _signs(architecture, nodes)
    if not windows or signs is None or not _stand_alone(architecture, nodes):
        return None
    main = max(windows, key=lambda i: prod(windows[i][0]))
    ones = (1,) * len(windows[main][0])
    taps = {i: _taps(window, windows[main]) for i, window in windows.items()}
    centre = _taps((ones, ones, tuple(0 for _ in ones), ones), windows[main])
    ahead = {*walked((j for i in windows for j in graph[i].inputs), lambda j: graph[j].inputs if j in place else ())}
    if any({root, *ahead}.intersection(graph[i].inputs) for i in place.keys() - windows.keys() - ahead):
        taps[root] = centre if _keeps_channels(architecture, layers[main]) else None
    wide = all(_is_as_wide(architecture, layer, layers[main], ahead=i in ahead) for i, layer in layers.items())
    if None in taps.values() or not wide:
        return None
    acts = tuple(
        Act(
            _kind(architecture, layers[i]) if i in layers else "add",
            tuple(place.get(j, -1) for j in graph[i].inputs),
            layers.get(i),
            signs.get(i, ()),
            taps.get(i) or (),
        )
        for i in nodes
    )
    return _as_one(architecture, root, nodes, acts, layers[main], centre or ())


def _as_one(
    architecture: Architecture, root: int, nodes: Sides, acts: tuple[Act, ...], main: Layer, centre: Sequence[slice]
) -> Branches:
    """Return `acts` as one layer in the place of `main`, behind which acts what does so behind the last of them."""
    last = [act.layer for act in acts if act.layer][-1]
    inner = WITHIN if any(act.op == "add" for act in acts) else WITHIN.difference(SIGNS)
    behind = [tuple(number for number in held if number[0] not in inner) for held in (last.numbers, last.constants)]
    moves = tuple(main.noted(CONVOLUTION))
    weighed = tuple(number for act in acts if act.layer for number in act.layer.noted(WEIGHED))
    spec = architecture.by_name[main.tensor("weight") or ""]
    biased = any(act.op == "norm" or act.tensor("bias") for act in acts)
    free = f"{main.path}.bias" if f"{main.path}.bias" not in architecture.by_name else f"{spec.name}.bias"
    bias = replace(spec, name=main.tensor("bias") or free, shape=spec.shape[:1]) if biased else None
    tensors = (("weight", spec.name), *((("bias", bias.name),) if bias else ()))
    layer = replace(main, tensors=tensors, numbers=(*moves, *weighed, *behind[0]), constants=behind[1])
    return Branches(root, nodes, acts, layer, spec, bias, tuple(own.start for own in centre))


def _signs(architecture: Architecture, nodes: Sides) -> dict[int, tuple[float, float]] | None:
    """Return what both sides of each sum are multiplied by; None where it is not certain where code subtracts."""
    graph = architecture.graph
    signs = {i: (1.0, 1.0) for i in nodes if graph[i].op == "add"}
    run = [i for i in range(nodes[0], nodes[-1]) if graph[i].layer >= 0]
    behind = next((i for i in range(nodes[-1], len(graph)) if graph[i].layer >= 0), len(graph))
    for start, stop in pairwise([*run, behind]):
        said = [number for number in architecture.layers[graph[start].layer].numbers if number[0] in SIGNS]
        sums = [i for i in range(start, stop) if graph[i].op == "add"]
        if said:
            if len(said) > 1 or len(said[0]) > 1 or len(sums) > 1 or not signs.keys() >= {*sums}:
                return None
            signs |= {i: SIGNS[said[0][0]] for i in sums}
    return signs


def _stand_alone(architecture: Architecture, nodes: Sides) -> bool:
    """Tell whether nothing within is read elsewhere or run twice, nothing else is run in between, and no number that is
    written in code acts within."""
    graph, inside, last = architecture.graph, {*nodes}, nodes[-1]
    run = [i for i in range(nodes[0], last + 1) if graph[i].layer >= 0]
    places = {graph[i].layer for i in run}
    alone = all(inside.issuperset(architecture.readers[node]) for node in nodes[:-1]) and inside.issuperset(run)
    if not alone or sum(node.layer in places for node in graph) > len(places):
        return False
    before = max((i for i in range(nodes[0]) if graph[i].layer >= 0), default=run[0])
    allowed = {i: WITHIN for i in run}
    if run[-1] == last:  # whatever is noted for the last layer acts behind it
        del allowed[last]
        allowed[run[0]] = WITHIN | {POOLED}
    else:
        allowed[run[-1]] = WITHIN | {OUTPUTS} | {graph[i].op for i in architecture.readers[last]} - {"add", "mul"}
    if any(graph[i].op == "add" for i in nodes):  # what acts before a chain acts on all that it takes
        allowed.setdefault(before, WITHIN | {GROUPS} | {graph[i].op for i in range(before, nodes[0])} - {"add", "mul"})
    layers = {i: architecture.layers[graph[i].layer] for i in allowed}
    return all(n[0] in allowed[i] for i, layer in layers.items() for n in (*layer.numbers, *layer.constants))


def _keeps_channels(architecture: Architecture, layer: Layer) -> bool:
    """Tell whether a layer gives as many channels as it takes."""
    rows, columns, *_ = architecture.by_name[layer.tensor("weight") or ""].shape
    return bool(rows == columns * layer.attribute("groups", 1))


def _is_as_wide(architecture: Architecture, layer: Layer, main: Layer, *, ahead: bool) -> bool:
    """Tell whether a layer takes and gives as many channels in as many groups as `main`, or runs over those that this
    gives; those that it takes, if it stands `ahead` of it."""
    spec = architecture.by_name[layer.tensor("running_var") or layer.tensor("weight") or ""]
    weight = main.tensor("weight") or ""
    if layer.kind in LINEAR:
        same = spec.shape[:2] == architecture.by_name[weight].shape[:2]
        return same and layer.attribute("groups", 1) == main.attribute("groups", 1)
    axes = zip(architecture.axes.get(spec.name, ()), spec.shape, strict=False)
    own = [axis.tree for axis, size in axes if size > 1]
    return own == [axis.tree for axis in architecture.axes.get(weight, ())[ahead : ahead + 1]]
