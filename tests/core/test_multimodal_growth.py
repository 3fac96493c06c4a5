"""Growth of what models of sounds, images and texts do beside attention: learned queries cut into heads, what two
towers give to be multiplied, and positions added behind an activation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.core.support import promises
from tests.models import randomised
from tli_cli import Options, apply_tli
from tli_cli.providers.samples import fitting_inputs

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


class Normed(nn.Module):
    """Attention whose queries and keys are brought to one size over all heads together."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads, self.norms = heads, nn.ModuleList(nn.RMSNorm(heads * 4, eps=1e-12) for _ in range(2))
        self.q, self.k, self.v = (nn.Linear(5, heads * 4) for _ in range(3))
        self.out = nn.Linear(heads * 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.norms[0](self.q(x)), self.norms[1](self.k(x)), self.v(x)
        q, k, v = (y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in made)
        return self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Captioning(nn.Module):
    """A decoder that may be given frames, for which it has a tower of its own."""

    main_input_name = "x"

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(5, width), nn.GELU(), nn.Linear(width, 5))
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor, frames: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(x if frames is None else x + self.tower(frames))


class Masked(nn.Module):
    """A model that makes a mask for itself, but not where it is compiled."""

    main_input_name = "input_ids"

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        if attention_mask is None and not torch.compiler.is_compiling():
            attention_mask = torch.ones_like(input_ids)
        return self.embed(input_ids) * attention_mask[..., None]


@pytest.mark.parametrize(("make", "source", "target", "kept"), [
    (Normed, 2, 4, True), (Normed, 2, 3, False),
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


def test_growth_of_what_is_not_run_is_not_called_exact() -> None:
    given, wanted = randomised(Captioning(8), 1), randomised(Captioning(12), 2)
    plan = apply_tli(wanted, given, example=SOUND, options=Options(method="maps"))
    assert {step.target for step in plan.steps if step.exact} == {"head.weight", "head.bias"}


def test_a_model_that_makes_no_mask_for_itself_is_given_one() -> None:
    assert set(fitting_inputs(Masked, SimpleNamespace())) == {"input_ids", "attention_mask"}
