"""Every field that `--json` prints is documented in docs/json.md."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

from tli_cli.architecture import Architecture, Layer, TensorSpec
from tli_cli.cli.render_architecture import architecture_value
from tli_cli.cli.render_report import report_value
from tli_cli.cli.render_score import score_value
from tli_cli.pieces import Piece
from tli_cli.plan import Step
from tli_cli.scoring.score import Score

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## `tli {title} --json`", 1)[1].split("\n## ", 1)[0]


def fields(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {name for item in value.values() for name in fields(item)}
    if isinstance(value, (list, tuple)):
        return {name for item in value for name in fields(item)}
    return set()


def documented(title: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", section(title)))


def test_plan(plan):
    written = json.loads(plan.to_json())
    assert fields(written) <= documented("match")
    assert written["coverage"] == plan.coverage


def test_the_fields_of_a_plan_are_those_that_are_documented(plan):
    rows = re.findall(r"^\| (`.*?`) \|", section("match"), re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    parts = [field.name for value in (Step, Piece) for field in dataclasses.fields(value)]
    assert sorted(told) == sorted([*json.loads(plan.to_json()), *parts])


def test_report(plan):
    report = SimpleNamespace(
        plan=plan, files=(), exact=1, adapted=1, initialised=1, coverage=1.0, warnings=(), verification=None
    )
    assert fields(report_value(report)) <= documented("inject")


def test_score():
    assert fields(score_value(Score("a", "b", 0.5, 0.5, 1.0, 1.0, (("x", 0.5),)))) <= documented("score")


def test_architecture():
    layer = Layer("x", "conv", (("weight", "x.weight"),))
    architecture = Architecture(tensors=(TensorSpec("x.weight", (1,)),), layers=(layer,))
    assert fields(architecture_value(architecture)) <= documented("inspect")
