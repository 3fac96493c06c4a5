"""More blocks than a file holds, under other names: blocks and norms keep their places."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import Options, apply_tli

WIDTH, TOKENS = 16, 40
IDS = torch.randint(0, TOKENS, (2, 6), generator=torch.Generator().manual_seed(0))
RULES = (
    (r"^enc\.layers\.(\d)\.norm2", r"encoder.blocks.\1.mlp_ln"), (r"^enc\.layers", "encoder.blocks"),
    (r"^dec\.layers", "decoder.blocks"), (r"^enc\.norm", "encoder.ln_post"), (r"^dec\.norm", "decoder.ln"),
    ("self_attn", "attn"), ("multihead_attn", "cross_attn"), ("linear1", "mlp.0"), ("linear2", "mlp.2"),
    ("norm1", "attn_ln"), ("norm2", "cross_attn_ln"), ("norm3", "mlp_ln"), ("^words", "decoder.token_embedding"),
)  # fmt: skip


class Translation(nn.Module):
    """Torch's own encoder and decoder, both as long, norms first and last."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        options = {"dim_feedforward": 24, "dropout": 0.0, "batch_first": True, "norm_first": True}
        self.words = nn.Embedding(TOKENS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 2, **options)
        self.enc = nn.TransformerEncoder(layer, depth, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.dec = nn.TransformerDecoder(nn.TransformerDecoderLayer(WIDTH, 2, **options), depth, nn.LayerNorm(WIDTH))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.dec(self.words(ids), self.enc(self.words(ids)))


def renamed(name: str) -> str:
    for pattern, other in RULES:
        name = re.sub(pattern, other, name)
    return name


def saved(model: nn.Module, path: Path) -> Path:
    save_file({renamed(name): tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


def test_an_encoder_and_a_decoder_grow_each_from_its_own_blocks(tmp_path: Path) -> None:
    source, target = (randomised(Translation(depth), seed=depth) for depth in (2, 3))
    apply_tli(target, saved(source, tmp_path / "source.safetensors"), example=IDS, options=Options(method="maps"))
    assert distance(source, target, (IDS,)) < 1e-9
