"""More blocks than a file holds, under other names: blocks and norms keep their places."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.core.support import distance
from tests.models import randomised
from tli_cli import Options, apply_tli, inject

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


def conv(width: int, kernel: int, groups: int = 1) -> nn.Module:
    layer = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=layer, bn=nn.BatchNorm2d(width), act=nn.ReLU()))


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv(width, 3), conv(width, 3)[:2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(self.first(x)))


CHAINS = {
    "convolutions": lambda width: conv(width, 3),
    "separable": lambda width: nn.Sequential(OrderedDict(dw=conv(width, 3, width), pw=conv(width, 1))),
    "residual": Residual,
}


class Chain(nn.Module):
    """A stem, blocks of one kind in a row, and a head."""

    def __init__(self, depth: int, kind: str) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)
        self.stages = nn.ModuleList([nn.Sequential(*(CHAINS[kind](8) for _ in range(depth)))])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stages[0](torch.relu(self.stem(x))).mean((2, 3)))


@pytest.mark.parametrize(("kind", "kept"), [("convolutions", True), ("separable", False), ("residual", True)])
def test_blocks_that_files_add_to_plain_chains_are_not_silent(kind: str, kept: bool, tmp_path: Path) -> None:
    source, target = (randomised(Chain(depth, kind), seed=depth).float() for depth in (2, 3))
    save_file(source.state_dict(), tmp_path / "source.safetensors")
    save_file(target.state_dict(), tmp_path / "target.safetensors")
    out, options = tmp_path / "out.safetensors", Options(method="maps", head="keep")
    inject(str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors"), str(out), options=options)
    target.load_state_dict(load_file(out))
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted, given = source(images), target(images)
    assert given.std(0).mean() > 0.1 * wanted.std(0).mean()
    assert not kept or torch.allclose(given, wanted, rtol=1e-3, atol=1e-4)
