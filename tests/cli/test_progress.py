"""What long work says, where a person looks and where nobody does."""

from __future__ import annotations

from io import StringIO
from time import sleep

import pytest

from tli_cli.cli import render_progress
from tli_cli.cli.render_progress import progress


class Terminal(StringIO):
    """A place to write to that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def soon(monkeypatch):
    """Say things after hundredths of a second."""
    monkeypatch.setattr(render_progress, "BETWEEN_LINES", 0.02)
    monkeypatch.setattr(render_progress, "SHOWN_AFTER", 0.02)


def test_lines_say_what_is_done_and_how_far_it_is(soon, capsys):
    with progress("reading and matching") as tell:
        sleep(0.1)
        tell(60, 1000, "net60")
        sleep(0.1)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "reading and matching: 0 s so far" and said[-1] == "60 of 1,000: net60"


def test_a_bar_says_what_is_done_and_goes_again(soon, monkeypatch):
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    with progress("reading and matching") as tell:
        sleep(1.0)
        tell(60, 1000, "[net60]")
        sleep(0.5)
    said = terminal.getvalue()
    assert "reading and matching" in said and "60 of 1,000" in said and "[net60]" in said
    assert said.endswith(("\x1b[2K", "\r"))


@pytest.mark.parametrize("stream", [Terminal, StringIO])
def test_short_work_says_nothing(stream, monkeypatch):
    monkeypatch.setattr("sys.stderr", said := stream())
    with progress("reading") as tell:
        tell(1, 2, "one")
        tell(2, 2, "two")
    assert said.getvalue() == ""


def test_work_that_fails_ends_its_bar(soon, monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with pytest.raises(ValueError, match="broken"), progress("reading"):
        raise ValueError("broken")
