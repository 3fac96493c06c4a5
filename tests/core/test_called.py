"""Names that two networks have in common, whole or cut short."""

from __future__ import annotations

from tli_cli.matching.shared_names import names_in_common
from tli_cli.matching.units import Unit


def units(*paths: str) -> list[Unit]:
    return [Unit(place, path, "scale", (4,)) for place, path in enumerate(paths)]


def test_names_are_one_that_are_equal_or_cut_short_in_one_way() -> None:
    first = units("h.0.attention.time_mix_key", "h.0.attention.time_mix_value", "h.0.attention.decay", "h.0.odd")
    second = units("b.0.att.time_mix_v", "b.0.att.decay", "b.0.att.time_mix_k", "b.0.other")
    mine, theirs = names_in_common(first, second)
    alike = {(a.path, b.path) for a in first for b in second if mine[a.key] and mine[a.key] == theirs[b.key]}
    assert {(a.rpartition(".")[2], b.rpartition(".")[2]) for a, b in alike} == {
        ("time_mix_key", "time_mix_k"), ("time_mix_value", "time_mix_v"), ("decay", "decay"),
    }  # fmt: skip


def test_a_name_that_may_be_cut_short_of_two_is_neither() -> None:
    first, second = units("a.key_first", "a.key_second"), units("b.k_f", "b.key_s", "b.key_se")
    mine, theirs = names_in_common(first, second)
    assert mine[first[0].key] == theirs[second[0].key] != ()
    assert mine[first[1].key] == theirs[second[1].key] == theirs[second[2].key] == ()


def test_what_is_numbered_alone_has_no_name_in_common() -> None:
    first, second = units("a.branches.branch1.conv", "a.cheap_conv_2.bn"), units("b.branch0.conv", "b.cheap_conv_1.bn")
    mine, theirs = names_in_common(first, second)
    assert mine[first[0].key] == theirs[second[0].key] == ()
    assert mine[first[1].key] == theirs[second[1].key] != ()
