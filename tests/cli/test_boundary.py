"""What a shell sees: exit codes, one message, quiet pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from os import environ

import pytest
import torch
from safetensors.torch import save_file

import tli_cli
from tli_cli.cli import app as application
from tli_cli.cli import run
from tli_cli.cli.shared import Matcher, Method
from tli_cli.errors import CheckpointError, GateError
from tli_cli.matching import MATCHERS
from tli_cli.planning.request import methods

TLI = (sys.executable, "-m", "tli_cli")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CheckpointError("src.pt: empty file"), 1, "error: src.pt: empty file\n"),
        (GateError("--min asks for 0.5, found 0.4"), 3, "error: --min asks for 0.5, found 0.4\n"),
        (PermissionError(13, "Permission denied", "/nowhere/out"), 1, "error: /nowhere/out: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 1, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_become_one_message_and_a_code(monkeypatch, capfd, error, code, said):
    def failing(**_: object) -> None:
        raise error

    monkeypatch.setattr(application, "app", failing)
    assert run([]) == code
    out, err = capfd.readouterr()
    assert (out, err) == ("", said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "No such command"),
        (("mtach",), "Did you mean"),
        (("score", "a"), "TARGET"),
        (("match", "resnet18"), "'SOURCE... TARGET'"),
        (("inject", "a", "--target", "b"), "--output"),
        (("inject", "a", "-t", "b", "-o", "c", "--method", "magic"), "magic"),
        (("inject", "a", "-t", "b", "-o", "c", "--method", "fitt"), "'fit'?"),
        (("inject", "a", "-t", "b", "-o", "c", "--dtype", "float23"), "'float32'"),
        (("inject", "a", "-t", "b", "-o", "c", "--plan", "p.json", "--head", "keep"), "--head"),
        (("inject", "a", "-t", "b", "-o", "c", "--plan", "p.json", "--no-batchnorm"), "--no-batchnorm"),
        (("rank", "resnet18"), "name one source or more"),
        (("inject", "a", "-t", "b", "-o", "c", "--head", "map:"), "map:FILE"),
        (("inject", "a", "-t", "b", "-o", "c", "--max-shard-size", "five"), "5GB"),
        (("score", "a", "b", "--input-shape", "3,0,3"), "3,224,224"),
        (("score", "a", "b", "--min", "2"), "--min"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_code_2(capsys, arguments, said):
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err and out == ""


@pytest.mark.parametrize("command", ["match", "inject", "score", "archs"])
def test_help_names_no_types_of_a_programming_language(capsys, command):
    assert run([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert not {kind for kind in ("<bool>", "<str>", "<list[str]>") if kind in out}


def test_choices_are_the_strategies_there_are():
    assert [choice.value for choice in Method] == list(methods())
    assert [choice.value for choice in Matcher] == list(MATCHERS)


def test_no_colour_where_none_is_wanted(monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(["version"]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_the_version_may_be_asked_for_by_an_option(capsys):
    said = [(run([how]), capsys.readouterr().out) for how in ("version", "--version")]
    assert said[0] == said[1] and said[0][1].startswith(f"tli\t{tli_cli.__version__}\npython\t")


def test_a_closed_pipe_is_quiet():
    with subprocess.Popen([*TLI, "version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""


def test_sources_to_rank_may_stand_in_a_file(tmp_path):
    names = tmp_path / "nämen.txt"
    names.write_text("resnet18")
    given = (*TLI, "rank", "resnet34", "--from-file", names, "--json")
    found = subprocess.run(given, capture_output=True, check=True)
    assert [one["source"] for one in json.loads(found.stdout)["candidates"]] == ["resnet18"]


def test_a_table_for_a_terminal_without_the_characters_of_a_name(tmp_path):
    save_file({"fc.weight": torch.ones(2, 3)}, tmp_path / "nämen.safetensors")
    given = (*TLI, "inspect", tmp_path / "nämen.safetensors")
    plain = {**environ, "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"}
    assert b"n\\xe4men" in subprocess.run(given, capture_output=True, env=plain, check=True).stdout
