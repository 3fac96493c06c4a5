"""A batch norm goes where the layer before it goes, or nowhere."""

from __future__ import annotations

import pytest

import tli_cli
from tli_cli.catalogue import load
from tli_cli.planning.starts.norms import normalised_layers

PAIRS = [
    ("mobilenetv2_050", "resnet18"),
    ("resnet18", "mobilenetv3_small_100"),
    ("resnet50", "regnetx_002"),
    ("densenet121", "resnet26"),
    ("vgg11_bn", "resnet18"),
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_batch_norm_follows_the_layer_before_it(source, target):
    given, wanted = load(source), load(target)
    steps = {step.layer: step for step in tli_cli.match(source, target).steps if step.role == "weight"}
    behind = {linear: norm for norm, linear in normalised_layers(given).items()}
    places = {layer.path: place for place, layer in enumerate(given.layers)}
    moved = 0
    for norm, linear in normalised_layers(wanted).items():
        fed, feeder = steps[wanted.layers[norm].path], steps[wanted.layers[linear].path]
        if not fed.pieces:
            continue
        moved += 1
        assert feeder.pieces, f"{fed.target} is moved, {feeder.target} is not"
        origin = given.layer_of[feeder.pieces[0].source].path
        assert given.layer_of[fed.pieces[0].source] == given.layers[behind[places[origin]]]
    assert moved


def test_a_norm_behind_a_layer_without_one_is_not_moved():
    steps = tli_cli.match("vgg11", "vgg11_bn").steps
    norms = [step for step in steps if step.role == "running_mean"]
    assert norms and all(step.action == "keep" for step in norms)
