"""Files of image models under names of other projects, written before the rules that they show and not looked at when
these were decided."""

from __future__ import annotations

import re

import torch

from tests.equivalence.conventions import RESNET, VIT, Convention, Tensors, efficientnet
from tests.equivalence.frameworks import flax_vit, turned
from tests.equivalence.recasting import fused, renamed, without_counts

BOTTLENECK = "images:tv_bottleneck"
STATISTICS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def _bit(tensors: Tensors) -> Tensors:
    """Return BiT as in google-research/big_transfer, `bit_jax/models.py`: pre-activation blocks `a`, `b`, `c`."""
    found = {}
    for name, tensor in tensors.items():
        module, _, role = name.rpartition(".")
        if match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d)\.(\w+?)(\d?)(\.conv)?", module):
            base = f"resnet/block{int(match[1]) + 1}/unit{int(match[2]) + 1:02}"
            letter = "abc"[int(match[4] or 1) - 1]
            inner = {"norm": "group_norm", "conv": "standardized_conv2d"}.get(match[3], "proj/standardized_conv2d")
            path = f"{base}/{letter}/{inner}"
        else:
            path = {"stem.conv": "resnet/root_block/standardized_conv2d", "norm": "resnet/group_norm",
                    "head.fc": "resnet/head/conv2d"}[module]  # fmt: skip
        said = {"weight": "gamma", "bias": "beta"} if "norm" in path else {"weight": "kernel", "bias": "bias"}
        found[f"{path}/{said[role]}"] = turned(name, tensor).contiguous()
    return found


def _slim_mobilenet(tensors: Tensors) -> Tensors:
    """Return MobileNetV1 as in tensorflow/models, `slim/nets/mobilenet_v1.py`."""
    blocks = list(dict.fromkeys(m[0] for name in tensors if (m := re.match(r"blocks\.\d+\.\d+\.", name))))
    found = {}
    for name, tensor in without_counts(tensors).items():
        module, _, role = name.rpartition(".")
        block = next((b for b in blocks if name.startswith(b)), "")
        inner = module.removeprefix(block)
        number = blocks.index(block) + 1 if block else 0
        norm = "bn" in inner
        if inner == "classifier":
            path = "Logits/Conv2d_1c_1x1"
        elif not block:
            path = "Conv2d_0"
        else:
            kind = "depthwise" if inner in ("conv_dw", "bn1") else "pointwise"
            path = f"Conv2d_{number}_{kind}"
        if norm:
            found[f"MobilenetV1/{path}/BatchNorm/{STATISTICS[role]}"] = tensor
        elif inner == "conv_dw":
            found[f"MobilenetV1/{path}/depthwise_weights"] = tensor.permute(2, 3, 0, 1).contiguous()
        else:
            value = tensor[:, :, None, None] if inner == "classifier" and role == "weight" else tensor
            said = {"weight": "weights", "bias": "biases"}[role]
            found[f"MobilenetV1/{path}/{said}"] = turned(name, value).contiguous()
    return found


def _mxnet(tensors: Tensors) -> Tensors:
    """Return ResNet as in apache/mxnet, `example/image-classification/symbols/resnet-v1.py`: flat names, `arg:` and
    `aux:` before them."""
    last = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_var"}
    found = {}
    for name, tensor in without_counts(tensors).items():
        module, _, role = name.rpartition(".")
        if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", module):
            base = f"stage{match[1]}_unit{int(match[2]) + 1}_"
            path = base + {"downsample.0": "sc", "downsample.1": "sc_bn"}.get(match[3], match[3])
        else:
            path = {"conv1": "conv0", "bn1": "bn0", "fc": "fc1"}[module]
        norm = "bn" in path
        start = "aux" if role.startswith("running") else "arg"
        found[f"{start}:{path}_{last[role] if norm else role}"] = tensor
    return found


