"""Quantised layers in the layouts of libraries: fed whole, as they are, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject, match
from tli_cli.planning.quantised import REASON

Tensors = dict[str, torch.Tensor]


def codes(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.randint(0, 100, shape).to(dtype)


def gptq(rows: int, columns: int) -> Tensors:
    return {
        "qweight": codes(torch.int32, columns // 8, rows),
        "qzeros": codes(torch.int32, columns // 16, rows // 8),
        "scales": torch.rand(columns // 16, rows).half(),
        "g_idx": torch.arange(columns, dtype=torch.int32) // 16,
    }


def packed_integers(rows: int, columns: int) -> Tensors:
    return {
        "weight_packed": codes(torch.int32, rows, columns // 8),
        "weight_scale": torch.rand(rows, columns // 16).bfloat16(),
        "weight_shape": torch.tensor([rows, columns]),
    }


def eight_bits(rows: int, columns: int) -> Tensors:
    return {
        "weight": codes(torch.int8, rows, columns),
        "SCB": torch.rand(rows),
        "weight_format": torch.tensor(0, dtype=torch.uint8),
    }


def four_bits(rows: int, columns: int) -> Tensors:
    return {
        "weight": codes(torch.uint8, rows * columns // 2, 1),
        "weight.absmax": codes(torch.uint8, rows * columns // 64),
        "weight.quant_map": torch.linspace(-1, 1, 16),
        "weight.nested_absmax": torch.rand(1),
        "weight.nested_quant_map": torch.linspace(-1, 1, 256),
        "weight.quant_state.bitsandbytes__nf4": codes(torch.uint8, 80),
    }


def scaled_blocks(rows: int, columns: int) -> Tensors:
    return {
        "weight": torch.randn(rows, columns).to(torch.float8_e4m3fn),
        "weight_scale_inv": torch.rand(rows // 16, columns // 16),
    }


def half_bytes(rows: int, columns: int) -> Tensors:
    return {
        "weight": codes(torch.uint8, rows, columns // 2),
        "weight_scale": torch.rand(rows, columns // 16).to(torch.float8_e4m3fn),
        "weight_scale_2": torch.rand(()),
        "input_scale": torch.rand(()),
    }


def plain(rows: int, columns: int) -> Tensors:
    return {"weight": torch.randn(rows, columns).half()}


LAYOUTS = [gptq, packed_integers, eight_bits, four_bits, scaled_blocks, half_bytes]


def model(linear: Callable[[int, int], Tensors], width: int, inner: int, blocks: int = 2) -> Tensors:
    shapes = {f"self_attn.{part}_proj": (width, width) for part in "qkvo"}
    shapes |= {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
    state = {"model.embed_tokens.weight": torch.randn(40, width).half(), "model.norm.weight": torch.rand(width).half()}
    for block in range(blocks):
        for path, shape in shapes.items():
            state |= {f"model.layers.{block}.{path}.{leaf}": tensor for leaf, tensor in linear(*shape).items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            state[f"model.layers.{block}.{norm}.weight"] = torch.rand(width).half()
    return state | {"lm_head.weight": torch.randn(40, width).half()}


def write(state: Tensors, path: Path) -> str:
    save_file(state, path)
    return str(path)


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", [(32, 64), (64, 64), (32, 96)])
@pytest.mark.parametrize("blocks", [2, 3])
def test_a_quantised_layer_is_one_of_the_source_or_the_targets_own(
    tmp_path: Path, layout: Callable[[int, int], Tensors], sizes: tuple[int, int], blocks: int
) -> None:
    given, wanted = model(layout, 32, 64), model(layout, *sizes, blocks)
    source = write(given, tmp_path / "a.safetensors")
    target = write(wanted, tmp_path / "b.safetensors")
    inject(source, target, tmp_path / "out.safetensors")
    made, plan = load_file(tmp_path / "out.safetensors"), match(source, target)
    layers = {name.partition("_proj.")[0] for name in wanted if "_proj." in name}
    for layer in layers:
        mine = {name.removeprefix(layer): value for name, value in made.items() if name.startswith(f"{layer}_proj.")}
        silent = any(plan.by_target[layer + leaf].initial == "zeros" for leaf in mine)
        homes = {name.partition("_proj.")[0] for name in given if "_proj." in name} if not silent else set()
        fed = any(all(leaf_is(given, home, leaf, value) for leaf, value in mine.items()) for home in homes)
        own = all(
            raw(value) == raw(wanted[layer + leaf]) or not value.to(torch.float32).any() for leaf, value in mine.items()
        )
        assert fed or own, layer
        if not fed and not silent:
            assert {plan.by_target[layer + leaf].reason for leaf in mine} == {REASON}
    if blocks == 2 and sizes == (32, 64):
        assert all(plan.by_target[name].action == "transfer" for name in given)
    elif blocks == 2 and sizes == (32, 96):
        assert all(plan.by_target[name].action == "transfer" for name in given if "self_attn" in name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fused_quantised_projections_are_copied_whole(tmp_path: Path, layout: Callable[[int, int], Tensors]) -> None:
    split = model(plain, 32, 64)
    given = {name: value for name, value in split.items() if not re.search(r"\.([qkv]|gate|up)_proj\.", name)}
    for block in range(2):
        for path, rows in (("self_attn.qkv_proj", 96), ("mlp.gate_up_proj", 128), ("self_attn.kv_a_proj_with_mqa", 48)):
            held = layout(rows, 32)
            given |= {f"model.layers.{block}.{path}.{leaf}": tensor for leaf, tensor in held.items()}
    source = write(given, tmp_path / "a.safetensors")
    inject(source, source, tmp_path / "out.safetensors")
    made, plan = load_file(tmp_path / "out.safetensors"), match(source, source)
    assert all(raw(made[name]) == raw(value) for name, value in given.items())
    assert all(step.exact for step in plan.steps) and plan.coverage == 1


def leaf_is(given: Tensors, home: str, leaf: str, value: torch.Tensor) -> bool:
    held = given.get(home + leaf)
    return held is not None and held.shape == value.shape and raw(held) == raw(value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_codes_are_not_numbers_nor_numbers_codes(tmp_path: Path, layout: Callable[[int, int], Tensors]) -> None:
    packed = write(model(layout, 32, 64), tmp_path / "a.safetensors")
    numbers = write(model(plain, 32, 64), tmp_path / "b.safetensors")
    for source, target in ((packed, numbers), (numbers, packed)):
        fed = [step.target for step in match(source, target).steps if step.action == "transfer"]
        assert not any("_proj." in name for name in fed)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_cast_leaves_codes_and_scales_as_they_are(tmp_path: Path, layout: Callable[[int, int], Tensors]) -> None:
    given = model(layout, 32, 64)
    source = write(given, tmp_path / "a.safetensors")
    report = inject(source, source, tmp_path / "out.safetensors", options=Options(dtype="float32"))
    for name, value in load_file(tmp_path / "out.safetensors").items():
        cast = "_proj." not in name and given[name].is_floating_point()
        assert value.dtype == (torch.float32 if cast else given[name].dtype), name
        assert torch.equal(value, given[name].float()) if cast else raw(value) == raw(given[name]), name
    assert sum("--dtype float32" in said and "stay as they are" in said for said in report.warnings) == 1


def test_small_floats_without_scales_are_cast(tmp_path: Path) -> None:
    source = write({"fc.weight": torch.randn(4, 4).to(torch.float8_e4m3fn)}, tmp_path / "a.safetensors")
    report = inject(source, source, tmp_path / "out.safetensors", options=Options(dtype="float32"))
    assert load_file(tmp_path / "out.safetensors")["fc.weight"].dtype == torch.float32 and not report.warnings


def test_masks_and_positions_beside_weights_make_no_quantised_layer(tmp_path: Path) -> None:
    state = {
        "attn.logit_scale": torch.rand(4, 1, 1),
        "attn.relative_position_index": torch.arange(16).reshape(4, 4),
        "attn.relative_position_bias_table": torch.randn(9, 4),
        "attn.bias": torch.ones(1, 1, 4, 4, dtype=torch.uint8),
        "fc1.weight": torch.randn(4, 4).to(torch.float8_e4m3fn),
    }
    source = write(state, tmp_path / "a.safetensors")
    assert not any(step.reason == REASON for step in match(source, source).steps)
    target = write(model(plain, 32, 64), tmp_path / "b.safetensors")
    assert not any(step.reason == REASON for step in match(target, target).steps)
