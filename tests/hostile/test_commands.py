"""Hostile files given to the commands: exit code 1, one message, nothing written, no code run."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.hostile.test_pickles import Payload
from tli_cli.cli import run


@pytest.fixture
def files(tmp_path: Path, canary: Path) -> dict[str, Path]:
    """One hostile file of each kind, and a sound one called `fine`."""
    found = {name: tmp_path / f"{name}{suffix}" for name, suffix in KINDS.items()}
    save_file({"fc.weight": torch.ones(3, 3)}, found["fine"])
    torch.save({"state_dict": {"a": torch.ones(2)}, "optimizer": [Payload(canary)]}, found["code"])
    found["bare"].write_bytes(pickle.dumps({"a": Payload(canary)}))
    torch.save({"a": Payload(canary)}, found["disguised"])
    torch.save(torch.nn.Linear(2, 2), found["module"])
    torch.save({"a": torch.ones(1).expand(1 << 30)}, found["claim"])
    found["header"].write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    found["empty"].write_bytes(b"")
    found["text"].write_text("hello\n" * 30)
    found["cut"].write_bytes(found["fine"].read_bytes()[:-3])
    found["index"].write_text(json.dumps({"weight_map": {"a": "../fine.safetensors"}}))
    return found


KINDS = {
    "fine": ".safetensors",
    "code": ".ckpt",
    "bare": ".pt",
    "disguised": ".safetensors",
    "module": ".pt",
    "claim": ".bin",
    "header": ".safetensors",
    "empty": ".safetensors",
    "text": ".pt",
    "cut": ".safetensors",
    "index": ".safetensors.index.json",
}


INJECT = ("inject", "FINE", "-t", "FINE", "-o", "OUT")
COMMANDS = (
    ("inspect", "HOSTILE"),
    ("match", "HOSTILE", "FINE"),
    ("match", "FINE", "HOSTILE", "--json", "-o", "new.json"),
    ("score", "HOSTILE", "FINE"),
    ("score", "FINE", "HOSTILE"),
    ("score", "FINE", "resnet18", "HOSTILE", "-j", "1"),
    ("score", "FINE", "HOSTILE", "--plot", "new.svg"),
    ("score", "--from-file", "names.txt", "-j", "1"),
    ("score", "--from-file", "HOSTILE", "-j", "1"),
    ("score", "FINE", "FINE", "--resume", "HOSTILE"),
    ("rank", "HOSTILE", "FINE"),
    ("rank", "FINE", "FINE", "HOSTILE"),
    ("inject", "HOSTILE", "-t", "FINE", "-o", "OUT"),
    ("inject", "FINE", "-t", "HOSTILE", "-o", "OUT"),
    ("inject", "FINE", "HOSTILE", "-t", "FINE", "-o", "OUT"),
    ("inject", "FINE", "HOSTILE", "-t", "FINE", "--best", "-o", "OUT"),
    ("inject", "FINE", "-t", "HOSTILE", "--best", "-o", "OUT"),
    ("inject", "HOSTILE", "-t", "FINE", "--plan", "plan.json", "-o", "OUT"),
    ("inject", "FINE", "-t", "HOSTILE", "--plan", "plan.json", "-o", "OUT"),
    (*INJECT, "--plan", "HOSTILE"),
    (*INJECT, "--head", "map:HOSTILE"),
    (*INJECT, "--source-arch", "HOSTILE"),
    (*INJECT, "--source-tokenizer", "names.txt", "--target-tokenizer", "HOSTILE"),
    ("inject", "FINE", "-t", "FINE", "-o", "HOSTILE"),
    ("verify", "HOSTILE", "-t", "FINE"),
    ("verify", "FINE", "-t", "HOSTILE"),
)
"""Every place in which a command takes a file."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "fine"])
def test_every_command_refuses_it_with_one_message(
    files: dict[str, Path],
    kind: str,
    tmp_path: Path,
    canary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"HOSTILE": files[kind].name, "FINE": files["fine"].name, "OUT": "out.safetensors"}
    Path("names.txt").write_text(f"{known['FINE']}\n{known['HOSTILE']}\n")
    assert run(["match", known["FINE"], known["FINE"], "-o", "plan.json"]) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for command in COMMANDS:
        if "--resume" in command and kind == "empty":
            continue  # what is to be begun may be empty
        given = [known.get(word, word.replace("HOSTILE", known["HOSTILE"])) for word in command]
        assert run(given) == 1, given
        shown = capsys.readouterr()
        assert not shown.out and shown.err.count("error: ") == 1 and known["HOSTILE"] in shown.err, (given, shown)
        assert "Traceback" not in shown.err and len(shown.err) < 3000, given
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before and not canary.exists(), given


@pytest.mark.parametrize("name", [".", "..", "/", "", "./", "x" * 5000, "/dev/null", "a\nb", "a\0b"])
def test_a_strange_name_is_one_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    for command in (
        "inspect",
        "match resnet18",
        "score resnet18",
        "rank resnet18",
        "inject resnet18 -o out.safetensors --target",
    ):
        if command.startswith("rank") and name in {"..", "/"}:
            continue  # searches all that is below
        capsys.readouterr()
        assert run([*command.split(), name]) == 1
        said = capsys.readouterr()
        assert said.err.startswith("error: ") and said.err.count("\n") == 1 and not said.out
    assert not list(tmp_path.glob("inner/*"))
