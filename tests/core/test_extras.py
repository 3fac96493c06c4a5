"""Modules that only one side has are left out of a match, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.matching.dp import match_dp

BLOCK = {
    "norm1.weight": (8,), "norm1.bias": (8,), "attn.qkv.weight": (24, 8), "attn.proj.weight": (8, 8),
    "norm2.weight": (8,), "norm2.bias": (8,), "mlp.fc1.weight": (16, 8), "mlp.fc2.weight": (8, 16),
}  # fmt: skip
BLOCKS = {f"blocks.{i}.{name}": shape for i in range(3) for name, shape in BLOCK.items()}
BODY: Mapping[str, tuple[int, ...]] = {
    "cls_token": (1, 1, 8), "pos_embed": (1, 5, 8), "patch_embed.proj.weight": (8, 3, 2, 2), **BLOCKS,
    "norm.weight": (8,), "norm.bias": (8,),
}  # fmt: skip
EXTRAS: dict[str, Mapping[str, tuple[int, ...]]] = {
    "a decoder": {f"decoder_{name}": shape for name, shape in BODY.items() if name.startswith(("blocks.0", "norm"))},
    "a mask": {"mask_token": (1, 1, 8)},
    "a projector": {"projector.0.weight": (8, 8), "projector.2.weight": (16, 8)},
    "a tower as deep": {f"text.{name}": shape for name, shape in BLOCKS.items()},
}


def pairs(source: Mapping[str, tuple[int, ...]], target: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    sides = [describe_names([TensorSpec(*item) for item in side.items()]) for side in (source, target)]
    return {pair.target.path: pair.source.path for pair in match_dp(*sides).pairs}


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("first", [True, False])
def test_what_one_side_alone_has_feeds_nothing(extra: str, first: bool) -> None:
    more = {**EXTRAS[extra], **BODY} if first else {**BODY, **EXTRAS[extra]}
    assert all(target == source for target, source in pairs(more, BODY).items())
    assert all(target == source for target, source in pairs(BODY, more).items())
    assert len(pairs(more, BODY)) == len(pairs(BODY, BODY))


def test_blocks_more_are_no_module_of_their_own() -> None:
    fewer = {name: shape for name, shape in BODY.items() if not name.startswith("blocks.2")}
    assert pairs(BODY, fewer)["blocks.0.attn.qkv"] == "blocks.0.attn.qkv"
    assert pairs(BODY, fewer)["norm"] == "norm"


@pytest.mark.parametrize("name", ["head", "fc", "lm_head"])
def test_a_head_of_another_size_is_no_module_of_its_own(name: str) -> None:
    more, fewer = ({**BODY, f"{n}.weight": (rows, 8)} for n, rows in ((name, 9), ("head", 5)))
    assert pairs(more, fewer)["head"] == name and pairs(fewer, more)[name] == "head"


def test_a_bias_of_logits_stands_with_the_table_of_tokens() -> None:
    more, fewer = (
        {"shared.weight": (rows, 8), "final_logits_bias": (1, rows), **BLOCKS} for rows in (30, 20)
    )  # fmt: skip
    described = describe_names([TensorSpec(*item) for item in more.items()])
    assert described.layer_of["final_logits_bias"].path == "shared"
    kinds = [described.spaces[axis.tree].kind for axis in described.axes["final_logits_bias"]]
    assert kinds == ["grid", "vocabulary"] and pairs(fewer, more)["shared"] == "shared"
