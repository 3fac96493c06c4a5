from __future__ import annotations

from typing import Any

import pytest

from tli_cli.architecture import Architecture, AxisTree, Layer, TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.describe.spaces import SpaceTable
from tli_cli.matching.units import units_of


def describe(shapes: dict[str, tuple[int, ...]], **options: Any) -> Architecture:
    return describe_names([TensorSpec(name, shape) for name, shape in shapes.items()], **options)


def only(architecture: Architecture) -> Layer:
    (layer,) = architecture.layers
    return layer


def test_every_tensor_is_in_exactly_one_layer() -> None:
    shapes = {
        "a.weight": (4, 3, 3, 3),
        "a.bias": (4,),
        "x": (1, 5, 4),
        "scale": (),
        "b.lora_A.weight": (2, 4),
        "odd": (3, 7),
    }
    found = describe(shapes)
    assert sorted(name for layer in found.layers for _, name in layer.tensors) == sorted(shapes)


@pytest.mark.parametrize(
    ("shapes", "kind", "path", "roles"),
    [
        ({"c.weight": (8, 3, 3, 3), "c.bias": (8,)}, "conv", "c", ["weight", "bias"]),
        ({"f.weight": (8, 3), "f.bias": (8,)}, "linear", "f", ["weight", "bias"]),
        ({"attn.in_proj_weight": (24, 8), "attn.in_proj_bias": (24,)}, "linear", "attn.in_proj", ["weight", "bias"]),
        ({"bn.running_mean": (8,), "bn.weight": (8,), "bn.num_batches_tracked": ()}, "norm", "bn",
         ["weight", "running_mean", "num_batches_tracked"]),
        ({"e.LayerNorm.beta": (8,), "e.LayerNorm.gamma": (8,)}, "norm", "e.LayerNorm", ["weight", "bias"]),
        ({"b.0.norm1.shift": (8,), "b.0.norm1.scale": (8,)}, "norm", "b.0.norm1", ["weight", "bias"]),
        ({"token_embedding_table.weight": (100, 8)}, "embedding", "token_embedding_table", ["weight"]),
        ({"unembed.weight": (100, 8)}, "linear", "unembed", ["weight"]),
        ({"onnx::MatMul_12": (8, 24)}, "linear", "onnx::MatMul_12", ["weight"]),
        ({"wte.weight": (100, 8)}, "embedding", "wte", ["weight"]),
        ({"pos_embed": (1, 17, 8)}, "position", "pos_embed", ["weight"]),
        ({"cls_token": (1, 1, 8)}, "token", "cls_token", ["weight"]),
        ({"b.0.ls1.gamma": (8,)}, "scale", "b.0.ls1.gamma", ["weight"]),
        ({"b.0.grn.gamma": (1, 1, 1, 8), "b.0.grn.beta": (1, 1, 1, 8)}, "norm", "b.0.grn", ["weight", "bias"]),
        ({"b.0.affine.beta": (1, 1, 8), "b.0.affine.alpha": (1, 1, 8)}, "norm", "b.0.affine", ["weight", "bias"]),
        ({"a.relative_position_bias_table": (169, 3)}, "position", "a.relative_position_bias_table", ["weight"]),
        ({"a.relative_position_index": (49, 49)}, "other", "a.relative_position_index", ["weight"]),
        ({"a.qkv.weight": (24, 8), "a.q_bias": (8,), "a.v_bias": (8,)}, "linear", "a.qkv",
         ["weight", "bias.q_bias", "bias.v_bias"]),
        ({"a.q_proj.weight": (8, 8), "a.q_bias": (8,)}, "linear", "a.q_proj", ["weight", "bias"]),
    ],
)  # fmt: skip
def test_groups_and_kinds(shapes: dict[str, tuple[int, ...]], kind: str, path: str, roles: list[str]) -> None:
    layer = only(describe(shapes))
    assert (layer.kind, layer.path, [role for role, _ in layer.tensors]) == (kind, path, roles)


