"""Every command in the docs is run, in a terminal of 100 columns, and its output compared with what the docs show.

A line of the docs that is `...` stands for any lines. What a `python` command prints is not
compared, nor is how far the outputs differ.
`UPDATE_GOLDEN=1 pytest tests/test_docs.py` writes the real output into the docs instead.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import typer

from tli_cli.axis_maps.rules import RULES
from tli_cli.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.name != "cli.md"]
COLUMNS = 100
PROGRESS = re.compile(r"^[\d,]+ of [\d,]+: .*\n", re.MULTILINE)
"""What long work says every minute: on a machine that is busy, before it is done."""
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    command: str
    output: str


def examples(block: str) -> list[Example]:
    """Return the commands of a console block (`$ ...`, going on after a backslash) with the output shown for each."""
    found: list[Example] = []
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = re.sub(r"\\\n> ", "\\\n", part).partition("\n")
        while command.endswith("\\"):
            line, _, output = output.partition("\n")
            command += f"\n{line}"
        found.append(Example(command, output))
    return found


def run_in_terminal(command: str, folder: Path) -> str:
    """Run a command in a terminal of its own; return what it shows, then what it says on standard error."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    for name in ("FORCE_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    said = folder / ".said"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=stderr,
        )
        os.close(slave)
        seen = _drain(master)
        code = process.wait(timeout=300)
    seen += PROGRESS.sub("", said.read_text(encoding="utf-8"))
    assert code == 0, f"{command}\n{seen}"
    return seen


def _drain(master: int) -> str:
    chunks = []
    try:
        while chunk := os.read(master, 65536):
            chunks.append(chunk)
    except OSError:  # what Linux says when the other end has closed
        pass
    finally:
        os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(chunks).decode())
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def same(shown: str, seen: str, *, numbers: bool) -> bool:
    """Return whether the output shown is the output seen."""
    if not numbers:
        return True
    shown, seen = (re.sub(r"(?m)^(outputs differ by +)\S+$", r"\1#", text) for text in (shown, seen))
    pattern = r"(?:.*\n)*?".join(re.escape(part) for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE))
    return re.fullmatch(pattern, seen) is not None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the examples' files, as a checkout has them, and a checkpoint of one of their networks."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("out", "__pycache__"))
    spec = importlib.util.spec_from_file_location("nets", folder / "examples" / "nets.py")
    assert spec and spec.loader
    nets = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nets)
    torch.save(nets.SmallResNet().state_dict(), folder / "source.pt")
    return folder


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=[pytest.mark.slow] * (p.name == "session.md"), id=p.name) for p in PAGES]
)
def test_commands_print_what_the_docs_show(page: Path, prepared: Path, tmp_path: Path):
    folder = shutil.copytree(prepared, tmp_path / "work")
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.findall(text):
        shown = examples(block)
        seen = [Example(e.command, run_in_terminal(e.command, folder)) for e in shown]
        if os.environ.get("UPDATE_GOLDEN"):
            fresh = "".join(f"$ {e.command}\n{e.output}" for e in seen)
            page.write_text(page.read_text(encoding="utf-8").replace(block, fresh), encoding="utf-8")
            continue
        for old, new in zip(shown, seen, strict=True):
            numbers = not old.command.startswith("python")
            assert same(old.output, new.output, numbers=numbers), f"{old.command}\n{new.output}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if PYTHON.search(page.read_text("utf-8"))], ids=lambda p: p.name
)
def test_python_runs(page: Path, prepared: Path, tmp_path: Path):
    folder = shutil.copytree(prepared, tmp_path / "work")
    code = "\n".join(PYTHON.findall(page.read_text(encoding="utf-8")))
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    for promised in re.findall(r"print\(plan\)  # (.*) \.\.\.", code):
        assert promised in ran.stdout


def test_every_word_of_how_is_explained():
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    section = page.partition("### The words of the tables")[2].partition("###")[0]
    assert not {"exact", "copied", *RULES} - {"same"} - set(re.findall(r"`(\w+)`", section))


INLINE = re.compile(r"`(tli [a-z]+ [^`]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_in_the_text_have_options_that_there_are(page: Path):
    commands = typer.main.get_command(app).commands
    for text in INLINE.findall(page.read_text(encoding="utf-8")):
        _, name, *arguments = shlex.split(text)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("-")} <= known, text
        if page.name == "recipes.md":
            commands[name].make_context(name, arguments)


def test_the_command_reference_is_current():
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run `make docs`"


def test_the_readme_and_ci_run_the_same_tests():
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == "make test"
