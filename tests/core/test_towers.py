"""A network of one kind of input and one of several towers: the tower of that kind of input is the partner."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models import images, randomised
from tests.models_tokens import Encoder, ViT
from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.matching.dp import match_dp
from tli_cli.providers.module import describe_live

TOKENS = torch.zeros(2, 6, dtype=torch.int64)


class Text(nn.Module):
    def __init__(self, width: int = 16, depth: int = 2) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(17, width)
        self.blocks = nn.Sequential(*(Encoder(width, 2, 8, 32, False, False) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(self.blocks(self.token_embedding(tokens)))[:, -1]


class TwoTowers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text_model, self.vision_model = Text(), ViT(classes=16)

    def forward(self, pictures: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.text_model(tokens) @ self.vision_model(pictures).mT


SINGLE = {"vision_model": (ViT, (images(),)), "text_model": (Text, (TOKENS,))}


def described(model: nn.Module, example: tuple[torch.Tensor, ...], traced: bool) -> Architecture:
    held = [TensorSpec(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    return describe_live(model, example) if traced else describe_names(held)


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("tower", SINGLE)
def test_a_network_is_paired_with_the_tower_of_its_kind_of_input(tower: str, traced: bool) -> None:
    build, example = SINGLE[tower]
    one = described(randomised(build()), example, traced)
    both = described(randomised(TwoTowers()), (images(), TOKENS), traced)
    for source, target in ((one, both), (both, one)):
        found = {pair.target.path: pair.source.path for pair in match_dp(source, target).pairs}
        towers = [path for sides in found.items() for path in sides if "_model" in path]
        assert len(found) >= len(one.layers) - 1
        assert all(path.startswith(tower) for path in towers)


class Translating(nn.Module):
    """A text encoder, and a decoder that looks at what it gives: its blocks are like the encoder's."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.encoder, self.decoder = Text(width), Text(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        x = self.decoder.blocks(self.decoder.token_embedding(said))
        seen = self.encoder.norm(self.encoder.blocks(self.encoder.token_embedding(tokens)))
        return self.decoder.norm(x + (self.query(x) @ self.key(seen).mT).softmax(-1) @ seen)


class Encoding(Text):
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.norm(self.blocks(self.token_embedding(tokens)))


def test_an_encoder_is_paired_with_the_encoder_beside_a_decoder() -> None:
    source = describe_live(randomised(Encoding()), (TOKENS,))
    target = describe_live(randomised(Translating()), (TOKENS, TOKENS))
    found = {pair.target.path: pair.source.path for pair in match_dp(source, target).pairs}
    assert all(found[f"encoder.{layer.path}"] == layer.path for layer in source.layers)
