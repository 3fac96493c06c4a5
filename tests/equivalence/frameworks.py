"""Files of TensorFlow, Keras, Flax and Paddle: kernels that are `(*places, in, out)`, and other names of statistics."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from tests.equivalence.conventions import Convention, Tensors, efficientnet, untied
from tests.equivalence.recasting import chained, renamed, without_counts

STATISTICS = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
TABLES = re.compile(r"(embeddings?|shared|embed_tokens)\.weight$")


def turned(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a weight as a kernel, `(*places, in, out)`."""
    return tensor.permute(*range(2, tensor.ndim), 1, 0) if tensor.ndim > 1 and not TABLES.search(name) else tensor


def as_flax(tensors: Tensors) -> Tensors:
    """Return tensors as transformers' Flax classes have them."""
    found = {}
    for name, tensor in without_counts(tensors).items():
        module, _, last = name.rpartition(".")
        kind = "embedding" if TABLES.search(name) else "kernel" if tensor.ndim > 1 else "scale"
        said = {"weight": kind, "running_mean": "mean", "running_var": "var"}.get(last, last)
        value = turned(name, tensor).contiguous() if last == "weight" else tensor
        found[f"{module}.{said}".removeprefix(".")] = value
    return found


def as_keras(path_of: Callable[[str], str]) -> Callable[[Tensors], Tensors]:
    """Return what writes tensors as Keras and TensorFlow do, the modules under the names that `path_of` gives."""

    def recast(tensors: Tensors) -> Tensors:
        found = {}
        normed = {name.rpartition(".")[0] for name in tensors if name.endswith(("running_mean", "LayerNorm.weight"))}
        for name, tensor in without_counts(tensors).items():
            module, _, last = name.rpartition(".")
            path = path_of(module)
            if tensor.ndim == 4 and tensor.shape[1] == 1 and "depthwise" in path:
                found[f"{path}/depthwise_kernel"] = tensor.permute(2, 3, 0, 1).contiguous()
            elif TABLES.search(name):
                found[path] = tensor
            else:
                said = STATISTICS[last] if module in normed else {"weight": "kernel"}.get(last, last)
                found[f"{path}/{said}"] = turned(name, tensor).contiguous()
        return found

    return recast


def flax_vit(tensors: Tensors) -> Tensors:
    """Return timm's ViT as google-research/vision_transformer, `vit_jax/models_vit.py`, has it: heads have an axis."""
    heads, found = 4, {}
    for name, tensor in tensors.items():
        module, _, last = name.rpartition(".")
        said = re.sub(r"^blocks\.(\d+)\.", r"Transformer.encoderblock_\1.", module)
        if module.endswith("attn.qkv"):
            base = said.replace("attn.qkv", "MultiHeadDotProductAttention_1")
            for part, role in zip(tensor.chunk(3), ("query", "key", "value"), strict=True):
                kernel = part.t().reshape(tensor.shape[-1], heads, -1) if last == "weight" else part.reshape(heads, -1)
                found[f"{base}.{role}.{'kernel' if last == 'weight' else last}"] = kernel.contiguous()
        elif module.endswith("attn.proj"):
            base = said.replace("attn.proj", "MultiHeadDotProductAttention_1.out")
            weight = tensor.t().reshape(heads, -1, tensor.shape[0]) if last == "weight" else tensor
            found[f"{base}.{'kernel' if last == 'weight' else last}"] = weight.contiguous()
        else:
            kind = "kernel" if tensor.ndim > 1 else "scale"
            path = f"{said}.{kind if last == 'weight' else last}".removeprefix(".")
            found[path] = turned(name, tensor).contiguous() if module else tensor
    rules = (("^cls_token$", "cls"), ("^pos_embed$", "Transformer.posembed_input.pos_embedding"),
             (r"^patch_embed\.proj", "embedding"), (r"^norm\.", "Transformer.encoder_norm."),
             (r"\.norm1\.", ".LayerNorm_0."), (r"\.norm2\.", ".LayerNorm_2."),
             (r"mlp\.fc1", "MlpBlock_3.Dense_0"), (r"mlp\.fc2", "MlpBlock_3.Dense_1"))  # fmt: skip
    return {name.replace(".", "/"): tensor for name, tensor in renamed(*rules)(found).items()}


