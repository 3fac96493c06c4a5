"""Several processes that write one checkpoint, and torch's distributed format."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject
from tli_cli.checkpoints import open_checkpoint
from tli_cli.cli import run
from tli_cli.errors import CheckpointError

LIMIT = 6000


def net(width: int, count: int = 6) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    layers = {f"fc{i}.weight": torch.randn(width, width, generator=draw) for i in range(count)}
    return {**layers, "fc0.bias": torch.zeros(width, dtype=torch.bfloat16), "n": torch.tensor(3)}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    for name, width in (("source", 20), ("target", 30)):
        save_file(net(width), tmp_path / f"{name}.safetensors")
    return str(tmp_path / "source.safetensors"), str(tmp_path / "target.safetensors")


def launch(code: str, *arguments: str, count: int = 2, started: int = 2) -> list[tuple[int, str]]:
    """Run `code` in `count` processes that know of each other as those of `torchrun` do, of which only so many are
    `started`; return how each of these ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    known |= {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**known, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(started)
    ]
    said = [process.communicate(timeout=240)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


TWICE = """
import os, sys
from tli_cli.cli import run
source, target, home, limit = sys.argv[1:]
given = ("inject", source, "-t", target)
assert run((*given, "-o", home + "/two.safetensors", "--max-shard-size", limit)) == 0
assert run((*given, "-o", home + "/two.dcp")) == 0
assert run((*given, "-o", home + "/two.dcp")) == 1
os.environ["SEED"] = os.environ["RANK"]
assert run((*given, "-o", home + "/other.safetensors", "--seed", os.environ["RANK"])) == 1
assert run((*given, "-o", home + "/there.safetensors", "--max-shard-size", limit, "--force")) == 0
"""


def test_two_processes_write_what_one_does(files: tuple[str, str], tmp_path: Path) -> None:
    home = tmp_path / "out"
    home.mkdir()
    inject(*files, home / "one.safetensors", options=Options(max_shard_size=LIMIT))
    inject(*files, home / "one.dcp")
    (home / "there.safetensors").write_bytes(b"an old file")
    ended = launch(TWICE, *files, str(home), str(LIMIT))
    assert [code for code, _ in ended] == [0, 0], ended
    for name in ("one", "two"):
        assert not (home / f"{name}.safetensors").exists()
    shards = sorted(home.glob("one-*.safetensors"))
    assert len(shards) > 3
    for shard in shards:
        assert shard.read_bytes() == Path(str(shard).replace("one-", "two-")).read_bytes()
    index = (home / "one.safetensors.index.json").read_text()
    assert index.replace("one-", "two-") == (home / "two.safetensors.index.json").read_text()
    assert {path.name for path in (home / "two.dcp").iterdir()} == {
        ".metadata",
        "__0_0.distcp",
        "__1_0.distcp",
        "tli.json",
    }
    with open_checkpoint(home / "one.dcp") as one, open_checkpoint(home / "two.dcp") as two:
        assert one.tensors == two.tensors and one.metadata == two.metadata
        assert all(one.read(spec.name).equal(two.read(spec.name)) for spec in one.tensors)
    assert "the ranks differ in their plan" in ended[0][1] and "the ranks differ in their plan" in ended[1][1]
    assert "written" in ended[0][1] and "written" not in ended[1][1].replace("was written", "")
    assert not (home / "there.safetensors").exists() and (home / "there.safetensors.index.json").exists()
    assert not [path for path in home.rglob("*") if "other" in path.name or path.name.endswith((".tmp", ".old"))]


FAILING = """
import os, signal, sys
from unittest.mock import patch
from tli_cli.cli import run
source, target, home, limit = sys.argv[1:]

def full(*_):
    raise OSError(28, "No space left on device")

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def failing(name, where, what=full):
    if os.environ["RANK"] != "1":
        what = getattr(*where)
    given = ("inject", source, "-t", target, "-o", f"{home}/{name}", "--max-shard-size", limit, "--force")
    with patch.object(*where, what):
        code = run(given)
    print(f"{where[1]} {name}: {code}", file=sys.stderr)
    return code

from tli_cli import api
from tli_cli.checkpoints.writing import blocks, dcp_writer, output
for where in ((api, "_sides"), (api, "plan_for"), (blocks.BlockWriter, "_write"), (output, "_name")):
    assert failing("a.safetensors", where) == 1
assert failing("a.pt", (blocks.BlockWriter, "_write")) == 1
assert failing("a.dcp", (dcp_writer, "_tensor")) == 1
assert failing("a.safetensors", (blocks.BlockWriter, "_write"), killed) == 1
os._exit(1)
"""


@pytest.mark.filterwarnings("ignore")
def test_a_rank_that_fails_or_is_killed_ends_all_and_leaves_what_was_there(
    files: tuple[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "out"
    home.mkdir()
    for suffix in ("safetensors", "pt", "dcp"):
        inject(*files, home / f"a.{suffix}", options=Options(max_shard_size=LIMIT if suffix == "pt" else None))
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    (first, said), (second, others) = launch(FAILING, *files, str(home), str(LIMIT))
    assert (first, second) == (1, -signal.SIGKILL), (said, others)
    assert said.count("error: ") == 7 and "Traceback" not in said + others, (said, others)
    assert said.count("error: rank 1: ") == 6 and said.count("No space left on device") == 6
    assert said.count("error: rank 0: another rank has gone") == 1
    assert others.count("error: ") == 6 and others.count("No space left on device") == 6
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


NOBODY_COMES = """
import sys
from datetime import timedelta
from tli_cli.checkpoints.writing import ranks
from tli_cli.cli import run
ranks.JOIN = timedelta(seconds=1)
sys.exit(run(("inject", *sys.argv[1:3], "-t", sys.argv[2], "-o", sys.argv[3])))
"""


def test_a_rank_that_never_begins_is_not_waited_for_without_end(files: tuple[str, str], tmp_path: Path) -> None:
    ((code, said),) = launch(NOBODY_COMES, *files, str(tmp_path / "a.safetensors"), count=2, started=1)
    assert code == 1 and "error: torchrun: the other ranks cannot be reached" in said and "Traceback" not in said
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.whole
def test_torchrun_starts_them(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    given = ["inject", files[0], "-t", files[1], "-o", str(out), "--max-shard-size", str(LIMIT)]
    done = subprocess.run([*command, "-m", "tli_cli", *given], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("coverage") == 1
    assert len(open_checkpoint(tmp_path / "out.safetensors.index.json").tensors) == 8


@pytest.mark.filterwarnings("ignore")
def test_torch_loads_what_is_written(files: tuple[str, str], tmp_path: Path) -> None:
    assert run(("inject", files[0], "-t", files[1], "-o", str(tmp_path / "out.dcp"))) == 0
    inject(*files, tmp_path / "out.safetensors")
    expected = load_file(tmp_path / "out.safetensors")
    loaded = {name: torch.zeros_like(value) for name, value in net(30).items()}
    dcp.load(loaded, checkpoint_id=tmp_path / "out.dcp")
    assert all(loaded[name].equal(value) for name, value in expected.items())
    with open_checkpoint(tmp_path / "out.dcp") as found:
        assert [spec.name for spec in found.tensors] == [s.name for s in open_checkpoint(files[1]).tensors]
    assert run(("verify", str(tmp_path / "out.dcp"), "-t", files[1])) == 0


def test_an_existing_directory_is_replaced_only_when_forced_and_a_checkpoint(
    files: tuple[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out.dcp"
    inject(*files, out)
    first = sorted(path.name for path in out.iterdir())
    with pytest.raises(CheckpointError, match="exists already"):
        inject(*files, out)
    (out / "more").write_text("x")
    inject(*files, out, options=Options(force=True))
    assert sorted(path.name for path in out.iterdir()) == first
    other = tmp_path / "mine.dcp"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(CheckpointError, match="no distributed checkpoint"):
        inject(*files, other, options=Options(force=True))
    assert (other / "thesis.txt").read_text() == "x"
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine.dcp",
        "out.dcp",
        "source.safetensors",
        "target.safetensors",
    }
