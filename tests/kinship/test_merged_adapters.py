"""An adapter of peft in the place of a source is merged into its base model, as peft merges it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject
from tli_cli.errors import TliError

Tensors = dict[str, torch.Tensor]
RANK, ALPHA = 2, 6
PLAIN = {"peft_type": "LORA", "lora_alpha": ALPHA, "r": RANK, "base_model_name_or_path": "../base"}


def base() -> Tensors:
    """Return a table, two linear layers and a head that is saved with the adapter."""
    shapes = {
        "embed.weight": (11, 6),
        "fc.weight": (8, 6),
        "fc.bias": (8,),
        "out.weight": (8, 8),
        "head.weight": (3, 8),
    }
    return {f"model.{name}": torch.randn(shape) for name, shape in shapes.items()}


def adapter(lengths: bool = False, turned: bool = False) -> Tensors:
    sizes = {"fc": (8, 6), "out": (8, 8)}
    found = {}
    for name, (out, inner) in sizes.items():
        found |= {f"{name}.lora_A.weight": torch.randn(RANK, inner), f"{name}.lora_B.weight": torch.randn(out, RANK)}
        found |= {f"{name}.lora_magnitude_vector": torch.rand(out) + 1} if lengths else {}
    if not turned:
        found |= {"embed.lora_embedding_A": torch.randn(RANK, 11), "embed.lora_embedding_B": torch.randn(6, RANK)}
    found["head.weight"] = torch.randn(3, 8)
    return {f"base_model.model.model.{name}": tensor for name, tensor in found.items()}


def written(folder: Path, base: Tensors, adapter: Tensors, config: Mapping[str, Any]) -> str:
    """Write both, and return the adapter's directory."""
    for name, tensors in (("base/model", base), ("tuned/adapter_model", adapter), ("target/model", base)):
        (folder / name).parent.mkdir(exist_ok=True)
        values = {n: torch.zeros_like(t) if name.startswith("target") else t for n, t in tensors.items()}
        save_file(values, folder / f"{name}.safetensors")
    (folder / "tuned/adapter_config.json").write_text(json.dumps(config))
    return str(folder / "tuned")


@pytest.mark.parametrize(
    ("settings", "scale", "lengths"),
    [
        ({}, ALPHA / RANK, False),
        ({"use_rslora": True}, ALPHA / RANK**0.5, False),
        ({"alpha_pattern": {"model.fc": 10, "other": 3}}, ALPHA / RANK, False),
        ({"use_dora": True}, ALPHA / RANK, True),
    ],
)
def test_every_weight_is_what_peft_merges(
    settings: dict[str, Any], scale: float, lengths: bool, tmp_path: Path
) -> None:
    own, tuned = base(), adapter(lengths)
    source = written(tmp_path, own, tuned, {**PLAIN, **settings})
    report = inject(source, str(tmp_path / "target"), tmp_path / "out.safetensors")
    assert report.exact == len(own)
    assert any("merged into its base model" in note for note in report.plan.notes)
    found = load_file(tmp_path / "out.safetensors")
    part = {name.removeprefix("base_model.model."): tensor for name, tensor in tuned.items()}
    for name in ("model.fc", "model.out"):
        factor = settings.get("alpha_pattern", {}).get(name, 0) / RANK or scale
        whole = own[f"{name}.weight"] + factor * part[f"{name}.lora_B.weight"] @ part[f"{name}.lora_A.weight"]
        if lengths:
            whole = whole / whole.norm(dim=1, keepdim=True) * part[f"{name}.lora_magnitude_vector"][:, None]
        torch.testing.assert_close(found[f"{name}.weight"], whole)
    table = (part["model.embed.lora_embedding_B"] @ part["model.embed.lora_embedding_A"]).t()
    torch.testing.assert_close(found["model.embed.weight"], own["model.embed.weight"] + scale * table)
    assert torch.equal(found["model.head.weight"], part["model.head.weight"])
    assert torch.equal(found["model.fc.bias"], own["model.fc.bias"])


def test_layers_that_are_saved_whole_beside_few_adapters_are_taken(tmp_path: Path) -> None:
    own, tuned = base(), {n: t for n, t in adapter().items() if "out" not in n and "embed" not in n}
    tuned |= {"base_model.model.model.embed.weight": torch.randn(11, 6)}
    inject(written(tmp_path, own, tuned, PLAIN), str(tmp_path / "target"), tmp_path / "out.safetensors")
    found = load_file(tmp_path / "out.safetensors")
    for name in ("embed", "head"):
        assert torch.equal(found[f"model.{name}.weight"], tuned[f"base_model.model.model.{name}.weight"])
    assert torch.equal(found["model.out.weight"], own["model.out.weight"])
    assert not torch.equal(found["model.fc.weight"], own["model.fc.weight"])