@pytest.mark.parametrize(
    ("roles", "norm"),
    [(["weight"], "rms"), (["weight", "bias"], "layer"), (["weight", "bias", "running_mean"], "batch")],
)
def test_kinds_of_norms(roles: list[str], norm: str) -> None:
    assert only(describe({f"norm.{role}": (8,) for role in roles})).attribute("norm") == norm


def test_tied_tensors_stand_with_the_one_that_they_share() -> None:
    found = describe_names(
        [TensorSpec("wte.weight", (9, 4)), TensorSpec("lm_head.weight", (9, 4), tied_to="wte.weight")]
    )
    assert dict(only(found).tensors) == {"weight": "wte.weight", "tied.lm_head.weight": "lm_head.weight"}
    assert found.axes["wte.weight"] == found.axes["lm_head.weight"]


def test_a_heads_bias_stands_with_the_table_under_all_its_names() -> None:
    tensors = [TensorSpec("tok.weight", (9, 4)), TensorSpec("cls.bias", (9,)),
               TensorSpec("cls.decoder.weight", (9, 4), tied_to="tok.weight"),
               TensorSpec("cls.decoder.bias", (9,), tied_to="cls.bias")]  # fmt: skip
    roles = dict(only(describe_names(tensors)).tensors)
    assert (roles["weight"], roles["bias"]) == ("tok.weight", "cls.bias")
    assert set(roles.values()) == {spec.name for spec in tensors}


def test_weights_that_are_stored_in_out() -> None:
    found = describe({"h.0.mlp.c_fc.weight": (8, 32), "h.0.mlp.c_fc.bias": (32,), "h.0.attn.c_proj.weight": (8, 8),
                      "h.0.attn.c_proj.bias": (8,)})  # fmt: skip
    assert [layer.attribute("transposed") for layer in found.layers] == [True, True]
    assert [axis.contracted for axis in found.axes["h.0.mlp.c_fc.weight"]] == [True, False]


def test_depthwise_and_grouped_convolutions_and_grey_images() -> None:
    found = describe({"a.weight": (8, 1, 3, 3), "b.weight": (8, 1, 3, 3), "c.weight": (16, 4, 3, 3)})
    assert [layer.attribute("groups") for layer in found.layers] == [1, 8, 2]
    assert found.spaces[found.axes["a.weight"][1].tree].kind == "input"


def test_natural_order_of_blocks_with_stem_first_and_head_last() -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "head.weight": (5, 8),
        "norm.weight": (8,),
        "norm.bias": (8,),
        "cls_token": (1, 1, 8),
    }
    shapes |= {f"blocks.{i}.{name}.weight": shape for i in range(11) for name, shape in
               {"attn.proj": (8, 8), "attn.qkv": (24, 8), "mlp.fc1": (32, 8), "mlp.fc2": (8, 32)}.items()}  # fmt: skip
    shapes |= {f"blocks.{i}.norm{n}.{role}": (8,) for i in range(11) for n in (1, 2) for role in ("weight", "bias")}
    shapes["patch_embed.proj.weight"] = (8, 3, 4, 4)
    paths = [layer.path for layer in describe(dict(sorted(shapes.items()))).layers]
    block = ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    middle = [f"blocks.{i}.{name}" for i in range(11) for name in block]
    assert paths == ["patch_embed.proj", "cls_token", *middle, "norm", "head"]


def test_a_final_block_stands_behind_the_stages() -> None:
    names = ["features.final_block.conv1", "features.final_block.conv2"]
    names += [f"features.stage{i}.unit{j}.conv{k}" for i in (1, 2) for j in (1, 2) for k in (1, 2)]
    found = describe({f"{name}.weight": (8, 8, 3, 3) for name in names})
    assert [layer.path for layer in found.layers][-2:] == names[:2]


