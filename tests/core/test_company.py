"""Norms that are named for a module belong to it, whatever modules and norms are called on the other side."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from tli_cli import match

ESPNET = {
    "norm_ff_macaron": (16,), "feed_forward_macaron.w_1": (32, 16), "feed_forward_macaron.w_2": (16, 32),
    "norm_mha": (16,), "self_attn.linear_q": (16, 16), "self_attn.linear_k": (16, 16), "self_attn.linear_v": (16, 16),
    "self_attn.linear_out": (16, 16), "norm_conv": (16,), "conv_module.pointwise_conv1": (32, 16, 1),
    "conv_module.depthwise_conv": (16, 1, 7), "conv_module.pointwise_conv2": (16, 16, 1), "norm_ff": (16,),
    "feed_forward.w_1": (32, 16), "feed_forward.w_2": (16, 32), "norm_final": (16,),
}  # fmt: skip
"""A conformer's layer in its order (espnet/espnet, `espnet/nets/pytorch_backend/conformer/encoder_layer.py`)."""

OTHERS = {
    "norm_ff_macaron": "ffn1_layer_norm", "feed_forward_macaron.w_1": "ffn1.intermediate_dense",
    "feed_forward_macaron.w_2": "ffn1.output_dense", "norm_mha": "self_attn_layer_norm",
    "norm_conv": "conv_module.layer_norm", "norm_ff": "ffn2_layer_norm", "feed_forward.w_1": "ffn2.intermediate_dense",
    "feed_forward.w_2": "ffn2.output_dense", "norm_final": "final_layer_norm",
}  # fmt: skip
"""What transformers calls them (`models/wav2vec2_conformer`)."""


def test_a_conformer_takes_each_norm_from_the_one_of_the_same_module(tmp_path: Path) -> None:
    names = {f"encoder.encoders.{i}.{n}": f"encoder.layers.{i}.{OTHERS.get(n, n)}" for i in (0, 1) for n in ESPNET}
    shapes = {name: ESPNET[name.split(".", 3)[3]] for name in names}
    for path, said in (("source", dict(zip(names, names, strict=True))), ("target", names)):
        tensors = {f"{said[name]}.weight": torch.randn(shape) for name, shape in shapes.items()}
        tensors |= {f"{said[name]}.bias": torch.randn(shape[:1]) for name, shape in shapes.items()}
        save_file(tensors, tmp_path / f"{path}.safetensors")
    plan = match(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"))
    fed = {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}
    assert fed == {f"{new}.{role}": f"{old}.{role}" for old, new in names.items() for role in ("weight", "bias")}
