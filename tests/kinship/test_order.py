"""A file that lost the order of its tensors is read in that of another file of its class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import tli_cli
from tests.core.support import build
from tli_cli.plan import Plan, Step

PAIRS = [
    ("dense", {}, {"depth": 4}),
    ("convnext", {}, {"width": 16, "depth": 3}),
    ("group_norm", {}, {"width": 16}),
    ("shuffle", {"width": 12}, {}),
]


def plan_between(source: Path, target: Path) -> Plan:
    return tli_cli.match(str(source), str(target))


def placed(plan: Plan) -> dict[str, tuple[object, ...]]:
    def of(step: Step) -> tuple[object, ...]:
        return (step.action, step.exact, [(piece.source, piece.source_range) for piece in step.pieces])

    return {step.target: of(step) for step in plan.steps}


@pytest.mark.parametrize(("name", "one", "other"), PAIRS)
def test_a_sorted_file_is_paired_as_one_in_order(
    name: str, one: dict[str, int], other: dict[str, int], tmp_path: Path
) -> None:
    for stem, args in (("one", one), ("other", other)):
        state = {key: value.clone() for key, value in build(name, **args).state_dict().items()}
        torch.save(state, tmp_path / f"{stem}.pt")
        save_file(state, tmp_path / f"{stem}.safetensors")
    expected = placed(plan_between(tmp_path / "one.pt", tmp_path / "other.pt"))
    assert placed(plan_between(tmp_path / "one.pt", tmp_path / "other.safetensors")) == expected
    assert placed(plan_between(tmp_path / "one.safetensors", tmp_path / "other.pt")) == expected
