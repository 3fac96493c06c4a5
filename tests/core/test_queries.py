"""Wider heads in forms of attention that people write: queries make up for it, or nothing is promised."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from tests.core.support import distance, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

Form = Callable[..., torch.Tensor]


class Attention(nn.Module):
    """Two heads of `width` by `form`, which may use a learned tensor of the shape that `held` gives for a width."""

    def __init__(self, form: Form, held: Callable[[int], tuple[int, ...]] | None = None, width: int = 4) -> None:
        super().__init__()
        self.form, self.width = form, width
        self.made = nn.ModuleList(nn.Linear(5, 2 * width) for _ in range(form.__code__.co_argcount - 1))
        self.out = nn.Linear(2 * width, 3)
        self.held = nn.Parameter(torch.ones(held(width))) if held else None

    @property
    def scale(self) -> float:
        return self.width**-0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cut = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in self.made)
        return self.out(self.form(self, *cut).transpose(1, 2).flatten(2))


def direction(x: torch.Tensor) -> torch.Tensor:
    return functional.normalize(x, dim=-1)


def rms(x: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(x, x.shape[-1:])


def halves(own: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    pairs = zip(q.chunk(2, -1), k.chunk(2, -1), strict=True)
    first, second = ((a @ b.mT * (own.width // 2) ** -0.5).softmax(-1) for a, b in pairs)
    return (first - 0.3 * second) @ v


def by_offset(own: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    place = torch.arange(q.shape[-2])
    table = own.held[place - place[:, None] + 5]
    return ((q @ k.mT + torch.einsum("bhid,ijd->bhij", q, table)) * own.scale).softmax(-1) @ v


Held = Callable[[int], tuple[int, ...]] | None
KEPT: dict[str, tuple[Form, Held]] = {
    "plain": (lambda own, q, k, v: (q @ k.mT * own.scale).softmax(-1) @ v, None),
    "added to queries": (
        lambda own, q, k, v: ((q + own.held) @ k.mT * own.scale).softmax(-1) @ v,
        lambda width: (2, 1, width),
    ),
    "two softmaxes": (halves, None),
    "directions": (lambda own, q, k, v: (direction(q) @ direction(k).mT * 8).softmax(-1) @ v, None),
    "added to products": (
        lambda own, q, k, v: (q @ k.mT * own.scale + own.held).softmax(-1) @ v,
        lambda width: (2, 1, 1),
    ),
    "queries beside what is looked up": (lambda own, q, k, v: q + (q @ k.mT * own.scale).softmax(-1) @ v, None),
}
CHANGED: dict[str, tuple[Form, Held]] = {
    "no weight behind the norm": (lambda own, q, k, v: (rms(q) @ rms(k).mT * own.scale).softmax(-1) @ v, None),
    "scaled directions": (lambda own, q, k, v: (direction(q) @ direction(k).mT * own.width).softmax(-1) @ v, None),
    "directions of queries": (lambda own, q, k, v: (direction(q) @ k.mT).softmax(-1) @ v, None),
    "products with offsets": (by_offset, lambda width: (11, width)),
    "added before the scale": (
        lambda own, q, k, v: ((q @ k.mT + own.held) * own.scale).softmax(-1) @ v,
        lambda width: (2, 6, 6),
    ),
    "all from one": (lambda own, v: (v @ v.mT * own.scale).softmax(-1) @ v, None),
}


def told(source: nn.Module, target: nn.Module, *shape: int, bare: bool = False) -> tuple[bool, float]:
    """Return whether a plan promises the function, and how far the outputs are apart; of a `bare` source nothing is
    known but its tensors."""
    example = (torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)
    given, wanted = randomised(source, 1), randomised(target, 2)
    teacher = given.state_dict() if bare else given
    plan = apply_tli(wanted, teacher, example=example, options=Options(method="maps"))
    return promises(plan), distance(given, wanted, example)


def told_of_wider_heads(form: Form, held: Held) -> tuple[bool, float]:
    return told(Attention(form, held), Attention(form, held, 8), 6, 5)


@pytest.mark.parametrize("name", KEPT)
def test_wider_heads_keep_the_function(name):
    promised, apart = told_of_wider_heads(*KEPT[name])
    assert promised and apart < 1e-9


class ByParts(Attention):
    """The heads are cut and put side by side for each use, as in the Set Transformer (arXiv 1810.00825)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def cut(made: torch.Tensor) -> torch.Tensor:
            return torch.cat(made.chunk(2, -1))

        q, k, v = (layer(x) for layer in self.made)
        seen = cut(q) + (cut(q) @ cut(k).mT * self.scale).softmax(-1) @ cut(v)
        return self.out(torch.cat(seen.chunk(2), -1))


def test_keys_make_up_where_queries_are_taken_once_more():
    promised, apart = told(ByParts(*KEPT["plain"]), ByParts(*KEPT["plain"], 8), 6, 5)
    assert promised and apart < 1e-9


@pytest.mark.parametrize("name", CHANGED)
def test_what_queries_cannot_make_up_for_is_not_called_exact(name):
    promised, apart = told_of_wider_heads(*CHANGED[name])
    assert apart > 1e-3
    assert not promised


