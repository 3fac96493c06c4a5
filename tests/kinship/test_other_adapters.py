"""Adapters that other libraries name, and those that stand in one file with their base model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject
from tli_cli.errors import TliError

Tensors = dict[str, torch.Tensor]
RANK, ALPHA = 2, 5.0
LAYERS = ("down_blocks.0.attn.to_q", "mid_block.conv")
STYLES = {
    "kohya": ("lora_unet_{flat}", ".lora_down.weight", ".lora_up.weight", ".alpha"),
    "kohya, scale 1": ("lora_unet_{flat}", ".lora_down.weight", ".lora_up.weight", ""),
    "diffusers": ("unet.{path}", ".lora_A.weight", ".lora_B.weight", ""),
    "older diffusers": ("unet.{path}", ".lora.down.weight", ".lora.up.weight", ""),
    "processors": ("{path}", "_lora.down.weight", "_lora.up.weight", ""),
}


def base() -> Tensors:
    return {f"{LAYERS[0]}.weight": torch.randn(8, 6), f"{LAYERS[0]}.bias": torch.randn(8),
            f"{LAYERS[1]}.weight": torch.randn(8, 8, 3, 3), f"{LAYERS[1]}.bias": torch.randn(8),
            "out.weight": torch.randn(3, 8)}  # fmt: skip


def adapter(style: str) -> tuple[Tensors, Tensors]:
    """Return an adapter's tensors, and what is added to the weights."""
    name, down, up, alpha = STYLES[style]
    tensors, added = {}, {}
    for path, inner in zip(LAYERS, ((6,), (8, 3, 3)), strict=True):
        own = name.format(flat=path.replace(".", "_"), path=path)
        own = own.replace("to_q", "processor.to_q") if style == "processors" else own
        factors = torch.randn(RANK, *inner), torch.randn(8, RANK, *[1] * (len(inner) - 1))
        tensors |= {own + down: factors[0], own + up: factors[1]}
        tensors |= {own + alpha: torch.tensor(ALPHA)} if alpha else {}
        scale = ALPHA / RANK if alpha else 1.0
        added[f"{path}.weight"] = scale * (factors[1].flatten(1) @ factors[0].flatten(1)).reshape(8, *inner)
    return tensors, added


def merged(folder: Path, tensors: Tensors, own: Tensors, **notes: str) -> Tensors:
    save_file(tensors, folder / "adapter.safetensors", metadata=notes)
    save_file(own, folder / "base.safetensors")
    save_file({n: torch.zeros_like(t) for n, t in own.items()}, folder / "target.safetensors")
    options = Options(source_arch=str(folder / "base.safetensors"))
    names = [str(folder / f"{name}.safetensors") for name in ("adapter", "target", "out")]
    report = inject(names[0], names[1], names[2], options=options)
    assert any("merged into its base model" in note for note in report.plan.notes)
    return load_file(names[2])


@pytest.mark.parametrize("style", STYLES)
def test_adapters_of_other_libraries_are_merged(style: str, tmp_path: Path) -> None:
    own, (tensors, added) = base(), adapter(style)
    found = merged(tmp_path, tensors, own)
    for name, tensor in own.items():
        torch.testing.assert_close(found[name], tensor + added.get(name, 0), atol=1e-5, rtol=1e-5)


def test_what_is_for_another_model_of_a_pipeline_is_left_aside(tmp_path: Path) -> None:
    own, (tensors, added) = base(), adapter("kohya")
    other = {f"lora_te_text_model_layers_0.{n}.weight": torch.randn(2, 2) for n in ("lora_down", "lora_up")}
    found = merged(tmp_path, tensors | other, own)
    name = f"{LAYERS[0]}.weight"
    torch.testing.assert_close(found[name], own[name] + added[name], atol=1e-5, rtol=1e-5)


def test_a_scale_in_the_notes_of_a_file_is_taken(tmp_path: Path) -> None:
    own, (tensors, added) = base(), adapter("diffusers")
    found = merged(tmp_path, tensors, own, lora_adapter_metadata=json.dumps({"unet.r": RANK, "unet.lora_alpha": 7}))
    name = f"{LAYERS[0]}.weight"
    torch.testing.assert_close(found[name], own[name] + 7 / RANK * added[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("part", ["lora_mid.weight", "hada_w1_a", "dora_scale"])
def test_parts_of_other_kinds_are_refused(part: str, tmp_path: Path) -> None:
    tensors, _ = adapter("kohya")
    first = next(iter(tensors)).partition(".")[0]
    with pytest.raises(TliError, match="no part of a LoRA"):
        merged(tmp_path, tensors | {f"{first}.{part}": torch.randn(2, 2)}, base())


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("told", [True, False])
def test_an_adapter_in_the_file_of_its_base_model(told: bool, named: bool, tmp_path: Path) -> None:
    own = base()
    factors = torch.randn(RANK, 6), torch.randn(8, RANK)
    whole = {name.replace("to_q.", "to_q.base_layer."): tensor for name, tensor in own.items() if name != "out.weight"}
    whole |= {f"{LAYERS[0]}.lora_{way}.default.weight": f for way, f in zip("AB", factors, strict=True)}
    whole |= {"out.original_module.weight": own["out.weight"], "out.modules_to_save.default.weight": torch.ones(3, 8)}
    save_file({f"base_model.model.{name}": tensor for name, tensor in whole.items()}, tmp_path / "model.safetensors")
    (tmp_path / "target").mkdir()
    save_file({n: torch.zeros_like(t) for n, t in own.items()}, tmp_path / "target/model.safetensors")
    if told:
        (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": ALPHA, "r": RANK}))
    options = Options(source_arch=str(tmp_path / "target/model.safetensors") if named and told else None)
    out = tmp_path / "out.safetensors"
    report = inject(str(tmp_path / "model.safetensors"), str(tmp_path / "target"), out, options=options)
    assert any(("merged into its base" if told else "are left out") in note for note in report.plan.notes)
    found, name = load_file(out), f"{LAYERS[0]}.weight"
    added = ALPHA / RANK * factors[1] @ factors[0] if told else 0
    torch.testing.assert_close(found[name], own[name] + added)
    assert torch.equal(found["out.weight"], torch.ones(3, 8) if told else found["out.weight"])
