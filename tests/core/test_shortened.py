"""A plain chain that loses layers in its midst is told from a residual network, and from a chain cut at its end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from torch import nn

from tli_cli import api
from tli_cli.options import Options


def chain(**stages: str) -> nn.Module:
    """Return stages of so many convolutions of one width each, a maximum between two: `widths="8-8-16"`."""
    widths = [3, *map(int, stages["widths"].split("-"))]
    layers: list[nn.Module] = []
    for given, made in pairwise(widths):
        layers += [nn.MaxPool2d(2)] if layers and given != made else []
        layers += [nn.Conv2d(given, made, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 7))


@pytest.mark.parametrize(
    ("given", "wanted", "relation"),
    [
        ("8-8-8-16-16", "8-8-16-16", "shortened"),
        ("8-8-8-16-16", "8-8-12-12", "narrower and shortened"),
        ("8-8-16-16-16", "8-8-16-16", "shallower"),
    ],
)
def test_what_is_kept_behind_what_is_lost_is_shortened(given, wanted, relation):
    source, target = (f"{__name__}:chain?widths={widths}" for widths in (given, wanted))
    plan = api.match(source, target, options=Options(method="maps", input_shape=(3, 16, 16)))
    assert plan.relation == relation


def test_residual_networks_are_shallower():
    plan = api.match("resnet34", "resnet18", options=Options(method="maps"))
    assert plan.relation == "shallower"
