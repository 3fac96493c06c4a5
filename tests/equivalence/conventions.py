"""Checkpoint files as others write them: a model of the zoo under published names, with what stands beside it there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.equivalence.harness import Injected, build, load_strictly, reference, save
from tli_cli.api import inject
from tli_cli.options import Options

Tensors = dict[str, torch.Tensor]
Rule = tuple[str, str]
HEAD = r"(fc|head|classifier)\."


@dataclass(frozen=True)
class Convention:
    """How a project writes a model.

    Attributes:
        model: the model of the zoo that stands in the file.
        rules: patterns of its names and what they become, one after the other.
        beside: shapes of further tensors in the file.
        twice: prefixes under which the whole stands, of which the first is the one to take, the others with other
            values.
        without: patterns of tensors that the file lacks.
        recast: what becomes of the values.
        shape: one sample of the model's input, None for tokens.
        certain: whether two files alone tell everything.
        quick: whether it is one of the part that always runs.
    """

    title: str
    model: str
    rules: tuple[Rule, ...] = ()
    beside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    twice: tuple[str, ...] = ("",)
    without: str = HEAD
    recast: Callable[[Tensors], Tensors] = dict
    shape: tuple[int, ...] | None = (3, 32, 32)
    certain: bool = True
    quick: bool = True

    def written(self) -> tuple[Tensors, Tensors]:
        """Return the model's own tensors, and those of the file."""
        own = build(self.model, 1).state_dict()
        held = self.recast({name: tensor for name, tensor in own.items() if not re.match(self.without or "$", name)})
        for pattern, new in self.rules:
            held = {re.sub(pattern, new, name): tensor for name, tensor in held.items()}
        generator = torch.Generator().manual_seed(5)
        held |= {name: torch.randn(shape, generator=generator) for name, shape in self.beside.items()}
        first, *others = self.twice
        file = {f"{first}{name}": tensor for name, tensor in held.items()}
        for prefix in others:
            file |= {f"{prefix}{name}": tensor * 2 + 1 for name, tensor in held.items()}
        return own, file

    def into(self, folder: Path, suffix: str, bare: bool) -> Injected:
        """Inject the file into another instance of the model: a file as well if `bare`, else its class."""
        own, file = self.written()
        giver, taker = build(self.model, 1), build(self.model, 2)
        held = folder / f"source{suffix}"
        if suffix == ".safetensors":
            save_file({name: tensor.contiguous() for name, tensor in file.items()}, held)
        else:
            torch.save(file, held)
        wanted = str(save(taker, folder / "target.safetensors")) if bare else reference(self.model)
        out = folder / "out.safetensors"
        report = inject(str(held), wanted, out, options=Options(input_shape=self.shape, force=True))
        tensors = load_file(out)
        load_strictly(taker, tensors)
        taker.load_state_dict({n: t for n, t in own.items() if re.match(self.without or "$", n)}, strict=False)
        return Injected(giver, taker, tensors, report)


