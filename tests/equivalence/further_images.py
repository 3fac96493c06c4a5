"""More files of image models under names of other projects, on which rules for names were decided."""

from __future__ import annotations

import re

from tests.equivalence.conventions import VIT, Convention, Tensors
from tests.equivalence.frameworks import turned
from tests.equivalence.recasting import fused, renamed, without_counts

BOTTLENECK = "images:tv_bottleneck"


def _slim_resnet(tensors: Tensors) -> Tensors:
    """Return ResNet as in tensorflow/models, `slim/nets/resnet_v1.py`: each norm in the scope of its convolution."""
    last = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    found = {}
    for name, tensor in without_counts(tensors).items():
        module, _, role = name.rpartition(".")
        path = re.sub(r"^layer(\d)\.(\d+)\.", lambda m: f"block{m[1]}/unit_{int(m[2]) + 1}/bottleneck_v1/", module)
        path = path.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut/BatchNorm")
        path = re.sub(r"bn(\d)", r"conv\1/BatchNorm", path).replace("fc", "logits")
        if "BatchNorm" in path:
            found[f"resnet_v1_50/{path}/{last[role]}"] = tensor
        else:
            said = {"weight": "weights", "bias": "biases"}[role]
            value = tensor[:, :, None, None] if "logits" in path and role == "weight" else tensor
            found[f"resnet_v1_50/{path}/{said}"] = turned(name, value).contiguous()
    return found


def _caffe_resnet(tensors: Tensors) -> Tensors:
    """Return ResNet as in KaimingHe/deep-residual-networks: statistics and scales of a norm are two layers."""
    found = {}
    for name, tensor in without_counts(tensors).items():
        module, _, role = name.rpartition(".")
        if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", module):
            place = f"{int(match[1]) + 1}{'abcdef'[int(match[2])]}"
            branch = "branch1" if "downsample" in match[3] else f"branch2{'abc'[int(match[3][-1]) - 1]}"
            norm = match[3].startswith("bn") or match[3] == "downsample.1"
        else:
            place, branch, norm = "_conv1", "", module == "bn1"
        kind = ("bn" if role.startswith("running") else "scale") if norm else "res" if branch else ""
        path = f"{kind}{place}{'_' if branch else ''}{branch}" if kind else {"fc": "fc1000"}.get(module, module)
        found[f"{path}.{role}"] = tensor
    return found


def _haiku_resnet(tensors: Tensors) -> Tensors:
    """Return ResNet as in google-deepmind/dm-haiku, `haiku/_src/nets/resnet.py`, parameters beside their states."""
    found = {}
    last = {"weight": "scale", "bias": "offset", "running_mean": "mean_ema/average", "running_var": "var_ema/average"}
    for name, tensor in without_counts(tensors).items():
        module, _, role = name.rpartition(".")
        path = re.sub(r"^layer(\d)\.(\d+)\.", lambda m: f"block_group_{int(m[1]) - 1}/~/block_{m[2]}/~/", module)
        path = path.replace("downsample.0", "shortcut_conv").replace("downsample.1", "shortcut_batchnorm")
        norm = "bn" in path or "batchnorm" in path
        if path in ("conv1", "bn1", "fc"):
            path = {"conv1": "initial_conv", "bn1": "initial_batchnorm", "fc": "logits"}[path]
        else:
            path = re.sub(r"(conv|bn)(\d)$",
                          lambda m: f"{'conv' if m[1] == 'conv' else 'batchnorm'}_{int(m[2]) - 1}", path)  # fmt: skip
        base = f"res_net50/~/{path}"
        if norm:
            path = f"{base}/{'~/' if role.startswith('running') else ''}{last[role]}"
            found[path] = tensor.reshape(1, 1, 1, -1)
        else:
            found[f"{base}/{'w' if role == 'weight' else 'b'}"] = turned(name, tensor).contiguous()
    return found


def _flax_mixer(tensors: Tensors) -> Tensors:
    """Return MLP-Mixer as in google-research/vision_transformer, `vit_jax/models_mixer.py`."""
    rules = (
        (r"^stem\.proj", "stem"), (r"^blocks\.(\d)\.", r"MixerBlock_\1."), (r"\.norm1\.", ".LayerNorm_0."),
        (r"\.norm2\.", ".LayerNorm_1."), ("mlp_tokens", "token_mixing"), ("mlp_channels", "channel_mixing"),
        (r"fc1\.", "Dense_0."), (r"fc2\.", "Dense_1."), (r"^norm\.", "pre_head_layer_norm."),
    )  # fmt: skip
    found = {}
    for name, tensor in renamed(*rules)(tensors).items():
        kind = "kernel" if tensor.ndim > 1 else "scale"
        path = re.sub("weight$", kind, name).replace(".", "/")
        found[path] = turned(name, tensor).contiguous()
    return found


