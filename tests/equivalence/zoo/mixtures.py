"""One small mixture of experts whose experts stand one by one, or in one tensor for all, in the ways that are about."""

from __future__ import annotations

import torch
from torch import nn

from tests.equivalence.zoo.gated import Gated

WIDTH, INNER, EXPERTS, TOKENS, BLOCKS = 12, 20, 3, 61, 2


class Each(nn.Module):
    """Experts one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS, bias=False)
        self.experts = nn.ModuleList(Gated(WIDTH, INNER) for _ in range(EXPERTS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = self.gate(x).softmax(-1)
        return (torch.stack([expert(x) for expert in self.experts], -1) * shares.unsqueeze(-2)).sum(-1)


class All(nn.Module):
    """All experts in one: weights `(experts, out, in)`, or `(experts, in, out)` if `turned`."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.turned = turned
        up, down = (2 * INNER, WIDTH), (WIDTH, INNER)
        self.gate_up_proj = nn.Parameter(torch.empty(EXPERTS, *(up[::-1] if turned else up)))
        self.down_proj = nn.Parameter(torch.empty(EXPERTS, *(down[::-1] if turned else down)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up, down = self.gate_up_proj, self.down_proj
        if not self.turned:
            up, down = up.transpose(1, 2), down.transpose(1, 2)
        first, second = (x.unsqueeze(-3) @ up).chunk(2, -1)
        return (nn.functional.silu(first) * second) @ down


class Together(nn.Module):
    """A router over experts in one."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(WIDTH, EXPERTS, bias=False), All(turned)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = self.router(x).softmax(-1)
        return (self.experts(x) * shares.transpose(1, 2).unsqueeze(-1)).sum(1)


class Block(nn.Module):
    """A mixture behind a norm."""

    def __init__(self, mixture: nn.Module) -> None:
        super().__init__()
        self.norm, self.mlp = nn.LayerNorm(WIDTH), mixture

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mlp(self.norm(x))


class Net(nn.Module):
    """Blocks of mixtures over tokens."""

    def __init__(self, mixtures: list[nn.Module]) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(TOKENS, WIDTH)
        self.layers = nn.ModuleList(map(Block, mixtures))
        self.norm, self.lm_head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


def listed() -> nn.Module:
    return Net([Each() for _ in range(BLOCKS)])


def stacked(turned: bool = False) -> nn.Module:
    return Net([Together(turned) for _ in range(BLOCKS)])
