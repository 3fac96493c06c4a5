"""Pairs whose sources stand for each other by their roles are changed over, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.matching.unit_pairs import uncrossed
from tli_cli.matching.units import Unit, units_of
from tli_cli.matching.values import Pair

BLOCK = {"attn.q": (8, 8), "attn.k": (8, 8), "attn.v": (8, 8), "attn.o": (8, 8), "norm1": (8,), "norm2": (8,)}


def units(names: dict[str, str]) -> dict[str, Unit]:
    tensors = [
        TensorSpec(f"layers.{i}.{names.get(name, name)}.weight", shape) for i in (0, 1) for name, shape in BLOCK.items()
    ]
    return {unit.path.removeprefix("layers."): unit for unit in units_of(describe_names(tensors))}


@pytest.mark.parametrize("anchored", [False, True])
def test_norms_go_where_they_are_named_for_unless_it_is_proven_otherwise(anchored: bool) -> None:
    target, source = units({}), units({"norm1": "input_layernorm", "norm2": "post_attention_layernorm"})
    right = {"norm1": "input_layernorm", "norm2": "post_attention_layernorm"}
    crossed = {"norm1": "post_attention_layernorm", "norm2": "input_layernorm"}
    pairs = [Pair(target[f"0.{t}"], source[f"0.{s}"], 0.6, anchored=anchored) for t, s in crossed.items()]
    found = {p.target.path[9:]: p.source.path[9:] for p in uncrossed(pairs)}
    assert found == (crossed if anchored else right)


def test_what_has_no_role_or_stands_in_another_block_stays() -> None:
    target, source = units({}), units({"norm1": "input_layernorm", "norm2": "post_attention_layernorm"})
    apart = [Pair(target["0.norm1"], source["0.post_attention_layernorm"], 0.6),
             Pair(target["0.norm2"], source["1.input_layernorm"], 0.6)]  # fmt: skip
    nameless = [replace(pair, target=replace(pair.target, role="")) for pair in apart]
    assert uncrossed(apart) == apart and uncrossed(nameless) == nameless


def test_what_has_no_role_gives_way_to_what_is_named_for_its_partner() -> None:
    target, source = units({}), units({"norm1": "input_layernorm", "norm2": "post_attention_layernorm"})
    nameless = replace(target["0.norm1"], role="")
    pairs = [Pair(nameless, source["0.post_attention_layernorm"], 0.6),
             Pair(target["0.norm2"], source["0.input_layernorm"], 0.6)]  # fmt: skip
    found = [pair.source.path.rpartition(".")[2] for pair in uncrossed(pairs)]
    assert found == ["input_layernorm", "post_attention_layernorm"]