def _siglip(tensors: Tensors) -> Tensors:
    """Return SigLIP's image tower as in google-research/big_vision, `models/vit.py`."""
    pool = {n: t for n, t in tensors.items() if n.startswith("attn_pool.")}
    found = flax_vit({n: t for n, t in tensors.items() if n not in pool})
    found = renamed(("posembed_input/", ""), ("Transformer/pos_embedding", "pos_embedding"),
                    ("LayerNorm_2", "LayerNorm_1"), ("MlpBlock_3", "MlpBlock_0"),
                    ("MultiHeadDotProductAttention_1", "MultiHeadDotProductAttention_0"))(found)  # fmt: skip
    base = "MAPHead_0"
    attention = f"{base}/MultiHeadDotProductAttention_0"
    for role in ("weight", "bias"):
        said = "kernel" if role == "weight" else "bias"
        parts = [pool[f"attn_pool.q.{role}"], *pool[f"attn_pool.kv.{role}"].chunk(2)]
        for part, name in zip(parts, ("query", "key", "value"), strict=True):
            heads = part.t().reshape(48, 4, 12) if role == "weight" else part.reshape(4, 12)
            found[f"{attention}/{name}/{said}"] = heads.contiguous()
        out = pool[f"attn_pool.proj.{role}"]
        found[f"{attention}/out/{said}"] = out.t().reshape(4, 12, 48).contiguous() if role == "weight" else out
        found[f"{base}/LayerNorm_0/{'scale' if role == 'weight' else 'bias'}"] = pool[f"attn_pool.norm.{role}"]
        for i in (1, 2):
            value = pool[f"attn_pool.mlp.fc{i}.{role}"]
            found[f"{base}/MlpBlock_0/Dense_{i - 1}/{said}"] = value.t().contiguous() if role == "weight" else value
    found[f"{base}/probe"] = pool["attn_pool.latent"]
    return {f"params/img/{name}": tensor for name, tensor in found.items()}


def _pvt_v2(tensors: Tensors) -> Tensors:
    """Return PVTv2 as in whai362/PVT, `classification/pvt_v2.py`."""

    def counted(name: str) -> str:
        name = re.sub(r"^patch_embed\.", "patch_embed1.", name)
        name = re.sub(r"^stages\.(\d)\.downsample\.", lambda m: f"patch_embed{int(m[1]) + 1}.", name)
        name = re.sub(r"^stages\.(\d)\.blocks\.", lambda m: f"block{int(m[1]) + 1}.", name)
        return re.sub(r"^stages\.(\d)\.norm\.", lambda m: f"norm{int(m[1]) + 1}.", name)

    return {counted(name).replace("mlp.dwconv", "mlp.dwconv.dwconv"): tensor for name, tensor in tensors.items()}


def _beit(tensors: Tensors) -> Tensors:
    """Return BEiT as in microsoft/unilm, `beit/modeling_finetune.py`: no bias for keys."""
    found = fused(("attention.q_proj.weight", "attention.k_proj.weight", "attention.v_proj.weight"), "attn.qkv.weight")(
        tensors
    )
    return renamed(
        (r"^beit\.embeddings\.cls_token", "cls_token"),
        (r"^beit\.embeddings\.patch_embeddings\.projection", "patch_embed.proj"), (r"^beit\.layers\.", "blocks."),
        (r"lambda_(\d)", r"gamma_\1"), (r"attention\.q_proj\.bias", "attn.q_bias"),
        (r"attention\.v_proj\.bias", "attn.v_bias"), (r"attention\.o_proj", "attn.proj"),
        ("layernorm_before", "norm1"), ("layernorm_after", "norm2"),
        (r"relative_position_bias\.relative_position", "attn.relative_position"),
        (r"^beit\.pooler\.layernorm", "fc_norm"), ("^classifier", "head"),
    )(found)  # fmt: skip


