"""Layers of one name and shape belong together where nearly all of one side have a namesake, whatever their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equivalence.harness import build, reference, save
from tli_cli import match
from tli_cli.plan import Plan


def strangers(plan: Plan, prefix: str = "") -> dict[str, str]:
    """Return what feeds tensors and has not their names, but for what stands before all of these."""
    fed = {step.target: step.pieces[0].source for step in plan.steps if step.action == "transfer"}
    return {name: source for name, source in fed.items() if source != f"{prefix}{name}"}


@pytest.mark.parametrize("bare", [False, True])
def test_a_network_of_the_same_names_that_holds_more_feeds_each_layer_by_its_name(bare: bool, tmp_path: Path) -> None:
    source = save(build("elsewhere:wavlm"), tmp_path / "source.safetensors")
    target = str(save(build("elsewhere:hubert"), tmp_path / "target.pt")) if bare else reference("elsewhere:hubert")
    plan = match(str(source), target)
    assert not strangers(plan) and all(step.action == "transfer" for step in plan.steps)


def test_an_encoder_takes_its_last_norm_from_the_encoder(tmp_path: Path) -> None:
    plan = match(reference("elsewhere:t5"), reference("hf_more:t5_gated"))
    assert not strangers(plan)
