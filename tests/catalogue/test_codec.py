"""What is written is read again, whatever the architecture."""

from __future__ import annotations

import json
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from catalogue_builder.encode import encode, front_coded
from tli_cli.architecture import Architecture, Axis, Layer, Node, Space, TensorSpec
from tli_cli.catalogue.decode import USES, decode, names_of
from tli_cli.catalogue.sizes import Growth, fan_number

PARTS = st.sampled_from(["blocks", "0", "1", "12", "attn", "qkv", "weight", "bias", "in_proj_weight", "a_b"])
NAMES = st.lists(st.lists(PARTS, min_size=1, max_size=5).map(".".join), unique=True, min_size=1, max_size=12)
KINDS = ("channels", "heads", "kernel", "grid", "classes")
NUMBERS = st.sampled_from([("mul", 0.125), ("roll", (-3, -3), (1, 2)), ("gelu", "tanh"), ("clamp", float("inf"), True)])


@st.composite
def architectures(draw):
    names = draw(NAMES)
    spaces = tuple(Space(draw(st.integers(1, 9)), draw(st.sampled_from(KINDS))) for _ in range(draw(st.integers(1, 6))))
    leaf = st.integers(0, len(spaces) - 1)
    tree = st.recursive(leaf, lambda t: st.tuples(st.sampled_from("+*"), t, t), max_leaves=4)
    draft = Architecture((), (), spaces=spaces)
    tensors, axes, initial = [], {}, {}
    for i, name in enumerate(names):
        shape = tuple(draw(st.lists(st.integers(1, 9), max_size=3)))
        if draw(st.booleans()):
            trees = draw(st.lists(tree, min_size=1, max_size=3))
            axes[name] = tuple(Axis(t, draw(st.booleans())) for t in trees)
            if draw(st.booleans()):
                shape = tuple(draft.size_of(t) for t in trees)
        if draw(st.booleans()):
            initial[name] = (("normal_", 0.0, draw(st.floats(0.01, 1))), ("at", ((0, 1),), "zero_"))
        tied = draw(st.sampled_from(names[:i])) if i and draw(st.booleans()) else None
        tensors.append(TensorSpec(name, shape, draw(st.sampled_from(["float32", "int64"])), tied, draw(st.booleans())))
    order = draw(st.permutations(names))
    cut = draw(st.integers(0, len(names)))
    layers = tuple(
        Layer(
            draw(st.one_of(st.just(group[0]), st.lists(PARTS, max_size=3).map(".".join))),
            draw(st.sampled_from(["conv", "linear"])),
            tuple((draw(st.sampled_from(["weight", name.rpartition(".")[2]])), name) for name in group),
            draw(st.sampled_from(["", "blocks.0", "other"])),
            draw(st.sampled_from(["", "blocks"])),
            draw(st.sampled_from([(), (("groups", 1), ("kernel", (3, 3)))])),
            tuple(draw(st.lists(NUMBERS, max_size=3))),
        )
        for group in (order[:cut], order[cut:])
        if group
    )
    graph = tuple(
        Node(
            draw(st.sampled_from(["add", "layer"])),
            tuple(draw(st.lists(st.integers(0, i - 1), max_size=2))) if i else (),
            draw(st.integers(-1, len(layers) - 1)),
            draw(st.integers(-1, 2)),
        )
        for i in range(draw(st.integers(0, 6)))
    )
    used = [draw(st.frozensets(leaf)) for _ in USES]
    return Architecture(
        tuple(tensors), layers, graph, spaces, axes, initial, "catalogue", "x y", **dict(zip(USES, used, strict=True))
    )


@given(architectures())
def test_every_architecture_survives(architecture):
    row = json.loads(json.dumps(encode(architecture, {})))
    assert decode(row, "x y", {}) == architecture


@given(NAMES)
def test_every_list_of_names_survives(names):
    assert names_of({"names": front_coded(names)}) == names


def test_sizes_grow_with_an_option_and_numbers_fall():
    spaces = (Space(3, "input"), Space(8), Space(10, "classes"))
    tensors = (TensorSpec("stem.weight", (8, 3)), TensorSpec("fc.weight", (40,)), TensorSpec("old", (5, 10)))
    layers = tuple(Layer(t.name, "linear", (("weight", t.name),)) for t in tensors)
    axes = {"stem.weight": (Axis(1), Axis(0, True)), "fc.weight": (Axis(("*", 2, 2)),)}
    axes["fc.weight"] = (Axis(("+", 2, 2, 2, 2)),)
    initial = {"stem.weight": (("normal_", 0.0, fan_number(0.5, "in_chans", 1.0)),)}
    architecture = Architecture(tensors, layers, (), spaces, axes, initial, "catalogue", "")
    growth = {"num_classes": Growth(10, {2: 1}, {("old", 1): 1}), "in_chans": Growth(3, {0: 1})}
    row = json.loads(json.dumps(encode(architecture, growth)))
    changed = decode(row, "", {"num_classes": 7, "in_chans": 15})
    assert [t.shape for t in changed.tensors] == [(8, 15), (28,), (5, 7)]
    assert changed.initial["stem.weight"] == (("normal_", 0.0, 0.25),)
    assert decode(row, "", {}).initial["stem.weight"] == (("normal_", 0.0, 0.5),)
    assert prod(decode(row, "", {}).by_name["fc.weight"].shape) == 40
