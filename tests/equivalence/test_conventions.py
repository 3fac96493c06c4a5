"""Files under the names of other projects, with projectors, decoders and second copies beside the network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.equivalence.conventions import CONVENTIONS, Convention
from tests.equivalence.frameworks import FRAMEWORKS
from tests.equivalence.further_images import IMAGES
from tests.equivalence.further_texts import TEXTS
from tests.equivalence.harness import EXACT, compare
from tests.equivalence.held_images import HELD_IMAGES
from tests.equivalence.held_texts import HELD_TEXTS, LEFT
from tests.equivalence.projects import PROJECTS

ALL = (*CONVENTIONS, *FRAMEWORKS, *PROJECTS, *IMAGES, *TEXTS, *HELD_IMAGES, *HELD_TEXTS)
EACH = pytest.mark.parametrize(
    "convention", [pytest.param(c, id=c.title, marks=[] if c.quick else [pytest.mark.whole]) for c in ALL]
)


@EACH
def test_a_file_without_order(convention: Convention, tmp_path: Path) -> None:
    result = convention.into(tmp_path, ".safetensors", bare=False)
    assert compare(result, convention.shape) < EXACT


@pytest.mark.whole
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@EACH
def test_files_on_both_sides(convention: Convention, suffix: str, tmp_path: Path) -> None:
    result = convention.into(tmp_path, suffix, bare=True)
    if convention.certain:
        assert compare(result, convention.shape) < EXACT
    else:
        steps = result.report.plan.steps
        assert any("guess" in said for said in (*result.report.plan.notes, *(step.reason for step in steps)))
        assert not all(step.exact for step in steps)


@pytest.mark.whole
@pytest.mark.parametrize("convention", LEFT, ids=lambda convention: convention.title)
def test_what_cannot_be_read_feeds_nothing_wrongly(convention: Convention, tmp_path: Path) -> None:
    result = convention.into(tmp_path, ".safetensors", bare=False)
    own = result.source.state_dict()
    fed = [step.target for step in result.report.plan.steps if step.action != "keep"]
    assert all(torch.equal(result.tensors[name], own[name]) for name in fed)
