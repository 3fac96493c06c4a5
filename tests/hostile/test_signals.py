"""A process that is asked to end, or whose own was killed, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ENDS = signal.SIGTERM, signal.SIGHUP, signal.SIGINT
WRITES = """
import sys, time
from pathlib import Path
from tests.hostile.support import SPECS, ones
from tli_cli import cli
from tli_cli.checkpoints.writing.output import pending_files
from tli_cli.checkpoints.writing.drafts import draft_path

def run(arguments):
    with pending_files() as files:
        files.append(Draft(Path(sys.argv[1])))
        print("started", flush=True)
        time.sleep(60)

class Draft:
    def __init__(self, path):
        self.path = draft_path(path)
        self.path.write_bytes(b"half")
    def close(self):
        self.path.unlink()

cli.run = run
cli.main(())
"""
COMPUTES = """
import os
from tli_cli import cli
from tli_cli.matrices import matrix

class Scores:
    def __init__(self, sides, matcher):
        pass
    def row(self, target):
        os.write(1, f"{os.getpid()}\\n".encode())  # at once, as both write to one pipe
        __import__("time").sleep(60)

class Sides:
    alone = range(1000)

matrix.RowScores = Scores
cli.run = lambda arguments: list(matrix._computed(Sides(), range(2), "dp", 2))
cli.main(())
"""


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"} | {"PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=heard,
    )


def heard() -> None:
    """Hear of what the process that runs the tests may have been told to ignore, as by `nohup`."""
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("how", ENDS)
def test_what_was_begun_is_removed_by_a_process_that_is_asked_to_end(tmp_path: Path, how: signal.Signals) -> None:
    process = started(WRITES, str(tmp_path / "a.safetensors"))
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    assert len(list(tmp_path.iterdir())) == 1
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode in (128 + how, -how)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_processes_of_a_matrix_end_with_the_one_that_started_them(how: signal.Signals) -> None:
    process = started(COMPUTES)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    process.send_signal(how)
    process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while any(map(is_there, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.stdout.close()
    assert not any(map(is_there, workers))


def is_there(process: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody has asked after does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
