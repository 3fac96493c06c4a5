"""Growth of what models of sounds, images and texts do beside attention: learned queries cut into heads, what two
towers give to be multiplied, and positions added behind an activation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.core.support import promises
from tests.models import randomised
from tli_cli import Options, apply_tli

SOUND = torch.randn(1, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Pooling(nn.Module):
    """A learned query that is cut into heads as it is, over frames; `width` is that of a head."""

    def __init__(self, heads: int, width: int = 4) -> None:
        super().__init__()
        self.heads, self.query = heads, nn.Parameter(torch.zeros(1, 1, heads * width))
        self.stem, self.norm = nn.Linear(5, heads * width), nn.LayerNorm(heads * width, eps=1e-12)
        self.k, self.v, self.out = (nn.Linear(heads * width, n) for n in (heads * width, heads * width, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x))
        q, k, v = (y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in (self.query, self.k(x), self.v(x)))
        pooled = nn.functional.scaled_dot_product_attention(q.expand(len(x), -1, -1, -1), k, v)
        return self.out(pooled.transpose(1, 2).flatten(2).mean(1))


class Meeting(nn.Module):
    """Two towers whose outputs are divided by their lengths and multiplied, one of them scaled by a learned number."""

    def __init__(self, joint: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, joint)) for _ in range(2))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = (y / y.norm(dim=-1, keepdim=True) for y in (self.first(x[:, 0]), self.second(x[:, 1])))
        return (self.scale * first) @ second.t(), first


class Hearing(nn.Module):
    """Frames behind an activation, to which positions are added before a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.places = nn.Conv1d(6, width, 3, padding=1), nn.Parameter(torch.zeros(5, width))
        self.norm, self.head = nn.LayerNorm(width, eps=1e-12), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(nn.functional.gelu(self.stem(x)).transpose(1, 2) + self.places))


@pytest.mark.parametrize(("make", "source", "target", "kept"), [
    (Pooling, 2, 4, True), (Meeting, 6, 12, True), (Hearing, 8, 16, True), (Hearing, 8, 12, False),
])  # fmt: skip
def test_what_is_called_exact_is_kept(make: type[nn.Module], source: int, target: int, kept: bool) -> None:
    given, wanted = randomised(make(source), 1), randomised(make(target), 2)
    plan = apply_tli(wanted, given, example=SOUND, options=Options(method="maps"))
    scores = [(model(SOUND)[0] if make is Meeting else model(SOUND)).detach() for model in (given, wanted)]
    assert promises(plan) == kept == bool((scores[0] - scores[1]).abs().max() < 1e-9), plan


def test_a_single_number_is_no_width_of_a_bare_file(tmp_path: Path) -> None:
    given, wanted = randomised(Meeting(6), 1), randomised(Meeting(12), 2)
    save_file(given.state_dict(), tmp_path / "a.safetensors")
    apply_tli(wanted, str(tmp_path / "a.safetensors"), example=SOUND, options=Options(method="maps"))
    assert torch.allclose(wanted(SOUND)[0], given(SOUND)[0], rtol=0, atol=1e-9)
