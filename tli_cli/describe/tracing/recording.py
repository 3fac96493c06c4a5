"""What is known of every tensor while a model runs, and the layers and graph that come of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from tli_cli.architecture import DOT, LINEAR, AxisTree, Node
from tli_cli.describe.normed import part_role
from tli_cli.describe.spaces import SpaceTable
from tli_cli.describe.tracing.constants import Constants
from tli_cli.describe.tracing.curves import Curves
from tli_cli.describe.tracing.edges import Edges
from tli_cli.describe.tracing.statistics import Statistics
from tli_cli.describe.tracing.unread import Readings
from tli_cli.describe.tracing.values import Borders, Origin, RecordedLayer, Value
from tli_cli.noted import OWN, REDUCED, Number


class Recording:
    """The growing description: values by tensor, spaces, graph nodes and layers."""

    def __init__(self) -> None:
        self.table = SpaceTable()
        self.statistics = Statistics(self.table)
        self.batch = 1
        self.nodes: list[Node] = []
        self._makers: list[int] = []
        self.part_axes: dict[int, AxisTree] = {}
        self.part_sizes: dict[int, int] = {}
        self.slices: dict[int, AxisTree] = {}
        self.layers: list[RecordedLayer] = []
        self.layer_of: dict[str, int] = {}
        self.contracted: set[tuple[str, int]] = set()
        self.made: set[tuple[str, int]] = set()
        self.buffers: set[str] = set()
        self.relative: set[str] = set()
        self.parameter_dims: dict[str, tuple[AxisTree, ...]] = {}
        self.numbers: list[tuple[int, Number]] = []
        self.forgotten: set[int] = set()
        self.constants = Constants()
        self.curves = Curves()
        self.borders = Borders()
        self.readings = Readings()
        self.edges = Edges()
        self.acting: list[tuple[int, Number]] = []
        self.coded: list[AxisTree] = []
        self.dotted: list[AxisTree] = []
        self.averaged: list[AxisTree] = []
        self.weighed_sums: list[tuple[torch.Tensor, dict[AxisTree, Origin]]] = []
        self.extremes: list[tuple[int, tuple[AxisTree, ...]]] = []
        self.weighed: list[tuple[int, tuple[AxisTree, ...], int]] = []
        self.offsets: dict[str, float] = {}
        self.lengths: dict[int, int] = {}
        self.outputs: dict[int, list[int]] = defaultdict(list)
        self._shifts: dict[int, float] = {}
        self.last = -1
        self.serves_as_head = False
        self.joined: dict[int, tuple[int, tuple[torch.Tensor, ...]]] = {}
        self.worked: dict[str, list[str]] = defaultdict(list)
        self._blank: dict[int, torch.Tensor] = {}
        self._uniform: set[int] = set()
        self._squares: set[int] = set()
        self._values: dict[int, Value] = {}
        self._cuts: dict[int, Callable[[], object]] = {}
        self._written: set[int] = set()
        self._alive: list[torch.Tensor] = []

    def get(self, tensor: Any) -> Value | None:
        """Return what is known of `tensor`; None for constants and non-tensors."""
        return self._values.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None

    def when_used(self, tensor: torch.Tensor, cut: Callable[[], object]) -> None:
        """Cut an axis when something is first made of `tensor`, a part of it: code may take one for its shape alone."""
        self._cuts[id(tensor)] = cut

    def use(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note that something is made of `tensors`."""
        for tensor in tensors:
            if (cut := self._cuts.pop(id(tensor), None)) is not None:
                cut()

    def ends(self) -> list[Value]:
        """Return what the layers make that no other layer stands behind."""
        followed: set[int] = set()
        for i in range(len(self.nodes) - 1, -1, -1):
            if i in followed or self.nodes[i].layer >= 0:
                followed.update(self.nodes[i].inputs)
        made = {i for i, node in enumerate(self.nodes) if node.layer >= 0} - followed
        return [value for value in self._values.values() if value.node in made]

    def is_buffer(self, value: Value) -> bool:
        """Tell whether `value` comes of buffers alone, which no training changes."""
        return value.node < 0 and bool(value.names) and self.buffers.issuperset(value.names)

    def put(self, tensor: torch.Tensor, value: Value) -> None:
        """Remember `value` for `tensor`, which is kept alive so that its identity stays its own."""
        self._values[id(tensor)] = value
        self._alive.append(tensor)

    def note_square(self, tensor: torch.Tensor) -> None:
        """Remember that `tensor` holds squares."""
        self._squares.add(id(tensor))
        self._alive.append(tensor)

    def is_square(self, tensor: torch.Tensor) -> bool:
        """Tell whether `tensor` holds squares."""
        return id(tensor) in self._squares

    def put_uniform(self, tensor: torch.Tensor) -> None:
        """Remember that `tensor` holds one number everywhere."""
        self._uniform.add(id(tensor))
        self._alive.append(tensor)

    def note_blank(self, tensor: torch.Tensor) -> None:
        """Remember that `tensor` was made without anything in it yet that counts."""
        self._blank[tensor.untyped_storage()._cdata] = tensor

    def blank_around(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return what `tensor` is a part of, if that was made without anything in it."""
        return self._blank.get(tensor.untyped_storage()._cdata)

    def note_write(self, tensor: torch.Tensor, even: bool) -> None:
        """Remember that what `tensor` is a part of holds other numbers in this part, and, unless these are `even`, that
        it holds several itself."""
        storage = tensor.untyped_storage()
        if not even and id(tensor) in self._uniform:
            self._uniform.remove(id(tensor))
        if tensor.numel() * tensor.element_size() < storage.nbytes():
            self._written.add(storage._cdata)
            self._alive.append(tensor)

    def is_uniform(self, tensor: torch.Tensor) -> bool:
        """Tell whether `tensor` is known to hold one number everywhere."""
        return id(tensor) in self._uniform and tensor.untyped_storage()._cdata not in self._written

    def fresh(self, size: int, kind: str = "grid") -> AxisTree:
        """Return a new space for a dimension that corresponds to nothing known."""
        return self.table.leaf(size, kind)

    def node(self, op: str, inputs: Sequence[int], layer: int = -1, index: int = -1) -> int:
        """Append a graph node and return its index."""
        self.nodes.append(Node(op, tuple(inputs), layer, index))
        node = len(self.nodes) - 1
        self._makers.append(node if layer >= 0 else max((self._makers[i] for i in inputs), default=-1))
        return node

    def maker(self, value: Value | None) -> int:
        """Return the layer that made `value`, of several the one applied last; the last of all where none did."""
        node = self._makers[value.node] if value is not None and value.node >= 0 else -1
        return self.nodes[node].layer if node >= 0 else self.last

    def first_made(self, tensors: Iterable[torch.Tensor]) -> Value | None:
        """Return what is known of the first of `tensors` that depends on an input; None if none does."""
        return next((v for v in map(self.get, tensors) if v is not None and v.node >= 0), None)

    def note(self, value: Value | None, number: Number) -> int:
        """Note a number for the layer that made the value on which code acts; return where it stands."""
        self.numbers.append((self.maker(value), number))
        return len(self.numbers) - 1

    def note_dot(self, node: int, trees: Sequence[AxisTree]) -> None:
        """Note that a product is summed over channels, index by index; which of two numbers one is does not count."""
        run_over = [leaf for leaf in self.table.leaves(*trees) if self.table.size(leaf) > 1]
        if self.nodes[node].op in ("mul", "matmul") and self.table.kinds(*run_over) == {"channels"}:
            self.nodes[node] = replace(self.nodes[node], index=DOT)

    def part(self, value: Value, tree: AxisTree, index: int, size: int) -> int:
        """Append a node for part `index` of `value`, `size` indices along `tree`; dropped later if these carry no
        channels."""
        node = self.node("part", (value.node,), index=index)
        self.part_axes[node], self.part_sizes[node] = tree, size
        return node

    def part_of_weight(self, node: int, whole: AxisTree, piece: AxisTree, start: int) -> int:
        """Append a node for what `piece` of a weight's axis `whole` makes, `start` channels from its start."""
        made = self.node("part", (node,), index=start)
        self.part_axes[made], self.slices[made] = whole, piece
        return made

    def contract(self, value: Value, dim: int) -> None:
        """Note that the parameter axes under `dim` are summed over."""
        self.contracted.update(value.origin(dim))

    def make(self, value: Value, dim: int) -> None:
        """Note that the parameter axes under `dim` are those of what a product makes."""
        self.made.update(value.origin(dim))

    @property
    def turned(self) -> list[AxisTree]:
        """What weights run over that are used both as they are and turned, as in an autoencoder whose decoder is its
        encoder: no copies that are made can be divided by where they are summed over."""
        return [self.parameter_dims[name][dim] for name, dim in self.made & self.contracted]

    def apply_layer(
        self, kind: str, roles: Mapping[str, tuple[str, ...]], inputs: Sequence[int], **attributes: Any
    ) -> int:
        """Note that a layer with tensors by role acts on the nodes `inputs`; return its graph node."""
        names = [name for group in roles.values() for name in group]
        known = [self.layer_of[name] for name in names if name in self.layer_of] or [
            before
            for before in (*self._same_module(names, inputs), *self._table_as_head(kind, inputs))
            if self._takes(before, kind, roles)
        ]
        if kind == "bias" and not known and (late := self._before_sum(names, inputs)):
            self.layer_of[names[0]] = late[0]
            self.layers[late[0]].roles[names[0]] = "bias"
            return inputs[0]
        index = known[0] if known else len(self.layers)
        if known:
            roles = self._roles_in(index, kind, roles)
        else:
            self.layers.append(RecordedLayer(kind))
        self.last, layer = index, self.layers[index]
        self.serves_as_head = layer.kind == "embedding" and kind == "linear"
        layer.attributes = attributes | layer.attributes
        if "bias" in layer.roles.values() and "bias" in roles and self.layer_of.keys().isdisjoint(roles["bias"]):
            rest = {role: group for role, group in roles.items() if role != "bias"}
            return self.apply_layer("bias", {"bias": roles["bias"]}, [self.apply_layer(kind, rest, inputs)])
        for role, group in roles.items():
            for name in group:
                if name not in self.layer_of:
                    self.layer_of[name] = index
                    layer.roles[name] = role if len(group) == 1 else part_role(role, name, group)
        same = [node for node in inputs if self.layer_behind(node) == index]
        return same[0] if same and kind in ("bias", "scale") else self.node("layer", inputs, layer=index)

    def learned(self, value: Value) -> int:
        """Return the node of a learned value that stands for an input; a sum of several has one layer for each."""
        groups = [(name,) for name in value.names] if value.addends else [value.names]
        nodes = [self.apply_layer("token", {"weight": names}, ()) for names in groups]
        return nodes[0] if len(nodes) == 1 else self.node("add", nodes)

    def _weighs(self, index: int) -> bool:
        """Tell whether a layer sums over what it takes by a weight of its own; what scales its output stands apart."""
        return self.layers[index].kind in LINEAR and "weight" in self.layers[index].roles.values()

    def _takes(self, index: int, kind: str, roles: Mapping[str, tuple[str, ...]]) -> bool:
        """Tell whether a layer takes in what acts after it as a `kind`: nothing that scales what it sums, and no second
        tensor of one role."""
        if kind == "scale" and self._weighs(index):
            return False
        held = self.layers[index].roles.values()
        return not any(len(group) == 1 and role in held for role, group in self._roles_in(index, kind, roles).items())

    def _roles_in(self, index: int, kind: str, roles: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        """Return `roles` as a layer has them: what is added at each place of what is summed is a bias, such as those of
        the experts that tokens go to."""
        late = kind == "position" and self.layers[index].kind in ("linear", "conv")
        return {"bias": roles["weight"]} if late else roles

    def _same_module(self, names: Sequence[str], inputs: Sequence[int]) -> list[int]:
        """Return the layer just before, if it is the same module's: a weight and a bias applied one after the other."""
        before = [index for node in inputs if (index := self.layer_behind(node)) >= 0]
        modules = {name.rpartition(".")[0] for name in names}
        theirs = ((index, {name.rpartition(".")[0] for name in self.layers[index].roles}) for index in before)
        return [index for index, held in theirs if held == modules][:1]

    def _table_as_head(self, kind: str, inputs: Sequence[int]) -> list[int]:
        """Return the table of tokens just before that serves as a head: whatever is added to its logits is its bias."""
        before = [self.layer_behind(node) for node in inputs if kind == "bias" and self.nodes[node].inputs]
        return [index for index in before if index >= 0 and self.layers[index].kind == "embedding"]

    def _before_sum(self, names: Sequence[str], inputs: Sequence[int]) -> list[int]:
        """Return the layer whose bias is added late: to the sum of what it makes and of something else."""
        sums = [self.nodes[node] for node in inputs if self.nodes[node].op == "add"]
        found = self._same_module(names, [before for node in sums for before in node.inputs])
        biased = {role.partition(".")[0] for index in found for role in self.layers[index].roles.values()}
        return found if len(names) == 1 and "bias" not in biased else []

    def is_whole(self, tensor: Any) -> bool:
        """Tell whether `tensor` depends on parameters or on an input, and is no part of what a layer makes, such as one
        that a rotary embedding turns."""
        value = self.get(tensor)
        if value is None or value.node >= 0:
            return value is not None and self.nodes[value.node].op != "part"
        return bool(value.names) and not self.is_buffer(value)

    def shift(self, tensor: torch.Tensor, shifted: torch.Tensor, names: Sequence[str], number: float) -> None:
        """Remember that `number` is added to `tensor`, which is made of the parameters `names`."""
        self._shifts[id(shifted)] = self._shifts.get(id(tensor), 0.0) + number
        self.offsets |= dict.fromkeys(names, self._shifts[id(shifted)])
        self._alive.append(shifted)

    def forget(self, norm: Value) -> None:
        """Forget the squares and differences of a norm that is written out, now that it is known to be one."""
        noted = ((i, self.numbers[i][1]) for i in norm.own)
        steps = (OWN, REDUCED, "pow", "sqrt")
        self.forgotten.update(i for i, n in noted if n[0] in steps or n == ("add", norm.epsilon))

    def layer_behind(self, node: int) -> int:
        """Return the layer that made `node`, with a slice of its weight perhaps; -1 if none did."""
        return self.nodes[self.nodes[node].inputs[0] if node in self.slices else node].layer

    def same_shape(self, value: Value, tensor: torch.Tensor, **changes: Any) -> None:
        """Remember for `tensor` what is known of `value`, changed as given."""
        self.put(tensor, replace(value, **changes) if changes else value)
