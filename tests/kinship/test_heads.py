"""What is kept beside the weights tells how many heads there are, of this file and of another one of its size."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.equivalence.conventions import Convention
from tests.equivalence.further_texts import TEXTS
from tests.equivalence.harness import EXACT, Injected, build, compare, save
from tli_cli.api import inject
from tli_cli.checkpoints.nested import find_state_dict
from tli_cli.options import Options

LLAMA = next(convention for convention in TEXTS if convention.title == "LLaMA of its authors")


def into_a_file(convention: Convention, folder: Path, beside: dict[str, Any]) -> Injected:
    """Inject the convention's file, with what stands beside its weights, into another file of the model's own names."""
    _, file = convention.written()
    torch.save({"model": file, **beside}, folder / "source.pt")
    giver, taker = build(convention.model, 1), build(convention.model, 2)
    target = save(taker, folder / "target.safetensors")
    report = inject(str(folder / "source.pt"), str(target), folder / "out.pt", options=Options())
    tensors = torch.load(folder / "out.pt", weights_only=True)
    taker.load_state_dict(tensors)
    return Injected(giver, taker, tensors, report)


@pytest.mark.parametrize(
    "beside",
    [
        {"model_args": {"dim": 48, "n_heads": 4, "n_kv_heads": 2}, "iter_num": 7},
        {"args": Namespace(hidden_size=48, num_heads=4, num_kv_heads=2, name="a")},
        {"hyper_parameters": {"model": {"n_head": 4, "n_query_groups": 2}}},
    ],
)
def test_settings_beside_the_weights_tell_how_heads_are_turned(beside: dict[str, Any], tmp_path: Path) -> None:
    result = into_a_file(LLAMA, tmp_path, beside)
    assert compare(result, None) < EXACT and all(step.exact for step in result.report.plan.steps)


def test_without_them_nothing_tells(tmp_path: Path) -> None:
    plan = into_a_file(LLAMA, tmp_path, {"epoch": 3}).report.plan
    assert any("4 queries and keys" in note and "--source-arch" in note for note in plan.notes)
    steps = plan.steps
    doubted = {step.target.rpartition("self_attn.")[2] for step in steps if not step.exact}
    assert doubted == {"q_proj.weight", "k_proj.weight"}
    assert all("--source-arch" in step.reason for step in steps if not step.exact)


def test_settings_that_hold_themselves_are_read_once() -> None:
    settings: dict[str, Any] = {"n_head": 4, "flag": True, "rate": 0.5}
    settings |= {f"again{i}": settings for i in range(50)}
    found = find_state_dict({"model": {"weight": torch.zeros(2)}, "config": settings}, "file")
    assert found.settings == {"config": {"n_head": 4}}
