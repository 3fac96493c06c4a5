"""Checkpoint files alone, without a class: known ones are recognised, and names and shapes decide for the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equivalence.harness import EXACT, compare, transfer
from tests.equivalence.pairs import BARE, UNLIKE, Case

DIRECTIONS = [
    pytest.param(case, *way, id="->".join(way), marks=[pytest.mark.whole] if case in UNLIKE else [])
    for case in BARE
    for way in case.directions
]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("case", "source", "target"), DIRECTIONS)
def test_a_bare_source(case: Case, source: str, target: str, suffix: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, source, target, shape=case.shape, suffix=suffix, traced=False)
    assert compare(result, case.shape) < EXACT
    assert not result.adapted


@pytest.mark.whole
@pytest.mark.parametrize(("case", "source", "target"), DIRECTIONS)
def test_bare_files_on_both_sides(case: Case, source: str, target: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, source, target, shape=case.shape, traced=False, bare_target=True)
    assert compare(result, case.shape) < EXACT
    assert not result.adapted


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_heads_that_alternate_are_cut_as_in_the_other_model_of_that_size(suffix: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, "hf:gpt_neox", "text:parallel", shape=None, suffix=suffix, traced=False)
    assert compare(result, None) < EXACT
    assert any("heads" in note for note in result.report.plan.notes)
