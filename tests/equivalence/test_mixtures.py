"""Experts that one side has one by one and the other in one tensor for all."""

from __future__ import annotations

import pytest

from tests.equivalence.harness import EXACT, batch, build, compare, difference, outputs, reference, save, transfer
from tli_cli import apply_tli
from tli_cli.api import inject
from tli_cli.options import Options

FORMS = ["mixtures:stacked", "mixtures:stacked?turned=True"]


@pytest.mark.parametrize("together", FORMS)
@pytest.mark.parametrize("is_source", [True, False])
@pytest.mark.parametrize("bare_target", [True, False])
def test_experts_are_read_as_the_target_has_them(together, is_source, bare_target, tmp_path):
    sides = (together, "mixtures:listed") if is_source else ("mixtures:listed", together)
    result = transfer(tmp_path, *sides, shape=None, suffix=".safetensors", traced=False, bare_target=bare_target)
    assert compare(result, None) < EXACT
    said = "read one by one" if is_source else "read as one tensor"
    assert any(said in note for note in result.report.plan.notes)


def test_experts_of_a_named_class_are_read_as_the_target_has_them(tmp_path):
    result = transfer(tmp_path, "mixtures:listed", "mixtures:stacked", shape=None)
    assert compare(result, None) < EXACT
    assert not any(step.exact for step in result.report.plan.steps), "no graph shows the form in which they are read"


def test_a_live_model_is_taught_by_a_file_with_experts_in_another_form(tmp_path):
    source, target = build("mixtures:listed"), build("mixtures:stacked", 1)
    save(source, tmp_path / "source.pt")
    options, tokens = Options(source_arch=reference("mixtures:listed")), batch(source, None)
    plan = apply_tli(target, str(tmp_path / "source.pt"), example=tokens, options=options)
    assert difference(outputs(source, tokens), outputs(target, tokens)) < EXACT
    assert plan.coverage == 1 and not any(step.exact for step in plan.steps)


def test_a_plan_for_experts_is_carried_out_again(tmp_path):
    result = transfer(tmp_path, "mixtures:stacked", "mixtures:listed", shape=None, traced=False)
    again = tmp_path / "again.safetensors"
    inject(str(tmp_path / "source.pt"), reference("mixtures:listed"), again, plan=result.report.plan)
    assert again.read_bytes() == (tmp_path / "out.safetensors").read_bytes()
