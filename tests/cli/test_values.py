"""How scores, architectures and names are shown."""

from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace

import pytest

from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.cli.render import Style
from tli_cli.cli.render_architecture import architecture_parts, render_architecture, render_names
from tli_cli.cli.render_score import render_score, score_parts


@pytest.fixture
def score():
    return SimpleNamespace(
        source="resnet18",
        target="resnet50",
        forward=0.61234,
        backward=0.99999,
        mean=0.80617,
        coverage_forward=0.9,
        coverage_backward=1.0,
        worst=(("layer4.2", 0.25), ("layer3.5", 0.5), ("fc", 1.0)),
    )


@pytest.fixture
def architecture():
    return Architecture(
        tensors=(
            TensorSpec("stem.weight", (16, 3, 3, 3)),
            TensorSpec("layer1.0.bn.weight", (16,)),
            TensorSpec("layer1.0.bn.running_mean", (16,), buffer=True),
        ),
        layers=(
            Layer("stem", "conv", (("weight", "stem.weight"),), attributes=(("groups", 1),)),
            Layer(
                "layer1.0.bn",
                "norm",
                (("weight", "layer1.0.bn.weight"), ("running_mean", "layer1.0.bn.running_mean")),
                block="layer1.0",
            ),
        ),
        origin="checkpoint tiny.safetensors",
        order_from="inferred",
    )


def test_score_table(score, as_text, check_golden):
    check_golden("score.txt", as_text(score_parts(score)))


def test_score_lines(score, capsys):
    render_score(score, Style.PLAIN)
    assert capsys.readouterr().out.splitlines() == [
        "resnet18\tresnet50\t0.6123\t90.0 %",
        "resnet50\tresnet18\t0.9999\t100.0 %",
        "mean\t\t0.8061\t",
    ]


def test_score_json_has_full_precision(score, capsys):
    render_score(score, Style.JSON)
    value = json.loads(capsys.readouterr().out)
    assert value["version"] == 1 and value["backward"] == 0.99999
    assert value["worst"][0] == {"block": "layer4.2", "similarity": 0.25}


def test_architecture_table(architecture, as_text, check_golden):
    check_golden("inspect.txt", as_text(architecture_parts(architecture)))


def test_architecture_csv_has_a_row_for_each_tensor(architecture, capsys):
    render_architecture(architecture, Style.CSV)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["tensor"] for row in rows] == [tensor.name for tensor in architecture.tensors]


def test_architecture_json(architecture, capsys):
    render_architecture(architecture, Style.JSON)
    value = json.loads(capsys.readouterr().out)
    assert value["parameters"] == 16 * 27 + 16
    assert value["layers"][1]["tensors"][1]["buffer"] is True


def test_names_are_one_a_line_in_a_pipe(capsys):
    render_names(["resnet18", "resnet34"], Style.PLAIN)
    assert capsys.readouterr().out == "resnet18\nresnet34\n"


def test_brackets_in_names_are_no_markup(score, capsys):
    score.source = "runs/a[best].pt"
    render_score(score, Style.TABLE)
    assert "runs/a[best].pt" in capsys.readouterr().out
