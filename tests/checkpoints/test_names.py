from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tli_cli.checkpoints.names import WRAPPERS, clean_names


@pytest.mark.parametrize(
    ("stored", "clean"),
    [
        (["module.a.weight", "module.b"], ["a.weight", "b"]),
        (["_orig_mod.module.model.a.weight", "_orig_mod.module.model.b"], ["a.weight", "b"]),
        (["a._orig_mod.weight", "a._checkpoint_wrapped_module.bias"], ["a.weight", "a.bias"]),
        (["_fsdp_wrapped_module.a._fsdp_wrapped_module.b"], ["a.b"]),
        (["model.embed.weight", "lm_head.weight"], ["model.embed.weight", "lm_head.weight"]),
        (["model.0.weight", "model.0.bias"], ["0.weight", "0.bias"]),
        (["module", "module.a"], ["module", "module.a"]),
        (["encoder.a", "encoder.b"], ["encoder.a", "encoder.b"]),
        (["a._orig_mod.b", "a.b"], ["a._orig_mod.b", "a.b"]),
        (["a.q.base_layer.weight", "a.q.lora_A.weight"], ["a.q.weight", "a.q.lora_A.weight"]),
        (
            ["base_layer.0.weight", "base_layer.weight", "b.weight"],
            ["base_layer.0.weight", "base_layer.weight", "b.weight"],
        ),
        (["_orig_mod"], ["_orig_mod"]),
    ],
)
def test_wrappers_are_stripped_where_all_entries_have_them(stored: list[str], clean: list[str]) -> None:
    assert clean_names(stored) == dict(zip(clean, stored, strict=True))


parts = st.sampled_from([*sorted(WRAPPERS), "a", "b", "0"])
names = st.lists(st.lists(parts, min_size=1, max_size=5).map(".".join), unique=True, min_size=1)


@given(names)
def test_no_name_is_lost_and_none_becomes_empty(stored: list[str]) -> None:
    cleaned = clean_names(stored)
    assert list(cleaned.values()) == stored
    assert all(cleaned)


@given(names, st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3))
def test_wrapping_again_changes_nothing(stored: list[str], wrappers: list[str]) -> None:
    wrapped = [".".join([*wrappers, name]) for name in stored]
    assert list(clean_names(wrapped)) == list(clean_names(stored))


def test_a_name_made_of_prefixes_takes_no_time() -> None:
    assert len(clean_names(["model." * 1_000_000 + "a"])) == 1


@given(
    names,
    st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=2),
    st.lists(st.sampled_from(["module", "net"]), max_size=2),
)
def test_expected_names_decide_how_many_wrappers_are_read(
    inner: list[str], own: list[str], wrappers: list[str]
) -> None:
    plain = list(clean_names(inner))
    expected = [".".join([*own, name]) for name in plain]
    wrapped = [".".join([*wrappers, name]) for name in expected]
    assert set(clean_names(wrapped, expected)) == set(expected)
    assert set(clean_names(plain, expected)) == set(expected)
