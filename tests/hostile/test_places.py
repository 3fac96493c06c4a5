"""Places that nothing can be written to: one message, and what is there stays."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tli_cli.cli import run
from tli_cli.plan import Plan

PLACES = {
    "a pipe": "pipe",
    "a directory": "directory",
    "a link to a pipe": "link",
    "a link to a pipe of another name": "other",
    "a link to itself": "loop",
    "a link to a directory that is not there": "dangling",
    "a name too long": "x" * 300,
    "below a file": "file/x",
    "below nothing": "nowhere/x",
    "a directory of the kernel": "/proc/x",
    "a name with a zero": "a\0b",
}
WRITERS = {
    ".safetensors": ("inject", "fine", "-t", "fine", "--force", "-o"),
    ".pt": ("inject", "fine", "-t", "fine", "--force", "-o"),
    ".dcp": ("inject", "fine", "-t", "fine", "--force", "-o"),
    ".json": ("match", "fine", "fine", "--force", "-o"),
    ".svg": ("score", "fine", "fine", "--force", "--plot"),
    ".jsonl": ("score", "fine", "fine", "--resume"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file({"fc.weight": torch.ones(3, 3)}, "fine")
    Path("file").touch()
    os.mkfifo("pipe")
    for suffix in WRITERS:
        os.mkfifo(f"pipe{suffix}")
        Path(f"directory{suffix}").mkdir()
        Path(f"directory{suffix}", "thesis.txt").touch()
        Path(f"link{suffix}").symlink_to(f"pipe{suffix}")
        Path(f"other{suffix}").symlink_to("pipe")
        Path(f"loop{suffix}").symlink_to(f"loop{suffix}")
        Path(f"dangling{suffix}").symlink_to(f"nowhere/a{suffix}")
    return tmp_path


def everything(home: Path) -> dict[str, int]:
    return {str(path): stat.S_IFMT(path.lstat().st_mode) for path in home.rglob("*")}


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_no_place_for_a_file_is_one_message(
    home: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(home)
    for kind, place in PLACES.items():
        code = run([*WRITERS[suffix], f"{place}{suffix}"])
        said = capsys.readouterr()
        assert code == 1 and said.err.count("error: ") == 1 and not said.out, (kind, said)
        assert "Traceback" not in said.err and Path(place).name[:3].replace("\0", "\\x00") in said.err, (kind, said)
        assert everything(home) == before, kind


@pytest.mark.parametrize("shards", [("--max-shard-size", "1"), ()])
def test_a_name_too_long_for_its_shards_is_told_before_anything_is_made(
    home: Path, shards: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({f"fc{i}.weight": torch.ones(3, 3) for i in range(3)}, "several")
    out = "x" * 230 + ".safetensors"
    code = run(["inject", "several", "-t", "several", "-o", out, *shards])
    assert code == bool(shards) and ("File name too long" in capsys.readouterr().err) == bool(shards)
    assert [name for name in os.listdir() if name.startswith(("x", ".x"))] == [] if shards else [out]


NAMES = {
    "of 255 bytes": "x" * 243,
    "of 255 bytes in another script": "\u00fc" * 121 + "x",
    "that is no UTF-8": os.fsdecode(b"\xff\xfe"),
    "of a terminal's commands": "\x1b[2J",
    "of a formula": "$x^$",
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_that_a_file_has_is_read_and_written(
    home: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{NAMES[kind]}.safetensors"
    save_file({"fc.weight": torch.ones(3, 3)}, "plain")
    os.rename("plain", name)
    save_file({"fc.weight": torch.ones(4, 4)}, "wider")
    for command in (
        ("inspect", name),
        ("match", name, "wider", "-o", "plan.json"),
        ("inject", name, "-t", "wider", "-o", "out.safetensors", "--plan", "plan.json"),
        ("verify", "out.safetensors", "-t", "wider"),
        ("score", name, "wider", "--plot", "drawn.svg"),
        ("rank", "wider", name),
        ("inject", "wider", "-t", name, "-o", name, "--force"),
        ("inject", "wider", "-t", name, "-o", f"{NAMES[kind][:-8] or 'y'}.dcp"),
    ):
        assert run(list(command)) == 0, (command, capsys.readouterr())
    assert Plan.from_json(Path("plan.json").read_text()).exact == 0
    assert not [other for other in os.listdir() if other.startswith(".")]


def test_shards_of_a_name_that_no_index_can_hold_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({f"fc{i}.weight": torch.ones(3, 3) for i in range(3)}, "several")
    before = everything(home)
    name = os.fsdecode(b"\xff.safetensors")
    assert run(["inject", "several", "-t", "several", "-o", name, "--max-shard-size", "1"]) == 1
    assert "plain text" in capsys.readouterr().err and everything(home) == before


CLOSED = {
    "a full device": "exec >/dev/full",
    "no standard output": "exec >&-",
    "no standard error": "exec 2>&-",
    "no stream at all": "exec <&- >&- 2>&-",
}


@pytest.mark.parametrize("kind", CLOSED)
def test_streams_that_take_nothing_leave_no_traceback(home: Path, kind: str) -> None:
    command = f'{CLOSED[kind]}; exec "{sys.executable}" -m tli_cli inject fine -t fine -o out.safetensors'
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, env=usual)
    assert done.returncode == ("full" in kind) and "Traceback" not in done.stderr
    assert ("error: standard output cannot be written" in done.stderr) == ("full" in kind)
    assert Path("out.safetensors").exists()


@pytest.mark.parametrize(
    "given", [("-o", "a.safetensors"), ("-o", "a.pt"), ("-o", "a.safetensors", "--max-shard-size", "20")]
)
def test_what_only_its_owner_may_read_stays_so(home: Path, given: tuple[str, ...]) -> None:
    save_file({"fc.weight": torch.ones(3, 3), "fc2.weight": torch.ones(3, 3)}, "fine")
    command = ["inject", "fine", "-t", "fine", *given]
    assert run(command) == 0
    made = sorted(home.glob("a*"))
    assert made
    for path in made:
        path.chmod(0o600)
    assert run([*command, "--force"]) == 0
    assert sorted(home.glob("a*")) == made
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o600}
