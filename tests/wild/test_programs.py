"""Drawn programs: what a plan promises of a wider network, or of other code with the same tensors, holds."""

from __future__ import annotations

from random import Random

import pytest
import torch

from tests.core.support import distance, promises
from tests.models import randomised
from tests.wild.laws import SAME
from tests.wild.programs import EXAMPLE, Network, Program, changed, drawn, moved
from tli_cli import Options, apply_tli

WIDTH = 8
FEW = range(40)
MANY = range(1000, 2000)
ONCE_BROKEN = (1001, 1185, 1256, 1368, 1714, 1739, 1746, 3136, 3246)
"""Programs of which a wider network was promised falsely."""
MOVED = (*range(10), 20008, 20022, 20038, 20044, 20053, 20063, 20093)
"""Programs whose lines are also tried on other values."""
OPTIONS = Options(method="maps", head="keep")


def is_kept(source: Program, target: Program, width: int) -> tuple[bool, float]:
    """Return whether a plan into a network of `width` promises the function, and how far the outputs are apart."""
    given, wanted = randomised(Network(source, WIDTH), 1), randomised(Network(target, width), 2)
    plan = apply_tli(wanted, given, example=EXAMPLE, options=OPTIONS)
    return promises(plan), distance(given, wanted, EXAMPLE)


def broken(seed: int) -> list[str]:
    """Return what is promised of a program and does not hold."""
    program = drawn(seed)
    others = {"twice as wide": (program, 16), "half as wide again": (program, 12), "the same": (program, WIDTH)}
    if other := changed(program, Random(seed)):
        others["other code"] = (other, WIDTH)
    found = {what: is_kept(program, *target) for what, target in others.items()}
    wrong = [f"{what}: {apart:.1e}" for what, (promised, apart) in found.items() if promised and not apart < SAME]
    return [*wrong, *([] if found["the same"][0] else ["the same: not promised"])]


@pytest.mark.parametrize("seed", [*FEW, *ONCE_BROKEN])
def test_what_is_promised_of_a_drawn_program_holds(seed: int) -> None:
    assert not broken(seed)


@pytest.mark.whole
@pytest.mark.parametrize("seed", MANY)
def test_what_is_promised_of_many_drawn_programs_holds(seed: int) -> None:
    assert not broken(seed)


@pytest.mark.parametrize("seed", MOVED)
def test_the_same_lines_on_other_values_are_not_promised_falsely(seed: int) -> None:
    program = drawn(seed)
    others = moved(program)
    for other in Random(seed).sample(others, min(len(others), 3)):
        promised, apart = is_kept(program, other, WIDTH)
        assert not promised or apart < SAME


def test_programs_are_drawn_of_all_instructions_and_run() -> None:
    programs = [drawn(seed) for seed in MANY]
    assert len({(line.kind, line.name) for program in programs for line in program.lines}) > 70
    assert all(torch.isfinite(Network(program, WIDTH).double()(*EXAMPLE)).all() for program in programs[:20])
