"""A file that holds one network twice gives one of them, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.core.support import build
from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import open_checkpoint
from tli_cli.describe.tracing.trace import state_specs
from tli_cli.kinship.copies import copies

BLOCK = [
    TensorSpec(f"body.{i}.{role}", (8, 8)) for i in range(2) for role in ("weight", "gain", "scale", "mask", "bias")
]


def under(*prefixes: str) -> list[TensorSpec]:
    return [TensorSpec(f"{prefix}.{t.name}", t.shape) for prefix in prefixes for t in BLOCK]


@pytest.mark.parametrize(
    "pair",
    [("online", "target"), ("student", "teacher"), ("base_encoder", "momentum_encoder"), ("encoder_q", "encoder_k"),
     ("model", "model_ema"), ("backbone", "backbone_momentum")],
)  # fmt: skip
@pytest.mark.parametrize("wrapper", ["", "net."])
def test_the_trained_copy_is_taken_whatever_the_order(pair: tuple[str, str], wrapper: str) -> None:
    first = "teacher" if "teacher" in pair else pair[0]
    for names in (pair, pair[::-1]):
        found = copies(under(*(f"{wrapper}{name}" for name in names)))
        assert found is not None
        assert found.modules[0] == f"{wrapper}{first}"
        assert all(t.name.startswith(f"{wrapper}{first}.") for t in found.kept)
        assert len(found.dropped) == len(BLOCK)


def test_what_stands_beside_the_copies_stays() -> None:
    found = copies([*under("online", "target"), TensorSpec("predictor.weight", (4, 8))])
    assert found is not None
    assert "predictor.weight" in {t.name for t in found.kept}


@pytest.mark.parametrize("name", ["resnet", "vit", "decoder", "mixer", "shuffle", "dense"])
def test_a_network_is_no_copy_of_itself(name: str) -> None:
    assert copies(state_specs(build(name))) is None


def test_layers_of_one_shape_are_no_copies() -> None:
    parts = ("a", "q_proj", "k_proj", "v_proj", "out_proj")
    assert copies([TensorSpec(f"{part}.{role}", (8, 8)) for part in parts for role in ("weight", "bias")]) is None


def test_numbered_modules_are_blocks() -> None:
    assert copies(under("layer1", "layer2")) is None


def test_averages_under_names_without_dots_are_a_copy(tmp_path: Path) -> None:
    state = {f"model.unet.{i}.conv.{role}": torch.full((2, 2), float(i)) for i in range(5) for role in ("weight", "w")}
    flat = {f"model_ema.{name.removeprefix('model.').replace('.', '')}": value + 9 for name, value in state.items()}
    held = {**state, **flat, "model_ema.decay": torch.ones(()), "first_stage.conv.weight": torch.ones(40, 40)}
    torch.save({"state_dict": held}, tmp_path / "a.ckpt")
    found = copies(open_checkpoint(tmp_path / "a.ckpt").tensors)
    assert found is not None and found.modules == ("model", "model_ema") and len(found.dropped) == len(flat) + 1
    averages = open_checkpoint(f"{tmp_path / 'a.ckpt'}#model_ema")
    assert averages.read("unet.3.conv.w").tolist() == [[12, 12], [12, 12]]
