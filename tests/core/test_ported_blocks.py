"""The same network in two projects' code, whose blocks share or repeat what is in them: embedders, parts of one layer,
streams that attend to each other, rows that may run either way."""

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


class Timed(nn.Module):
    """Blocks that are shifted by what a time is embedded to: by one embedder for all, or by one of each block's; a
    table of positions is learned, or waves that code works out are added."""

    def __init__(self, own: bool, learned: bool = True) -> None:
        super().__init__()
        self.own, self.stem, self.head = own, nn.Linear(8, 8), nn.Linear(8, 3)
        self.blocks = nn.ModuleList(nn.ModuleDict({"shift": nn.Linear(6, 8), "fc": nn.Linear(8, 8)}) for _ in range(2))
        for holder in self.blocks if own else [self]:
            layers = {"first": nn.Linear(4, 6), "last": nn.Linear(6, 6), "kind": nn.Embedding(5, 6)}
            holder.add_module("embed", nn.ModuleDict(layers))
        if learned:
            self.places = nn.Parameter(torch.zeros(1, 5, 8))
        else:
            self.register_buffer("places", torch.outer(torch.arange(5.0), torch.arange(8.0)).sin()[None], False)

    def forward(self, x: torch.Tensor, time: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        x = self.stem(x) + self.places
        for block in self.blocks:
            embed = block["embed"] if self.own else self.embed
            step = embed["last"](torch.tanh(embed["first"](time))) + embed["kind"](kind)
            x = x + torch.tanh(block["fc"](x + block["shift"](functional.silu(step))[:, None]))
        return self.head(x)


TIMES = (ROWS.float(), torch.randn(2, 4), torch.tensor([1, 3]))


@pytest.mark.parametrize("learned", [True, False])
def test_one_embedder_feeds_those_of_all_blocks_that_take_what_it_takes(learned: bool) -> None:
    given, wanted = randomised(Timed(own=False), 1), randomised(Timed(own=True, learned=learned), 2)
    plan = apply_tli(wanted, given, example=TIMES, options=Options(method="maps"))
    found = {step.target: step.pieces[0].source for step in plan.steps if step.pieces}
    again = [name for name in wanted.state_dict() if "embed" in name]
    assert again and all(name.endswith(found[name]) for name in again)
    assert promises(plan) == learned
    times = tuple(taken.double() if taken.is_floating_point() else taken for taken in TIMES)
    assert not learned or distance(given, wanted, times) < 1e-6


def test_a_table_of_zeros_is_not_the_waves_that_the_source_adds_in_code() -> None:
    given, wanted = randomised(Timed(own=False, learned=False), 1), randomised(Timed(own=False), 2)
    plan = apply_tli(wanted, given, example=TIMES, options=Options(method="maps"))
    moved = [step for step in plan.steps if step.pieces]
    assert moved and not any(step.exact for step in moved)


class Joint(nn.Module):
    """Attention over tokens of two streams, each with a shift of its own; `turned` puts the second stream first."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.turned, step = turned, -1 if turned else 1
        self.start = nn.ModuleList([nn.Linear(8, 8), nn.Linear(6, 8)][::step])
        self.shift = nn.ModuleList(nn.Linear(4, 8) for _ in range(2))
        self.qkv = nn.ModuleList(nn.Linear(8, 24) for _ in range(2))
        self.out, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, other: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        taken = (other, x) if self.turned else (x, other)
        streams = [start(stream) for start, stream in zip(self.start, taken, strict=True)]
        moved = [stream + shift(step)[:, None] for stream, shift in zip(streams, self.shift, strict=True)]
        made = [layer(stream).chunk(3, -1) for layer, stream in zip(self.qkv, moved, strict=True)]
        q, k, v = (torch.cat(pair, 1) for pair in zip(*made, strict=True))
        seen = (q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v
        own = seen[:, -x.shape[1] :] if self.turned else seen[:, : x.shape[1]]
        return self.head(streams[-1 if self.turned else 0] + self.out(own))


def test_streams_that_attend_to_each_other_are_told_by_what_they_are_in_whichever_order_they_stand() -> None:
    samples = (ROWS, torch.randn(2, 7, 6, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64))
    for turned in (True, False):
        given, wanted = randomised(Joint(not turned), 1), randomised(Joint(turned), 2)
        apply_tli(wanted, given, example=tuple(t.float() for t in samples), options=Options(method="maps"))
        assert distance(given, wanted, samples) < 1e-6


class CutAgain(nn.Module):
    """A block of which one layer makes the queries, the keys and the values and, beside them, a wider inner value."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused, self.end = fused, nn.Linear(20, 8)
        if fused:
            self.first = nn.Linear(8, 36)
        else:
            self.q, self.k, self.v, self.inner = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fused:
            attending, inner = self.first(x).split([24, 12], -1)
            q, k, v = attending.unflatten(-1, (3, 8)).unbind(-2)
        else:
            q, k, v, inner = self.q(x), self.k(x), self.v(x), self.inner(x)
        seen = (q @ k.transpose(1, 2) / 8**0.5).softmax(-1) @ v
        return self.end(torch.cat((seen, functional.gelu(inner)), -1))


@pytest.mark.parametrize("fused", [True, False])
def test_a_part_that_is_cut_again_is_as_many_parts_of_the_layer(fused: bool) -> None:
    plan, apart = ported(CutAgain(fused), CutAgain(not fused), ROWS)
    assert promises(plan) and apart < 1e-6


class Refining(nn.Module):
    """Maps of four widths that are brought to one and joined from the last on, by blocks in either order."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        sizes, self.turned = (6, 8, 10, 12), turned
        self.stem = nn.ModuleList(nn.Conv2d(3, size, 1) for size in sizes)
        bring = {f"layer{i + 1}_rn": nn.Conv2d(size, 4, 1) for i, size in enumerate(sizes)}
        refine = [nn.ModuleDict({"conv1": nn.Conv2d(4, 4, 3, padding=1), "conv2": nn.Conv2d(4, 4, 1)}) for _ in sizes]
        named = {f"refine{i + 1}": block for i, block in enumerate(refine)}
        self.scratch = (
            nn.ModuleDict(bring | named) if turned else nn.ModuleDict({"convs": nn.ModuleList(bring.values())})
        )
        if not turned:
            self.fuse = nn.ModuleList(refine)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bring = [self.scratch[f"layer{i}_rn"] for i in range(1, 5)] if self.turned else self.scratch["convs"]
        refine = [self.scratch[f"refine{i}"] for i in range(4, 0, -1)] if self.turned else self.fuse
        maps = [layer(stem(x)) for layer, stem in zip(bring, self.stem, strict=True)]
        joined = torch.zeros_like(maps[0])
        for block, held in zip(refine, maps[::-1], strict=True):
            joined = block["conv2"](block["conv1"](joined + held).relu())
        return joined


@pytest.mark.parametrize("turned", [True, False])
def test_no_block_of_a_row_that_may_be_counted_from_its_end_is_exact(turned: bool, tmp_path: Path) -> None:
    torch.save(randomised(Refining(not turned), 1).state_dict(), tmp_path / "source.pt")
    wanted = randomised(Refining(turned), 2)
    plan = apply_tli(wanted, str(tmp_path / "source.pt"), example=MAPS.float(), options=Options(method="maps"))
    joining = [step for step in plan.steps if "refine" in step.target or "fuse" in step.target]
    assert joining and not any(step.exact for step in joining)
