"""Write docs/cli.md from the commands' own help: `python docs/generate_cli.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("cli.md")
INTRODUCTION = """\
# The command line

Generated from the commands' own help by `make docs`. A test keeps it current.

Data goes to standard output and everything else to standard error. A terminal gets tables, a pipe gets tab-separated
lines without a heading, `--json` gives a value with a `version`. `NO_COLOR` is respected.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the input is at fault: one message on standard error says what, where and what to do; nothing is written |
| 2 | wrong usage |
| 3 | a gate (`--min`, `--min-score`, `--min-coverage`, `--strict`) was not met; nothing is written |
| 130, 143, 129 | interrupted; asked to end (`SIGTERM`); its terminal has gone (`SIGHUP`): nothing is left half done |
"""


def commands() -> list[str]:
    """Return the names of the commands, in the order in which help lists them."""
    from tli_cli.cli.app import COMMANDS

    return [command.__name__ for command in COMMANDS]


def help_text(*arguments: str) -> str:
    """Return what `tli ARGUMENTS --help` prints for a terminal of 100 columns."""
    environment = {**os.environ, "COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb"}
    environment.pop("FORCE_COLOR", None)
    command = [sys.executable, "-m", "tli_cli", *arguments, "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def page() -> str:
    """Return the whole page."""
    sections = [INTRODUCTION]
    for name in ("", *commands()):
        arguments = (name,) if name else ()
        sections.append(f"## `tli{' ' * bool(name)}{name}`\n\n```text\n{help_text(*arguments)}\n```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