def _cvnets(tensors: Tensors) -> Tensors:
    """Return MobileViT as in apple/ml-cvnets, `cvnets/models/classification/mobilevit.py`."""

    def placed(name: str) -> str:
        name = re.sub(r"^stages\.(\d)\.", lambda m: f"layer_{int(m[1]) + 1}.", name)
        name = re.sub(r"^(layer_\d\.\d)\.transformer\.(\d)\.", r"\1.global_rep.\2.", name)
        return re.sub(r"^(layer_\d\.\d)\.norm\.", lambda m: f"{m[1]}.global_rep.9.", name)

    rules = (
        (r"global_rep\.(\d)\.norm1", r"global_rep.\1.pre_norm_mha.0"),
        (r"global_rep\.(\d)\.attn\.qkv", r"global_rep.\1.pre_norm_mha.1.qkv_proj"),
        (r"global_rep\.(\d)\.attn\.proj", r"global_rep.\1.pre_norm_mha.1.out_proj"),
        (r"global_rep\.(\d)\.norm2", r"global_rep.\1.pre_norm_ffn.0"),
        (r"global_rep\.(\d)\.mlp\.fc1", r"global_rep.\1.pre_norm_ffn.1"),
        (r"global_rep\.(\d)\.mlp\.fc2", r"global_rep.\1.pre_norm_ffn.4"),
        (r"^stem\.", "conv_1.block."), (r"conv1_1x1\.", "block.exp_1x1.block."),
        (r"conv2_kxk\.", "block.conv_3x3.block."),
        (r"conv3_1x1\.", "block.red_1x1.block."), (r"conv_kxk\.", "local_rep.conv_3x3.block."),
        (r"\.conv_1x1\.weight", ".local_rep.conv_1x1.block.conv.weight"), (r"conv_proj\.", "conv_proj.block."),
        (r"conv_fusion\.", "fusion.block."), (r"^final_conv\.", "conv_1x1_exp.block."), (r"\.bn\.", ".norm."),
        (r"^head\.fc", "classifier.fc"),
    )  # fmt: skip
    return renamed(*rules)({placed(name): tensor for name, tensor in tensors.items()})


def _paddle_mobilenet(tensors: Tensors) -> Tensors:
    """Return MobileNetV3 as in PaddlePaddle/PaddleClas, `ppcls/arch/backbone/legendary_models/mobilenet_v3.py`."""
    held = {match[1] for name in tensors if (match := re.match(r"features\.(\d+)\.block\.3\.", name))}
    found = {}
    for name, tensor in without_counts(tensors).items():
        name = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        if match := re.fullmatch(r"features\.(\d+)\.block\.(\d)\.(\w+)\.(\w+)", name):
            number, place, inner, role = match.groups()
            names = ["expand_conv", "bottleneck_conv"] if number != "1" else ["bottleneck_conv"]
            gated = number in held or number == "1"
            names += ["mid_se"] * gated + ["linear_conv"]
            layer = names[int(place)]
            said = {"0": "conv", "1": "bn", "fc1": "conv1", "fc2": "conv2"}[inner]
            name = f"blocks.{int(number) - 1}.{layer}.{said}.{role}"
        name = re.sub(r"^features\.0\.", "conv.", name)
        name = re.sub(r"^features\.12\.", "last_second_conv.", name)
        name = re.sub(r"^(conv|last_second_conv)\.(0|1)\.", lambda m: f"{m[1]}.{('conv', 'bn')[int(m[2])]}.", name)
        name = name.replace("classifier.0", "last_conv").replace("classifier.3", "fc")
        found[name] = tensor.t().contiguous() if tensor.ndim == 2 else tensor
    return found


def _mm_efficientnet(tensors: Tensors) -> Tensors:
    """Return EfficientNet as in open-mmlab/mmpretrain, `models/backbones/efficientnet.py`."""
    outer = {"conv_stem": "backbone.layers.0.conv", "bn1": "backbone.layers.0.bn",
             "conv_head": "backbone.layers.6.conv", "bn2": "backbone.layers.6.bn", "classifier": "head.fc"}  # fmt: skip
    inner = {"conv_pw": "expand_conv.conv", "bn1": "expand_conv.bn", "conv_dw": "depthwise_conv.conv",
             "bn2": "depthwise_conv.bn", "se.conv_reduce": "se.conv1.conv", "se.conv_expand": "se.conv2.conv",
             "conv_pwl": "linear_conv.conv", "bn3": "linear_conv.bn"}  # fmt: skip
    stages = {0: 1, 1: 2, 2: 3, 3: 4, 4: 4, 5: 5, 6: 5}
    counted: dict[int, int] = {}
    places: dict[str, str] = {}

    def label(path: str, _: int) -> str:
        if path not in places:
            stage = stages[int(path.split(".")[1])]
            counted[stage] = counted.get(stage, -1) + 1
            places[path] = f"backbone.layers.{stage}.{counted[stage]}."
        return places[path]

    return efficientnet(tensors, outer, inner, label)


