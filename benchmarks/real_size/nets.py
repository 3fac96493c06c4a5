"""Networks as people train them: of timm, for images of 64 x 64, and a decoder of transformers over bytes."""

from __future__ import annotations

import torch
from torch import nn

from tli_cli.catalogue.libraries import import_timm

SIDE, CONTEXT = 64, 128

timm = import_timm()


def stages(classes: int, name: str) -> nn.Module:
    """Return the network of stages that timm calls `name`."""
    return timm.create_model(name, num_classes=classes)


def tokens(classes: int, name: str) -> nn.Module:
    """Return the transformer that timm calls `name`, over patches of 8 x 8."""
    return timm.create_model(name, num_classes=classes, img_size=SIDE, patch_size=8)


class Decoder(nn.Module):
    """A decoder as Llama is, `(batch, tokens)` to `(batch, tokens, classes)`."""

    def __init__(self, classes: int, width: int, depth: int, heads: int, groups: int) -> None:
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        self.net = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=classes,
                hidden_size=width,
                intermediate_size=3 * width,
                num_hidden_layers=depth,
                num_attention_heads=heads,
                num_key_value_heads=groups,
                max_position_embeddings=CONTEXT,
                use_cache=False,
            )
        )

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.net(ids).logits
