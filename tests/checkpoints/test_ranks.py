"""Several processes that write one checkpoint, and torch's distributed format."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, save_file

from tli_cli import Options, inject
from tli_cli.checkpoints import open_checkpoint, write_checkpoint
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


def launch(code: str, *arguments: str, count: int = 2) -> list[tuple[int, str]]:
    """Run `code` in `count` processes that know of each other as those of `torchrun` do; return how each ended."""
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
        for rank in range(count)
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
import torch
from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import write_checkpoint
from tli_cli.checkpoints.ranks import current_ranks
from tli_cli.errors import TliError
out, how, limit = sys.argv[1:]
ranks = current_ranks()
def produce(spec):
    if ranks.rank == 1 and spec.name == "t5":
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise TliError("t5 cannot be made")
    return torch.ones(1000)
specs = [TensorSpec(f"t{i}", (1000,), "float32") for i in range(8)]
try:
    write_checkpoint(out, specs, produce, max_shard_size=int(limit), force=True, ranks=ranks)
except TliError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.whole
@pytest.mark.parametrize("how", ["kill", "error"])
@pytest.mark.parametrize("name", ["a.safetensors", "a.dcp"])
def test_a_rank_that_fails_leaves_what_was_there(tmp_path: Path, how: str, name: str) -> None:
    specs = open_written(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    ended = launch(FAILING, str(tmp_path / name), how, "4000")
    assert all(code != 0 for code, _ in ended), ended
    assert "told:" in ended[0][1] and "Traceback" not in ended[0][1]
    assert "t5 cannot be made" in ended[0][1] or how == "kill"
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and ".tmp" not in str(path)}
    assert after == before and specs


def open_written(out: Path) -> int:
    """Write a small checkpoint to `out`, and return how many tensors it has."""
    from tli_cli.architecture import TensorSpec

    specs = [TensorSpec("old", (3,), "float32")]
    return len(open_checkpoint(write_checkpoint(out, specs, lambda _: torch.zeros(3))[0].parent).tensors)


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