def _caffe_squeezenet(tensors: Tensors) -> Tensors:
    """Return SqueezeNet as in forresti/SqueezeNet."""
    fires = {"3": 2, "4": 3, "6": 4, "7": 5, "9": 6, "10": 7, "11": 8, "12": 9}
    found = {re.sub(r"^features\.(\d+)\.(?=sq|ex)", lambda m: f"fire{fires[m[1]]}/", n): t for n, t in tensors.items()}
    return {n.replace("features.0", "conv1").replace("classifier.1", "conv10"): t for n, t in found.items()}


def _mlx(tensors: Tensors) -> Tensors:
    """Return a ResNet as MLX has it: kernels of convolutions `(out, *places, in)`."""
    return {n: t.permute(0, 2, 3, 1).contiguous() if t.ndim == 4 else t for n, t in without_counts(tensors).items()}


def _tensorpack(tensors: Tensors) -> Tensors:
    """Return ResNet as in tensorpack, `examples/ResNet/resnet_model.py`."""
    last = {"weight": "gamma", "bias": "beta", "running_mean": "mean/EMA", "running_var": "variance/EMA"}
    found = {}
    for name, tensor in without_counts(tensors).items():
        module, _, role = name.rpartition(".")
        if match := re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", module):
            inner = match[3].replace("downsample.0", "convshortcut").replace("downsample.1", "convshortcut/bn")
            path = f"group{int(match[1]) - 1}/block{match[2]}/" + re.sub("^bn(.)", r"conv\1/bn", inner)
        else:
            path = {"conv1": "conv0", "bn1": "conv0/bn", "fc": "linear"}[module]
        said = last[role] if path.endswith("/bn") else {"weight": "W", "bias": "b"}[role]
        found[f"{path}/{said}"] = turned(name, tensor).contiguous()
    return found


def _detr(tensors: Tensors) -> Tensors:
    """Return DETR as in facebookresearch/detr, `models/detr.py`."""
    found = dict(tensors)
    for name in [n for n in tensors if "attn.q_proj" in n]:
        parts = [found.pop(name.replace("q_proj", f"{c}_proj")) for c in "qkv"]
        found[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)

    def backbone(name: str) -> str:
        base = "model.backbone.model."
        name = re.sub(rf"^{base}embedder\.embedder\.convolution", "backbone.0.body.conv1", name)
        name = re.sub(rf"^{base}embedder\.embedder\.normalization", "backbone.0.body.bn1", name)
        name = re.sub(rf"^{base}encoder\.stages\.(\d)\.layers\.(\d)\.",
                      lambda m: f"backbone.0.body.layer{int(m[1]) + 1}.{m[2]}.", name)  # fmt: skip
        name = name.replace("shortcut.convolution", "downsample.0").replace("shortcut.normalization", "downsample.1")
        name = re.sub(r"layer\.(\d)\.convolution", lambda m: f"conv{int(m[1]) + 1}", name)
        return re.sub(r"layer\.(\d)\.normalization", lambda m: f"bn{int(m[1]) + 1}", name)

    return renamed(
        (r"^model\.(en|de)coder", r"transformer.\1coder"), (r"self_attn\.o_proj", "self_attn.out_proj"),
        (r"encoder_attn\.o_proj", "multihead_attn.out_proj"), (r"encoder_attn\.", "multihead_attn."),
        ("self_attn_layer_norm", "norm1"), (r"(encoder\.layers\.\d)\.final_layer_norm", r"\1.norm2"),
        ("encoder_attn_layer_norm", "norm2"), (r"(decoder\.layers\.\d)\.norm2\.", r"\1.norm2."),
        (r"final_layer_norm", "norm3"), (r"mlp\.fc", "linear"), (r"decoder\.layernorm", "decoder.norm"),
        (r"^model\.query_position_embeddings", "query_embed"), (r"^model\.input_projection", "input_proj"),
        ("class_labels_classifier", "class_embed"), ("bbox_predictor", "bbox_embed"),
    )({backbone(name): tensor for name, tensor in found.items()})  # fmt: skip


