"""What the score promises: in [0, 1], 1 only for the same layers in the same places, always the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.core.support import described
from tests.models import NETS
from tests.score.conftest import MIXED, SMALL
from tli_cli import catalogue
from tli_cli.architecture import Architecture, Layer
from tli_cli.catalogue.libraries import import_timm
from tli_cli.describe.from_names.names import describe_names
from tli_cli.kinship import as_kin
from tli_cli.matching import MATCHERS
from tli_cli.matching.settings import ACTIVATIONS
from tli_cli.matching.sides import Side
from tli_cli.matching.units import units_of
from tli_cli.matrices.rows import RowScores, Sides
from tli_cli.noted import Number
from tli_cli.planning.doubted import doubted_layers, score_architectures
from tli_cli.providers.module import describe_live
from tli_cli.scoring.score import coverage_of, score_matching, unit_weight, worst_blocks

ALL = sorted(map(str, catalogue.names()))
MOST_LAYERS = 150
"""Larger networks take longer and show no more."""

FAMILIES = (
    "timm:test_*",
    "timm:*_atto",
    "timm:mobilenet*_0?0",
    "timm:*tiny_patch16_224",
    "resnet?8*",
    "vgg*",
    "squeeze*",
)
FEW_LAYERS = sorted({str(name) for pattern in FAMILIES for name in catalogue.names(pattern)})
"""Networks of many families that take little time each."""


def score(source: Architecture, target: Architecture, matcher: str = "dp") -> float:
    matching = MATCHERS.get(matcher)(source, target)
    return score_matching(matching, doubted_layers(source, target, matching))


def test_every_pair_of_a_sample_of_the_catalogue_is_scored_within_bounds_and_one_only_for_the_same_layers():
    loaded = map(catalogue.load, random.Random(6).sample(ALL, 24))
    architectures = [architecture for architecture in loaded if len(architecture.layers) < MOST_LAYERS]
    rows = RowScores(Sides([Side.kept(a) for a in architectures]), "dp")
    for i, target in enumerate(architectures):
        found = rows.row(i)
        assert all(0 <= value <= 1 for value in found)
        assert found[i] == 1, target.origin
        for source, value in zip(architectures, found, strict=True):
            if value == 1:
                assert not layers_of(target) - layers_of(source), (source.origin, target.origin)


def layers_of(architecture: Architecture) -> Counter[tuple[object, ...]]:
    """Return what the layers are, as multiset: told from tensors alone, not as the matchers do."""
    shapes = architecture.by_name
    return Counter(tuple((role, shapes[name].shape) for role, name in layer.tensors) for layer in architecture.layers)


@pytest.mark.parametrize("matcher", list(MATCHERS))
@pytest.mark.parametrize("name", SMALL)
def test_a_network_fits_itself(name, matcher):
    architecture = catalogue.load(name)
    found = score_architectures(architecture, architecture, MATCHERS.get(matcher))
    assert (found.forward, found.backward, found.mean) == (1, 1, 1)
    assert found.coverage_forward == found.coverage_backward == 1 and not found.worst


@pytest.mark.parametrize("matcher", list(MATCHERS))
@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:vit_tiny_patch16_224"])
def test_any_layer_that_is_missing_or_has_another_size_costs_something(name, matcher):
    whole = catalogue.load(name)
    places = random.Random(1).sample(range(len(whole.layers)), 6)
    for place in places:
        layer = whole.layers[place]
        if layer.kind == "other":
            continue
        lost = without(whole, place)
        assert score(lost, whole, matcher) < 1, f"without {layer.path}"
        assert score(resized(whole, place), whole, matcher) < 1, f"{layer.path} resized"


def without(architecture: Architecture, place: int) -> Architecture:
    """Return `architecture` with a layer that holds nothing."""
    layers = list(architecture.layers)
    lost = {name for _, name in layers[place].tensors}
    layers[place] = replace(layers[place], tensors=())
    kept = tuple(spec for spec in architecture.tensors if spec.name not in lost)
    return replace(architecture, layers=tuple(layers), tensors=kept)


def resized(architecture: Architecture, place: int) -> Architecture:
    """Return `architecture` with one more row in the tensors of a layer."""
    names = {name for _, name in architecture.layers[place].tensors}
    tensors = tuple(
        replace(spec, shape=(spec.shape[0] + 1, *spec.shape[1:])) if spec.name in names and spec.shape else spec
        for spec in architecture.tensors
    )
    return replace(architecture, tensors=tensors)


@pytest.mark.parametrize("matcher", list(MATCHERS))
def test_layers_in_another_order_are_not_in_their_places(matcher):
    one = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 3))
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 3))
    source, target = (describe_live(model, torch.zeros(1, 3, 12, 12)) for model in (one, other))
    assert 0 < score(source, target, matcher) < 1


@pytest.mark.parametrize("matcher", list(MATCHERS))
@given(st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None)
def test_another_activation_beside_any_layer_costs_a_little(matcher, rng):
    known = catalogue.load(rng.choice(FEW_LAYERS))
    graph = known.graph
    beside = [
        i
        for i, node in enumerate(graph)
        if node.op in ACTIVATIONS and any(graph[j].layer >= 0 for j in (*node.inputs, *known.readers[i]))
    ]
    place = rng.choice(beside)
    op = rng.choice(sorted(ACTIVATIONS - {graph[place].op}))
    other = replace(known, graph=(*graph[:place], replace(graph[place], op=op), *graph[place + 1 :]))
    assert 0.8 < score(known, other, matcher) < 1 and 0.8 < score(other, known, matcher) < 1


@pytest.mark.parametrize("matcher", list(MATCHERS))
@given(st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_a_block_less_on_either_side_costs_something(matcher, rng):
    whole = catalogue.load(rng.choice(FEW_LAYERS))
    blocks = [block.name for block in Side(whole).ends[1]]
    lost = rng.choice(blocks)
    kept = [spec for spec in whole.tensors if not spec.name.startswith(f"{lost}.")]
    bare = replace(describe_names(kept, order_from="file"), graph=())
    less = as_kin(bare, whole)
    assume(less is not None)
    assert score(less, whole, matcher) < 1 and score(whole, less, matcher) < 1, f"{whole.origin} without {lost}"


@pytest.mark.parametrize("matcher", list(MATCHERS))
@given(st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None)
def test_another_number_in_code_costs_a_little(matcher, rng):
    known = catalogue.load(rng.choice(FEW_LAYERS))
    places = [
        (i, j, k)
        for i, layer in enumerate(known.layers)
        for j, number in enumerate(layer.numbers)
        for k, value in enumerate(number)
        if k and counts(layer, number, k, value)
    ]
    i, j, k = rng.choice(places)
    layer = known.layers[i]
    number = list(layer.numbers[j])
    number[k] = tuple(n + 1 for n in number[k]) if isinstance(number[k], tuple) else 2.5 * number[k] + 0.01
    numbers = (*layer.numbers[:j], tuple(number), *layer.numbers[j + 1 :])
    other = replace(known, layers=(*known.layers[:i], replace(layer, numbers=numbers), *known.layers[i + 1 :]))
    found = score(known, other, matcher), score(other, known, matcher)
    assert min(found) > 0.95 and max(found) < 1, (known.origin, layer.path, number)


def counts(layer: Layer, number: Number, k: int, value: object) -> bool:
    """Tell whether a number changes what is computed: a stride stands in the attributes, a patch has no edges."""
    if number[0] == "convolution":
        kernel = layer.attribute("kernel", ())
        covers = layer.attribute("positions") == 1 or tuple(layer.attribute("stride")) == tuple(kernel)
        return k in (2, 3) and max(kernel) > 1 and not covers
    return isinstance(value, (tuple, float)) and not isinstance(value, bool)


@pytest.mark.parametrize("matcher", list(MATCHERS))
@given(st.randoms(use_true_random=False))
@settings(max_examples=8, deadline=None)
def test_another_kind_of_join_costs_something(matcher, rng):
    known = catalogue.load(rng.choice(FEW_LAYERS))
    joins = [i for i, node in enumerate(known.graph) if node.op in ("add", "mul") and len(set(node.inputs)) > 1]
    assume(joins)
    place = rng.choice(joins)
    op = rng.choice(sorted({"add", "mul", "cat"} - {known.graph[place].op}))
    other = replace(known, graph=(*known.graph[:place], replace(known.graph[place], op=op), *known.graph[place + 1 :]))
    assert score(known, other, matcher) < 1 and score(other, known, matcher) < 1, (known.origin, place, op)


def plain(groups: int = 2, stride: int = 1, pool: type[nn.Module] = nn.MaxPool2d) -> nn.Module:
    middle = nn.GroupNorm(groups, 8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride, padding=1), pool(2)
    return nn.Sequential(nn.Conv2d(3, 8, 3), *middle, nn.Conv2d(8, 4, 3))


def attention(heads: int) -> nn.Module:
    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(32, 8, embed_dim=24, depth=1, num_heads=heads, num_classes=5)


@pytest.mark.parametrize("matcher", list(MATCHERS))
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (plain, partial(plain, groups=4)),
        (plain, partial(plain, stride=2)),
        (plain, partial(plain, pool=nn.AvgPool2d)),
        (partial(attention, 2), partial(attention, 4)),
    ],
    ids=["groups", "stride", "pool", "heads"],
)
def test_what_tensors_do_not_tell_costs_a_little(one, other, matcher):
    first, second = (describe_live(net(), torch.zeros(1, 3, 32, 32)) for net in (one, other))
    assert 0.95 < score(first, second, matcher) < 1 and 0.95 < score(second, first, matcher) < 1


class Stages(nn.Module):
    """Residual blocks of two kinds, of one width throughout."""

    def __init__(self, kinds: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.blocks = nn.ModuleList(nn.Sequential(*self.block(kind)) for kind in kinds)
        self.head = nn.Linear(8, 5)

    def block(self, kind: str) -> tuple[nn.Module, ...]:
        if kind == "a":
            return nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1)
        return nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("matcher", list(MATCHERS))
@pytest.mark.parametrize("order", ["bbaa", "abab", "abba"])
def test_stages_in_another_order_are_not_in_their_places(matcher, order):
    one, other = (describe_live(Stages(kinds), torch.zeros(1, 3, 12, 12)) for kinds in ("aabb", order))
    assert 0 < score(one, other, matcher) < 1


@pytest.mark.parametrize("matcher", list(MATCHERS))
@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("resnet50", "resnet50"),
        ("vgg11_bn", "vgg11_bn"),
        ("densenet121", "densenet121"),
        ("vit_b_16", "vit_base_patch16_224"),
        ("convnext_tiny", "convnext_tiny"),
        ("efficientnet_b0", "efficientnet_b0"),
        ("mobilenet_v2", "mobilenetv2_100"),
    ],
)
def test_a_network_fits_itself_under_another_librarys_names(name, other, matcher):
    one, two = catalogue.load(f"torchvision:{name}"), catalogue.load(f"timm:{other}")
    assert score(one, two, matcher) == score(two, one, matcher) == 1


def test_what_the_graphs_prove_needs_no_names():
    one, two = catalogue.load("torchvision:regnet_y_400mf"), catalogue.load("timm:regnety_004")
    assert score(one, two) == score(two, one) == 1


@pytest.mark.parametrize("matcher", list(MATCHERS))
def test_a_head_of_other_classes_costs_little(matcher):
    name = "timm:mobilenetv3_small_050"
    assert 0.95 < score(catalogue.load(name), catalogue.load(name, num_classes=10), matcher) < 1


@pytest.mark.parametrize("near, far", [("resnet34", "resnet50"), ("resnet50", "vit_b_16"), ("timm:resnet18d", "vgg11")])
def test_what_is_nearer_scores_higher(near, far):
    target = catalogue.load("resnet18")
    assert score(catalogue.load(near), target) > score(catalogue.load(far), target)


def test_widths_tell_networks_of_one_form_apart():
    tiny, small, base = (catalogue.load(f"timm:vit_{size}_patch16_224") for size in ("tiny", "small", "base"))
    assert 1 > score(small, tiny) > score(base, tiny) > 0
    x, y = catalogue.load("timm:regnetx_002"), catalogue.load("timm:regnety_002")
    assert score(y, x) < 1


def test_worst_blocks_add_up_to_what_is_missing():
    source, target = catalogue.load("resnet18"), catalogue.load("timm:resnet26")
    matching = MATCHERS.get("dp")(source, target)
    found = dict(worst_blocks(matching, 1000))
    weights: Counter[str] = Counter()
    for unit in matching.targets:
        weights[unit.block or unit.path] += unit_weight(unit)
    costs = {block: (1 - worth) * weights[block] for block, worth in found.items()}
    missing = sum(costs.values()) / sum(weights.values())
    assert score_matching(matching) == pytest.approx(1 - missing, abs=1e-5)
    assert list(costs.values()) == sorted(costs.values(), reverse=True)
    assert worst_blocks(matching, 3) == tuple(found.items())[:3]


def test_the_blocks_of_a_plain_network_are_its_layers():
    found = worst_blocks(MATCHERS.get("dp")(catalogue.load("vgg11"), catalogue.load("vgg16")))
    assert sum(block.startswith("features.") for block, _ in found) >= 4 and "features" not in dict(found)


def test_coverage_is_the_share_of_elements_in_paired_layers():
    source, target = catalogue.load("resnet18"), catalogue.load("timm:resnet26")
    matching = MATCHERS.get("dp")(source, target)
    fed = {pair.target.place for pair in matching.pairs}
    sizes = target.by_name
    held = sum(sizes[n].size for place in fed for _, n in target.layers[place].tensors)
    assert coverage_of(matching, target) == held / sum(spec.size for spec in target.tensors)
    assert len(fed) < len(target.layers) == len({unit.place for unit in units_of(target)})


@pytest.mark.parametrize("matcher", list(MATCHERS))
def test_scores_do_not_depend_on_the_process(matcher):
    names = MIXED[1:3]
    printed = {run_apart("score", *names, "--json", "--matcher", matcher, seed=seed) for seed in ("0", "1")}
    assert len(printed) == 1


def test_plans_do_not_depend_on_the_process():
    names = "timm:convnextv2_atto", "timm:convnext_atto_ols"
    first, second = (run_apart("match", *names, "--json", seed=seed) for seed in ("0", "1"))
    assert first == second and "own div places, own mul places" in first


def run_apart(*arguments: str, seed: str) -> str:
    command = [sys.executable, "-m", "tli_cli", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.parametrize("net", [name for name in NETS if name != "decoder"])
def test_a_wider_or_narrower_network_is_not_the_same(net):
    sizes = {"vit": {"width": 24}, "gated": {"ratio": 3}, "rotary": {"width": 24}, "group_norm": {"width": 16}}
    one, other = described(net), described(net, **sizes.get(net, {"width": 12}))
    assert score(one, one) == 1
    assert 0.2 < score(one, other) < 1 and 0.2 < score(other, one) < 1
