"""The same function under other names: every tensor is placed exactly, and the outputs agree in float64."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.equivalence.harness import EXACT, compare, transfer
from tests.equivalence.pairs import CASES, UNLIKE, Case

DIRECTIONS = [
    pytest.param(
        case, source, target, id=f"{source}->{target}", marks=[pytest.mark.whole] if case.whole else []
    )
    for case in (*CASES, *UNLIKE)
    for source, target in case.directions
]  # fmt: skip


@pytest.mark.parametrize(("case", "source", "target"), DIRECTIONS)
def test_the_outputs_agree(case: Case, source: str, target: str, tmp_path: Path) -> None:
    result = transfer(tmp_path, source, target, shape=case.shape)
    assert compare(result, case.shape) < EXACT
    assert result.report.plan.relation in ("same", "adapted")
    assert not result.adapted
    parameters = {name for name, _ in result.target.named_parameters()}
    assert not parameters & result.kept.keys()
