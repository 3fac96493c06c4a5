"""A file of quantised layers says so, where a target of plain weights is to be fed from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tli_cli import match

Tensors = dict[str, torch.Tensor]


def block(packed: Tensors) -> Tensors:
    plain = {"norm.weight": torch.randn(16), "head.weight": torch.randn(5, 16), "embed.weight": torch.randn(9, 16)}
    return plain | {f"fc.{name}": tensor for name, tensor in packed.items()}


PACKED: dict[str, Tensors] = {
    "GPTQ": {"qweight": torch.ones(2, 16, dtype=torch.int32), "scales": torch.ones(1, 16)},
    "4 bits": {"weight": torch.ones(128, 1, dtype=torch.uint8), "weight.absmax": torch.ones(4)},
    "8 bits": {"weight": torch.ones(16, 16, dtype=torch.int8), "SCB": torch.ones(16)},
    "scales": {"weight": torch.ones(16, 16).to(torch.float8_e4m3fn), "weight_scale_inv": torch.ones(1, 1)},
}


@pytest.mark.parametrize("kind", PACKED)
def test_it_is_said_what_feeds_nothing_and_what_to_do(kind: str, tmp_path: Path) -> None:
    source, plain = tmp_path / "source.safetensors", tmp_path / "plain.safetensors"
    save_file(block(PACKED[kind]), source)
    save_file(block({"weight": torch.randn(16, 16)}), plain)
    plan = match(str(source), str(plain))
    assert any(kind in note and "1 layer is quantised" in note and "dequantise" in note for note in plan.notes)
    (step,) = (step for step in plan.steps if step.target == "fc.weight")
    assert step.action == "keep"
    assert not any("quantised" in note for note in match(str(source), str(source)).notes)
    assert not any("quantised" in note for note in match(str(plain), str(plain)).notes)


OTHERS: dict[str, Tensors] = {
    "float8": {"weight": torch.ones(16, 16).to(torch.float8_e4m3fn), "scale_weight": torch.tensor(2.0)},
    "below": {"weight._data": torch.ones(16, 16, dtype=torch.int8), "weight._scale": torch.ones(16, 1)},
    "halves": {"W_q": torch.ones(8, 16, dtype=torch.uint8), "scale": torch.ones(16, 1), "zero": torch.ones(16, 1)},
    "codebooks": {"codes": torch.ones(16, 2, 1, dtype=torch.int16), "scales": torch.ones(16, 1, 1, 1)},
    "groups": {"weight_blocks": torch.ones(16, 1, 8, dtype=torch.uint8), "weight_scales": torch.ones(16, 1).byte()},
}


@pytest.mark.parametrize("kind", [*OTHERS, "GPTQ"])
def test_nothing_else_feeds_the_place_of_a_quantised_layer(kind: str, tmp_path: Path) -> None:
    source, plain = tmp_path / "source.safetensors", tmp_path / "plain.safetensors"
    beside = {"fc2.weight": torch.randn(16, 16), "fc3.weight": torch.randn(16, 16)}
    save_file(block((OTHERS | PACKED)[kind]) | beside, source)
    save_file(block({"weight": torch.randn(16, 16)}) | beside, plain)
    plan = match(str(source), str(plain))
    assert any("1 layer is quantised" in note and "such as fc" in note for note in plan.notes)
    (step,) = (step for step in plan.steps if step.target == "fc.weight")
    assert step.action == "keep"
    assert all(step.action == "transfer" for step in plan.steps if step.target in beside)
