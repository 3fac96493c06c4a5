"""Gates: exit code 3, and one line that says what was asked and what was found."""

from __future__ import annotations

import json
import re
import shlex
from math import nextafter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from tests.score.conftest import Tli, write_header
from tli_cli import catalogue
from tli_cli.gates import apart

DOCS = Path(__file__).parents[2] / "docs"
unit = st.floats(0, 1, allow_subnormal=False, width=64)


@given(st.tuples(unit, unit).filter(lambda pair: pair[0] != pair[1]))
def test_two_different_numbers_never_print_as_equal(pair):
    found, asked = sorted(pair)
    asked_text, found_text = apart(asked, found)
    assert asked_text != found_text and float(found_text) <= found and float(found_text) < float(asked_text)


@given(st.floats(0.001, 1))
def test_not_even_neighbours_print_as_equal(asked):
    texts = apart(asked, nextafter(asked, 0))
    assert texts[0] != texts[1]


def test_a_score_is_shown_with_four_digits_where_they_suffice():
    assert apart(0.9, 0.69734) == ("0.9000", "0.6973")
    assert apart(0.9, 0.899999) == ("0.9000", "0.8999")
    assert apart(0.70001, 0.7) == ("0.70001", "0.70000") and apart(1.0, 0.7) == ("1.0000", "0.7000")


def test_score_asks_for_its_minimum(tli: Tli):
    out, err = tli("score", "resnet18", "resnet34", "--min", "0.99", code=3)
    found = float(out.splitlines()[0].split("\t")[2])
    assert err == f"error: --min asks for a score of 0.9900, found {found:.4f}\n"
    tli("score", "resnet18", "resnet34", "--min", "0.5")
    out, err = tli("score", "resnet18", "resnet18", "--min", "1", "--json")
    assert not err


def test_rank_asks_the_best_source_for_its_minimum(tli: Tli):
    out, err = tli("rank", "resnet18", "resnet34", "vgg11", "--min", "0.99", code=3)
    best = out.split("\t")[1]
    assert out.startswith("resnet34\t") and one_line(err, rf"--min asks for a score of 0\.9900, found {best}")
    assert tli("rank", "resnet18", "resnet34", "vgg11", "--min", best)[1] == ""


@pytest.mark.parametrize("gate", ["--min-score", "--min-coverage"])
def test_injection_is_stopped_before_anything_is_written(gate, tli: Tli, tmp_path):
    source = write_header(catalogue.load("timm:mobilenetv3_small_050"), tmp_path / "source.safetensors")
    out = tmp_path / "out.safetensors"
    _, err = tli("inject", source, "--target", "resnet18", "-o", out, gate, "0.999", code=3)
    assert one_line(err, rf"{gate} asks for 0\.9990, found 0\.\d\d\d\d")
    assert not out.exists()


def one_line(err: str, pattern: str) -> bool:
    return re.fullmatch(f"error: {pattern}\n", err) is not None


CI = re.search(r"```yaml\n(.*?)```", (DOCS / "score.md").read_text(encoding="utf-8"), re.DOTALL)
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=8):
        super().__init__(nn.Conv2d(3, width, 3, 4), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 4, 3, 4))
"""


def documented_steps() -> list[list[str]]:
    assert CI
    steps = [step.get("run", "") for step in yaml.safe_load(CI[1])["jobs"]["initialise"]["steps"]]
    return [shlex.split(step) for step in steps if step.startswith("tli ")]


def test_the_documented_job_passes_and_stops(tli: Tli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "models" / "net.py").write_text(NET)
    near = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, 4))
    far = nn.Linear(5, 7)
    save_file(near.state_dict(), tmp_path / "teacher.safetensors")
    save_file(near.state_dict(), tmp_path / "checkpoints" / "near.safetensors")
    save_file(far.state_dict(), tmp_path / "checkpoints" / "far.safetensors")
    check, (*take, redirect, report) = documented_steps()
    assert (redirect, report) == (">", "report.json")
    tli(*check[1:])
    out, err = tli(*take[1:])
    assert json.loads(out)["version"] == 1 and "best of 2 sources: checkpoints/near.safetensors" in err
    assert (tmp_path / "init.safetensors").exists()
    save_file(far.state_dict(), tmp_path / "teacher.safetensors")
    (tmp_path / "checkpoints" / "near.safetensors").unlink()
    (tmp_path / "init.safetensors").unlink()
    assert one_line(tli(*check[1:], code=3)[1], r"--min asks for a score of 0\.5000, found .*")
    assert "--min-score asks for 0.5000" in tli(*take[1:], code=3)[1]
    assert not (tmp_path / "init.safetensors").exists()


@pytest.mark.parametrize("value", ["nan", "-0.1", "1.01", "inf", "much"])
@pytest.mark.parametrize("command", [("score", "--min"), ("rank", "--min")])
def test_no_minimum_is_taken_that_no_score_can_be(command, value, tli: Tli):
    assert command[1] in tli(command[0], "resnet18", "resnet34", command[1], value, code=2)[1]
