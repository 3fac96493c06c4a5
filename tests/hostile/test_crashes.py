from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from fcntl import F_GETFL, fcntl
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.hostile.support import OLD, SPECS, contents, everything, ones
from tests.stored import stored_bytes
from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import FileRange, open_checkpoint, write_checkpoint
from tli_cli.checkpoints.writing import blocks, output
from tli_cli.checkpoints.writing.job import Job
from tli_cli.errors import CheckpointError


@pytest.fixture(params=["nothing", "an old file", "without unnamed files"])
def out(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output path in a directory of its own; with an old file there, or where files always have a name."""
    directory = tmp_path / "out"
    directory.mkdir()
    if request.param == "an old file":
        (directory / "a.safetensors").write_bytes(OLD)
    if request.param == "without unnamed files":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return directory / "a.safetensors"


@pytest.mark.parametrize("limit", [None, 1000])
@pytest.mark.parametrize("failing", [1, 3, 11, 12])
def test_a_full_disk_leaves_what_was_there(
    out: Path, monkeypatch: pytest.MonkeyPatch, failing: int, limit: int | None
) -> None:
    before = contents(out.parent)
    calls = 0
    real = os.pwrite

    def write(descriptor: int, data: memoryview, position: int) -> int:
        nonlocal calls
        calls += 1
        if calls == failing - 1:  # a short write first, as a disk that is filling up gives it
            return real(descriptor, data[: max(1, len(data) // 2)], position)
        if calls >= failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, position)

    monkeypatch.setattr(blocks, "BLOCK", 256)
    monkeypatch.setattr(output.os, "pwrite", write)
    with pytest.raises(CheckpointError, match="No space left"):
        write_checkpoint(out, SPECS, Job(ones, force=True, max_shard_size=limit))
    monkeypatch.undo()
    assert contents(out.parent) == before


@pytest.mark.parametrize("names", [("fsync",), ("replace", "link")])
@pytest.mark.parametrize("limit", [None, 1000])
def test_a_disk_that_fails_leaves_what_was_there_or_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch, names: Sequence[str], limit: int | None
) -> None:
    before = contents(out.parent)

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for name in names:
        monkeypatch.setattr(output.os, name, fail)
    with pytest.raises(CheckpointError, match="Input/output"):
        write_checkpoint(out, SPECS, Job(ones, force=True, max_shard_size=limit))
    monkeypatch.undo()
    assert contents(out.parent) == before


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", ["t0", "t5", "t9"])
def test_a_failing_source_leaves_what_was_there(out: Path, error: BaseException, at: str) -> None:
    before = contents(out.parent)

    def produce(spec: TensorSpec) -> torch.Tensor:
        if spec.name == at:
            raise error
        return ones(spec)

    with pytest.raises(type(error)):
        write_checkpoint(out, SPECS, Job(produce, force=True, max_shard_size=1500))
    assert contents(out.parent) == before


@pytest.mark.parametrize("limit", [None, 20_000])
@pytest.mark.parametrize("form", [".safetensors", ".pt", ".dcp"])
def test_a_real_full_disk_leaves_what_was_there(out: Path, form: str, limit: int | None) -> None:
    specs = [TensorSpec(f"t{i}", (8000,), "uint8") for i in range(10)]
    write_checkpoint(out.with_suffix(form), specs[:1], Job(lambda spec: memoryview(bytes(8000)), force=True))
    before = everything(out.parent)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, old[1]))
    try:
        with pytest.raises(CheckpointError, match=r"File too large|laid out"):
            write_checkpoint(
                out.with_suffix(form),
                specs,
                Job(lambda spec: memoryview(bytes(8000)), force=True, max_shard_size=limit),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert everything(out.parent) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_what_stops_torch_is_told_as_what_it_is(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch.serialization, "_save", stop)  # with less of the archive there than torch wrote
    expected = CheckpointError if isinstance(error, OSError) else type(error)
    for form in (".pt", ".dcp"):
        with pytest.raises(expected):
            write_checkpoint(tmp_path / f"a{form}", SPECS, Job(ones))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [None, 500])
def test_writing_over_the_input_is_safe(tmp_path: Path, limit: int | None) -> None:
    path = tmp_path / "a.safetensors"
    state = {f"t{i}": torch.randn(100) for i in range(5)}
    save_file(state, path)
    source = open_checkpoint(path)
    with pytest.raises(CheckpointError, match="exists already"):
        write_checkpoint(path, source.tensors, Job(lambda spec: source.file_range(spec.name) or source.read(spec.name)))
    files = write_checkpoint(
        path, source.tensors, Job(lambda spec: source.read(spec.name) * 2, force=True, max_shard_size=limit)
    )
    written = open_checkpoint(files[0])
    assert all(torch.equal(written.read(name), value * 2) for name, value in state.items())
    assert path.exists() == (limit is None)


@pytest.mark.parametrize("force", [False, True])
def test_what_another_process_wrote_meanwhile_is_replaced_only_by_force(tmp_path: Path, force: bool) -> None:
    out = tmp_path / "a.safetensors"

    def produce(spec: TensorSpec) -> torch.Tensor:
        out.write_bytes(OLD)
        return ones(spec)

    if force:
        write_checkpoint(out, SPECS, Job(produce, force=True))
        assert len(load_file(out)) == 10
    else:
        with pytest.raises(CheckpointError, match="something else wrote it meanwhile"):
            write_checkpoint(out, SPECS, Job(produce))
        assert contents(tmp_path) == {out.name: OLD}


def test_shards_are_replaced_by_shards(tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    write_checkpoint(out, SPECS, Job(ones, max_shard_size=1000))
    with pytest.raises(CheckpointError, match="exists already"):
        write_checkpoint(out, SPECS, Job(ones, max_shard_size=1000))
    files = write_checkpoint(out, SPECS, Job(lambda spec: ones(spec) * 3, max_shard_size=1000, force=True))
    assert float(open_checkpoint(files[0]).read("t9")[0]) == 3


@pytest.mark.parametrize("limit", [None, 2500])
def test_shards_of_another_count_are_replaced(tmp_path: Path, limit: int | None) -> None:
    out = tmp_path / "a.safetensors"
    write_checkpoint(out, SPECS, Job(ones, max_shard_size=500))
    other = tmp_path / "a-00001-of-00099.safetensors"
    other.write_bytes(OLD)
    with pytest.raises(CheckpointError, match="exists already"):
        write_checkpoint(out, SPECS, Job(ones, max_shard_size=limit))
    files = write_checkpoint(out, SPECS, Job(lambda spec: ones(spec) * 3, max_shard_size=limit, force=True))
    assert set(contents(tmp_path)) == {other.name, *(path.name for path in files)}
    assert float(open_checkpoint(files[0]).read("t9")[0]) == 3 and other.read_bytes() == OLD


@pytest.mark.parametrize("limit", [None, 1500])
def test_a_shard_of_another_checkpoint_is_not_replaced(tmp_path: Path, limit: int | None) -> None:
    write_checkpoint(tmp_path / "a.safetensors", SPECS, Job(ones, max_shard_size=1000))
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match=r"a shard of a\.safetensors\.index\.json"):
        write_checkpoint(tmp_path / "a-00002-of-00005.safetensors", SPECS, Job(ones, force=True, max_shard_size=limit))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "named", ["thesis.txt", "../thesis.txt", "/etc/passwd", "b-00001-of-00002.safetensors", 3, None]
)
def test_an_old_index_removes_nothing_that_is_not_the_outputs(tmp_path: Path, named: object) -> None:
    home = tmp_path / "out"
    home.mkdir()
    for path in (tmp_path / "thesis.txt", home / "thesis.txt", home / "b-00001-of-00002.safetensors"):
        path.write_bytes(OLD)
    (home / "a.safetensors.index.json").write_text(json.dumps({"weight_map": {"t0": named}}))
    write_checkpoint(home / "a.safetensors", SPECS, Job(ones, force=True))
    assert set(contents(home)) == {"a.safetensors", "thesis.txt", "b-00001-of-00002.safetensors"}
    assert (tmp_path / "thesis.txt").read_bytes() == OLD


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/a.safetensors", "does not exist"),
        ("a.h5", r"ends in \.safetensors"),
        ("directory.safetensors", "no regular file"),
        ("pipe.safetensors", "no regular file"),
        ("a\0.safetensors", "cannot be written"),
        ("x" * 400 + ".safetensors", "File name too long|cannot be written"),
    ],
)
def test_places_that_cannot_be_written_are_told(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "directory.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match=words):
        write_checkpoint(tmp_path / name, SPECS, Job(ones, force=True))


def test_an_unwritable_directory_is_told() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        os.chmod(home, 0o555)
        user = os.geteuid()
        if user == 0:  # root may write anywhere
            os.seteuid(65534)
        try:
            with pytest.raises(CheckpointError, match="Permission denied"):
                write_checkpoint(Path(home) / "a.safetensors", SPECS, Job(ones))
        finally:
            os.seteuid(user)
            os.chmod(home, 0o755)
        assert not list(Path(home).iterdir())


STARVED = """
import resource, sys
import torch
from tli_cli.injection import making, writing
from tli_cli.cli import run
torch.set_num_threads(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (60 << 20), used + (60 << 20)))
sys.exit(run(sys.argv[1:]))
"""


def test_too_little_memory_is_one_message_and_nothing_is_written(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(4000, 5000)}, tmp_path / "a.safetensors")
    save_file({"a.weight": torch.zeros(4200, 5200)}, tmp_path / "b.safetensors")
    before = contents(tmp_path)
    given = ["inject", str(tmp_path / "a.safetensors"), "-t", str(tmp_path / "b.safetensors")]
    command = [sys.executable, "-c", STARVED, *given, "-o", str(tmp_path / "out.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: ") and "memory" in done.stderr and "Traceback" not in done.stderr
    assert contents(tmp_path) == before


def test_a_directory_of_the_kernel_is_told() -> None:
    with pytest.raises(CheckpointError):
        write_checkpoint("/proc/a.safetensors", SPECS, Job(ones))


def test_what_does_not_fit_on_the_disk_is_told_before(tmp_path: Path) -> None:
    specs = [TensorSpec("a", (1 << 50,), "float32")]
    with pytest.raises(CheckpointError, match=r"needs .* free"):
        write_checkpoint(tmp_path / "a.safetensors", specs, Job(lambda _: pytest.fail("nothing is to be made")))
    assert not list(tmp_path.iterdir())


Make = Callable[[TensorSpec], "torch.Tensor | memoryview | FileRange"]


@pytest.mark.parametrize(
    "make",
    [
        lambda spec: torch.ones(99),
        lambda spec: torch.ones(100, dtype=torch.float64),
        lambda spec: memoryview(bytes(399)),
        lambda spec: memoryview(torch.ones(50).numpy()),
        lambda spec: FileRange(Path("/dev/null"), 0, 399),
        lambda spec: FileRange(Path("/dev/null"), 0, 400),
        lambda spec: FileRange(Path("/nothing/there"), 0, 400),
    ],
)
def test_a_tensor_that_is_not_as_announced_is_not_written(out: Path, make: Make) -> None:
    before = contents(out.parent)
    with pytest.raises(CheckpointError):
        write_checkpoint(out, SPECS, Job(make, force=True))
    assert contents(out.parent) == before


def test_names_that_come_twice_and_types_without_a_code_are_told(tmp_path: Path) -> None:
    specs = [TensorSpec("a", (1,)), TensorSpec("a", (1,)), TensorSpec("c", (1,), "complex128")]
    with pytest.raises(CheckpointError, match=r"'a': the name is taken[\s\S]*complex128"):
        write_checkpoint(tmp_path / "a.safetensors", specs, Job(ones))


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "a.safetensors").symlink_to(tmp_path / "far" / "b.safetensors")
    write_checkpoint(tmp_path / "a.safetensors", SPECS, Job(ones, force=True))
    assert (tmp_path / "a.safetensors").is_symlink()
    assert len(load_file(tmp_path / "far" / "b.safetensors")) == 10


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_checkpoint(tmp_path / f"{name}.safetensors", SPECS, Job(ones, notes={"x": "y"}))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_ranges_of_files_are_copied(tmp_path: Path) -> None:
    data = os.urandom(10 << 20)
    (tmp_path / "source").write_bytes(data)
    specs = [TensorSpec("a", (5 << 20,), "uint8"), TensorSpec("b", (5 << 20,), "uint8", tied_to="a")]
    write_checkpoint(tmp_path / "a.safetensors", specs, Job(lambda _: FileRange(tmp_path / "source", 1 << 20, 5 << 20)))
    written = open_checkpoint(tmp_path / "a.safetensors")
    assert written.tensors[1].tied_to == "a"
    assert stored_bytes(written, "a") == stored_bytes(written, "b") == data[1 << 20 : 6 << 20]


@pytest.mark.parametrize("size", [0, 1, output.PAGE - 8, output.PAGE, 3 * output.PAGE + 8])
@pytest.mark.parametrize("direct", ["as it is", "short", "refused", "not there"])
def test_blocks_are_written_past_the_cache_or_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: str, size: int
) -> None:
    real = os.pwrite

    def write(descriptor: int, data: memoryview, position: int) -> int:
        if direct != "not there" and fcntl(descriptor, F_GETFL) & os.O_DIRECT:
            if direct == "refused":
                raise OSError(errno.EINVAL, "Invalid argument")
            return real(descriptor, data[: len(data) // 2] if direct == "short" else data, position)
        return real(descriptor, data, position)

    monkeypatch.setattr(blocks, "BLOCK", output.PAGE)
    monkeypatch.setattr(output.os, "pwrite", write)
    if direct == "not there":
        monkeypatch.delattr(os, "O_DIRECT", raising=False)
    values = [torch.frombuffer(bytearray(os.urandom(size)), dtype=torch.uint8) if size else torch.empty(0).byte()] * 3
    specs = [TensorSpec(f"t{i}", (size,), "uint8", tied_to="t0" if i == 1 else None) for i in range(3)]
    write_checkpoint(tmp_path / "a.safetensors", specs, Job(lambda spec: values[int(spec.name[1])]))
    found = load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(found[f"t{i}"], values[i]) for i in range(3))