def test_shapes_decide_where_names_say_nothing() -> None:
    found = describe(
        {"alpha.weight": (10, 48), "beta.weight": (48, 32), "delta.weight": (64, 20), "gam.weight": (32, 64)}
    )
    assert [layer.path for layer in found.layers] == ["delta", "gam", "beta", "alpha"]


def test_down_path_bottleneck_and_up_path_stand_in_the_order_in_which_they_run() -> None:
    halves = {f"{half}.{i}.conv.weight": (8, 8, 3, 3) for half in ("up", "down") for i in range(2)}
    found = describe({"bottleneck.conv.weight": (8, 8, 3, 3), **halves})
    assert [layer.path.split(".")[0] for layer in found.layers] == ["down", "down", "bottleneck", "up", "up"]


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (
            "input_layernorm post_attention_layernorm pre_feedforward_layernorm post_feedforward_layernorm",
            "norm1 post_attn_norm norm2 post_mlp_norm",
        ),
        (
            "input_layernorm post_self_attn_layernorm post_attention_layernorm post_mlp_layernorm",
            "norm1 post_attn_norm norm2 post_mlp_norm",
        ),
        ("pre_a post_a pre_f post_f", "norm1 post_attn_norm norm2 post_mlp_norm"),
        ("input_layernorm post_attention_layernorm", "norm1 norm2"),
        ("input_layernorm post_layernorm", "norm1 norm2"),
        ("sa_norm mlp_norm", "norm1 norm2"),
        ("post_attention_layernorm output_layernorm", "norm1 norm2"),
        ("first post_attention_layernorm", "norm1 norm2"),
    ],
)
def test_norms_are_told_by_those_beside_them(names: str, roles: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {f"layers.0.{name}.weight": (8,) for name in names.split()}
    found = describe({**shapes, "layers.0.mlp.fc1.weight": (32, 8)})
    told = {layer.path: layer.attribute("role_name") for layer in found.layers}
    assert [told[f"layers.0.{name}"] for name in names.split()] == roles.split()


def test_the_second_of_three_norms_is_that_of_the_attention_to_the_other_sequence() -> None:
    shapes: dict[str, tuple[int, ...]] = {f"dec.layers.0.norm{n}.weight": (8,) for n in (1, 2, 3)}
    attentions: dict[str, tuple[int, ...]] = {
        f"dec.layers.0.{attention}.in_proj_weight": (24, 8) for attention in ("self_attn", "multihead_attn")
    }
    found = describe({**shapes, **attentions})
    told = [layer.attribute("role_name") for layer in found.layers if layer.kind == "norm"]
    assert sorted(told) == ["cross_norm", "norm1", "norm2"]


def test_plain_numbered_layers() -> None:
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (8, 1, 3, 3), "conv2.weight": (16, 8, 3, 3)}
    shapes |= {"fc1.weight": (32, 64), "fc2.weight": (10, 32)}
    shapes |= {f"bn{n}.{role}": (8 * n,) for n in (1, 2) for role in ("weight", "bias", "running_mean", "running_var")}
    paths = [layer.path for layer in describe(dict(sorted(shapes.items()))).layers]
    assert paths == ["conv1", "bn1", "conv2", "bn2", "fc1", "fc2"]


def test_given_order_is_kept() -> None:
    found = describe({"head.weight": (5, 8), "stem.weight": (8, 3)}, order_from="file")
    assert ([layer.path for layer in found.layers], found.order_from) == (["head", "stem"], "file")


def test_heads_from_the_configuration() -> None:
    shapes = {f"model.layers.0.self_attn.{p}_proj.weight": s for p, s in
              {"q": (32, 32), "k": (16, 32), "v": (16, 32), "o": (32, 32)}.items()}  # fmt: skip
    config = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
    found = describe(shapes, config=config)

    def sizes(name: str, axis: int) -> list[int]:
        tree = found.axes[f"model.layers.0.self_attn.{name}_proj.weight"][axis].tree
        assert isinstance(tree, tuple) and tree[0] == "*"
        return [found.size_of(part) for part in tree[1:]]

    assert (sizes("q", 0), sizes("k", 0), sizes("v", 0), sizes("o", 1)) == ([2, 2, 8], [2, 8], [2, 8], [2, 2, 8])