LUCIDRAINS = (
    (r"^blocks\.(\d)\.norm1", r"transformer.layers.\1.0.norm"),
    (r"^blocks\.(\d)\.attn\.qkv", r"transformer.layers.\1.0.fn.to_qkv"),
    (r"^blocks\.(\d)\.attn\.proj", r"transformer.layers.\1.0.fn.to_out.0"),
    (r"^blocks\.(\d)\.norm2", r"transformer.layers.\1.1.norm"),
    (r"^blocks\.(\d)\.mlp\.fc1", r"transformer.layers.\1.1.fn.net.0"),
    (r"^blocks\.(\d)\.mlp\.fc2", r"transformer.layers.\1.1.fn.net.3"), (r"^norm\.", "mlp_head.0."),
    (r"^head\.", "mlp_head.1."), (r"^patch_embed\.proj", "to_patch_embedding"), ("^pos_embed", "pos_embedding"),
)  # fmt: skip
HELD_IMAGES = (
    Convention("BiT of its authors", "published:bit", recast=_bit, without="", shape=(3, 64, 64), quick=False),
    Convention("MobileNetV1 of TF-slim", "published:mobilenet_v1", recast=_slim_mobilenet, without="", quick=False),
    Convention("ResNet of MXNet", BOTTLENECK, recast=_mxnet, without="", quick=False),
    Convention("SigLIP of big_vision", "own_images:timm_siglip", recast=_siglip, without="", quick=False),
    Convention("PVTv2 of its authors", "images:timm_named?name=pvt_v2_b0", recast=_pvt_v2, without="",
               shape=(3, 64, 64), quick=False),
    Convention("BEiT of its authors", "hf:beit", recast=_beit, without="", quick=False),
    Convention("MobileViT of ml-cvnets", "published:mobilevit", recast=_cvnets, without="", shape=(3, 64, 64),
               quick=False),
    Convention("MobileNetV3 of PaddleClas", "images:tv_mobilenet_v3", recast=_paddle_mobilenet, without="",
               quick=False),
    Convention("EfficientNet of MMPretrain", "images:timm_efficientnet", recast=_mm_efficientnet, without="",
               quick=False),
    Convention("SqueezeNet of Caffe", "published:squeezenet", recast=_caffe_squeezenet, without="", shape=(3, 64, 64),
               quick=False),
    Convention("ResNet of VISSL", BOTTLENECK, (("^", "base_model.model.trunk._feature_blocks."),), quick=False),
    Convention("ResNet of MLX", RESNET, recast=_mlx, without="", quick=False),
    Convention("ResNet of tensorpack", BOTTLENECK, recast=_tensorpack, without="", quick=False),
    Convention("DETR of its authors", "published:detr", recast=_detr, without="", shape=(3, 64, 64), quick=False),
    Convention("ViT of lucidrains, first version", VIT, LUCIDRAINS, without="", quick=False),
    Convention("open_clip around timm's ViT", VIT, (("^", "visual.trunk."),),
               {"visual.head.proj.weight": (16, 48), "text.transformer.resblocks.0.attn.in_proj_weight": (144, 48),
                "text.transformer.resblocks.0.attn.in_proj_bias": (144,), "text.token_embedding.weight": (61, 48),
                "text.positional_embedding": (20, 48), "text.ln_final.weight": (48,), "text.ln_final.bias": (48,),
                "text.transformer.resblocks.0.ln_1.weight": (48,), "text.transformer.resblocks.0.ln_1.bias": (48,),
                "text.transformer.resblocks.0.mlp.c_fc.weight": (96, 48), "logit_scale": ()}, quick=False),
)  # fmt: skip
