"""Tables of embeddings that serve as heads, and what stands before them there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tli_cli.architecture import Architecture, AxisTree, Layer, Node
from tli_cli.planning.spaces.bending import made_by


def tied_heads(architecture: Architecture) -> list[tuple[int, int]]:
    """Return the places of the embeddings whose own tables serve as heads, with the node that stands before each, masks
    apart."""
    graph = architecture.graph
    return [(graph[i].layer, _before_masks(graph, graph[i].inputs[0])) for i in _nodes_of_heads(architecture)]


def norms_before_tied_heads(architecture: Architecture) -> set[str]:
    """Return the paths of norms that feed a head which is an embedding's own table: they divide what it cannot."""
    before = (architecture.graph[index].layer for _, index in tied_heads(architecture))
    return {layer.path for place in before if place >= 0 and (layer := architecture.layers[place]).kind == "norm"}


def undivided_spaces(architecture: Architecture) -> dict[AxisTree, bool]:
    """Return the widths of tables that are heads, where no norm feeds these alone: nothing there divides by copies. Of
    each, whether what stands at the mean of the other channels is not zero there either."""
    norms, heads, found = norms_before_tied_heads(architecture), _nodes_of_heads(architecture), dict[AxisTree, bool]()
    for place, index in tied_heads(architecture):
        node, name = architecture.graph[index], architecture.layers[place].tensor("weight")
        divided = node.layer >= 0 and architecture.layers[node.layer].path in norms
        if name in architecture.axes and not (divided and _feeds(architecture, index, heads)):
            made, tree = made_by(architecture, index), architecture.axes[name][-1].tree
            found[tree] = found.get(tree, False) or made is None or made.kind != "norm"
    return found


def _nodes_of_heads(architecture: Architecture) -> set[int]:
    """Return the nodes of tables that are run on what layers make, not on what is made of the inputs alone."""
    fed, found = list[bool](), set[int]()
    making = {i for i, layer in enumerate(architecture.layers) if not _counts(architecture, layer)}
    for index, node in enumerate(architecture.graph):
        behind = any(fed[i] for i in node.inputs)
        fed.append(behind or node.layer in making)
        found |= {index} if behind and architecture.kinds[index] == "embedding" else set()
    return found


def _counts(architecture: Architecture, layer: Layer) -> bool:
    """Tell whether a layer holds whole numbers alone, such as where the rows of each feature begin in a table."""
    return all(architecture.by_name[name].dtype.startswith("int") for _, name in layer.tensors)


def _before_masks(graph: Sequence[Node], index: int) -> int:
    """Return the node whose value, multiplied with others perhaps, that of node `index` is."""
    while graph[index].op == "mul":
        index = next((i for i in graph[index].inputs if graph[i].layer >= 0), graph[index].inputs[0])
    return index


def _feeds(architecture: Architecture, index: int, heads: Collection[int]) -> bool:
    """Tell whether what a node makes goes into `heads`, masked perhaps, and nowhere else."""
    graph, readers = architecture.graph, architecture.readers[index]
    masked = {i for i in readers if graph[i].op == "mul" and graph[i].inputs.count(index) == 1}
    return bool(readers) and all(i in heads or (i in masked and _feeds(architecture, i, heads)) for i in readers)
