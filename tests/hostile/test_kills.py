"""A kill leaves the old files or the new ones; what it left besides is put back by the next write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.hostile.support import OLD, SPECS, contents, ones
from tli_cli.checkpoints import Checkpoint, open_checkpoint, write_checkpoint
from tli_cli.checkpoints.writing.drafts import hold
from tli_cli.checkpoints.writing.job import Job
from tli_cli.checkpoints.writing.naming import naming, note_path, recover
from tli_cli.errors import CheckpointError, TliError
from tli_cli.references import resolve

KILLED = """
import sys, time
from pathlib import Path
from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import write_checkpoint
from tli_cli.checkpoints.writing.job import Job
specs = [TensorSpec(f"t{i}", (1 << 20,), "uint8") for i in range(20)]
def produce(spec):
    time.sleep(0.01)
    return memoryview(bytes([1]) * (1 << 20))
print("started", flush=True)
write_checkpoint(Path(sys.argv[1]), specs, Job(produce, force=True, max_shard_size=int(sys.argv[2]) or None))
"""


@pytest.mark.parametrize("limit", [0, 5 << 20])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_any_moment_the_old_file_or_the_new_one_is_there(
    tmp_path: Path, limit: int, how: signal.Signals
) -> None:
    out = tmp_path / "a.safetensors"
    out.write_bytes(OLD)
    for delay in (0.0, 0.02, 0.05, 0.1, 0.2):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(out), str(limit)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(how)
        process.wait(timeout=60)
        process.stdout.close()
        recover(out)
        found = contents(tmp_path)
        index = next(tmp_path.glob("*.index.json"), None)
        if index is None and found.get(out.name) == OLD:
            assert set(found) == {out.name}, "something half was left behind"
        else:
            assert len(open_checkpoint(index or out).tensors) == 20


def killed_at(moment: int, out: Path, limit: int | None) -> bool:
    """Write over `out` in a process that is gone at the given one of the calls that change names; tell if it was."""
    child = os.fork()
    if child == 0:
        left = moment

        def counted(real: Callable[..., None]) -> Callable[..., None]:
            def call(*given: object, **named: object) -> None:
                nonlocal left
                if left == 0:
                    os._exit(9)
                left -= 1
                real(*given, **named)

            return call

        for name in ("rename", "replace", "link", "unlink", "fsync"):
            setattr(os, name, counted(getattr(os, name)))
        write_checkpoint(out, SPECS, Job(lambda spec: ones(spec) * 7, force=True, max_shard_size=limit))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("before", ["nothing", "a file", "as many shards"])
def test_a_kill_between_any_two_names_leaves_the_old_files_or_the_new_ones(tmp_path: Path, before: str) -> None:
    out, moment, told = tmp_path / "a.safetensors", 0, 0
    killed = True
    while killed:
        for path in tmp_path.iterdir():
            path.unlink()
        if before != "nothing":
            write_checkpoint(out, SPECS, Job(ones, max_shard_size=None if before == "a file" else 2500))
        old = contents(tmp_path)
        killed = killed_at(moment, out, 2500)
        index = out.with_name(f"{out.name}.index.json")
        try:
            found = open_checkpoint(index if index.exists() else tmp_path)
            value = {float(found.read(spec.name)[0]) for spec in found.tensors}
            assert len(found.tensors) == 10 and value in ({1.0}, {7.0})
        except CheckpointError as error:
            told += "tli that wrote it was killed" in str(error)
            assert told or before == "nothing"
        recover(out)
        now = contents(tmp_path)
        if now != old:
            shards = [load_file(path) for path in tmp_path.glob("*.safetensors")]
            assert index.exists() and {float(t[0]) for shard in shards for t in shard.values()} == {7.0}
            assert not list(tmp_path.glob(".*"))
        moment += 1
    assert moment > 8 and told > 2 and now != old


def values(found: Checkpoint) -> set[float]:
    assert len(found.tensors) == len(SPECS)
    return {float(found.read(spec.name)[0]) for spec in found.tensors}


@pytest.mark.filterwarnings("ignore")
def test_a_kill_leaves_the_old_directory_or_the_new_one(tmp_path: Path) -> None:
    torch.zeros(1).numpy()  # nothing is imported after the fork
    out, moment, seen = tmp_path / "a.dcp", 0, []
    write_checkpoint(out, SPECS, Job(ones))
    killed = True
    while killed:
        killed = killed_at(moment, out, None)
        if out.exists() and not note_path(out).exists():
            assert values(open_checkpoint(out)) in ({1.0}, {7.0})
        elif not out.exists():
            with pytest.raises(TliError, match="tli that wrote it was killed"):
                resolve(str(out))
        recover(out)
        assert [path.name for path in tmp_path.iterdir()] == ["a.dcp"]
        seen.append(values(open_checkpoint(out)).pop())
        if seen[-1] == 7.0:
            write_checkpoint(out, SPECS, Job(ones, force=True))
        moment += 1
    assert seen == sorted(seen) and moment > 5 and seen[-2] == 7.0


def test_what_nobody_writes_any_more_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    kept = [".b.safetensors.01234567.tmp", ".a.safetensors.0123456.tmp", "a.safetensors.01234567.tmp"]
    left = [".a.safetensors.01234567.tmp", ".a-00001-of-00002.safetensors.01234567.tmp"]
    for name in (*kept, *left):
        (tmp_path / name).write_text("x")
    (tmp_path / ".a.safetensors.76543210.tmp").mkdir()
    with (tmp_path / ".a.safetensors.00000000.tmp").open("w") as held:
        assert hold(held.fileno())
        write_checkpoint(out, SPECS, Job(ones))
        assert {path.name for path in tmp_path.iterdir()} == {*kept, out.name, Path(held.name).name}
    write_checkpoint(out, SPECS, Job(ones, force=True))
    assert {path.name for path in tmp_path.iterdir()} == {*kept, out.name}


def test_a_note_that_another_process_holds_is_left(tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    with naming(out, [out], []):
        with pytest.raises(CheckpointError, match="is being written"):
            open_checkpoint(tmp_path)
        with pytest.raises(CheckpointError, match="another tli is writing"):
            write_checkpoint(out, SPECS, Job(ones))
    write_checkpoint(out, SPECS, Job(ones))
    assert len(open_checkpoint(tmp_path).tensors) == 10


@pytest.mark.parametrize(
    "text",
    [
        '{"given": ["thesis.txt"], "aside": {}}',
        '{"given": ["../a.safetensors"], "aside": {}}',
        '{"given": [], "aside": {"a.safetensors": "thesis.txt"}}',
        '{"given": [], "aside": {"a.safetensors": ".thesis.txt.01234567.old"}}',
        '{"given": [], "aside": {"thesis.txt": ".a.safetensors.01234567.old"}}',
    ],
)
def test_a_note_takes_nothing_that_is_not_the_outputs(tmp_path: Path, text: str) -> None:
    out = tmp_path / "a.safetensors"
    (tmp_path / "thesis.txt").write_text("x")
    note_path(out).write_text(text)
    with pytest.raises(CheckpointError, match="remove it"):
        write_checkpoint(out, SPECS, Job(ones, force=True))
    assert (tmp_path / "thesis.txt").read_text() == "x"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"given": 3}', '{"given": [], "aside": []}', "[" * 100_000])
def test_a_note_that_was_not_finished_takes_nothing(tmp_path: Path, text: str) -> None:
    out = tmp_path / "a.safetensors"
    note_path(out).write_text(text)
    write_checkpoint(out, SPECS, Job(ones))
    assert set(contents(tmp_path)) == {"a.safetensors"}