@pytest.mark.parametrize(
    ("there", "said"), [(True, "expected a LoRA .* found PROMPT_TUNING"), (False, "adapter alone .* --source-arch")]
)
def test_prompts_are_no_model(there: bool, said: str, tmp_path: Path) -> None:
    named = "../base" if there else "someone/on-a-hub"
    config = {"peft_type": "PROMPT_TUNING", "base_model_name_or_path": named}
    with pytest.raises(TliError, match=said):
        source = written(tmp_path, base(), {"prompt_embeddings": torch.randn(4, 6)}, config)
        inject(source, str(tmp_path / "target"), tmp_path / "out.safetensors")


def test_weights_that_a_library_keeps_turned_are_changed_turned(tmp_path: Path) -> None:
    own = {name: t.t().contiguous() if "fc" in name or "out" in name else t for name, t in base().items()}
    tuned = adapter(turned=True)
    inject(written(tmp_path, own, tuned, PLAIN), str(tmp_path / "target"), tmp_path / "out.safetensors")
    found = load_file(tmp_path / "out.safetensors")
    for name in ("fc", "out"):
        down, up = (tuned[f"base_model.model.model.{name}.lora_{part}.weight"] for part in "AB")
        expected = own[f"model.{name}.weight"] + ALPHA / RANK * (up @ down).t()
        torch.testing.assert_close(found[f"model.{name}.weight"], expected)


@pytest.mark.parametrize("way", ["named", "beside"])
def test_where_the_base_model_is_found(way: str, tmp_path: Path) -> None:
    own = base()
    source = written(tmp_path, own, adapter(), {**PLAIN, "base_model_name_or_path": "someone/on-a-hub"})
    if way == "beside":
        (tmp_path / "base/model.safetensors").rename(tmp_path / "tuned/model.safetensors")
        source += "/adapter_model.safetensors"
    options = Options(source_arch=str(tmp_path / "base") if way == "named" else None)
    report = inject(source, str(tmp_path / "target"), tmp_path / "out.safetensors", options=options)
    assert report.exact == len(own)
    assert not torch.equal(load_file(tmp_path / "out.safetensors")["model.fc.weight"], own["model.fc.weight"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"base_model_name_or_path": "someone/on-a-hub"}, "adapters alone .* --source-arch"),
        ({"peft_type": "LOHA"}, "expected a LoRA with its lora_alpha in adapter_config.json, found LOHA"),
        ({"lora_alpha": None}, "expected a LoRA with its lora_alpha"),
        ({"alpha_pattern": {"(a|b)*": 1}}, "a module's name and a number in alpha_pattern"),
    ],
)
def test_what_cannot_be_merged_is_refused(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    source = written(tmp_path, base(), adapter(), {**PLAIN, **change})
    with pytest.raises(TliError, match=said):
        inject(source, str(tmp_path / "target"), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    other = {**base(), "model.fc.weight": torch.randn(5, 7)}
    del other["model.out.weight"]
    with pytest.raises(TliError, match=r"model\.out: no such layer"):
        inject(written(tmp_path, other, adapter(), PLAIN), str(tmp_path / "target"), tmp_path / "out.safetensors")
    other["model.out.weight"] = torch.randn(8, 8)
    with pytest.raises(TliError, match=r"fc\.weight \[5, 7\]: found factors \[8, 2\] and \[2, 6\]"):
        inject(written(tmp_path, other, adapter(), PLAIN), str(tmp_path / "target"), tmp_path / "out.safetensors")


def test_an_adapter_alone_in_a_directory_is_no_base_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    lora = {f"unet.fc.lora_{part}.weight": torch.randn(2, 2) for part in "AB"}
    save_file(lora, tmp_path / "lora" / "pytorch_lora_weights.safetensors")
    save_file(base(), tmp_path / "target.safetensors")
    with pytest.raises(TliError, match=r"holds adapters alone .* and no model"):
        inject(str(tmp_path / "lora"), str(tmp_path / "target.safetensors"), str(tmp_path / "out.safetensors"))
