"""Drawn networks, as people write them, against the laws: what is called exact is, the same network arrives intact."""

from __future__ import annotations

from random import Random

import pytest

from tests.wild.designs import draw, growths, swaps
from tests.wild.laws import broken_by_change, broken_by_disguise, broken_by_mutation

FEW = range(300, 308)
MANY = range(1000, 1200)


def is_broken(said: str) -> bool:
    """Tell whether what a law says is a fault; growth that is not kept, and a file that is not understood, are none."""
    return not said.startswith(("MISSED", "DIFFERENT file"))


@pytest.mark.parametrize("seed", FEW)
def test_a_network_arrives_intact_under_other_names_and_in_another_order(seed):
    assert not list(filter(is_broken, broken_by_disguise(*draw(seed), seed)))


@pytest.mark.parametrize("seed", FEW)
def test_what_is_called_exact_of_a_changed_network_is_exact(seed):
    name, design = draw(seed)
    rng = Random(seed)
    changes = [rng.choice([*growths(name, design)]), *swaps(name, design, rng)]
    for change in changes[:2]:
        assert not list(filter(is_broken, broken_by_change(name, design, change))), change.name


@pytest.mark.parametrize("seed", FEW)
def test_other_code_with_the_same_tensors_is_not_called_exact(seed):
    assert not broken_by_mutation(*draw(seed), seed)


@pytest.mark.parametrize(
    ("seed", "change"),
    [
        (1023, "head width"),
        (1032, "1.5 times as wide"),
        (1079, "1.5 times as wide"),
        (1141, "heads twice"),
        (1378, "deeper"),
        (7013, "twice as wide"),
        (7061, "twice as wide"),
    ],
)
def test_what_was_once_called_exact_falsely_is_not(seed, change):
    name, design = draw(seed)
    grown = next(c for c in growths(name, design) if c.name == change)
    assert not list(filter(is_broken, broken_by_change(name, design, grown)))


@pytest.mark.parametrize(
    ("seed", "other"), [(1003, 2), (1011, 0), (1013, 2), (1018, 2), (1037, 1), (1050, 2), (1099, 2), (1117, 1)]
)
def test_other_constants_and_other_steps_of_a_norm_are_seen(seed, other):
    assert not broken_by_mutation(*draw(seed), seed + other)


@pytest.mark.whole
@pytest.mark.parametrize("seed", MANY)
def test_many_networks_and_all_their_changes(seed):
    name, design = draw(seed)
    assert not list(filter(is_broken, broken_by_disguise(name, design, seed)))
    for other in range(3):
        assert not broken_by_mutation(name, design, seed + other)
    for change in (*growths(name, design), *swaps(name, design, Random(seed))):
        assert not list(filter(is_broken, broken_by_change(name, design, change))), change.name
