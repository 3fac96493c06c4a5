from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject
from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import CheckpointError

WEIGHTS = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2)}
AVERAGED = {"fc.weight": torch.full((2, 3), 2.0), "fc.bias": torch.zeros(2)}


def opened(tmp_path: Path, value: Any, **options: Any) -> Any:
    torch.save(value, tmp_path / "a.ckpt")
    return open_checkpoint(tmp_path / "a.ckpt", **options)


@pytest.mark.parametrize(
    "value",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model": {"state_dict": WEIGHTS}, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
        {"module": WEIGHTS, "ds_config": {"zero": 1}, "optimizer": None},
        {"net": WEIGHTS, "acc": 0.5},
        {"my_own_key": WEIGHTS, "epoch": 1},
        {"model_state_dict": WEIGHTS, "optimizer_state_dict": {"a": torch.ones(3)}},
        {"state_dict": {f"model.{name}": value for name, value in WEIGHTS.items()}, "pytorch-lightning_version": "2"},
        {"model": WEIGHTS, "args": argparse.Namespace(lr=0.1)},
        {**WEIGHTS, "_extra_state": None},
        {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in WEIGHTS.items()}},
        {"model_ema": WEIGHTS, "epoch": 3},
    ],
)
def test_the_state_dict_is_found(tmp_path: Path, value: Any) -> None:
    checkpoint = opened(tmp_path, value)
    assert [spec.name for spec in checkpoint.tensors] == list(WEIGHTS)
    assert torch.equal(checkpoint.read("fc.weight"), WEIGHTS["fc.weight"])


@pytest.mark.parametrize("key", ["model_ema", "ema_state_dict", "state_dict_ema", "ema", "params_ema"])
@pytest.mark.parametrize("asked", ["any", "key"])
def test_averaged_weights_are_taken_when_asked_for(tmp_path: Path, key: str, asked: str) -> None:
    value = {"model": WEIGHTS, key: AVERAGED, "epoch": 3}
    plain = opened(tmp_path, value)
    assert float(plain.read("fc.weight")[0, 0]) == 1
    assert any(f"--ema {key}" in line for line in plain.ignored)
    averaged = open_checkpoint(tmp_path / "a.ckpt", ema=key if asked == "key" else "any")
    assert float(averaged.read("fc.weight")[0, 0]) == 2


def test_what_stands_beside_is_reported(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, {"model": WEIGHTS, "optimizer": {"a": 1, "b": 2, "c": 3}, "epoch": 3})
    assert checkpoint.ignored == ("optimizer: training state, 3 entries", "epoch: int")


def test_another_model_beside_the_weights_is_called_no_training_state(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, {"student": WEIGHTS, "teacher": WEIGHTS})
    assert checkpoint.ignored == (f"student: weights, {len(WEIGHTS)} entries, not the ones chosen",)


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        (torch.ones(2), {}, ["state dict", "a tensor"]),
        ([torch.ones(2)], {}, ["state dict", "list"]),
        ({"epoch": 3, "loss": [1.0]}, {}, ["expected tensors", "epoch"]),
        ({}, {}, ["an empty dict"]),
        ({"generator": WEIGHTS, "discriminator": WEIGHTS}, {}, ["several", "generator", "--ema"]),
        ({"model": WEIGHTS}, {"ema": "any"}, ["no averaged weights", "model"]),
        ({"model": WEIGHTS, "model_ema": AVERAGED}, {"ema": "modelema"}, ["did you mean", "model_ema"]),
        ({1: torch.ones(2)}, {}, ["names as keys", "int"]),
        ({"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}, {}, ["an optimizer's state alone"]),
        ({"state": {"fc.weight": {"exp_avg": torch.ones(2)}}}, {}, ["an optimizer's state alone"]),
        ({"python": (3,), "numpy": (), "cpu": torch.ones(2)}, {}, ["the state of random generators"]),
        ({"decay": 0.9, "shadow_params": [torch.ones(2)]}, {}, ["without names", "ema.copy_to"]),
        (WEIGHTS | {"StructuredToParameterName@@": {}}, {}, ["one of Paddle", "paddle.nn.Linear", "turned"]),
        ({"": torch.ones(2)}, {}, ["empty"]),
        ({"\ud800": torch.ones(2)}, {}, ["not valid text"]),
    ],
)
def test_what_cannot_be_chosen_is_told(tmp_path: Path, value: Any, options: Any, words: list[str]) -> None:
    with pytest.raises(CheckpointError) as caught:
        opened(tmp_path, value, **options)
    assert all(word in str(caught.value) for word in [*words, "a.ckpt"])


def test_the_state_of_an_optimizer_among_weights_is_left_aside(tmp_path: Path) -> None:
    flat = WEIGHTS | {f"{part}.state.exp_avg.fc.weight": torch.ones(1) for part in ("optimizer", "chained_0.optimizer")}
    checkpoint = opened(tmp_path, flat)
    assert {spec.name for spec in checkpoint.tensors} == set(WEIGHTS)
    assert checkpoint.ignored[-1].endswith("an optimizer's state, 2 entries")


