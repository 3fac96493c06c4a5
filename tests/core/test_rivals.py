"""Where the order of a file's layers was lost, names must tell layers of one shape apart for a step to be exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tli_cli import match
from tli_cli.plan import Plan

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def block(norms: tuple[str, str], attention: tuple[str, ...] = ATTENTION, mlp: str = "fc") -> dict[str, torch.Tensor]:
    tensors = {"embed.weight": torch.randn(11, 8), "norm.weight": torch.randn(8), "norm.bias": torch.randn(8)}
    for i in range(2):
        for norm in norms:
            tensors |= {f"layers.{i}.{norm}.{role}": torch.randn(8) for role in ("weight", "bias")}
        tensors |= {f"layers.{i}.attn.{name}.weight": torch.randn(8, 8) for name in attention}
        tensors |= {
            f"layers.{i}.mlp.{mlp}1.weight": torch.randn(16, 8),
            f"layers.{i}.mlp.{mlp}2.weight": torch.randn(8, 16),
        }
    return tensors


def plan_of(folder: Path, source: dict[str, torch.Tensor], suffix: str = ".safetensors") -> Plan:
    for name, tensors in (("source", source), ("target", block(("norm1", "norm2")))):
        path = folder / f"{name}{suffix}"
        save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    return match(str(folder / f"source{suffix}"), str(folder / f"target{suffix}"))


def doubted(plan: Plan) -> dict[str, str]:
    return {step.target: step.reason for step in plan.steps if step.action == "transfer" and not step.exact}


@pytest.mark.parametrize(
    "names", [("norm1", "norm2"), ("ln_1", "ln_2"), ("input_layernorm", "post_attention_layernorm")]
)
def test_names_that_tell_are_believed(names: tuple[str, str], tmp_path: Path) -> None:
    assert not doubted(plan_of(tmp_path, block(names, mlp="lin")))


def test_names_that_tell_nothing_leave_nothing_exact(tmp_path: Path) -> None:
    found = doubted(plan_of(tmp_path, block(("zeta", "alpha"))))
    assert found.keys() == {f"layers.{i}.norm{n}.{role}" for i in (0, 1) for n in (1, 2) for role in ("weight", "bias")}
    assert all("its names do not tell it from layers." in reason for reason in found.values())


def test_the_order_of_a_file_is_believed(tmp_path: Path) -> None:
    assert not doubted(plan_of(tmp_path, block(("zeta", "alpha")), ".pt"))


def test_one_layer_that_no_name_tells_is_what_is_left(tmp_path: Path) -> None:
    assert not doubted(plan_of(tmp_path, block(("norm1", "alpha"))))
