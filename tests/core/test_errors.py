"""What the user gets wrong: one message that names it, exit code 1, and nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tli_cli import Options
from tli_cli.cli import run
from tli_cli.errors import TliError

NETS = """
from torch import nn

class Sizes: pass

class Lazy(nn.Sequential, nn.Module):
    def __init__(self): super().__init__(nn.LazyConv2d(4, 3))

def net(width=4, classes=5):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

def wide(): return net(8, 5)
def many(): return net(8, 9)
def broken(): raise ValueError("no such luck")
def number(): return 3
wrong = 7
"""
INJECT = ("inject", "small.pt", "--input-shape", "3,8,8", "-o", "out.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "err_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(NETS, scope)
    (tmp_path / "plan.json").write_text('{"version": 1, "steps": []}')
    torch.save(scope["net"]().state_dict(), "small.pt")  # type: ignore[operator]
    save_file({"odd": torch.randn(3)}, "odd.safetensors")
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """Run the command and return its one message, having checked that nothing else came of it."""
    before = sorted(path for path in Path().rglob("*") if "__pycache__" not in path.parts)
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    assert sorted(path for path in Path().rglob("*") if "__pycache__" not in path.parts) == before
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("resnet5o", ("resnet5o", "did you mean")),
        ("timm:resnet5o", ("resnet5o",)),
        ("err_nets.py:wids", ("wids", "did you mean 'wide'")),
        ("err_nets.py:wrong", ("err_nets.py:wrong", "int")),
        ("err_nets.py:number", ("torch.nn.Module", "int")),
        ("err_nets.py:broken", ("err_nets.py:broken", "no such luck")),
        ("err_nets.py:net?colour=red", ("colour",)),
        ("nowhere.py:net", ("nowhere.py",)),
        ("no_such_package.net:Net", ("no_such_package",)),
        ("missing.safetensors", ("missing.safetensors", "no such file")),
        ("folder/missing", ("folder/missing", "no such file")),
        ("smal.pt", ("no such file", "did you mean 'small.pt'")),
        ("~/net.pt", ("no such file", "for shells to expand")),
        ("./err_nets.py:net(colour=3", ("no such file", "path/to/net.py:Net(64")),
        ("err_nets.py", ("err_nets.py:Lazy", "it defines Lazy, Sizes, net")),
        ("err_nets.py:Lazy", ("0.weight", "have no shape yet", "a function that makes the model")),
        ("bert-base-uncased", ("unknown architecture", "hf:DIR")),
        ("resnet18?num_classes=12345678901", ("num_classes", "at most 9 digits")),
        (f"resnet18?num_classes={'9' * 5000}", ("resnet18?num_classes=999",)),
        ("plan.json", ("plan.json", "found a plan; --plan carries it out")),
        ("hf:nowhere/config.json", ("nowhere",)),
    ],
)
def test_an_unknown_target_is_named(capsys, target, words):
    message = fails(capsys, *INJECT, "--target", target)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("target", ["resnet18?num_classes=4", "timm:resnet18,in_chans=1,num_classes=4"])
def test_an_option_that_says_something_else_than_the_name_is_told(capsys, target):
    message = fails(capsys, "match", "resnet18", target, "--num-classes", "5")
    assert "says num_classes=4, and --num-classes 5" in message
    assert run(["match", "resnet18", target, "--num-classes", "4"]) == 0


def test_weights_and_plans_are_not_written_to_standard_output(capsys):
    assert "a file, such as init.safetensors" in fails(capsys, *INJECT[:2], "-t", "err_nets.py:wide", "-o", "-")
    assert "--json prints the plan" in fails(capsys, "match", "small.pt", "err_nets.py:wide", "-o", "-")


def test_what_is_to_be_known_of_both_sides_is_said_once(capsys):
    assert run(["match", "resnet18", "resnet18", "--num-classes", "4"]) == 0
    assert capsys.readouterr().err.count("is taken from timm") == 1


def test_an_architecture_cannot_be_a_source_of_values(capsys):
    message = fails(capsys, "inject", "err_nets.py:net", "-t", "err_nets.py:wide", *INJECT[2:])
    assert "err_nets.py:net" in message and "checkpoint" in message


@pytest.mark.parametrize("arch", ["err_nets.py:wide", "err_nets.py:many"])
def test_a_wrong_source_architecture_says_what_differs(capsys, arch):
    message = fails(capsys, *INJECT, "-t", "err_nets.py:wide", "--source-arch", arch)
    assert "small.pt" in message and "0.weight" in message and "[4, 3, 3, 3]" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 1 2\n", ("line 1",)),
        ("0 x\n", ("line 1", "0 x")),
        ("# ok\n0 1\n0 2\n", ("line 3", "twice")),
        ("-1 0\n", ("line 1",)),
        (b"\xff\xfe\x00", ("cannot be read",)),
    ],
)
def test_a_bad_head_map_names_file_and_line(capsys, folder, text, words):
    (folder / "rows.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    message = fails(capsys, *INJECT, "-t", "err_nets.py:many", "--head", "map:rows.txt")
    assert "rows.txt" in message and all(word in message for word in words), message


@pytest.mark.parametrize("text", ["9 0\n", "0 5\n"])
def test_a_head_map_with_rows_that_are_not_there_says_which_are(capsys, folder, text):
    (folder / "rows.txt").write_text(text)
    message = fails(capsys, *INJECT, "-t", "err_nets.py:many", "--head", "map:rows.txt")
    assert "--head" in message and "0 to 8" in message and "0 to 4" in message


def test_a_head_map_moves_the_rows_that_it_names(folder):
    (folder / "rows.txt").write_text("# new old\n0 4\n8 0\n")
    assert run((*INJECT, "-t", "err_nets.py:many", "--head", "map:rows.txt")) == 0
    made, source = load_file("out.safetensors"), torch.load("small.pt")
    assert made["5.bias"][[0, 8]].equal(source["5.bias"][[4, 0]])


def test_a_head_map_that_is_not_there_is_named(capsys):
    assert "rows.txt" in fails(capsys, *INJECT, "-t", "err_nets.py:many", "--head", "map:rows.txt")


@pytest.mark.parametrize("out", ["no/such/folder/out.safetensors", "err_nets.py/out.safetensors"])
def test_an_output_that_cannot_be_written_is_named(capsys, out):
    message = fails(capsys, *INJECT[:-1], out, "-t", "err_nets.py:wide")
    assert out.rpartition("/")[0] in message


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_is_read_only_is_named(capsys, folder):
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    assert "locked" in fails(capsys, *INJECT[:-1], "locked/out.safetensors", "-t", "err_nets.py:wide")


def test_a_source_is_never_its_own_output(capsys, folder):
    before = (folder / "small.pt").read_bytes()
    fails(capsys, *INJECT[:-1], "small.pt", "-t", "err_nets.py:wide")
    assert (folder / "small.pt").read_bytes() == before


def test_a_model_that_cannot_be_run_is_told_from_its_names_with_a_note(capsys):
    assert run(("match", "small.pt", "err_nets.py:wide", "--input-shape", "1,8,8")) == 0
    assert "err_nets.py:wide" in (note := capsys.readouterr().err) and "--input-shape" in note


def test_values_that_are_not_finite_stop_it(capsys, folder):
    state = torch.load("small.pt")
    state["0.weight"][0] = float("nan")
    torch.save(state, "small.pt")
    message = fails(capsys, *INJECT, "-t", "err_nets.py:wide")
    assert "0.weight" in message and "--on-nonfinite" in message


def test_all_unreadable_sources_are_told_at_once(capsys):
    message = fails(capsys, "inject", "a.pt", "b.pt", "-t", "err_nets.py:wide", *INJECT[2:])
    assert "a.pt" in message and "b.pt" in message


@pytest.mark.parametrize("gate", [("--min-score", "1"), ("--min-coverage", "1"), ("--strict",)])
def test_a_gate_writes_nothing_and_has_its_own_exit_code(capsys, gate):
    message = fails(capsys, *INJECT, "-t", "err_nets.py:many", *gate, code=3)
    assert gate[0] in message


@pytest.mark.parametrize("names", [(), ("--method", "magic"), ("--matcher", "dq"), ("--seed", "-1")])
def test_wrong_usage_has_its_own_exit_code(names):
    assert run((*INJECT, *names) if names else ("inject", "small.pt")) == 2
    assert not Path("out.safetensors").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_score": float("nan")},
        {"min_coverage": "x"},
        {"min_score": 1.5},
        {"seed": -1},
        {"seed": 0.5},
        {"top_k": 0},
        {"fit_minutes": 0},
        {"fit_minutes": float("inf")},
        {"max_shard_size": 0},
        {"num_classes": -1, "in_chans": 0},
        {"dtype": "int8"},
        {"on_nonfinite": "Keep"},
    ],
    ids=str,
)
def test_options_that_nothing_could_be_asked_with_are_told_in_python(wrong):
    with pytest.raises(TliError) as told:
        Options(**wrong)
    assert all(f"{name}: expected" in str(told.value) for name in wrong)


def test_a_device_that_is_not_there_is_told_even_where_all_is_copied(capsys):
    given = ("inject", "odd.safetensors", "-t", "odd.safetensors", "-o", "out.safetensors")
    assert "--device nowhere" in fails(capsys, *given, "--device", "nowhere")


def test_a_source_that_has_nothing_in_common_is_no_error(capsys):
    given = ("inject", "odd.safetensors", "-t", "err_nets.py:wide", *INJECT[2:])
    assert run(given) == 0 and Path("out.safetensors").exists()