@pytest.mark.parametrize(
    ("fused", "out"), [("self_attention.query_key_value", "self_attention.dense"), ("attn.attn", "attn.proj")]
)
def test_keys_that_groups_of_queries_share_stand_group_by_group(fused: str, out: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {f"h.0.{fused}.weight": (96, 48), f"h.0.{out}.weight": (48, 48)}
    found = describe(shapes, config={"num_attention_heads": 4, "num_kv_heads": 2})
    units = [unit for unit in units_of(found) if unit.path.endswith(fused)]
    assert [(unit.role, unit.shape) for unit in units] == [("q", (48, 48)), ("k", (24, 48)), ("v", (24, 48))]
    tree = found.axes[f"h.0.{fused}.weight"][0].tree
    assert isinstance(tree, tuple)
    assert (tree[0], found.size_of(tree[1])) == ("*", 2)


@pytest.mark.parametrize(
    ("name", "by_head"),
    [
        ("transformer.h.0.self_attention.query_key_value", True),
        ("model.language_model.encoder.layers.0.self_attention.query_key_value", True),
        ("transformer.encoder.layers.0.self_attention.query_key_value", False),
        ("model.layers.0.attention.wqkv", True),
        ("layers.0.attention.wqkv", False),
        ("input_blocks.4.1.qkv", True),
        ("middle_block.1.qkv", True),
        ("blocks.4.attn.qkv", False),
    ],
)
def test_names_tell_whether_rows_stand_by_head(name: str, by_head: bool) -> None:
    other = name.rpartition(".")[0]
    found = describe({f"{name}.weight": (96, 48), f"{other}.dense.weight": (48, 48), "embed.weight": (9, 48)},
                     config={"num_attention_heads": 4, "num_kv_heads": 2})  # fmt: skip
    tree = found.axes[f"{name}.weight"][0].tree
    assert isinstance(tree, tuple)
    assert tree[0] == ("*" if by_head else "+")


@pytest.mark.parametrize(
    ("gate", "up", "down"),
    [
        ("mlp.w2", "mlp.w1", "mlp.c_proj"),
        ("mlp.w1", "mlp.w3", "mlp.w2"),
        ("mlp.fc", "mlp.gate", "mlp.proj"),
        ("glu.w_gate", "glu.w_in", "glu.w_out"),
        ("ffn_gate", "ffn_up", "ffn_down"),
    ],
)
def test_gated_layers_are_told_by_all_their_names_and_stand_in_order(gate: str, up: str, down: str) -> None:
    sizes = {"attn_o": (8, 8), "attn_q": (8, 8), "attn_k": (8, 8), "attn_v": (8, 8)}
    shapes = {f"blk.{i}.{n}.weight": s
              for i in (0, 1) for n, s in {**sizes, down: (8, 24), gate: (24, 8), up: (24, 8)}.items()}  # fmt: skip
    found = describe(dict(sorted(shapes.items())))
    block = [layer for layer in found.layers if layer.path.startswith("blk.0.")]
    assert [layer.attribute("role_name") for layer in block] == ["q", "k", "v", "o", "gate", "up", "fc2"]
    assert [layer.path.removeprefix("blk.0.") for layer in block][-3:] == [gate, up, down]
    inner = {found.axes[f"blk.0.{name}.weight"][0].tree for name in (gate, up)}
    assert inner == {found.axes[f"blk.0.{down}.weight"][1].tree}


@pytest.mark.parametrize(("fused", "out"), [("att_proj", "out_proj"), ("input", "output")])
def test_what_widens_three_times_beside_an_output_makes_queries(fused: str, out: str) -> None:
    shapes = {"tok.weight": (9, 8), f"layers.0.mha.{fused}.weight": (24, 8), f"layers.0.mha.{out}.weight": (8, 8)}
    found = describe(shapes)
    roles = {layer.path.rpartition(".")[2]: layer.attribute("role_name") for layer in found.layers}
    assert roles == {"tok": "embed", fused: "qkv", out: "o"}
    assert found.layer_of["tok.weight"].kind == "embedding"


def test_flattened_maps_and_fused_gates() -> None:
    found = describe({"conv.weight": (8, 3, 3, 3), "fc.weight": (10, 8 * 49)}, order_from="file")
    tree = found.axes["fc.weight"][1].tree
    assert isinstance(tree, tuple) and tree[:2] == ("*", found.axes["conv.weight"][0].tree)
    gated = describe({"layers.0.mlp.gate_up_proj.weight": (24, 8), "layers.0.mlp.down_proj.weight": (8, 12)})
    inner = gated.axes["layers.0.mlp.down_proj.weight"][1].tree
    assert gated.axes["layers.0.mlp.gate_up_proj.weight"][0].tree == ("+", inner, inner)


def test_the_shortcut_stands_first_in_a_row_of_numbers_that_does_not_chain() -> None:
    shapes: dict[str, tuple[int, ...]] = {"b1_0_conv.weight": (32, 8, 1, 1), "b1_1_conv.weight": (8, 8, 1, 1)}
    shapes |= {"b1_2_conv.weight": (8, 8, 3, 3), "b1_3_conv.weight": (32, 8, 1, 1)}
    shapes |= {f"b1_{n}_bn.{role}": (width,) for n, width in enumerate((32, 8, 8, 32)) for role in ("weight", "bias")}
    shapes |= {name.replace("b1_", "b2_"): shape for name, shape in shapes.items()}
    roles = {layer.path: layer.attribute("role_name") for layer in describe(shapes).layers}
    assert {path for path, role in roles.items() if role == "shortcut"} == {
        f"b{block}_0_{kind}" for block in (1, 2) for kind in ("conv", "bn")
    }


def test_norms_that_are_numbered_as_they_are_made_follow_their_convolutions() -> None:
    made = {"conv2d": (16, 4, 1, 1), "depthwise_conv2d": (16, 1, 3, 3), "conv2d_1": (4, 16, 1, 1)}
    norms = {"bn": 16, "bn_1": 16, "bn_2": 4}
    shapes: dict[str, tuple[int, ...]] = {}
    for block in range(2):
        shapes |= {f"blocks.{block}.{name}.weight": shape for name, shape in made.items()}
        shapes |= {f"blocks.{block}.{n}.{role}": (w,) for n, w in norms.items() for role in ("weight", "running_mean")}
    paths = [layer.path for layer in describe(dict(sorted(shapes.items()))).layers]
    order = ["conv2d", "bn", "depthwise_conv2d", "bn_1", "conv2d_1", "bn_2"]
    assert paths == [f"blocks.{block}.{name}" for block in range(2) for name in order]


@pytest.mark.parametrize(("conv", "norm"), [("c", "batch"), ("convolution", "normalization"), ("w_", "b_")])
def test_norms_stand_beside_the_convolutions_of_their_numbers(conv: str, norm: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    for block in range(2):
        for number in (1, 2):
            shapes[f"stage.{block}.{conv}{number}.weight"] = (8, 8, 3, 3)
            shapes |= {f"stage.{block}.{norm}{number}.{role}": (8,) for role in ("weight", "running_mean")}
    paths = [layer.path for layer in describe(dict(sorted(shapes.items()))).layers]
    assert paths == [f"stage.{b}.{name}{n}" for b in range(2) for n in (1, 2) for name in (conv, norm)]


def test_modules_that_are_counted_keep_their_order_whatever_their_widths() -> None:
    # of branches that are concatenated no one's width is that of the module
    widths = {
        "convolution1": ((8, 3),),
        "mixed4a": ((4, 8), (12, 8)),
        "mixed4b": ((6, 16), (4, 16)),
        "mixed5a": ((8, 10),),
    }
    shapes = {
        f"{module}.branch{i}.conv.weight": (*sizes, 1, 1)
        for module, branches in widths.items()
        for i, sizes in enumerate(branches)
    }
    described = describe({**dict(sorted(shapes.items())), "logits.weight": (5, 8)})
    modules = list(dict.fromkeys(layer.path.partition(".")[0] for layer in described.layers))
    assert [module for module in modules if module.startswith("mixed")] == ["mixed4a", "mixed4b", "mixed5a"]


def test_statistics_make_a_norm_of_a_module_without_a_name() -> None:
    roles = ("weight", "bias", "_mean", "_variance")
    found = describe(
        {f"layer.0.shortcut.1.{role}": (8,) for role in roles} | {"layer.0.shortcut.0.weight": (8, 4, 1, 1)}
    )
    norm = next(layer for layer in found.layers if layer.path == "layer.0.shortcut.1")
    assert (norm.kind, [role for role, _ in norm.tensors]) == (
        "norm",
        ["weight", "bias", "running_mean", "running_var"],
    )


def test_a_mask_that_is_called_bias_is_no_layer() -> None:
    found = describe({"h.0.attn.bias": (1, 1, 6, 6), "h.0.attn.c_attn.weight": (24, 8), "h.0.attn.c_attn.bias": (24,)})
    assert {layer.path: layer.kind for layer in found.layers} == {"h.0.attn": "other", "h.0.attn.c_attn": "linear"}


def test_modules_that_hold_everything_say_nothing() -> None:
    plain = {"encoder.layers.0.fc1.weight": (16, 8), "encoder.layers.0.fc2.weight": (8, 16), "head.weight": (3, 8)}
    held = {f"text_embedder.net.{name}": shape for name, shape in plain.items()}
    roles = [[layer.attribute("role_name") for layer in describe(shapes).layers] for shapes in (plain, held)]
    assert roles[0] == roles[1] == ["fc1", "fc2", "head"]


def test_a_module_that_holds_nearly_everything_says_nothing() -> None:
    names = ("attention.output.dense", "intermediate.dense", "output.dense")
    shapes: dict[str, tuple[int, ...]] = {f"layer.{i}.{name}.weight": (8, 8) for i in range(5) for name in names}
    held = {f"text_embedder.{name}": shape for name, shape in shapes.items()}
    found = describe(held | {"classification.weight": (3, 8)})
    roles = {layer.path: layer.attribute("role_name") for layer in found.layers}
    plain = {layer.path: layer.attribute("role_name") for layer in describe(shapes).layers}
    assert {path: roles[f"text_embedder.{path}"] for path in plain} == plain
    assert set(plain.values()) == {"o", "fc1", "fc2"}


def test_what_unrelated_widths_cost_grows_no_faster_than_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    size = SpaceTable.size

    def counted(table: SpaceTable, tree: AxisTree) -> int:
        nonlocal calls
        calls += 1
        return size(table, tree)

    monkeypatch.setattr(SpaceTable, "size", counted)
    costs = []
    for count in (60, 240):
        calls = 0
        shapes = [(2 + 37 * i % 101, 3 + 53 * i % 97) for i in range(count)]
        describe({f"{chr(97 + i % 26)}{chr(97 + i // 26)}q.weight": shape for i, shape in enumerate(shapes)})
        costs.append(calls)
    assert costs[1] < 20 * costs[0]


def test_an_architecture_is_printed_in_one_line() -> None:
    architecture = describe_names([TensorSpec("fc.weight", (3, 4)), TensorSpec("fc.bias", (3,))], origin="a file")
    assert repr(architecture) == "Architecture(a file: 2 tensors in 1 layers, 15 parameters)"
