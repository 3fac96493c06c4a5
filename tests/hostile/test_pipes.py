"""Pipes in the place of files: read where a text is expected, and not waited for without end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save_file

from tli_cli import texts
from tli_cli.cli import run
from tli_cli.errors import TliError
from tli_cli.texts import read_text


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(texts, "WAIT", 0.2)
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    "command",
    [
        ("score", "--from-file", "pipe"),
        ("inject", "fine", "-t", "fine", "-o", "out.safetensors", "--plan", "pipe"),
        ("inject", "fine", "-t", "fine", "-o", "out.safetensors", "--head", "map:pipe"),
        ("inject", "pipe", "-t", "fine", "-o", "out.safetensors"),
        ("inject", "hf:pipe", "-t", "fine", "-o", "out.safetensors"),
    ],
)
def test_a_pipe_that_nothing_writes_to_is_one_message(
    pipe: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"fc.weight": torch.ones(3, 3)}, "fine")
    before = sorted(os.listdir())
    assert run(list(command)) == 1
    said = capsys.readouterr().err
    assert said.count("error: ") == 1 and "pipe" in said and sorted(os.listdir()) == before


def late(pipe: Path) -> None:
    with pipe.open("w") as file:
        time.sleep(0.5)  # longer than a pipe may take until something writes to it
        file.write("a" * 100_000)
        file.flush()
        time.sleep(0.1)
        file.write("b")


def nothing(pipe: Path) -> None:
    pipe.open("w").close()


@pytest.mark.parametrize(("write", "text"), [(late, "a" * 100_000 + "b"), (nothing, "")])
def test_a_pipe_that_something_holds_is_read_to_its_end(pipe: Path, write: Callable[[Path], None], text: str) -> None:
    writer = Thread(target=write, args=(pipe,))
    writer.start()
    assert read_text(str(pipe), "a plan") == text
    writer.join()


def test_what_comes_too_late_is_not_taken_for_all(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts.select, "select", lambda *_: ([], [], []))
    holder = os.open(pipe, os.O_RDWR)
    os.write(holder, b"late")
    with pytest.raises(TliError, match="nothing has written"):
        read_text(str(pipe), "a plan")
    os.close(holder)