class Unscaled(nn.Module):
    """Heads whose products no number scales, as T5 has them, with a table of levels that tells how many there are."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(5, 3 * width) for _ in range(3))
        self.levels = nn.Parameter(torch.ones(3, 6, 6))
        self.out = nn.Linear(3 * width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).unflatten(-1, (3, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.out(((q @ k.mT + self.levels).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Backward(nn.Module):
    """A gated convolution that looks back alone."""

    def __init__(self, kernel: int = 2) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(4, 6, kernel, dilation=2), nn.Conv1d(6, 3, 1)
        self.before = 2 * (kernel - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(functional.pad(x, (self.before, 0)))))


class LateScale(nn.Module):
    """A table that serves as head, whose outputs the root of its width scales."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(5, width), nn.RMSNorm(width, eps=1e-9)
        self.first = nn.Linear(5, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.table(torch.arange(5, device=x.device))
        return self.norm(self.first(x) + tokens) @ self.table.weight.T * self.table.weight.shape[1] ** -0.5


def test_a_file_has_the_scales_of_its_class():
    promised, apart = told(Unscaled(), Unscaled(8), 6, 5, bare=True)
    assert apart < 1e-9
    assert promised


def test_a_file_looks_back_as_its_class_does():
    promised, apart = told(Backward(), Backward(3), 4, 12, bare=True)
    assert apart < 1e-9
    assert promised


@pytest.mark.parametrize("bare", [False, True])
def test_a_scale_behind_a_head_is_no_embeddings(bare):
    promised, apart = told(LateScale(), LateScale(16), 5, 5, bare=bare)
    assert apart > 1e-3
    assert not promised


class Triangles(nn.Module):
    """Pairs that meet by way of a third, behind whose norm they are added to the products of an attention."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem, self.pairs = nn.Linear(5, 6), nn.Linear(6, 6)
        self.left, self.right, self.norm = nn.Linear(6, width), nn.Linear(6, width), nn.LayerNorm(width)
        self.joined, self.weigh, self.out = nn.Linear(width, 6), nn.Linear(6, 1), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        z = self.pairs(x).unsqueeze(2) + x.unsqueeze(1)
        met = torch.einsum("bikd,bjkd->bijd", self.left(z), self.right(z))
        z = z + self.joined(self.norm(met))
        return self.out(self.weigh(z).squeeze(-1).softmax(-1) @ x)


def test_no_query_makes_up_for_what_a_norm_takes_away():
    promised, apart = told(Triangles(), Triangles(8), 5, 5, bare=False)
    assert promised and apart < 1e-9


class Heads(nn.Module):
    """Attention whose only head is not cut from its channels."""

    def __init__(self, heads: int, width: int, scale: float = 0.25) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.stem, self.out = nn.Linear(5, width), nn.Linear(width, 3)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        q, k, v = (f(x) for f in (self.q, self.k, self.v))
        if self.heads > 1:
            q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        made = (q @ k.transpose(-1, -2) * self.scale).softmax(-1) @ v
        return self.out(made.transpose(1, 2).flatten(2) if self.heads > 1 else made)


@pytest.mark.parametrize(("source", "target", "kept"), [
    ((1, 16), (2, 16), False),
    ((2, 16), (1, 16), False),
    ((2, 16), (4, 16), False),
    ((1, 16), (2, 32), True),
    ((1, 16), (3, 48), True),
    ((1, 16), (1, 32, 32**-0.5), True),
    ((1, 16), (2, 64, 32**-0.5), True),
])  # fmt: skip
def test_one_head_is_not_taken_for_several_and_repeated_for_more(source, target, kept):
    x = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = randomised(Heads(*source), 1).double(), randomised(Heads(*target), 2).double()
    plan = apply_tli(second, first, example=x, options=Options(method="maps", head="keep"))
    assert promises(plan) is kept and (distance(first, second, (x,)) < 1e-9) is kept
    assert all(step.exact or step.reason for step in plan.steps)


class Learned(nn.Module):
    """A table that the layers of several blocks project, and a query of its own for each sample."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.queries = nn.Parameter(torch.randn(3, 8)), nn.Parameter(torch.randn(1, 3, 8))
        self.projections = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(3))
        self.keys, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third = self.projections
        query = first(self.table.unsqueeze(0)) + second(self.table.unsqueeze(0))
        query = query + third(self.queries.expand(len(x), -1, -1))
        keys = self.keys(x)
        return self.last(functional.softmax(query @ keys.transpose(1, 2), -1) @ keys)


@pytest.mark.parametrize("samples", [1, 2])
def test_learned_queries_and_what_projects_them_are_layers_of_their_own(samples: int) -> None:
    given, wanted = randomised(Learned(), 1), randomised(Learned(), 2)
    example = (torch.randn(samples, 5, 8, dtype=torch.float64),)
    assert promises(apply_tli(wanted, given, example=example))
    assert distance(given, wanted, example) == 0


class WithOffsets(nn.Module):
    """torch's own attention, whose mask is made of a table of offsets and a learned scale of each head."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4 * heads, heads, batch_first=True)
        self.offsets, self.scale = nn.Embedding(9, heads), nn.Parameter(torch.ones(heads, 1, 1))
        self.first, self.last = nn.Linear(6, 4 * heads), nn.Linear(4 * heads, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, at = self.first(x), torch.arange(x.shape[1])
        mask = self.offsets(at[:, None] - at + 4).permute(2, 0, 1) * self.scale
        return self.last(self.attention(x, x, x, attn_mask=mask.repeat(len(x), 1, 1))[0])


def test_offsets_that_stand_for_a_mask_grow_with_the_heads() -> None:
    given, wanted = randomised(WithOffsets(2), 1), randomised(WithOffsets(4), 2)
    example = (torch.randn(1, 5, 6, dtype=torch.float64),)
    assert promises(apply_tli(wanted, given, example=example, options=Options(method="maps")))
    assert distance(given, wanted, example) < 1e-9
