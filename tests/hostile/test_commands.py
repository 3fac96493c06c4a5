"""Hostile files given to the commands: exit code 1, one message, nothing written, no code run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.hostile.conftest import MAX_SECONDS
from tests.hostile.kinds import KINDS
from tests.hostile.test_indexes import SHARD
from tli_cli import texts
from tli_cli.cli import run

INJECT = ("inject", "FINE", "-t", "FINE", "-o", "OUT")
COMMANDS = (
    ("inspect", "HOSTILE"),
    ("inspect", "HOSTILE#encoder", "--json"),
    ("inspect", "hf:HOSTILE"),
    ("match", "HOSTILE", "FINE"),
    ("match", "HOSTILE", "resnet18"),
    ("match", "hf:HOSTILE", "FINE"),
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
    ("rank", "resnet18", "HOSTILE", "--json"),
    ("inject", "HOSTILE", "-t", "FINE", "-o", "OUT"),
    ("inject", "FINE", "-t", "HOSTILE", "-o", "OUT"),
    ("inject", "HOSTILE", "-t", "FINE", "--ema", "any", "-o", "out.pt"),
    ("inject", "HOSTILE", "-t", "FINE", "-o", "out.dcp"),
    ("inject", "HOSTILE", "-t", "FINE", "--dry-run"),
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

ON_READING = ("dcp: another part of the file",)
"""What is sound but for its values, which not every command reads."""

COSTLY = ("module: exported", *(f"bomb: deep lists, {wrapping}" for wrapping in ("zip", "bare", "distributed")))
"""What takes seconds to make or to refuse; CI has it in tests of its own."""

CI = 1
"""How many commands each other kind meets in CI, another one for each kind."""


def _hostile(kind: str, commands: Sequence[tuple[str, ...]], home: Path, canary: Path, capsys: Any) -> None:
    """Run `commands` with a file of `kind` in every place that takes one."""
    made = home / "hostile"
    made.mkdir()
    path = KINDS[kind](made, canary)
    known = {"HOSTILE": f"hostile/{path.name}", "FINE": "fine.safetensors", "OUT": "out.safetensors"}
    Path("names.txt").write_text(f"{known['FINE']}\n{known['HOSTILE']}\n")
    before = _everything(home)
    for command in commands:
        if "--resume" in command and (not path.exists() or path.stat().st_size == 0):
            continue  # what is to be begun may be empty
        given = [known.get(word, word.replace("HOSTILE", known["HOSTILE"])) for word in command]
        start = time.perf_counter()
        code, shown = run(given), capsys.readouterr()
        assert code == 1 and not shown.out and shown.err.count("error: ") == 1, (given, code, shown)
        assert path.name in shown.err or SHARD in shown.err, (given, shown)
        assert "Traceback" not in shown.err and len(shown.err) < 1500, given
        assert _everything(home) == before and not canary.exists(), given
        assert time.perf_counter() - start < MAX_SECONDS, given


def _everything(home: Path) -> dict[str, tuple[int, ...]]:
    return {
        str(path): (info.st_mode, info.st_size, info.st_mtime_ns) for path in home.rglob("*") for info in [path.lstat()]
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A directory with a sound checkpoint and a plan for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(texts, "WAIT", 0.05)
    save_file({"fc.weight": torch.ones(3, 3)}, "fine.safetensors")
    assert run(["match", "fine.safetensors", "fine.safetensors", "-o", "plan.json"]) == 0
    capsys.readouterr()
    return tmp_path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kinds", [pytest.param(list(KINDS)[i::8], id=str(i)) for i in range(8)])
@pytest.mark.parametrize("count", [CI, pytest.param(len(COMMANDS), marks=pytest.mark.whole)])
def test_every_command_refuses_it_with_one_message(
    home: Path, kinds: list[str], count: int, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in kinds:
        if kind in ON_READING or (count == CI and kind in COSTLY):
            continue
        first = 7 * list(KINDS).index(kind)
        commands = [COMMANDS[(first + i) % len(COMMANDS)] for i in range(count)]
        _hostile(kind, commands, home, canary, capsys)
        shutil.rmtree(home / "hostile")


@pytest.mark.parametrize("kind", ON_READING)
def test_what_only_values_tell_is_refused_where_they_are_read(
    kind: str, home: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _hostile(
        kind,
        [("verify", "HOSTILE", "-t", "HOSTILE"), ("inject", "HOSTILE", "-t", "HOSTILE", "-o", "OUT")],
        home,
        canary,
        capsys,
    )


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