@pytest.mark.parametrize("slot", ["/adam_m", "/Adam_1", "/Momentum", ".exp_avg"])
def test_what_an_optimizer_keeps_for_each_weight_is_left_aside(tmp_path: Path, slot: str) -> None:
    kept = {f"{name}{slot}": torch.zeros_like(tensor) for name, tensor in WEIGHTS.items()}
    save_file(WEIGHTS | kept | {f"other{slot}": torch.ones(2)}, tmp_path / "a.safetensors")
    checkpoint = open_checkpoint(tmp_path / "a.safetensors")
    assert len(checkpoint.tensors) == len(WEIGHTS) + 1
    assert checkpoint.ignored == (f"fc.bias{slot} and the like: an optimizer's state, 2 tensors",)


@pytest.mark.parametrize(
    ("mark", "plain"), [("message_hub", "ema_state_dict"), ("averaging_state", "current_model_state")]
)
def test_mmengine_and_lightning_save_averages_as_the_weights(tmp_path: Path, mark: str, plain: str) -> None:
    saved = {mark: {}, "state_dict": AVERAGED, plain: WEIGHTS}
    assert opened(tmp_path, saved).ignored[1].startswith(f"{plain}: weights before they were averaged")
    assert float(opened(tmp_path, saved, ema=plain).read("fc.weight")[0, 0]) == 1
    assert float(opened(tmp_path, saved, ema="any").read("fc.weight")[0, 0]) == 2


def test_the_averages_within_a_state_dict_are_taken_when_asked_for(tmp_path: Path) -> None:
    both = {f"online_model.{k}": v for k, v in WEIGHTS.items()} | {f"ema_model.{k}": v for k, v in AVERAGED.items()}
    for saved in (both | {"step": torch.tensor(1)}, {"model": WEIGHTS, "ema": both}):
        checkpoint = opened(tmp_path, saved, ema="any")
        assert len(checkpoint.tensors) == len(WEIGHTS) and float(checkpoint.read("fc.weight")[0, 0]) == 2


def test_one_of_several_can_be_named(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, {"generator": WEIGHTS, "discriminator": AVERAGED}, ema="discriminator")
    assert float(checkpoint.read("fc.weight")[0, 0]) == 2


def test_the_order_is_the_definitions(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, OrderedDict((name, torch.ones(1)) for name in "zyxabc"))
    assert [spec.name for spec in checkpoint.tensors] == list("zyxabc")


@pytest.mark.parametrize("how", ["behind the name", "as an option"])
@pytest.mark.parametrize("path", ["generator", "nets.deep.g", "nets.deep.d"])
def test_one_of_several_is_taken_by_its_path_of_keys(tmp_path: Path, path: str, how: str) -> None:
    given = {"generator": WEIGHTS, "critic": AVERAGED, "nets": {"deep": {"g": WEIGHTS, "d": AVERAGED}}}
    with pytest.raises(CheckpointError, match="generator, critic; name the wanted one, as #generator"):
        opened(tmp_path, given)
    with pytest.raises(CheckpointError, match=r"at deep\.g, deep\.d alone; .* #deep\.g"):
        opened(tmp_path, given["nets"])
    torch.save(given, tmp_path / "b.pt")
    as_option = how == "as an option"
    found = open_checkpoint(f"{tmp_path}/b.pt" + ("" if as_option else f"#{path}"), ema=path if as_option else None)
    assert [spec.name for spec in found.tensors] == list(WEIGHTS)
    assert float(found.read("fc.weight")[0, 0]) == (2 if path.endswith("d") else 1)
    assert any(line.startswith("critic") for line in found.ignored)


def test_modules_in_modules_are_one_state_dict(tmp_path: Path) -> None:
    modules = {
        "language_model": {"embedding": {"words": {"weight": torch.ones(5, 3)}}, "encoder": {"layers.0": WEIGHTS}}
    }
    checkpoint = opened(tmp_path, {"model": modules, "args": argparse.Namespace(tp=1), "iteration": 4})
    names = ("embedding.words.weight", "encoder.layers.0.fc.weight", "encoder.layers.0.fc.bias")
    assert [spec.name for spec in checkpoint.tensors] == [f"language_model.{name}" for name in names]
    assert torch.equal(checkpoint.read("language_model.encoder.layers.0.fc.weight"), WEIGHTS["fc.weight"])


def test_weights_that_each_process_keeps_its_part_of_are_told(tmp_path: Path) -> None:
    parted = {f"layers.{i}.weight": torch.empty(0) for i in range(4)} | {"rotary.inv_freq": torch.ones(4)}
    with pytest.raises(CheckpointError, match=r"4 of 5 tensors with no elements.*ZeRO stage 3.*zero_to_fp32\.py"):
        opened(tmp_path, {"module": parted, "param_shapes": [OrderedDict(a=torch.Size([2]))]})


def test_averaged_weights_are_those_of_the_source(tmp_path: Path) -> None:
    torch.save({"model": WEIGHTS, "model_ema": AVERAGED}, tmp_path / "source.pt")
    save_file(WEIGHTS, tmp_path / "target.safetensors")
    out = tmp_path / "out.safetensors"
    inject(str(tmp_path / "source.pt"), str(tmp_path / "target.safetensors"), out, options=Options(ema="any"))
    assert torch.equal(load_file(out)["fc.weight"], AVERAGED["fc.weight"])
