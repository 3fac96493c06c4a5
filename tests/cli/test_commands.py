"""The commands end to end, on small files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tli_cli.cli import run
from tli_cli.plan import Plan

NETS = """
from torch import nn

def net(width):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 2 * width, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 5),
    )

def small(): return net(4)
def wide(): return net(8)
"""
SHAPE = ("--input-shape", "3,8,8")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    torch.manual_seed(0)
    (tmp_path / "nets.py").write_text(NETS)
    scope: dict[str, object] = {}
    exec(NETS, scope)
    small = scope["small"]()  # type: ignore[operator]
    assert isinstance(small, nn.Module)
    torch.save(small.state_dict(), tmp_path / "small.pt")
    save_file(small.state_dict(), tmp_path / "small.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tli(capsys, *arguments: str, code: int = 0) -> tuple[str, str]:
    assert run(arguments) == code, capsys.readouterr().err
    out, err = capsys.readouterr()
    return out, err


def test_match_writes_the_plan_that_it_prints(capsys):
    printed, _ = tli(capsys, "match", "small.pt", "nets.py:wide", *SHAPE, "--json", "-o", "plan.json")
    with open("plan.json", encoding="utf-8") as file:
        assert Plan.from_json(file.read()) == Plan.from_json(printed)
    _, err = tli(capsys, "match", "small.pt", "nets.py:wide", *SHAPE, "-o", "plan.json", code=1)
    assert "--force" in err


def test_match_rows_are_the_target_tensors_in_order(capsys):
    out, _ = tli(capsys, "match", "small.pt", "nets.py:wide", *SHAPE, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["target"] for row in rows][:3] == ["0.weight", "0.bias", "1.weight"]
    assert rows[0]["target_shape"] == "8x3x3x3" and rows[0]["source_shape"] == "4x3x3x3"


def test_inject_writes_what_it_reports(capsys):
    out, _ = tli(capsys, "inject", "small.pt", "-t", "nets.py:wide", *SHAPE, "-o", "out.safetensors", "--json")
    report = json.loads(out)
    tensors = load_file("out.safetensors")
    assert {t["name"]: t["shape"] for t in report["tensors"]} == {k: list(v.shape) for k, v in tensors.items()}
    assert report["exact"] + report["adapted"] + report["initialised"] == len(tensors)


def test_a_piped_plan_gives_the_same_bytes(capsys, monkeypatch, folder):
    given = ("small.pt", "-t", "nets.py:wide", *SHAPE)
    tli(capsys, "inject", *given, "-o", "a.safetensors")
    plan, _ = tli(capsys, "match", "small.pt", "nets.py:wide", *SHAPE, "--json")
    monkeypatch.setattr("sys.stdin", io.StringIO(plan))
    tli(capsys, "inject", *given, "--plan", "-", "-o", "b.safetensors")
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', '{"version": 1}'])
def test_what_is_not_a_plan_is_one_message(capsys, folder, text):
    (folder / "plan.json").write_text(text)
    given = ("small.pt", "-t", "nets.py:wide", *SHAPE, "--plan", "plan.json", "-o", "out.safetensors")
    out, err = tli(capsys, "inject", *given, code=1)
    assert out == "" and err.startswith("error: plan.json: ") and not (folder / "out.safetensors").exists()


def test_a_gate_that_is_not_met_writes_nothing(capsys, folder):
    given = ("small.pt", "-t", "nets.py:wide", *SHAPE, "-o", "out.safetensors", "--min-score", "1")
    _, err = tli(capsys, "inject", *given, code=3)
    assert "--min-score asks for 1.0000" in err and not (folder / "out.safetensors").exists()


def test_a_dry_run_writes_nothing(capsys, folder):
    out, _ = tli(capsys, "inject", "small.pt", "-t", "nets.py:wide", *SHAPE, "-o", "out.safetensors", "--dry-run")
    assert "nothing (dry run)" in out and not (folder / "out.safetensors").exists()


def test_nothing_is_replaced_without_force(capsys, folder):
    given = ("inject", "small.pt", "-t", "nets.py:wide", *SHAPE, "-o", "out.safetensors")
    (folder / "out.safetensors").write_bytes(b"mine")
    _, err = tli(capsys, *given, code=1)
    assert "--force" in err and (folder / "out.safetensors").read_bytes() == b"mine"
    tli(capsys, *given, "--force")


@pytest.mark.parametrize(("said", "dtype"), [("bf16", torch.bfloat16), ("half", torch.float16)])
def test_dtypes_have_short_names(capsys, said, dtype):
    tli(capsys, "inject", "small.pt", "-t", "small.pt", "-o", f"{said}.safetensors", "--dtype", said)
    assert {value.dtype for value in load_file(f"{said}.safetensors").values() if value.is_floating_point()} == {dtype}


def test_score_of_a_model_with_itself_is_one(capsys):
    out, _ = tli(capsys, "score", "small.safetensors", "small.safetensors", "--json", "--min", "1")
    assert json.loads(out)["mean"] == 1
    _, err = tli(capsys, "score", "small.pt", "nets.py:wide", *SHAPE, "--min", "1", code=3)
    assert err.count("\n") == 1


def test_inspect_lists_every_tensor(capsys):
    out, _ = tli(capsys, "inspect", "small.pt", "--csv")
    assert len(out.splitlines()) == 1 + len(torch.load("small.pt"))


def test_archs_finds_names(capsys):
    every, _ = tli(capsys, "archs")
    some, _ = tli(capsys, "archs", "timm:*")
    assert 0 < len(some.splitlines()) <= len(every.splitlines())
    assert json.loads(tli(capsys, "archs", "--json")[0])["architectures"] == every.splitlines()
    assert tli(capsys, "archs", "TIMM:*") == (some, "")


def test_a_pattern_that_nothing_matches_gets_a_suggestion(capsys):
    out, err = tli(capsys, "archs", "resnet5O", code=1)
    assert out == "" and err.startswith("error: no architecture matches 'resnet5O'; did you mean 'resnet50'")


def test_sizes_are_not_asked_of_a_checkpoint(capsys):
    _, err = tli(capsys, "match", "small.pt", "small.pt", "--num-classes", "3", "--in-chans", "1", code=1)
    assert "--num-classes and --in-chans cannot change them" in err and err.count("\n") == 1


@pytest.mark.parametrize("reference", ["nothing.pt", "resnet5000", "nets.py:nothing", "nets.py"])
def test_what_is_not_there_is_one_message(capsys, reference):
    out, err = tli(capsys, "score", "small.pt", reference, *SHAPE, code=1)
    assert out == "" and err.startswith("error: ") and reference.partition(":")[0] in err


def test_verify_reads_a_result_back(capsys, folder):
    tli(capsys, "inject", "small.pt", "-t", "nets.py:wide", *SHAPE, "-o", "out.safetensors")
    out, _ = tli(capsys, "verify", "out.safetensors", "--target", "nets.py:wide", *SHAPE, "--json")
    value = json.loads(out)
    assert (
        value["fits"] and value["tensors"] == len(load_file("out.safetensors")) and value["provenance"]["seed"] == "0"
    )

    broken = load_file("out.safetensors")
    broken["0.weight"][0] = float("nan")
    del broken["0.bias"]
    save_file(broken, "broken.safetensors")
    _, err = tli(capsys, "verify", "broken.safetensors", "--target", "nets.py:wide", *SHAPE, code=1)
    assert "0.weight: holds NaN" in err and "0.bias: missing" in err and "no provenance" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("match", "small.pt", "nets.py:wide", "--json", "--csv"), 2, "only one of --json and --csv"),
        (("inspect", "https://there.example/net.pt"), 1, "nothing is downloaded"),
        (("inspect", "people/net"), 1, "`hf download people/net --local-dir net`"),
        (("inspect", "hf:people/net"), 1, "`hf download people/net --local-dir net`"),
        (("inspect", "people/net.safetensors"), 1, "no such file or directory; there is no directory people"),
        (("inspect", "file:///there/net.pt"), 1, "name the path alone: /there/net.pt"),
        (("inspect", "-"), 1, "no checkpoint is read from standard input"),
        (("inspect", "nothing"), 1, "there is no such file"),
        (("inspect", "nets.py:other"), 1, "it defines net, small, wide"),
        (("inspect", "small.pt", "--ema", "any"), 1, "leave --ema out"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(arguments, code, said, capsys):
    assert said in tli(capsys, *arguments, code=code)[1]


def test_what_a_dry_run_does_not_verify_is_said(capsys):
    arguments = ("inject", "small.pt", "--target", "nets.py:wide", *SHAPE, "--dry-run", "--verify")
    assert "nothing was run" in tli(capsys, *arguments)[1]


def test_a_file_and_its_shards_take_one_line(capsys):
    arguments = ("inject", "small.pt", "--target", "nets.py:wide", *SHAPE, "-o", "out.safetensors")
    out, _ = tli(capsys, *arguments, "--max-shard-size", "1kB")
    assert [line.split("\t")[1].partition(" (")[0] for line in out.splitlines() if line.startswith("written")] == [
        f"out.safetensors.index.json and {len(list(Path().glob('out-*')))} more files"
    ]


def test_training_state_takes_one_line(capsys):
    torch.save({"state_dict": torch.load("small.pt"), "epoch": 3, "lr": 0.1}, "last.ckpt")
    _, err = tli(capsys, "inspect", "last.ckpt")
    assert "note: last.ckpt: left aside epoch: int; lr: float" in err.splitlines()
