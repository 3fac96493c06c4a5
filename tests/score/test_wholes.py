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
from tli_cli.matching.mixing import ATTENTION, CONVOLUTION, KINDS, TOKENS, mixing_likeness, mixing_reach, mixing_shares
from tli_cli.matching.residuals import room_for
from tli_cli.matching.sides import Side
from tli_cli.matching.similarity import SHAPE, size_likeness, unit_similarity
from tli_cli.matching.units import Unit
from tli_cli.matrices.matrix import score_all
from tli_cli.scoring.keeping import keeping, shape_keeping
from tli_cli.scoring.wholes import PARTS, fed_in_stage, stage_shares

RANKS = Path(__file__).parent / "ranks.json"
share = st.floats(0, 1)


@given(share, share, share, st.integers(1, 1 << 25), share)
def test_a_stage_never_feeds_more_than_there_is_and_all_only_by_identical_partners(kinship, level, room, weight, own):
    layers, whole, most = shares = stage_shares(kinship, level, room)
    assert layers >= 0 and whole >= 0 and layers + whole <= most <= PARTS
    held = round(own * weight)
    fed = fed_in_stage(held, weight, shares)
    assert 0 <= fed <= most * weight and (most == 0 or (fed == most * weight) == (held == weight))
    assert most == PARTS or fed < PARTS * weight


@given(share, share, share)
def test_more_kinship_never_feeds_less(first, second, level):
    low, high = sorted((first, second))
    weight = 1 << 20
    for own in (0, weight // 3, weight):
        fed = [fed_in_stage(own, weight, stage_shares(kinship, level)) for kinship in (low, high)]
        assert fed[0] <= fed[1] + weight // 100


@given(st.integers(1, 99), st.integers(1, 99))
def test_lost_blocks_cost_most_where_there_is_no_trunk_and_added_ones_nothing(wanted, lost):
    assert room_for(wanted + lost, wanted, True) == room_for(wanted + lost, wanted, False) == 1
    assert 0 < room_for(wanted, wanted + lost, False) < room_for(wanted, wanted + lost, True) < 1
    assert room_for(wanted, wanted + lost + 1, True) < room_for(wanted, wanted + lost, True)


sizes = st.lists(st.integers(1, 512), min_size=1, max_size=4).map(tuple)


@given(sizes, sizes)
def test_what_is_kept_of_a_size_grows_with_it_and_is_all_only_for_an_equal_one(target, source):
    kept = shape_keeping(target, source) * (1 - SHAPE + SHAPE * size_likeness(target, source))
    assert 0 < kept <= 1 and (kept < 1 or padded(target) == padded(source))
    more = tuple(size + 1 for size in source)
    assert shape_keeping(source, more) >= shape_keeping(more, source)


def padded(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return (*sizes, *[1] * (4 - len(sizes)))


def test_a_kernel_loses_by_shrinking_and_hardly_by_growing():
    three, five = (Unit(0, "conv", "conv", (8, 8), (size, size)) for size in (3, 5))
    kept = {pair: unit_similarity(*pair) * keeping(*pair) for pair in ((three, five), (five, three))}
    assert kept[three, five] == pytest.approx(0.6) and 0.95 < kept[five, three] < 1


@given(st.lists(st.sets(st.sampled_from(KINDS)), max_size=5), st.lists(st.sets(st.sampled_from(KINDS)), max_size=5))
def test_mixing_is_compared_in_both_directions_alike(first, second):
    one, other = (mixing_shares(map(frozenset, blocks)) for blocks in (first, second))
    assert 0 <= mixing_likeness(one, other) <= 1 + 1e-9
    assert mixing_likeness(one, other) == mixing_likeness(other, one)
    assert mixing_likeness(one, one) == pytest.approx(1)
    assert mixing_likeness(one, other) - 1e-9 <= mixing_reach(one, other) <= 1 + 1e-9


def test_attention_can_do_what_a_convolution_does_and_not_the_other_way_round():
    resnet, vit = described("resnet"), described("vit")
    assert score(resnet, vit) > score(vit, resnet) + 0.1


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