def mlp(path: str, *sizes: int, norms: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a projector: linear layers with batch norms and activations between them."""
    found: dict[str, tuple[int, ...]] = {}
    for i, (before, after) in enumerate(pairwise(sizes)):
        place = 3 * i if norms else 2 * i
        found |= {f"{path}.{place}.weight": (after, before), f"{path}.{place}.bias": (after,)}
        if norms:
            parts = ("weight", "bias", "running_mean", "running_var")
            found |= {f"{path}.{place + 1}.{part}": (after,) for part in parts}
    return found


def _decoder(width: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of MAE's decoder (facebookresearch/mae, `models_mae.py`) over 48 channels and 16 patches."""
    found: dict[str, tuple[int, ...]] = {"mask_token": (1, 1, width), "decoder_pos_embed": (1, 17, width)}
    layers = {"decoder_embed": (width, 48), "decoder_norm": (width,), "decoder_pred": (192, width)}
    for i in range(2):
        block = {"norm1": (width,), "attn.qkv": (3 * width, width), "attn.proj": (width, width), "norm2": (width,)}
        block |= {"mlp.fc1": (2 * width, width), "mlp.fc2": (width, 2 * width)}
        layers |= {f"decoder_blocks.{i}.{name}": shape for name, shape in block.items()}
    for name, shape in layers.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def text_tower(width: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of CLIP's text tower (openai/CLIP, `clip/model.py`)."""
    found: dict[str, tuple[int, ...]] = {"positional_embedding": (20, width), "text_projection": (width, 16)}
    found |= {"token_embedding.weight": (61, width), "ln_final.weight": (width,), "ln_final.bias": (width,)}
    for i in range(2):
        block = {"attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,)}
        for name, shape in {"attn.out_proj": (width, width), "ln_1": (width,), "ln_2": (width,),
                            "mlp.c_fc": (2 * width, width), "mlp.c_proj": (width, 2 * width)}.items():  # fmt: skip
            block |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        found |= {f"transformer.resblocks.{i}.{name}": shape for name, shape in block.items()}
    return found


def efficientnet(
    tensors: Tensors, outer: Mapping[str, str], inner: Mapping[str, str], label: Callable[[str, int], str]
) -> Tensors:
    """Return timm's EfficientNet with other names outside and inside of its blocks, which `label` names by path and
    number; blocks that do not expand have the names of the layers that they share with the others."""
    blocks = list(dict.fromkeys(m[0] for name in tensors if (m := re.match(r"blocks\.\d+\.\d+\.", name))))
    shifted = {"bn1": "bn2", "conv_pw": "conv_pwl", "bn2": "bn3"}
    found = {}
    for name, tensor in tensors.items():
        block = next((b for b in blocks if name.startswith(b)), "")
        module, _, last = name.removeprefix(block).rpartition(".")
        if block and f"{block}conv_pwl.weight" not in tensors:
            module = shifted.get(module, module)
        start = label(block, blocks.index(block)) if block else ""
        found[f"{start}{(inner if block else outer)[module]}.{last}"] = tensor
    return found


def _efficientnet_of_lukemelas(tensors: Tensors) -> Tensors:
    """Return EfficientNet as in lukemelas/EfficientNet-PyTorch, `efficientnet_pytorch/model.py`."""
    outer = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    inner = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
             "se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand", "conv_pwl": "_project_conv",
             "bn3": "_bn2"}  # fmt: skip
    return efficientnet(tensors, outer, inner, lambda _, number: f"_blocks.{number}.")


def _efficientnet_of_keras(tensors: Tensors) -> Tensors:
    """Return EfficientNet under the flat names of Keras, `keras/src/applications/efficientnet.py`."""
    outer = {"conv_stem": "stem_conv", "bn1": "stem_bn", "conv_head": "top_conv", "bn2": "top_bn",
             "classifier": "predictions"}  # fmt: skip
    inner = {"conv_pw": "expand_conv", "bn1": "expand_bn", "conv_dw": "dwconv", "bn2": "bn",
             "se.conv_reduce": "se_reduce", "se.conv_expand": "se_expand", "conv_pwl": "project_conv",
             "bn3": "project_bn"}  # fmt: skip

    def label(path: str, number: int) -> str:
        _, stage, block, _ = path.split(".")
        return f"block{int(stage) + 1}{'abcdefgh'[int(block)]}_"

    return efficientnet(tensors, outer, inner, label)


def untied(tensors: Tensors) -> Tensors:
    """Return `tensors`, each of those that are one under its first name alone."""
    held: dict[int, str] = {}
    return {n: t for n, t in tensors.items() if held.setdefault(t.data_ptr() or id(t), n) == n}


def _upright(tensors: Tensors) -> Tensors:
    """Return GPT-2's tensors with its linear layers as `(out, in)`."""
    linear = re.compile(r"\.(c_attn|c_proj|c_fc)\.weight")
    return {n: t.t().contiguous() if linear.search(n) else t for n, t in untied(tensors).items()}


def _grouped(tensors: Tensors) -> Tensors:
    """Return LLaMA's tensors with queries, keys and values in one, group by group, and gate and up in one
    (`megatron/core/transformer/attention.py`, `mlp.py`)."""
    found = dict(tensors)
    for name in [name for name in tensors if "q_proj" in name]:
        query, key, value = (found.pop(name.replace("q_proj", f"{letter}_proj")) for letter in "qkv")
        width = query.shape[0] // 4
        parts = [part.reshape(key.shape[0] // width, -1, query.shape[1]) for part in (query, key, value)]
        found[name.replace("q_proj", "linear_qkv")] = torch.cat(parts, 1).reshape(-1, query.shape[1])
        gate = name.replace("self_attn.q_proj", "mlp.gate_proj")
        both = [found.pop(gate), found.pop(gate.replace("gate", "up"))]
        found[gate.replace("gate_proj", "linear_fc1")] = torch.cat(both)
    return found


RESNET, VIT = "images:tv_resnet", "images:timm_vit"
LIGHTLY = tuple((rf"^{name}\.", f"{i}.") for name, i in
                {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}.items())  # fmt: skip
CLIP = (
    ("^cls_token$", "class_embedding"), ("^pos_embed$", "positional_embedding"), (r"^patch_embed\.proj", "conv1"),
    ("^norm_pre", "ln_pre"), (r"^norm\.", "ln_post."), (r"^blocks\.", "transformer.resblocks."),
    (r"\.norm(\d)", r".ln_\1"), (r"attn\.qkv\.", "attn.in_proj_"), (r"attn\.proj", "attn.out_proj"),
    (r"mlp\.fc1", "mlp.c_fc"), (r"mlp\.fc2", "mlp.c_proj"), ("^", "visual."),
)  # fmt: skip
PYCLS = (
    (r"\.downsample\.conv\.", ".proj."), (r"\.downsample\.bn\.", ".bn."),
    *((rf"\.conv{i}\.conv\.", f".f.{letter}.") for i, letter in enumerate("abc", 1)),
    *((rf"\.conv{i}\.bn\.", f".f.{letter}_bn.") for i, letter in enumerate("abc", 1)),
    (r"\.se\.fc1", ".f.se.f_ex.0"), (r"\.se\.fc2", ".f.se.f_ex.2"),
)  # fmt: skip
CAMEL = (
    (r"^transformer\.h\.", "decoderBlocks."), (r"attn\.c_attn", "selfAttention.qkvProj"),
    (r"attn\.c_proj", "selfAttention.outProj"), (r"mlp\.c_fc", "feedForward.linear1"),
    (r"mlp\.c_proj", "feedForward.linear2"), (r"\.ln_(\d)", r".layerNorm\1"), ("transformer.wte", "tokenEmbedding"),
    ("transformer.wpe", "positionEmbedding"), ("transformer.ln_f", "finalLayerNorm"),
)  # fmt: skip
MEGATRON = (
    (r"^model\.", "decoder."), ("embed_tokens", "embedding.word_embeddings"),
    (r"self_attn\.o_proj", "self_attn.linear_proj"),
    ("self_attn", "self_attention"), ("down_proj", "linear_fc2"), ("post_attention_layernorm", "pre_mlp_layernorm"),
    (r"^decoder\.norm", "decoder.final_layernorm"), ("lm_head", "output_layer"),
)  # fmt: skip
FAIRSEQ = (
    (r"attention\.self\.(q|k|v)\w+", r"self_attn.\1_proj"), (r"attention\.output\.dense", "self_attn.out_proj"),
    (r"attention\.output\.LayerNorm", "self_attn_layer_norm"), (r"intermediate\.dense", "fc1"),
    (r"(\d)\.output\.dense", r"\1.fc2"), (r"(\d)\.output\.LayerNorm", r"\1.final_layer_norm"),
    (r"^roberta\.encoder\.layer\.", "decoder.sentence_encoder.layers."),
    (r"embeddings\.word_embeddings", "embed_tokens"), (r"embeddings\.position_embeddings", "embed_positions"),
    (r"embeddings\.LayerNorm", "emb_layer_norm"), (r"^roberta\.", "decoder.sentence_encoder."),
    ("^lm_head", "decoder.lm_head"),
)  # fmt: skip

CONVENTIONS = (
    Convention("DINO: student and teacher, with heads", VIT, (("^", "backbone."),),
               mlp("head.mlp", 48, 64, 64, 32, norms=False) | {"head.last_layer.weight_v": (99, 32)},
               ("teacher.", "student.")),
    Convention("MAE: encoder and decoder", VIT, beside=_decoder(24)),
    Convention("MAE: encoder and a decoder as wide", VIT, beside=_decoder(48)),
    Convention("MoCo: queries and keys, a projector for a head, the queue", RESNET, (),
               mlp("fc", 512, 512, 128, norms=False), ("module.encoder_q.", "module.encoder_k.")),
    Convention("BYOL: online and target network", RESNET, (("^", "encoder."),), mlp("projector", 512, 64, 32),
               ("online_network.", "target_network."), quick=False),
    Convention("SimCLR in lightly: children by number", RESNET, (*LIGHTLY, ("^", "backbone.")),
               mlp("projection_head.layers", 512, 512, 128)),
    Convention("CLIP: a visual and a text tower as wide", "own_images:timm_clip", CLIP, text_tower(48)),
    Convention("EfficientNet of lukemelas", "images:timm_efficientnet", recast=_efficientnet_of_lukemelas, without=""),
    Convention("EfficientNet of Keras", "images:timm_efficientnet", recast=_efficientnet_of_keras, without="",
               quick=False),
    Convention("RegNet of pycls", "images:timm_regnet", PYCLS, without="", quick=False),
    Convention("DenseNet of torchvision before 0.3", "images:tv_densenet",
               ((r"(denselayer\d+\.\w+?)(\d)\.", r"\1.\2."),), without=""),
    Convention("GPT-2 in camel case, not transposed", "hf:gpt2", CAMEL, without="", recast=_upright, shape=None),
    Convention("LLaMA as Megatron Core fuses it", "hf:llama", MEGATRON, without="", recast=_grouped, shape=None,
               certain=False),
    Convention("RoBERTa of fairseq", "hf_more:roberta", FAIRSEQ, without="", recast=untied, shape=None),
)  # fmt: skip
