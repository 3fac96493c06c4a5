"""Files that change, or go, between planning and writing: one message, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import tli_cli.cli.match  # noqa: F401 (takes the gate by name once it is imported, and is not to take a changed one)
from tests.hostile.support import contents
from tests.hostile.test_archives import repacked
from tli_cli import gates
from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints import write_checkpoint
from tli_cli.checkpoints.writing.job import Job
from tli_cli.cli import run


def other_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8] + b"changed!")


def another_file(path: Path) -> None:
    """Put another file of as many bytes, and as old, in its place."""
    old = path.stat()
    beside = path.with_name("beside")
    beside.write_bytes(path.read_bytes()[:-8] + b"changed!")
    shutil.copystat(path, beside)
    beside.replace(path)
    assert path.stat().st_mtime_ns == old.st_mtime_ns


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "emptied": lambda path: path.write_bytes(b"") and None,
    "shorter": lambda path: path.write_bytes(path.read_bytes()[:-9]) and None,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"more") and None,
    "other bytes": other_bytes,
    "another file": another_file,
    "a directory": a_directory,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Sources in every format, and a target with a layer that none of them has."""
    tensors = {f"layers.{i}.weight": torch.randn(6, 6) for i in range(3)}
    save_file(tensors, tmp_path / "source.safetensors")
    torch.save(tensors, tmp_path / "source.pt")
    (tmp_path / "packed.pt").write_bytes(repacked((tmp_path / "source.pt").read_bytes(), lambda _, content: content))
    specs = [TensorSpec(name, (6, 6), "float32") for name in tensors]
    (tmp_path / "shards").mkdir()
    shards = tmp_path / "shards" / "model.safetensors"
    write_checkpoint(shards, specs, Job(lambda spec: tensors[spec.name], max_shard_size=150))
    write_checkpoint(tmp_path / "source.dcp", specs, Job(lambda spec: tensors[spec.name]))
    save_file({**tensors, "own.weight": torch.randn(5, 5)}, tmp_path / "target.safetensors")
    save_file({name: torch.randn(8, 8) for name in tensors}, tmp_path / "wider.safetensors")
    (tmp_path / "out").mkdir()
    return tmp_path


PLACES = {
    "source.safetensors": "source.safetensors",
    "source.pt": "source.pt",
    "packed.pt": "packed.pt",
    "shards": "shards/model-00002-of-00003.safetensors",
    "source.dcp": "source.dcp/__0_0.distcp",
}
SAME, WIDER = "target.safetensors", "wider.safetensors"
CASES = [("source.safetensors", target, change) for target in (SAME, WIDER) for change in CHANGES]
CASES += [
    (name, WIDER, change) for name in ("source.pt", "shards", "source.dcp") for change in ("gone", "another file")
]
CASES += [(SAME, SAME, change) for change in ("gone", "another file")]
CASES += [("packed.pt", WIDER, change) for change in ("gone", "emptied", "shorter")]


@pytest.mark.parametrize(("name", "target", "change"), CASES)
def test_a_file_that_changed_since_it_was_planned_with_is_told(
    home: Path, name: str, target: str, change: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = home / PLACES.get(name, name)
    source = name if name in PLACES else "source.safetensors"
    check = gates.check_gates

    def then_change(*given: object, **named: object) -> None:
        check(*given, **named)  # type: ignore[arg-type]
        CHANGES[change](changed)

    monkeypatch.setattr(gates, "check_gates", then_change)
    (home / "out" / "old.safetensors").write_bytes(b"old")
    command = ["inject", str(home / source), "-t", str(home / target), "--force"]
    code = run([*command, "-o", str(home / "out" / "old.safetensors")])
    said = capsys.readouterr().err
    assert code == 1 and said.count("error: ") == 1 and "Traceback" not in said, said
    assert changed.name in said and ("changed while it was read" in said or "cannot be read" in said), said
    assert contents(home / "out") == {"old.safetensors": b"old"}
