"""What stages are fed with as wholes, and how networks mix places."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.support import described
from tests.score.conftest import MIXED
from tests.score.test_laws import score
from tli_cli import catalogue
from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.matching.mixing import ATTENTION, CONVOLUTION, KINDS, TOKENS, mixing_likeness, mixing_shares
from tli_cli.matching.sides import Side
from tli_cli.matrices import score_all
from tli_cli.wholes import PARTS, fed_in_stage, stage_shares

RANKS = Path(__file__).parent / "ranks.json"
share = st.floats(0, 1)


@given(share, share, st.integers(1, 1 << 25), share)
def test_a_stage_never_feeds_more_than_there_is_and_all_only_by_identical_partners(kinship, level, weight, own):
    layers, whole = stage_shares(kinship, level)
    assert layers >= 0 and whole >= 0 and layers + whole <= PARTS
    held = round(own * weight)
    fed = fed_in_stage(held, weight, (layers, whole))
    assert 0 <= fed <= PARTS * weight and (fed == PARTS * weight) == (held == weight)


@given(share, share, share)
def test_more_kinship_never_feeds_less(first, second, level):
    low, high = sorted((first, second))
    weight = 1 << 20
    for own in (0, weight // 3, weight):
        fed = [fed_in_stage(own, weight, stage_shares(kinship, level)) for kinship in (low, high)]
        assert fed[0] <= fed[1] + weight // 100


@given(st.lists(st.sets(st.sampled_from(KINDS)), max_size=5), st.lists(st.sets(st.sampled_from(KINDS)), max_size=5))
def test_mixing_is_compared_in_both_directions_alike(first, second):
    one, other = (mixing_shares(map(frozenset, blocks)) for blocks in (first, second))
    assert 0 <= mixing_likeness(one, other) <= 1 + 1e-9
    assert mixing_likeness(one, other) == mixing_likeness(other, one)
    assert mixing_likeness(one, one) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("resnet18", {CONVOLUTION}),
        ("timm:convnext_atto", {CONVOLUTION}),
        ("timm:vit_tiny_patch16_224", {ATTENTION}),
        ("timm:swin_tiny_patch4_window7_224", {ATTENTION}),
        ("timm:mixer_s32_224", {TOKENS}),
        ("timm:maxvit_nano_rw_256", {CONVOLUTION, ATTENTION}),
    ],
)
def test_the_graph_says_how_places_are_mixed(name, kinds):
    shares = [stage.mixing for stage in Side(catalogue.load(name)).stages]
    assert {kind for found in shares for kind, value in zip(KINDS, found, strict=True) if value} == kinds


def test_a_trunk_that_blocks_add_to_is_told_from_a_plain_chain():
    assert [Side(catalogue.load(name)).residual for name in ("resnet18", "vgg11_bn")] == [True, False]
    bare = replace(catalogue.load("resnet18"), graph=())
    assert Side(bare).residual is None


def test_a_start_of_the_same_kind_is_worth_more_than_its_layers():
    target = described("mobilenet")
    related, plain, alien = (score(described(name), target) for name in ("resnet", "vgg", "vit"))
    assert alien < plain < related and related > 0.4 and alien < 0.15


def test_layers_that_nothing_feeds_cost_something_wherever_they_stand():
    whole = described("resnet")
    extra = TensorSpec("blocks.9.tokens", (1, 7, 333))
    for place in (0, len(whole.layers) // 2, len(whole.layers)):
        more = with_layer(whole, Layer("blocks.9", "token", (("tokens", extra.name),)), extra, place)
        assert score(whole, more) < 1


def with_layer(architecture: Architecture, layer: Layer, tensor: TensorSpec, place: int) -> Architecture:
    """Return `architecture` with `layer` before the layer at `place`, outside its graph."""
    layers = (*architecture.layers[:place], layer, *architecture.layers[place:])
    graph = tuple(replace(node, layer=node.layer + (node.layer >= place)) for node in architecture.graph)
    return replace(architecture, layers=layers, tensors=(*architecture.tensors, tensor), graph=graph)


@pytest.mark.parametrize("matcher", ["dp", "path"])
def test_the_order_of_sources_is_as_it_was(matcher):
    names = MIXED if matcher == "dp" else MIXED[2:7]
    matrix = score_all(names, matcher=matcher, jobs=1)
    found = {
        target: {source: round(matrix.values[i][j], 3) for i, source in enumerate(names)}
        for j, target in enumerate(names)
    }
    known = json.loads(RANKS.read_text(encoding="utf-8")) if RANKS.exists() else {}
    if os.environ.get("UPDATE_GOLDEN"):
        RANKS.write_text(json.dumps(known | {matcher: found}, indent=1) + "\n", encoding="utf-8")
        return
    for target, sources in known[matcher].items():
        for one, other in combinations(sources, 2):
            before, now = sources[one] - sources[other], found[target][one] - found[target][other]
            assert before * now > 0 or abs(before - now) <= 0.02, f"{target}: {one} against {other}, {before} and {now}"
