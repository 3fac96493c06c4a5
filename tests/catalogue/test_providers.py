"""Architectures from live code."""

from __future__ import annotations

import json
import textwrap

import pytest

from tests.catalogue.live import provide
from tli_cli.catalogue import load
from tli_cli.errors import TliError, UnknownReferenceError
from tli_cli.providers import provided

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, stride=2)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(torch.relu(self.stem(x)).mean((2, 3)))


class Reader(Net):
    def __init__(self):
        super().__init__()
        self.steps = torch.linspace(0, 1, 3).tolist()


class Chooser(Net):
    def forward(self, x):
        return x if x.sum() > 0 else super().forward(x)


def broken():
    raise OSError("no such thing")


class inner:
    Net = Net


number = 3
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(textwrap.dedent(NET))
    return str(path)


def test_a_users_own_class(net):
    architecture = provide(f"{net}:Net?width=16", input_shape=(1, 28, 28), num_classes=3)
    assert [t.shape for t in architecture.tensors] == [(16, 1, 3, 3), (16,), (3, 16), (3,)]
    assert architecture.order_from == "trace"
    assert architecture.initial["stem.bias"][0][0] == "uniform_"
    assert provide(f"{net}:inner.Net").by_name["head.weight"].shape == (10, 8)


def test_the_input_is_guessed_where_it_is_not_given(net):
    assert provide(f"{net}:Net").graph == provide(f"{net}:Net", input_shape=(1, 64, 64)).graph


def test_a_constructor_that_reads_values(net):
    assert len(provide(f"{net}:Reader", input_shape=(1, 28, 28)).graph) > 0


def test_a_model_that_cannot_be_run_keeps_its_order_of_definition(net):
    found = provided(f"{net}:Chooser", input_shape=(1, 28, 28))
    assert found.architecture.order_from == "definition"
    assert [layer.path for layer in found.architecture.layers] == ["stem", "head"]
    assert set(found.architecture.initial) == set(found.architecture.by_name)
    assert "order of their definition" in found.notes[0]


def test_a_module_by_name(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "our_package").mkdir()
    (tmp_path / "our_package" / "__init__.py").write_text("")
    (tmp_path / "our_package" / "nets.py").write_text(NET)
    assert len(provide("our_package.nets:Net", input_shape=(1, 28, 28)).tensors) == 4


@pytest.mark.parametrize(
    ("end", "error", "said"),
    [
        (":Nett", UnknownReferenceError, "Net"),
        (":number", TliError, "expected a class or function"),
        (":broken", TliError, "no such thing"),
        (":Net?depth=3", TliError, "depth"),
        (":inner", TliError, "torch.nn.Module"),
    ],
)
def test_what_is_wrong_with_a_users_own_code_is_said(net, end, error, said):
    with pytest.raises(error, match=said):
        provide(f"{net}{end}", input_shape=(1, 28, 28))


def test_files_and_modules_that_are_not_there():
    with pytest.raises(UnknownReferenceError, match="no such file"):
        provide("nowhere/net.py:Net")
    with pytest.raises(UnknownReferenceError, match="no such"):
        provide("no_such_package.nets:Net")


def test_a_library_with_other_arguments_than_the_catalogue_holds(timm):
    live = provide("timm:vit_tiny_patch16_224?img_size=32", num_classes=5)
    assert live.by_name["pos_embed"].shape == (1, 5, 192)
    assert live.by_name["head.weight"].shape == (5, 192)
    same = provide("timm:vit_tiny_patch16_224")
    stored = load("vit_tiny_patch16_224")
    assert (same.tensors, same.layers, same.graph, same.axes) == (
        stored.tensors,
        stored.layers,
        stored.graph,
        stored.axes,
    )
    with pytest.raises(UnknownReferenceError, match="vit_tiny_patch16_224"):
        provide("timm:vit_tiny_patch16_225")
    with pytest.raises(TliError, match="no_such_argument"):
        provide("timm:resnet18?no_such_argument=1")
    with pytest.raises(TliError, match="would fetch weights"):
        provide("timm:resnet18?pretrained=True")


def test_torchvision_with_other_arguments(torchvision):
    live = provide("torchvision:mobilenet_v2?width_mult=0.5", num_classes=5)
    assert live.by_name["classifier.1.weight"].shape == (5, 1280)
    assert live.by_name["features.0.0.weight"].shape == (16, 3, 3, 3)


SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
CONFIGURATIONS = {
    "bert": {"architectures": ["BertForSequenceClassification"], "hidden_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 50},
    "llama": {"architectures": ["LlamaForCausalLM"], "hidden_size": 32, "num_hidden_layers": 2,
              "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 50},
    "vit": {"architectures": ["ViTForImageClassification"], "hidden_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 64, "image_size": 32, "patch_size": 8},
    "t5": {"architectures": ["T5ForConditionalGeneration"], "d_model": 32, "num_layers": 2, "num_heads": 4,
           "d_kv": 8, "d_ff": 64, "vocab_size": 50},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50},
    "mixtral": {"architectures": ["MixtralForCausalLM"], "hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 50,
                "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "num_local_experts": 4},
    "gpt_oss": {"architectures": ["GptOssForCausalLM"], **SMALL, "vocab_size": 50, "num_key_value_heads": 2,
                "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "pad_token_id": 0},
    "mamba": {"architectures": ["MambaForCausalLM"], "hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 50},
    "deberta-v2": {"architectures": ["DebertaV2Model"], "hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 50,
                   "num_attention_heads": 4, "intermediate_size": 64},
    "clip": {"architectures": ["CLIPModel"], "text_config": SMALL, "vision_config": {**SMALL, "patch_size": 8}},
    "clip_vision_model": {**SMALL, "patch_size": 8},
    "wav2vec2": {"architectures": ["Wav2Vec2ForCTC"], **SMALL, "conv_dim": [32, 32], "conv_kernel": [10, 3],
                 "conv_stride": [5, 2], "num_feat_extract_layers": 2, "num_conv_pos_embedding_groups": 4},
}  # fmt: skip
OTHER_SPREADS = ("t5", "clip", "clip_vision_model", "mamba")


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_transformers_configuration(kind, tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **CONFIGURATIONS[kind]}))
    architecture = provide(f"hf:{tmp_path}")
    assert architecture == provide(f"hf:{tmp_path / 'config.json'}") or architecture.graph
    assert architecture.order_from == "trace"
    assert set(architecture.initial) == set(architecture.by_name)
    weights = [name for name, layer in architecture.layer_of.items() if layer.kind == "linear" and "bias" not in name]
    assert any(architecture.initial[name] == (("normal_", 0.0, 0.02),) for name in weights) or kind in OTHER_SPREADS
    run = {node.layer for node in architecture.graph}
    left = [layer.path for i, layer in enumerate(architecture.layers) if i not in run]
    assert left == ["wav2vec2.masked_spec_embed"] * (kind == "wav2vec2")


@pytest.mark.parametrize("named", [False, True])
def test_a_configuration_that_names_no_class_is_said_to_have_no_head(tmp_path, named):
    pytest.importorskip("transformers")
    sizes = {name: value for name, value in CONFIGURATIONS["llama"].items() if name != "architectures"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **sizes}))
    live = provided(f"hf:{tmp_path}{'?architectures=LlamaForCausalLM' * named}")
    assert ("lm_head.weight" in live.architecture.by_name) == named
    assert [("plain LlamaModel" in note, "?architectures=" in note) for note in live.notes] == [(True, True)][named:]


def test_what_is_added_for_each_expert_is_a_bias(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt_oss", **CONFIGURATIONS["gpt_oss"]}))
    layers = provide(f"hf:{tmp_path}").layers
    found = {
        tensor.rpartition(".")[2]: role for layer in layers for role, tensor in layer.tensors if "experts" in tensor
    }
    assert found == {
        "gate_up_proj": "weight", "gate_up_proj_bias": "bias", "down_proj": "weight", "down_proj_bias": "bias"
    }  # fmt: skip


def test_numbers_that_json_has_not_are_read(tmp_path):
    pytest.importorskip("transformers")
    given = {"time_step_limit": [0.0, {"__float__": "Infinity"}], "num_hidden_layers": 1, "hidden_size": 32}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba2", **given, "num_heads": 4, "head_dim": 16}))
    assert provide(f"hf:{tmp_path}").tensors


def test_a_configuration_that_does_not_hold_together_is_one_message(tmp_path):
    pytest.importorskip("transformers")
    broken = {"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(broken))
    with pytest.raises(TliError, match=r"transformers cannot build .*config.json: .*hidden.size"):
        provide(f"hf:{tmp_path}")


def test_code_beside_a_configuration_is_never_run(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "modeling.py").write_text("raise SystemExit('run')")
    config = {"model_type": "odd", "architectures": ["Odd"], "auto_map": {"AutoModel": "modeling.Odd"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(TliError, match="no configuration that transformers knows"):
        provide(f"hf:{tmp_path}")
    with pytest.raises(UnknownReferenceError, match=r"config\.json"):
        provide(f"hf:{tmp_path / 'nowhere'}")


def test_a_model_that_takes_a_fixed_number_of_frames_is_run_on_as_many(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"d_model": 8, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "num_mel_bins": 4, "vocab_size": 11}
    layers = {f"{side}_{what}": 1 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    tokens = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")}
    config = transformers.WhisperConfig(**sizes, **layers, **tokens, max_source_positions=16)
    config.architectures = ["WhisperForConditionalGeneration"]
    config.save_pretrained(tmp_path)
    assert provide(f"hf:{tmp_path}").graph
