"""The same network in two projects' code: what is written in two ways and computes the same is exact, what one project
adds at the end is not lost silently, and names tell what graphs leave open."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.core.support import distance, ported, promises
from tests.models import randomised
from tli_cli import Options, apply_tli

ROWS = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MAPS = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Attending(nn.Module):
    """Attention whose scores a mask made in code may bar: `all` of it zeros, `later` tokens, or none at all."""

    def __init__(self, mask: str = "") -> None:
        super().__init__()
        self.mask, self.qkv, self.out = mask, nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = q @ k.transpose(1, 2) / 8**0.5
        if self.mask:
            places = torch.arange(x.shape[1], device=x.device)
            seen = places[:, None] >= (0 if self.mask == "all" else places)
            scores = scores + torch.where(seen, 0.0, -1e9)
        return self.out(scores.softmax(-1) @ v)


@pytest.mark.parametrize(("mask", "exact"), [("all", True), ("later", False)])
def test_a_mask_that_bars_nothing_is_none(mask: str, exact: bool) -> None:
    for source, target in (("", mask), (mask, "")):
        plan, apart = ported(Attending(target), Attending(source), ROWS)
        assert promises(plan) == exact == (apart < 1e-6)


class Pyramid(nn.Module):
    """Two maps that are summed; the smaller one is enlarged by a factor, or to the size of the other one."""

    def __init__(self, factor: float = 0, step: int = 0) -> None:
        super().__init__()
        self.factor = factor
        self.stem, self.down = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 2, 2)
        self.pool = nn.AvgPool2d(step) if step else nn.Identity()
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        large = self.pool(self.stem(x))
        small = self.down(large)
        size = {"scale_factor": self.factor} if self.factor else {"size": large.shape[2:]}
        return self.head(large + functional.interpolate(small, **size))


@pytest.mark.parametrize(("source", "target"), [({}, {"factor": 2.0}), ({"factor": 2.0}, {}), ({}, {"step": 1})])
def test_what_is_enlarged_to_a_size_and_a_pool_of_one_place_are_told_by_what_they_do(source, target) -> None:
    plan, apart = ported(Pyramid(**target), Pyramid(**source), MAPS)
    assert promises(plan) and apart < 1e-6


class Offset(nn.Module):
    """A network that may add learned numbers to what it gives, or end in a head."""

    def __init__(self, end: str = "") -> None:
        super().__init__()
        self.first, self.second, self.end = nn.Linear(8, 12), nn.Linear(12, 6), end
        if end == "offset":
            self.offset = nn.Parameter(torch.zeros(6))
        if end == "head":
            self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x).relu())
        return x + self.offset if self.end == "offset" else self.head(x) if self.end == "head" else x


@pytest.mark.parametrize(("end", "exact"), [("offset", False), ("head", True)])
def test_features_without_a_head_are_exact_but_not_without_what_was_added_to_them(end: str, exact: bool) -> None:
    plan = apply_tli(Offset(), Offset(end), example=ROWS.float(), options=Options(method="maps"))
    assert all(step.exact for step in plan.steps) == exact


class Pair(nn.Module):
    """An encoder and a decoder of one shape, of which `first` runs first; both are summed."""

    def __init__(self, first: str = "encoder") -> None:
        super().__init__()
        self.first, self.second = first, "decoder" if first == "encoder" else "encoder"
        for name in (self.first, self.second):
            self.add_module(name, nn.ModuleDict({"project": nn.Linear(8, 8), "norm": nn.LayerNorm(8)}))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = [self.get_submodule(name) for name in (self.first, self.second)]
        return self.head(sum(part["norm"](part["project"](x) * 0.5) for part in both))


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.model = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


def test_names_tell_an_encoder_from_a_decoder_of_its_shape_however_deep_they_stand() -> None:
    plan, apart = ported(Around(Pair("decoder")), Pair("encoder"), ROWS)
    assert promises(plan) and apart < 1e-6
    fed = {step.target: step.pieces[0].source for step in plan.steps if "project" in step.target}
    assert all(source == target.removeprefix("model.") for target, source in fed.items())


class Masked(nn.Module):
    """Positions for a sequence that is kept in one piece, or a part of which is replaced by as many mask tokens."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.cut, self.begin = cut, nn.Parameter(torch.zeros(1, 1, 8))
        self.embed, self.mask = nn.Linear(8, 8), nn.Parameter(torch.zeros(1, 1, 8))
        self.positions, self.head = nn.Parameter(torch.zeros(1, 6, 8)), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        masks = self.mask.expand(len(x), 2, -1)
        rest = [masks[:, :1], masks[:, 1:]] if self.cut else [masks]
        x = torch.cat([self.begin.expand(len(x), -1, -1), x[:, :3], *rest], 1)
        return self.head(torch.tanh(x + self.positions))


