"""The `path` matcher does what its page says: paths between cuts, the best source for each target, O(nm)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from safetensors import safe_open

from tests.core.support import described
from tests.score.conftest import Tli, write_header
from tli_cli import catalogue
from tli_cli.architecture import Architecture, Layer, Node, TensorSpec
from tli_cli.matching import path
from tli_cli.matching.path import ENOUGH, Placed, match_path, standing_likeness, standings
from tli_cli.matching.sides import Side
from tli_cli.matching.similarity import unit_similarity
from tli_cli.matching.units import units_of
from tli_cli.planning.doubted import score_architectures


def chain(*operations: str | tuple[str, ...]) -> Architecture:
    """Return an architecture of 1x1 convolutions; `("add", 2, 5)` names the nodes that are joined."""
    nodes, layers = [Node("input")], []
    for operation in operations:
        op, *inputs = operation if isinstance(operation, tuple) else (operation,)
        before = tuple(map(int, inputs)) or (len(nodes) - 1,)
        nodes.append(Node(op, before, layer=len(layers) if op == "layer" else -1))
        if op == "layer":
            layers.append(Layer(f"conv{len(layers)}", "conv", (("weight", f"conv{len(layers)}.weight"),)))
    tensors = tuple(TensorSpec(f"{layer.path}.weight", (8, 8, 3, 3)) for layer in layers)
    return Architecture(tensors=tensors, layers=tuple(layers), graph=tuple(nodes))


def test_a_path_is_cut_where_branches_join_and_where_a_value_is_read_twice():
    #        0 input  1        2       3        4 join         5        6
    net = chain("layer", "layer", "relu", ("add", "3", "1"), "layer", "layer")
    found = standings(net, units_of(net))
    assert [standing.length for standing in found] == [1, 1, 2, 2]
    assert [standing.share for standing in found] == [0, 0, 0, 1]
    assert [standing.depth for standing in found] == [0, 0, 1, 1]
    assert [standing.behind for standing in found] == [1, 2 / 3, 1 / 3, 0]
    assert [standing.operations.total for standing in found] == [0, 1, 0, 0]


@pytest.mark.parametrize("join", ["add", "mul", "cat"])
def test_every_join_cuts(join):
    net = chain("layer", "layer", (join, "2", "1"), "layer")
    assert [standing.length for standing in standings(net, units_of(net))] == [1, 1, 1]


def test_what_is_no_join_does_not_cut():
    net = chain("layer", "relu", "max_pool", "layer")
    assert [standing.length for standing in standings(net, units_of(net))] == [2, 2]


@pytest.mark.parametrize("source, target", [("resnet", "mobilenet"), ("vit", "mixer"), ("mobilenet", "resnet")])
def test_every_target_takes_the_best_source(source, target):
    theirs, mine = Placed.of(Side(described(source))), Placed.of(Side(described(target)))
    paired = {pair.target.key: pair for pair in match_path(described(source), described(target)).pairs}
    for t, told, here in zip(mine.units, mine.told, mine.standings, strict=True):
        values = [
            unit_similarity(*((told, known) if here == there else (t, s))) * (1 + standing_likeness(here, there)) / 2
            for s, known, there in zip(theirs.units, theirs.told, theirs.standings, strict=True)
        ]
        if max(values) < ENOUGH:
            assert t.key not in paired
        else:
            assert paired[t.key].similarity == max(values)


def test_a_source_belongs_to_the_target_that_it_is_most_like():
    pairs = match_path(described("resnet"), described("resnet", depth=4)).pairs
    owners = Counter(pair.source.key for pair in pairs if not pair.repeat)
    assert set(owners.values()) == {1} and any(pair.repeat for pair in pairs)
    for pair in pairs:
        if pair.repeat:
            owner = next(p for p in pairs if p.source.key == pair.source.key and not p.repeat)
            assert owner.similarity >= pair.similarity


@pytest.mark.parametrize("name", ["timm:vit_tiny_patch16_224", "timm:resnetrs50", "torchvision:swin_v2_t"])
def test_a_network_under_other_names_is_the_same(name):
    net = catalogue.load(name)
    called = {spec.name: f"a{i // 7}.b{i}" for i, spec in enumerate(net.tensors)}
    other = replace(
        net,
        tensors=tuple(replace(s, name=called[s.name], tied_to=called.get(s.tied_to or "")) for s in net.tensors),
        axes={called[key]: axes for key, axes in net.axes.items()},
        layers=tuple(
            replace(layer, path=f"a{i // 5}.c{i}", tensors=tuple((role, called[n]) for role, n in layer.tensors))
            for i, layer in enumerate(net.layers)
        ),
    )
    found = score_architectures(other, net, match_path)
    assert found.forward == found.backward == 1


def test_every_target_is_compared_with_every_source_once(monkeypatch):
    asked: Counter[tuple[object, object]] = Counter()

    def counted(t, s):
        asked[t.key, s.key] += 1
        return unit_similarity(t, s)

    monkeypatch.setattr(path, "unit_similarity", counted)
    source, target = described("vit"), described("mixer")
    match_path(source, target)
    assert len(asked) == len(units_of(source)) * len(units_of(target)) and set(asked.values()) == {1}


def test_match_score_and_inject_take_it(tli: Tli, tmp_path):
    pair = ("timm:mobilenetv3_small_050", "timm:mobilenetv3_small_075")
    source = write_header(catalogue.load(pair[0]), tmp_path / "source.safetensors")
    plan = json.loads(tli("match", *pair, "--matcher", "path", "--json")[0])
    score = json.loads(tli("score", *pair, "--matcher", "path", "--json")[0])["forward"]
    assert plan["matcher"] == "path" and plan["score"] == pytest.approx(score, abs=1e-6)
    assert score != json.loads(tli("score", *pair, "--json")[0])["forward"]
    out = tmp_path / "out.safetensors"
    how = ("--matcher", "path", "--method", "maps", "-o", out, "--json")
    report = json.loads(tli("inject", source, "-t", pair[1], *how)[0])
    assert report["matcher"] == "path"
    with safe_open(out, "np") as file:
        assert set(file.keys()) == {spec.name for spec in catalogue.load(pair[1]).tensors}
