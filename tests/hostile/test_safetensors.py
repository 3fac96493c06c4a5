from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tli_cli import match
from tli_cli.checkpoints import open_checkpoint
from tli_cli.cli import run
from tli_cli.errors import CheckpointError
from tli_cli.matching import blocks

Refuses = Callable[..., str]


def entry(shape: Any = (2,), offsets: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def raw(header: Any, data: int = 0, length: int | None = None) -> bytes:
    """Return a file with `header` (an object or bytes) that claims `length` bytes, and `data` zero bytes after it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * data


ONE = b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'

BROKEN = {
    "empty": b"",
    "four bytes": b"\1\2\3\4",
    "only a length": struct.pack("<Q", 8),
    "text": b"hello, this is no checkpoint at all",
    "header longer than the file": raw({"a": entry()}, 8, length=10_000),
    "header of 2^62 bytes": raw({"a": entry()}, 8, length=1 << 62),
    "header of 2^63 bytes": raw({"a": entry()}, 8, length=(1 << 63) + 1),
    "header of 2^64-1 bytes": raw({"a": entry()}, 8, length=(1 << 64) - 1),
    "header of length 0": raw(b"", 8),
    "not JSON": raw(b"{not json}", 8),
    "half of JSON": raw(b'{"a": {"dtype": "F3', 8),
    "not UTF-8": raw(b'{"\xff\xfe": 1}', 8),
    "a list": raw([1, 2], 8),
    "a number": raw(b"12345678", 8),
    "deep": raw(b"[" * 100_000),
    "deep objects": raw(b'{"a":' * 50_000),
    "an entry that is a list": raw({"a": [1]}, 8),
    "an entry without offsets": raw({"a": {"dtype": "F32", "shape": [2]}}, 8),
    "overlapping": raw({"a": entry(), "b": entry()}, 8),
    "partly overlapping": raw({"a": entry(), "b": entry(offsets=(4, 12))}, 12),
    "a hole": raw({"a": entry(), "b": entry(offsets=(16, 24))}, 24),
    "a hole at the start": raw({"a": entry(offsets=(8, 16))}, 16),
    "trailing bytes": raw({"a": entry()}, 12),
    "truncated values": raw({"a": entry()}, 4),
    "a size that is too large": raw({"a": entry(shape=[3])}, 8),
    "a size that is too small": raw({"a": entry(shape=[1])}, 8),
    "overflow": raw({"a": entry(shape=[1 << 62, 8])}, 8),
    "overflow to zero": raw({"a": entry(shape=[1 << 32, 1 << 32], offsets=(0, 0))}),
    "beyond 64 bits": raw({"a": entry(shape=[1 << 65])}, 8),
    "negative": raw({"a": entry(shape=[-2])}, 8),
    "negative offsets": raw({"a": entry(offsets=(-8, 0))}, 8),
    "reversed offsets": raw({"a": entry(offsets=(8, 0))}, 8),
    "a fraction": raw({"a": entry(shape=[2.5])}, 8),
    "an unknown type": raw({"a": entry(dtype="Q9")}, 8),
    "a type that is a number": raw({"a": entry(dtype=5)}, 8),
    "a name twice": raw(b'{"a":' + ONE + b',"a":' + ONE + b"}", 8),
    "a field twice": raw(b'{"a":{"dtype":"F32","shape":[2],"shape":[1,2],"data_offsets":[0,8]}}', 8),
    "a note twice": raw(b'{"__metadata__":{"x":"1","x":"2"},"a":' + ONE + b"}", 8),
    "notes that are no text": raw({"__metadata__": {"x": 1}, "a": entry()}, 8),
    "notes that are a list": raw({"__metadata__": ["x"], "a": entry()}, 8),
    "half a character": raw(b'{"\\ud800":' + ONE + b"}", 8),
    "a terminal's commands": raw({"a\x1b[2J": entry()}, 8),
    "a name without a character": raw({"": entry()}, 8),
    "65 axes": raw({"a": entry(shape=[1] * 64 + [2])}, 8),
    "100,000 axes": raw({"a": entry(shape=[1] * 100_000 + [2])}, 8),
    "no tensors": raw({}),
    "only notes": raw({"__metadata__": {"x": "y"}}),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_broken_file_is_refused_with_one_message(tmp_path: Path, refuses: Refuses, kind: str, suffix: str) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(BROKEN[kind])
    refuses(path)


def test_every_truncation_and_flipped_bit_is_refused_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(2), "b": torch.zeros(3, dtype=torch.int64)}, path)
    whole = path.read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [
        bytes([*whole[:i], whole[i] ^ (1 << bit), *whole[i + 1 :]]) for i in range(len(whole)) for bit in (0, 3, 6)
    ]
    for data in damaged:
        path.write_bytes(data)
        try:
            checkpoint = open_checkpoint(path)
            for spec in checkpoint.tensors:
                assert tuple(checkpoint.read(spec.name).shape) == spec.shape
        except CheckpointError:
            pass


def test_a_huge_shape_without_elements_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(raw({"a": entry(shape=[0, 1 << 62], offsets=(0, 0)), "b": entry()}, 8))
    assert open_checkpoint(path).read("a").shape == (0, 1 << 62)


def test_a_file_that_shrinks_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(200)}, path)
    checkpoint = open_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="changed while it was read"):
        checkpoint.read("a")


@pytest.mark.parametrize(
    "note",
    ["5", "[]", '{"a": 1}', '{"a": "nothing"}', '{"a": "a"}', '{"a": "c"}', "{", '{"a":"b","b":"a"}', "[" * 100_000],
)
def test_ties_that_cannot_be_true_are_not_believed(tmp_path: Path, note: str) -> None:
    tensors = {"a": torch.ones(2), "b": torch.ones(2), "c": torch.ones(3)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"tli.tied": note})
    assert all(spec.tied_to is None for spec in open_checkpoint(tmp_path / "a.safetensors").tensors)


@pytest.mark.parametrize("name", ["." * 5000, "a" * 100_000, ".".join("a" * 200), f"layers.{'9' * 5000}.weight"])
def test_names_that_no_module_has_are_refused(tmp_path: Path, refuses: Refuses, name: str) -> None:
    save_file({name: torch.ones(2, 2)}, tmp_path / "a.safetensors")
    assert "rename it" in refuses(tmp_path / "a.safetensors")


@pytest.mark.parametrize("sign", ["\n", "\x9b", "\u202e", "\u2066", "\u2028"])
def test_names_that_do_not_read_as_they_are_are_refused(
    tmp_path: Path, refuses: Refuses, sign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({f"fc{sign}thgiew": torch.ones(2, 2)}, tmp_path / "a.safetensors")
    assert "rename it" in refuses(tmp_path / "a.safetensors")
    assert run(["inspect", str(tmp_path / "a.safetensors")]) == 1
    said = capsys.readouterr().err
    assert sign not in said.removesuffix("\n") and sign.encode("unicode_escape").decode() in said


def test_digits_of_other_scripts_are_part_of_a_name(tmp_path: Path) -> None:
    save_file({"layers.\u00b2.weight": torch.ones(2, 2)}, tmp_path / "\u00b2.safetensors")
    assert run(["inspect", str(tmp_path / "\u00b2.safetensors")]) == 0


def test_a_message_holds_no_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\x1b[31m\x9b.safetensors").write_bytes(b"junk")
    assert run(["inspect", str(tmp_path / "a\x1b[31m\x9b.safetensors")]) == 1
    said = capsys.readouterr().err
    assert "a\\x1b[31m\\x9b" in said and "\x1b" not in said and "\x9b" not in said


def test_more_blocks_than_any_network_has_are_paired_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({f"layers.{i}.fc.weight": torch.ones(4, 4) for i in range(6)}, tmp_path / "a.safetensors")
    monkeypatch.setattr(blocks, "_MOST_PAIRS", 1)
    plan = match(tmp_path / "a.safetensors", tmp_path / "a.safetensors")
    assert plan.exact == 6 and all(step.pieces[0].source == step.target for step in plan.steps)