def _pvt(tensors: Tensors) -> Tensors:
    """Return PVT as in whai362/PVT, `classification/pvt.py`."""
    base = "attention.self."
    found = fused((f"{base}key", f"{base}value"), "attn.kv")(tensors)

    def counted(name: str) -> str:
        name = re.sub(r"^pvt\.encoder\.patch_embeddings\.(\d)\.", lambda m: f"patch_embed{int(m[1]) + 1}.", name)
        name = re.sub(r"patch_embed(\d)\.position_embeddings", r"pos_embed\1", name).replace("patch_embed4.cls", "cls")
        return re.sub(r"^pvt\.encoder\.block\.(\d)\.", lambda m: f"block{int(m[1]) + 1}.", name)

    found = {counted(name): tensor for name, tensor in found.items()}
    return renamed(
        (r"projection\.", "proj."), (r"(embed\d)\.layer_norm", r"\1.norm"), (r"layer_norm_(\d)", r"norm\1"),
        (r"attention\.self\.query", "attn.q"), (r"attention\.self\.sequence_reduction", "attn.sr"),
        (r"attention\.self\.layer_norm", "attn.norm"), (r"attention\.output\.dense", "attn.proj"),
        (r"mlp\.dense", "mlp.fc"), (r"^pvt\.encoder\.layer_norm", "norm"), ("^classifier", "head"),
    )(found)  # fmt: skip


def _mit(tensors: Tensors) -> Tensors:
    """Return SegFormer's backbone as in NVlabs/SegFormer, `mix_transformer.py`."""
    found = fused(("attention.k_proj", "attention.v_proj"), "attn.kv")(tensors)

    def counted(name: str) -> str:
        def stage(match: re.Match[str]) -> str:
            number = int(match[1]) + 1
            rest = match[2]
            if rest.startswith("patch_embeddings."):
                return f"patch_embed{number}." + rest.removeprefix("patch_embeddings.")
            if rest.startswith("blocks."):
                return f"block{number}." + rest.removeprefix("blocks.")
            return rest.replace("layer_norm", f"norm{number}")

        return re.sub(r"^segformer\.stages\.(\d)\.(.*)", stage, name)

    found = {counted(name): tensor for name, tensor in found.items()}
    return renamed(
        (r"(embed\d)\.layer_norm", r"\1.norm"), (r"attention\.q_proj", "attn.q"), (r"attention\.o_proj", "attn.proj"),
        (r"attention\.sequence_reduction\.sequence_reduction", "attn.sr"),
        (r"attention\.sequence_reduction\.layer_norm", "attn.norm"), ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"), ("^classifier", "head"),
    )(found)  # fmt: skip


JEONSWORLD = (
    ("^cls_token$", "embeddings.cls_token"), ("^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings"), (r"^blocks\.", "encoder.layer."),
    (r"^norm\.", "encoder.encoder_norm."), (r"\.norm1", ".attention_norm"), (r"\.norm2", ".ffn_norm"),
    (r"mlp\.fc", "ffn.fc"), (r"attn\.proj", "attn.out"), (r"^(?!head)", "transformer."),
)  # fmt: skip
REPVGG = (
    (r"^stem\.", "stage0."), (r"^stages\.(\d)\.", lambda m: f"stage{int(m[1]) + 1}."), ("conv_kxk", "rbr_dense"),
    ("conv_1x1", "rbr_1x1"), ("identity", "rbr_identity"), (r"^head\.fc", "linear"),
)  # fmt: skip
CADENE = (
    (r"^conv1\.", "layer0.conv1."), (r"^bn1\.", "layer0.bn1."), (r"\.se\.", ".se_module."), ("^fc", "last_linear"),
)  # fmt: skip
SIMPLE_PYRAMID = {"backbone.simfp_2.0.weight": (48, 24, 2, 2), "backbone.simfp_2.0.bias": (24,),
                  "backbone.simfp_2.1.weight": (24,), "backbone.simfp_2.1.bias": (24,),
                  "backbone.simfp_2.4.weight": (32, 24, 1, 1), "backbone.simfp_2.4.norm.weight": (32,),
                  "backbone.simfp_2.4.norm.bias": (32,),
                  "proposal_generator.rpn_head.conv.conv0.weight": (32, 32, 3, 3),
                  "proposal_generator.rpn_head.conv.conv0.bias": (32,)}  # fmt: skip


