"""What is kept beside the weights tells how many heads there are, of this file and of another one of its size."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.core.support import build as built
from tests.equivalence.conventions import Convention
from tests.equivalence.further_texts import TEXTS
from tests.equivalence.harness import EXACT, Injected, build, compare, save
from tests.models import example_for
from tli_cli import apply_tli
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


PAIRED = {"self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
          "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
          "mlp.down_proj": "feed_forward.w2", "input_norm": "attention_norm", "post_norm": "ffn_norm",
          "embed_tokens": "tok_embeddings", "lm_head": "output"}  # fmt: skip


def in_pairs(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a projection whose heads of width 4 turn halves as one that turns neighbours."""
    turned = name.endswith(("q_proj.weight", "k_proj.weight"))
    return tensor.view(-1, 2, 2, tensor.shape[-1]).transpose(1, 2).reshape(tensor.shape) if turned else tensor


@pytest.mark.parametrize(
    "sizes", [{}, {"depth": 3}, {"hidden": 96}, {"kv_heads": 4}, {"width": 32, "heads": 8, "kv_heads": 4}]
)
def test_heads_of_another_size_are_as_many_as_have_its_rows_or_its_width(sizes: dict[str, int], tmp_path: Path) -> None:
    giver, taker, (tokens,) = built("rotary", 1), built("rotary", 2, **sizes), example_for("rotary")
    file = {}
    for name, tensor in giver.state_dict().items():
        said = name
        for own, theirs in PAIRED.items():
            said = said.replace(own, theirs)
        file[said] = in_pairs(name, tensor).clone()
    save_file(file, tmp_path / "source.safetensors")
    plan = apply_tli(taker, tmp_path / "source.safetensors", example=tokens, options=Options(method="maps"))
    assert torch.allclose(giver(tokens), taker(tokens), atol=1e-5)
    assert any("heads of attention" in note for note in plan.notes)
