"""Layers of one name and shape belong together where nearly all of one side have a namesake, whatever their order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tli_cli import match

Shapes = dict[str, tuple[int, ...]]


def layers(first: str, second: str, *, extra: bool = False) -> Shapes:
    """Return the layers of an encoder whose two norms are alike, `first` being defined before `second`."""
    found: Shapes = {"embed.weight": (11, 8)}
    for i in range(2):
        block: Shapes = {"attn.out": (8, 8), first: (8,), "mlp.fc1": (16, 8), "mlp.fc2": (8, 16), second: (8,)}
        if extra:
            block |= {"gate.relative": (4, 8), "gate.scale": (8, 4)}
        found |= {f"layers.{i}.{name}.weight": shape for name, shape in block.items()}
    return found | {"norm.weight": (8,), "final.weight": (8,)}


def fed(folder: Path, source: Shapes, target: Shapes) -> dict[str, str]:
    for name, shapes in (("source", source), ("target", target)):
        save_file({key: torch.randn(shape) for key, shape in shapes.items()}, folder / f"{name}.safetensors")
    plan = match(str(folder / "source.safetensors"), str(folder / "target.safetensors"))
    return {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}


@pytest.mark.parametrize("prefix", ["", "backbone."])
@pytest.mark.parametrize("extra", [False, True])
def test_names_are_believed_whatever_stands_before_them_or_beside(prefix: str, extra: bool, tmp_path: Path) -> None:
    source = {f"{prefix}{name}": shape for name, shape in layers("layer_norm", "final_layer_norm").items()}
    target = layers("layer_norm", "final_layer_norm", extra=extra)
    found = fed(tmp_path, source, target)
    assert found.items() >= {name: f"{prefix}{name}" for name in source if name in target}.items()


def test_few_names_in_common_say_nothing(tmp_path: Path) -> None:
    source, target = layers("norm1", "norm2"), layers("norm2", "norm1")
    renamed = {name.replace("layers.", "blocks."): shape for name, shape in source.items()}
    found = fed(tmp_path, renamed, target)
    assert found["layers.0.norm1.weight"] == "blocks.0.norm1.weight" and found["norm.weight"] == "norm.weight"