def _mm_mobilenet(tensors: Tensors) -> Tensors:
    """Return MobileNetV2 as in open-mmlab/mmpretrain, `models/backbones/mobilenet_v2.py`."""
    stages, found = (1, 2, 3, 4, 3, 3, 1), {}
    order = [(stage, block) for stage, count in enumerate(stages, 1) for block in range(count)]
    inner = {"0.0": "0.conv", "0.1": "0.bn", "1.0": "1.conv", "1.1": "1.bn", "2": "2.conv", "3": "2.bn"}
    first = {"0.0": "0.conv", "0.1": "0.bn", "1": "1.conv", "2": "1.bn"}
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"features\.(\d+)\.conv\.(.+)\.(\w+)", name):
            stage, block = order[int(match[1]) - 1]
            name = f"layer{stage}.{block}.conv.{(first if match[1] == '1' else inner)[match[2]]}.{match[3]}"
        for number, place in (("0", "conv1"), ("18", "conv2")):
            name = re.sub(rf"^features\.{number}\.(0|1)\.", rf"{place}.\1.", name)
        name = re.sub(r"^(conv\d)\.(0|1)\.", lambda m: f"{m[1]}.{('conv', 'bn')[int(m[2])]}.", name)
        found["head.fc." + name.rpartition(".")[2] if name.startswith("classifier") else f"backbone.{name}"] = tensor
    return found


def _caffe_vgg(tensors: Tensors) -> Tensors:
    """Return VGG under the names of its authors' Caffe models."""
    convs = {"0": "1_1", "2": "1_2", "5": "2_1", "8": "3_1", "10": "3_2"}
    fcs = {"0": "fc6", "3": "fc7", "6": "fc8"}
    found = {re.sub(r"^features\.(\d+)", lambda m: f"conv{convs[m[1]]}", name): t for name, t in tensors.items()}
    return {re.sub(r"^classifier\.(\d)", lambda m: fcs[m[1]], name): tensor for name, tensor in found.items()}


def _megvii_shuffle(tensors: Tensors) -> Tensors:
    """Return ShuffleNetV2 as in megvii-model/ShuffleNet-Series: blocks counted through."""
    starts = {"2": 0, "3": 2, "4": 5}
    found = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^stage(\d)\.(\d)", lambda m: f"features.{starts[m[1]] + int(m[2])}", name)
        name = name.replace("branch1", "branch_proj").replace("branch2", "branch_main")
        found[re.sub("^conv1", "first_conv", re.sub("^conv5", "conv_last", name.replace("fc.", "classifier.0.")))] = (
            tensor
        )
    return found


def _poolformer(tensors: Tensors) -> Tensors:
    """Return PoolFormer as in sail-sg/poolformer, `models/poolformer.py`: stages and their poolings in one list."""

    def placed(name: str) -> str:
        name = re.sub(r"^stages\.(\d)\.downsample\.conv", lambda m: f"network.{2 * int(m[1]) - 1}.proj", name)
        return re.sub(r"^stages\.(\d)\.blocks", lambda m: f"network.{2 * int(m[1])}", name)

    found = {placed(name): tensor for name, tensor in tensors.items()}
    return renamed((r"^stem\.conv", "patch_embed.proj"), (r"layer_scale(\d)\.scale", r"layer_scale_\1"),
                   (r"^head\.norm", "norm"), (r"^head\.fc", "head"))(found)  # fmt: skip


def _parted(tensors: Tensors) -> Tensors:
    """Return a ViT with queries, keys and values apart."""
    found = {}
    for name, tensor in tensors.items():
        if "attn.qkv" in name:
            for part, role in zip(tensor.chunk(3), ("query", "key", "value"), strict=True):
                found[name.replace("qkv", role)] = part.contiguous()
        else:
            found[name] = tensor
    return found


IMAGES = (
    Convention("RepVGG of its authors", "published:repvgg", REPVGG, without="", quick=False),
    Convention("SE-ResNet of Cadene", "published:seresnet", CADENE, without="", quick=False),
    Convention("ResNet of TF-slim", BOTTLENECK, recast=_slim_resnet, without="", quick=False),
    Convention("ResNet of Caffe", BOTTLENECK, recast=_caffe_resnet, without=""),
    Convention("ResNet of Haiku", BOTTLENECK, recast=_haiku_resnet, without="", quick=False),
    Convention("MLP-Mixer of Flax", "published:mixer", recast=_flax_mixer, without=""),
    Convention("PVT of its authors", "published:pvt", recast=_pvt, without="", shape=(3, 64, 64), quick=False),
    Convention("SegFormer of its authors", "published:segformer", recast=_mit, without="", shape=(3, 64, 64),
               quick=False),
    Convention("PoolFormer of its authors", "published:poolformer", recast=_poolformer, without="", shape=(3, 64, 64),
               quick=False),
    Convention("ViT of jeonsworld", VIT, JEONSWORLD, recast=_parted, without="", quick=False),
    Convention("MobileNetV2 of MMPretrain", "images:tv_mobilenet_v2", recast=_mm_mobilenet, without="", quick=False),
    Convention("VGG of Caffe", "published:vgg", recast=_caffe_vgg, without="", quick=False),
    Convention("ShuffleNetV2 of megvii", "published:shufflenet", recast=_megvii_shuffle, without="",
               shape=(3, 64, 64), quick=False),
    Convention("ViT within a detector of detectron2", VIT, (("^", "backbone.net."),), SIMPLE_PYRAMID, quick=False),
)  # fmt: skip