def _keras_resnet(module: str) -> str:
    """Return what `keras/src/applications/resnet.py` calls a module of torchvision's ResNet."""
    outer = {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": "predictions"}
    if module in outer:
        return outer[module]
    stage, block, inner = re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", module).groups()  # type: ignore[union-attr]
    inner = {"downsample.0": "0_conv", "downsample.1": "0_bn"}.get(inner, f"{inner[-1]}_{inner.rstrip('0123456789')}")
    return f"conv{int(stage) + 1}_block{int(block) + 1}_{inner}"


def _stored_by_keras(tensors: Tensors) -> Tensors:
    """Return Keras' tensors under the names of its HDF5 files."""
    return {f"{name.partition('/')[0]}/{name}:0": tensor for name, tensor in as_keras(_keras_resnet)(tensors).items()}


def _bert(tensors: Tensors) -> Tensors:
    """Return BERT under the names of google-research/bert, `modeling.py`."""

    def path_of(module: str) -> str:
        return "bert/" + module.replace(".", "/").replace("encoder/layer/", "encoder/layer_")

    return as_keras(path_of)(tensors)


BERT_HEADS = {"cls/predictions/output_bias": (61,), "cls/predictions/transform/dense/kernel": (48, 48),
              "cls/predictions/transform/dense/bias": (48,), "cls/predictions/transform/LayerNorm/gamma": (48,),
              "cls/predictions/transform/LayerNorm/beta": (48,), "cls/seq_relationship/output_weights": (2, 48),
              "cls/seq_relationship/output_bias": (2,)}  # fmt: skip


def _efficientnet_of_tpu(tensors: Tensors) -> Tensors:
    """Return EfficientNet under the names of tensorflow/tpu, `efficientnet_model.py`: numbered as they are made."""
    outer = {"conv_stem": "stem.conv2d", "bn1": "stem.tpu_batch_normalization", "conv_head": "head.conv2d",
             "bn2": "head.tpu_batch_normalization", "classifier": "head.dense"}  # fmt: skip
    inner = {"conv_pw": "conv2d", "bn1": "tpu_batch_normalization", "conv_dw": "depthwise_conv2d",
             "bn2": "tpu_batch_normalization_1", "se.conv_reduce": "se.conv2d", "se.conv_expand": "se.conv2d_1",
             "conv_pwl": "conv2d_1", "bn3": "tpu_batch_normalization_2"}  # fmt: skip
    named = efficientnet(tensors, outer, inner, lambda _, number: f"blocks_{number}.")
    expanding = {name.partition(".")[0] for name in named if re.match(r"blocks_\d+\.conv2d\.", name)}

    def path_of(module: str) -> str:
        block, _, rest = module.partition(".")
        if block.startswith("blocks") and block not in expanding and not rest.startswith("se."):
            shifted = {"conv2d_1": "conv2d", "tpu_batch_normalization_1": "tpu_batch_normalization",
                       "tpu_batch_normalization_2": "tpu_batch_normalization_1"}  # fmt: skip
            rest = shifted.get(rest, rest)
        return f"efficientnet-b0/{block}/{rest.replace('.', '/')}".rstrip("/")

    return as_keras(path_of)(named)


def _paddle(tensors: Tensors) -> Tensors:
    """Return tensors as PaddlePaddle's layers have them: linear ones `(in, out)`."""
    found = renamed(("running_mean$", "_mean"), ("running_var$", "_variance"))(without_counts(tensors))
    return {n: t.t().contiguous() if t.ndim == 2 and n.endswith("weight") else t for n, t in found.items()}


FRAMEWORKS = (
    Convention("ViT of Flax, heads with an axis of their own", "images:timm_vit", recast=flax_vit, without=""),
    Convention("ViT of transformers' Flax classes", "hf:vit", recast=as_flax, without="", quick=False),
    Convention("BERT of transformers' Flax classes", "hf:bert", recast=chained(untied, as_flax), without="",
               shape=None, quick=False),
    Convention("ResNet of transformers' Flax classes", "hf:resnet", recast=as_flax, without="", quick=False),
    Convention("ResNet of Keras", "images:tv_bottleneck", recast=as_keras(_keras_resnet), without="", quick=False),
    Convention("ResNet of Keras, as its files name it", "images:tv_bottleneck", recast=_stored_by_keras, without="",
               quick=False),
    Convention("BERT of TensorFlow", "hf:bert", recast=_bert, beside=BERT_HEADS, without="", shape=None),
    Convention("EfficientNet of TensorFlow", "images:timm_efficientnet", recast=_efficientnet_of_tpu, without="",
               quick=False),
    Convention("ViT of Paddle", "images:timm_vit", recast=_paddle, without="", quick=False),
    Convention("ResNet of Paddle", "images:tv_bottleneck", recast=_paddle, without="", quick=False),
)  # fmt: skip
"""Files in other layouts than torch's."""
