"""Transformers under names that no vocabulary knows: shapes tell what their layers are for."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.describe.from_names.names import describe_names
from tli_cli.matching.dp import match_dp
from tli_cli.options import Options
from tli_cli.plan import Plan
from tli_cli.planning.between import plan_injection
from tli_cli.planning.doubted import score_architectures
from tli_cli.scoring.outlook import MAY_HURT
from tli_cli.scoring.score import score_matching

KNOWN = {
    "blocks": "blocks", "norm1": "norm1", "qkv": "attn.qkv", "o": "attn.proj", "norm2": "norm2", "fc1": "mlp.fc1",
    "fc2": "mlp.fc2", "patch": "patch_embed.proj", "cls": "cls_token", "pos": "pos_embed", "norm": "norm",
    "head": "head", "q": "attn.query", "k": "attn.key", "v": "attn.value",
}  # fmt: skip
"""What libraries call the layers of a vision transformer."""
STRANGE = {
    "blocks": "tu.ra", "norm1": "ln_a", "qkv": "mi.two", "o": "mi.one", "norm2": "ln_b", "fc1": "ko.x", "fc2": "ko.y",
    "patch": "zo.ve", "cls": "ba", "pos": "ne", "norm": "so", "head": "du",
    "q": "mi.three", "k": "mi.two", "v": "mi.four",
}  # fmt: skip
SILENT = ("attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias")
"""What is zero in a block that is added."""
HEAD_FIRST = {**STRANGE, "head": "aa", "norm": "ab"}


def transformer(
    names: dict[str, str], *, width: int = 24, depth: int = 4, ratio: int = 4, fused: bool = True
) -> Architecture:
    """Return a vision transformer as a file of tensors under `names` tells of it."""
    linear = {"o": (width, width), "fc1": (ratio * width, width), "fc2": (width, ratio * width)}
    linear |= {"qkv": (3 * width, width)} if fused else dict.fromkeys("qkv", (width, width))
    shapes: dict[str, tuple[int, ...]] = {names["cls"]: (1, 1, width), names["pos"]: (1, 17, width)}
    for i in range(depth):
        for role, shape in (linear | {"norm1": (width,), "norm2": (width,)}).items():
            shapes |= _layer(f"{names['blocks']}.{i}.{names[role]}", shape)
    shapes |= _layer(names["patch"], (width, 3, 8, 8)) | _layer(names["norm"], (width,))
    shapes |= _layer(names["head"], (10, width))
    return describe_names([TensorSpec(name, shape, "float32") for name, shape in sorted(shapes.items())])


def _layer(path: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{path}.weight": shape, f"{path}.bias": shape[:1]}


def known_name(name: str, names: dict[str, str]) -> str:
    """Return what libraries call the tensor that is called `name` under `names`."""
    for cut in accumulate(name.split("."), lambda a, b: f"{a}.{b}"):
        rest = name.removeprefix(cut)
        if cut == names["blocks"]:
            number, _, inner = rest.removeprefix(".").partition(".")
            return f"{KNOWN['blocks']}.{number}.{known_name(inner, names)}"
        role = next((role for role, own in names.items() if own == cut), None)
        if role and role in KNOWN and cut != names["blocks"]:
            return KNOWN[role] + rest
    return name


def plan_of(target: Architecture, source: Architecture) -> Plan:
    return plan_injection(target, [source], Options(), "constructor")


def fed(plan: Plan) -> dict[str, set[str]]:
    return {step.target: {name for piece in step.pieces for name in piece.names} for step in plan.steps if step.pieces}


@pytest.mark.parametrize("names", [STRANGE, HEAD_FIRST])
@pytest.mark.parametrize("change", [{"depth": 2}, {"depth": 6}, {"width": 32}])
def test_what_has_other_sizes_is_fed_from_its_place(names, change):
    """A token and a norm that stand alone may be anything."""
    target, source = transformer(KNOWN, **change), transformer(names)
    found, added = fed(plan_of(target, source)), max(change.get("depth", 4) - 4, 0)
    left = {spec.name for spec in target.tensors} - found.keys() - {"cls_token", "norm.weight", "norm.bias"}
    assert all(name.startswith("blocks.") for name in left) and len(left) == added * len(SILENT)
    assert all(name.endswith(SILENT) for name in left)
    wrong = {t for t, s in found.items() if {known_name(name, names) for name in s} != {t}}
    assert not wrong if not added else all(name.startswith("blocks.") for name in wrong)


def test_one_network_under_two_sets_of_names_scores_one():
    scores = score_architectures(transformer(STRANGE), transformer(KNOWN), match_dp)
    assert (scores.forward, scores.backward) == (1, 1)
    less = score_architectures(transformer(STRANGE, depth=3), transformer(KNOWN), match_dp)
    assert 0.5 < less.forward < 1 and 0.5 < less.backward < 1


def test_a_layer_that_may_be_of_either_kind_is_left_whole_and_pairs_with_its_shape():
    """Where an MLP widens three times as well, nothing tells it from queries, keys and values."""
    flat = {role: name.replace("mi.", "").replace("ko.", "") for role, name in STRANGE.items()}
    matching = match_dp(transformer(flat, ratio=3), transformer(KNOWN, ratio=3))
    wide = [pair for pair in matching.pairs if pair.target.shape == (72, 24)]
    assert len(wide) == 8 and all(pair.target.part < 0 and pair.source.shape == (72, 24) for pair in wide)


def test_queries_keys_and_values_that_stand_alone_are_no_mlp():
    """A fused layer is not taken for an MLP of its shape where the other side holds its three parts apart."""
    matching = match_dp(transformer(STRANGE, ratio=3, fused=False), transformer(KNOWN))
    assert {pair.target.part for pair in matching.pairs if pair.target.path.endswith("qkv")} <= {0, 1, 2}


def test_names_that_do_not_tell_how_places_are_mixed_do_not_make_a_network_unlike():
    matching = match_dp(transformer(STRANGE, fused=False), transformer(KNOWN, fused=False, depth=2))
    assert score_matching(matching) > 5 * MAY_HURT