@pytest.mark.parametrize("cut", [False, True])
def test_positions_stay_where_they_are_however_code_cuts_the_sequence(cut: bool) -> None:
    plan, apart = ported(Masked(cut), Masked(not cut), ROWS)
    assert promises(plan) and apart < 1e-6


class Language(nn.Module):
    """A network whose head is its table of tokens, with a bias of its own: in a linear layer, or beside that."""

    def __init__(self, layer: bool) -> None:
        super().__init__()
        self.table, self.inner = nn.Embedding(11, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 11) if layer else nn.Module()
        self.head.weight = self.table.weight
        if not layer:
            self.head.bias = nn.Parameter(torch.zeros(11))
        self.layer = layer

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.inner(self.table(tokens)))
        return self.head(x) if self.layer else functional.linear(x, self.head.weight) + self.head.bias


@pytest.mark.parametrize("layer", [False, True])
def test_what_is_added_to_the_logits_of_a_table_is_the_bias_of_a_head(layer: bool) -> None:
    given, wanted = randomised(Language(layer), 1), randomised(Language(not layer), 2)
    tokens = torch.arange(10).reshape(2, 5)
    plan = apply_tli(wanted, given, example=tokens, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, (tokens,)) < 1e-6


class Upsampling(nn.Module):
    """Transposed convolutions, of which one keeps the width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(8, 8, 4, 2, 1, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for up in self.ups:
            x = up(x).relu()
        return self.head(x)


def test_the_kernel_of_a_transposed_convolution_in_a_file_is_not_turned() -> None:
    given, wanted = randomised(Upsampling(), 1), randomised(Upsampling(), 2)
    held = {name.replace("ups", "layers").replace("stem", "first"): t for name, t in given.state_dict().items()}
    apply_tli(wanted, {"extra.weight": torch.randn(3, 5), **held}, example=MAPS.float(), options=Options(method="maps"))
    assert distance(given, wanted, (MAPS,)) < 1e-6


class Resampled(nn.Module):
    """A table of positions that may be resampled to the size of the map, which it has."""

    def __init__(self, resampled: bool) -> None:
        super().__init__()
        self.resampled, self.stem, self.head = resampled, nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)
        self.table = nn.Parameter(torch.zeros(1, 8, 16, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, table = self.stem(x), self.table
        if self.resampled:
            table = functional.interpolate(table, size=x.shape[2:], mode="bicubic")
        return self.head(torch.tanh(x + table))


@pytest.mark.parametrize("resampled", [False, True])
def test_what_is_resampled_to_its_own_size_is_itself(resampled: bool) -> None:
    plan, apart = ported(Resampled(resampled), Resampled(not resampled), MAPS)
    assert promises(plan) and apart < 1e-6


class Tables(nn.Module):
    """Tokens that are looked up by a module, or as rows of a matrix."""

    def __init__(self, module: bool) -> None:
        super().__init__()
        self.module, self.head = module, nn.Linear(8, 3)
        self.table = nn.Embedding(11, 8) if module else nn.Parameter(torch.zeros(11, 8))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.table(tokens) if self.module else self.table[tokens]))


@pytest.mark.parametrize("module", [True, False])
def test_rows_of_a_matrix_that_tokens_pick_are_embeddings(module: bool) -> None:
    given, wanted = randomised(Tables(module), 1), randomised(Tables(not module), 2)
    tokens = torch.arange(10).reshape(2, 5)
    plan = apply_tli(wanted, given, example=tokens, options=Options(method="maps"))
    assert promises(plan) and distance(given, wanted, (tokens,)) < 1e-6


class Counted(nn.Module):
    """A block whose norms are counted from zero, or from one."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.names = [f"LayerNorm_{first}", f"LayerNorm_{first + 1}"]
        for name in self.names[::-1] if first else self.names:
            self.add_module(name, nn.LayerNorm(8))
        self.qkv, self.out, self.fc1, self.fc2 = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norms = [self.get_submodule(name) for name in self.names]
        q, k, v = self.qkv(norms[0](x)).chunk(3, -1)
        x = x + self.out((q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v)
        return x + self.fc2(functional.gelu(self.fc1(norms[1](x))))


class Blocks(nn.Module):
    def __init__(self, first: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Counted(first) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks[1](self.blocks[0](x))


def test_norms_that_code_counts_from_zero_are_those_that_a_file_counts_from_one(tmp_path: Path) -> None:
    given, wanted = randomised(Blocks(1), 1), randomised(Blocks(0), 2)
    held = {name.replace("LayerNorm_", "layer_norm"): tensor for name, tensor in given.state_dict().items()}
    torch.save(held, tmp_path / "source.pt")
    plan = apply_tli(wanted, str(tmp_path / "source.pt"), example=ROWS.float(), options=Options(method="maps"))
    assert distance(given, wanted, (ROWS,)) < 1e-6 and promises(plan)
