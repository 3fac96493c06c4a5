"""What the execution graph says a unit is for, whatever its name: attention's projections, gates, tables and head."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tli_cli.architecture import LINEAR, Architecture, Node
from tli_cli.describe.vocabulary import crossing
from tli_cli.describe.walks import back
from tli_cli.matching.units import Key, Unit


def graph_roles(architecture: Architecture, units: Iterable[Unit]) -> dict[Key, str]:
    """Return the roles (`q`, `k`, `v`, `o`, `gate`, `up`, `embed`, `head`) of those `units` that a graph tells."""
    known = {unit.key: unit for unit in units} if architecture.graph else {}
    return {key: role for key, role in _Roles(architecture, known).found() if key in known}


class _Roles:
    """The graph of one architecture, walked backwards from its joins and forwards from its attentions."""

    def __init__(self, architecture: Architecture, units: Mapping[Key, Unit]) -> None:
        self._layers, self._graph, self._units = architecture.layers, architecture.graph, units
        self._kinds, self._uses = architecture.kinds, architecture.readers

    def found(self) -> Iterator[tuple[Key, str]]:
        """Yield units with their roles."""
        inner: dict[Key, str] = {}
        for index, node in enumerate(self._graph):
            if node.op == "matmul" and len(node.inputs) == 2:
                inner |= dict(self._attention(index, node))
            elif node.op == "mul" and len(node.inputs) == 2:
                inner |= dict(self._gate(node))
        yield from inner.items()
        if "q" in inner.values():
            yield from self._norms(inner)
        yield from self._ends()

    def _attention(self, index: int, node: Node) -> Iterator[tuple[Key, str]]:
        """Yield the projections around `node`, if it weighs values by a softmax of products."""
        weights = self._back(node.inputs[0], "softmax")
        scores = self._back(weights, "matmul") if weights is not None else None
        if scores is None or len(self._graph[scores].inputs) != 2:
            return
        query, key = self._graph[scores].inputs
        for start, role in ((query, "q"), (key, "k"), (node.inputs[1], "v")):
            if (made := self._maker(start)) is not None:
                yield made, role
        if (taken := self._taker(index)) is not None:
            yield taken, "o"

    def _gate(self, node: Node) -> Iterator[tuple[Key, str]]:
        """Yield gate and up: two layers of one shape that are multiplied, one of them through an activation."""
        makers = [self._maker(index) for index in node.inputs]
        first, second = makers
        if first is None or second is None or first == second:
            return
        if self._units[first].exact_label != self._units[second].exact_label:
            return
        direct = [self._graph[i].op in ("layer", "part") for i in node.inputs]
        if sum(direct) == 1:
            yield from zip(makers, ["up" if plain else "gate" for plain in direct], strict=True)

    def _norms(self, roles: Mapping[Key, str]) -> Iterator[tuple[Key, str]]:
        """Yield a transformer's norms: those that feed a layer alone by what it is, unless another layer alone feeds
        them, those of the stream by what made it, and where there are such before attention, those behind it and
        behind the MLP."""
        told = dict(self._stream_norms(roles))
        yield from told.items()
        if "norm1" in told.values():
            yield from self._branch_norms(roles)

    def _stream_norms(self, roles: Mapping[Key, str]) -> Iterator[tuple[Key, str]]:
        for node, used in self._used_norms():
            if all(use.layer >= 0 for use in used):
                taker = used[0].layer
                first = self._taken_by(taker, roles)
                attends, cross = first in ("q", "k", "v"), self._crosses(taker)
                of_stream = first != "head" and not (node.inputs and self._direct(node.inputs[0]))
                yield (node.layer, -1), (cross or "norm1") if attends else "norm2" if of_stream else ""
            elif any(use.op == "add" for use in used) and node.inputs and self._graph[node.inputs[0]].op == "add":
                makers = [maker for i in self._graph[node.inputs[0]].inputs if (maker := self._direct(i))]
                ends = [maker for maker in makers if roles.get(maker) == "o"]
                cross = self._crosses(ends[0][0]) if ends else ""
                yield (node.layer, -1), (cross or "norm1") if ends else "norm2" if makers else ""

    def _crosses(self, layer: int) -> str:
        """Return what the norm of an attention to another sequence is called, if a layer is named as one of its."""
        return "cross_norm" if crossing(self._layers[layer].path) else ""

    def _branch_norms(self, roles: Mapping[Key, str]) -> Iterator[tuple[Key, str]]:
        for node, used in self._used_norms():
            if any(use.op == "add" for use in used) and node.inputs and (maker := self._direct(node.inputs[0])):
                yield (node.layer, -1), "post_attn_norm" if roles.get(maker) == "o" else "post_mlp_norm"

    def _used_norms(self) -> Iterator[tuple[Node, list[Node]]]:
        """Yield each norm that anything uses, with what uses it."""
        for node, kind, uses in zip(self._graph, self._kinds, self._uses, strict=True):
            if kind == "norm" and uses:
                yield node, [self._graph[i] for i in uses]

    def _taken_by(self, layer: int, roles: Mapping[Key, str]) -> str:
        """Return the role of a layer, of its first part if it is fused; `head` if nothing takes what it makes."""
        node = next(i for i, n in enumerate(self._graph) if n.layer == layer)
        told = roles.get((layer, -1)) or roles.get((layer, 0), "")
        return told or ("head" if not self._uses[node] else "")

    def _direct(self, index: int) -> Key | None:
        """Return the weighted unit that makes node `index` itself."""
        return (self._graph[index].layer, -1) if self._kinds[index] in LINEAR else None

    def _ends(self) -> Iterator[tuple[Key, str]]:
        """Yield the tables that turn tokens into vectors, and the last layer if it stands alone at the end."""
        for key, unit in self._units.items():
            if unit.kind == "embedding":
                yield key, "embed"
        last = [i for i, node in enumerate(self._graph) if node.layer >= 0 and not self._uses[i]]
        for index in last:
            if len(last) == 1 and self._kinds[index] in LINEAR:
                yield (self._graph[index].layer, -1), "head"

    def _back(self, start: int, op: str) -> int | None:
        """Return the nearest node `op` on the way back from `start`, through whatever takes one main input."""
        return next((i for i in back(self._graph, start, 12) if self._graph[i].op == op), None)

    def _maker(self, start: int) -> Key | None:
        """Return the weighted unit that made node `start`, through norms, scales and turned embeddings."""
        for index in back(self._graph, start, 24):
            node = self._graph[index]
            if node.op == "part" and (node.inputs and (self._graph[node.inputs[0]].layer, node.index) in self._units):
                return self._graph[node.inputs[0]].layer, node.index
            if made := self._direct(index):
                return made if made in self._units else None
        return None

    def _taker(self, start: int) -> Key | None:
        """Return the weighted unit that alone takes what node `start` makes."""
        for _ in range(12):
            if len(self._uses[start]) != 1:
                return None
            start = self._uses[start][0]
            if taken := self._direct(start):
                return taken
        return None
