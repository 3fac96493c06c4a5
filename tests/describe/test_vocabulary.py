from __future__ import annotations

import pytest

from tli_cli.describe.vocabulary import canonical_role

ROLES = {
    "q": "encoder.layer.0.attention.self.query model.layers.0.self_attn.q_proj blocks.1.attn.q layers.0.attention.wq",
    "k": "vit.encoder.layer.3.attention.attention.key transformer.layer.0.attention.k_lin"
    " encoder.block.0.layer.0.SelfAttention.k",
    "to_q": "stage0.blocks.0.attn.conv_proj_q.conv stages.0.layers.0.attention.convolution_projection_query.block.bn",
    "v": "model.layers.0.self_attn.v_proj attn.to_v encoder.layer.0.attention.self.value",
    "qkv": "blocks.0.attn.qkv h.0.attn.c_attn encoder.layers.encoder_layer_0.self_attention.in_proj"
    " transformer.h.0.self_attention.query_key_value stages.0.blocks.0.attn.qkv.linear"
    " model.layers.0.self_attn.qkv_proj",
    "o": "blocks.0.attn.proj h.0.attn.c_proj encoder.layer.0.attention.output.dense model.layers.0.self_attn.o_proj"
    " encoder.layers.0.self_attn.out_proj attn.to_out.0 layers.0.attention.wo transformer.layer.0.attention.out_lin"
    " gpt_neox.layers.0.attention.dense encoder.block.0.layer.0.SelfAttention.o",
    "cross_q": "decoder.block.0.layer.1.EncDecAttention.q decoder.layers.0.inter_attention.query"
    " model.decoder.layers.0.encoder_attn.q_proj",
    "fc1": "blocks.0.mlp.fc1 h.0.mlp.c_fc encoder.layer.0.intermediate.dense encoder.layers.0.linear1"
    " encoder.layers.encoder_layer_0.mlp.0 features.1.0.mlp.0 gpt_neox.layers.0.mlp.dense_h_to_4h"
    " encoder.block.0.layer.1.DenseReluDense.wi transformer.layer.0.ffn.lin1"
    " encoder.layers.0.feed_forward.intermediate_dense layers.0.mlp.in_proj layers.0.ffn.intermediate",
    "fc2": "blocks.0.mlp.fc2 h.0.mlp.c_proj encoder.layer.0.output.dense encoder.layers.0.linear2"
    " encoder.layers.encoder_layer_0.mlp.3 model.layers.0.mlp.down_proj encoder.block.0.layer.1.DenseReluDense.wo"
    " layers.0.feed_forward.w2 encoder.layers.0.feed_forward.output_dense layers.0.mlp.out_proj",
    "gate": "model.layers.0.mlp.gate_proj layers.0.feed_forward.w1 encoder.block.0.layer.1.DenseReluDense.wi_0",
    "up": "model.layers.0.mlp.up_proj layers.0.feed_forward.w3 encoder.block.0.layer.1.DenseReluDense.wi_1",
    "gate_up": "model.layers.0.mlp.gate_up_proj blocks.0.mlp.w12",
    "norm1": "blocks.0.norm1 h.0.ln_1 vit.encoder.layer.0.layernorm_before model.layers.0.input_layernorm layer1.0.bn1"
    " encoder.layer.0.attention.output.LayerNorm s1.b1.conv1.bn",
    "norm2": "blocks.0.norm2 h.0.ln_2 vit.encoder.layer.0.layernorm_after model.layers.0.post_attention_layernorm"
    " encoder.layer.0.output.LayerNorm layer1.0.bn2 encoders.0.ffn_layer_norm",
    "final_norm": "norm model.norm transformer.ln_f vit.layernorm encoder.ln fc_norm gpt_neox.final_layer_norm"
    " layernorm_final decoder.after_norm",
    "downsample": "layer2.0.downsample.0 s1.b1.downsample.conv",
    "shortcut": "resnet.encoder.stages.0.layers.0.shortcut.convolution trunk_output.block1.block1-0.proj.0",
    "cross_norm": "decoder.layers.0.encoder_attn_layer_norm decoder.blocks.0.cross_attn_ln",
    "se_reduce": "layer1.0.se.fc1 blocks.0.0.se.conv_reduce features.2.block.1.fc1",
    "se_expand": "layer1.0.se.fc2 blocks.0.0.se.conv_expand features.2.block.1.fc2",
    "conv1": "layer1.0.conv1 s1.b1.conv1.conv resnet.encoder.stages.0.layers.0.layer.0.convolution",
    "stem": "conv1 stem.conv conv_stem resnet.embedder.embedder.convolution",
    "patch_embed": "patch_embed.proj conv_proj vit.embeddings.patch_embeddings.projection",
    "position": "pos_embed encoder.pos_embedding embeddings.position_embeddings transformer.wpe position_embeds_layer",
    "cls": "cls_token class_token vit.embeddings.cls_token",
    "embed": "transformer.wte model.embed_tokens embeddings.word_embeddings shared encoder.embeddings.emb_luts.0",
    "bias_table": "layers.0.blocks.0.attn.relative_position_bias_table"
    " encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    "head": "fc head heads.head lm_head classifier head.fc",
    "": "features.3 net.4 classifier.3 layers.0 stages.0.blocks.0.norm features.3.conv.0.0",
}


@pytest.mark.parametrize(("role", "path"), [(role, path) for role, paths in ROLES.items() for path in paths.split()])
def test_role_of_a_path(role: str, path: str) -> None:
    assert canonical_role(path) == role
