"""Two streams of one block that attend to each other are told by names alone, and nothing is exact where none tells."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.core.support import doubted
from tli_cli import match
from tli_cli.plan import Plan

PARTS = {
    "q": (8, 8),
    "k": (8, 8),
    "v": (8, 8),
    "o": (8, 8),
    "q_norm": (4,),
    "k_norm": (4,),
    "fc1": (24, 8),
    "fc2": (8, 24),
}
IMAGE = {part: f"img_attn.{part}" for part in PARTS} | {"fc1": "img_mlp.fc1", "fc2": "img_mlp.fc2"}
TEXT = {part: name.replace("img", "txt") for part, name in IMAGE.items()}
PLAIN = {
    "q": "attn.to_q", "k": "attn.to_k", "v": "attn.to_v", "o": "attn.to_out.0", "q_norm": "attn.norm_q",
    "k_norm": "attn.norm_k", "fc1": "ff.fc1", "fc2": "ff.fc2",
}  # fmt: skip
ADDED = {
    "q": "attn.add_q_proj", "k": "attn.add_k_proj", "v": "attn.add_v_proj", "o": "attn.to_add_out",
    "q_norm": "attn.norm_added_q", "k_norm": "attn.norm_added_k", "fc1": "ff_context.fc1", "fc2": "ff_context.fc2",
}  # fmt: skip
SECOND, FIRST = ({part: f"{word}.{part}" for part in PARTS} for word in ("beta", "alpha"))


def network(*streams: dict[str, str], modulation: str = "") -> dict[str, torch.Tensor]:
    tensors = {"embed.weight": torch.randn(11, 8), "head.weight": torch.randn(11, 8)}
    for i in range(2):
        for names in streams:
            tensors |= {f"blocks.{i}.{names[part]}.weight": torch.randn(shape) for part, shape in PARTS.items()}
        if modulation:
            tensors[f"blocks.{i}.{modulation}.weight"] = torch.randn(48, 8)
    return tensors


def plan_of(folder: Path, source: dict[str, torch.Tensor], target: dict[str, torch.Tensor], suffix: str) -> Plan:
    paths = [folder / f"{name}{suffix}" for name in ("source", "target")]
    for path, tensors in zip(paths, (source, target), strict=True):
        save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    return match(*map(str, paths))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("turned", [False, True])
def test_each_stream_is_fed_from_that_of_its_kind_of_name(turned: bool, suffix: str, tmp_path: Path) -> None:
    source, target = network(TEXT, IMAGE), network(PLAIN, ADDED)
    here, there = (ADDED, PLAIN), (TEXT, IMAGE)
    if turned:
        source, target, here, there = target, source, there, here
    plan = plan_of(tmp_path, source, target, suffix)
    wanted = {f"blocks.{i}.{t[p]}.weight": f"blocks.{i}.{s[p]}.weight" for i in (0, 1) for p in PARTS
              for t, s in zip(here, there, strict=True)}  # fmt: skip
    found = {name: plan.by_target[name].pieces[0].source for name in wanted}
    assert found == wanted


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("source", [(FIRST, SECOND), (SECOND, FIRST)])
def test_nothing_is_exact_in_streams_that_one_side_does_not_name(
    source: tuple[dict[str, str], ...], suffix: str, tmp_path: Path
) -> None:
    plan = plan_of(tmp_path, network(*source), network(IMAGE, TEXT), suffix)
    assert doubted(plan).keys() == {name for name in network(IMAGE, TEXT) if name.startswith("blocks.")}


def test_streams_of_other_words_are_not_told_by_the_order_of_a_file(tmp_path: Path) -> None:
    other = [{part: f"{word}.{part}" for part in PARTS} for word in ("gamma", "delta")]
    found = doubted(plan_of(tmp_path, network(FIRST, SECOND), network(*other), ".pt"))
    attending = {f"blocks.{i}.{names[p]}.weight" for i in (0, 1) for names in other for p in ("q", "k", "v", "q_norm")}
    assert attending <= found.keys()


@pytest.mark.parametrize(("theirs", "exact"), [("modulation.lin", True), ("adaLN_modulation.1", False),
                                                 ("norm1.linear", False)])  # fmt: skip
def test_the_order_of_scales_and_shifts_is_that_of_one_name_alone(theirs: str, exact: bool, tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path, network(PLAIN, modulation=theirs), network(PLAIN, modulation="modulation.lin"), ".safetensors"
    )
    assert plan.by_target["blocks.0.modulation.lin.weight"].exact == exact
