from __future__ import annotations

import io
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tli_cli.api import match
from tli_cli.checkpoints import open_checkpoint
from tli_cli.checkpoints.left_aside import PLAIN_KEYS
from tli_cli.checkpoints.torch_files import pickles
from tli_cli.checkpoints.torch_files.pickles import load_allowed
from tli_cli.errors import CheckpointError

Refuses = Callable[..., str]


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


class Evaluated(Payload):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.canary)!r}, 'w').close()",)


BEGINNING = b"".join(pickle.dumps(v, protocol=2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
"""What files of torch.save began with before torch 1.6."""

HIDING_PLACES: dict[str, Callable[[Any], Any]] = {
    "alone": lambda payload: payload,
    "in a state dict": lambda payload: {"a": torch.ones(2), "b": payload},
    "beside a state dict": lambda payload: {"state_dict": {"a": torch.ones(2)}, "epoch": payload},
    "in training state": lambda payload: {
        "model": {"a": torch.ones(2)},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2), "x": [payload]}}},
    },
    "as a key": lambda payload: {"a": torch.ones(2), (1, payload): 2},
}


@pytest.mark.parametrize("kind", [Payload, Evaluated])
@pytest.mark.parametrize("place", HIDING_PLACES)
@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("wrapping", ["zip", "old", "bare"])
def test_code_is_never_run(
    tmp_path: Path, canary: Path, refuses: Refuses, kind: type[Payload], place: str, suffix: str, wrapping: str
) -> None:
    path = tmp_path / f"hostile{suffix}"
    value = HIDING_PLACES[place](kind(canary))
    buffer = io.BytesIO()
    if wrapping == "bare":
        pickle.dump(value, buffer)
    else:
        torch.save(value, buffer, _use_new_zipfile_serialization=wrapping == "zip")
    path.write_bytes(buffer.getvalue())
    message = refuses(path)
    if suffix != ".safetensors":
        assert "system" in message or "eval" in message, message
        assert "`model.state_dict()`" in message


@pytest.mark.parametrize("protocol", range(6))
def test_bare_pickles_of_every_protocol_are_refused(
    tmp_path: Path, canary: Path, refuses: Refuses, protocol: int
) -> None:
    path = tmp_path / "hostile.pt"
    path.write_bytes(pickle.dumps({"a": Payload(canary)}, protocol=protocol))
    refuses(path)


def test_a_pickle_of_plain_data_is_no_checkpoint(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "plain.pt"
    path.write_bytes(pickle.dumps({"a": 1}, protocol=2))
    refuses(path)


def test_a_whole_model_is_refused(tmp_path: Path, refuses: Refuses) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    refuses(tmp_path / "model.pt", "torch.nn.modules.linear.Linear", "state_dict")


def test_what_a_pickle_asks_for_reads_as_one_line(tmp_path: Path, refuses: Refuses) -> None:
    archive_of(b"\x80\x04" + _text("a\nerror: b") + _text("c") + b"\x93)R.", tmp_path / "a.pt")
    assert "\n" not in refuses(tmp_path / "a.pt", "a\\nerror: b.c")


def test_torchscript_is_refused(tmp_path: Path, refuses: Refuses) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    refuses(tmp_path / "script.pt", "TorchScript", "state_dict")


@pytest.mark.parametrize("suffix", [".pt2", ".pt"])
def test_exported_programs_are_refused(tmp_path: Path, refuses: Refuses, suffix: str) -> None:
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
    torch.export.save(program, tmp_path / "exported.pt2")
    path = (tmp_path / "exported.pt2").rename(tmp_path / f"exported{suffix}")
    refuses(path, ".pt2")


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _nested(before: bytes, after: bytes) -> bytes:
    """Return operations that make a value of ten times a value of ten times a value, and so on."""
    return b"K\x01" + (b"q\x000" + before + b"h\x00" * 10 + after) * 20


def _called(function: str, *arguments: bytes, times: int = 1) -> bytes:
    """Return operations that make a list of what `function` gives for the same arguments, again and again."""
    made = b"c" + function.replace(" ", "\n").encode() + b"\nq\x00" + b"(" + b"".join(arguments) + b"tq\x01"
    return made + b"](" + b"h\x00h\x01R" * times + b"e"


_IN_ITSELF = [*PLAIN_KEYS, *map(str, range(10_000))]
_SAME_HASH = [struct.pack(">cdcd", b"G", -1_000_003.0 * i, b"G", float(i)) for i in range(20_000)]
_PAIRS = b"](" + b"".join(b"](" + _text(str(i)) + b"Ne" for i in range(10_000)) + b"e"

_HUGE = b"\x8b" + struct.pack("<i", 2501) + bytes(2500) + b"\x01"
"""A whole number of 20,001 bits."""
_STORED = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text("0") + _text("cpu") + _HUGE + b"tQ"
_SIZED = b"ctorch._utils\n_rebuild_tensor_v2\n("

BOMBS = {
    "a storage of 2^20000 elements": b"\x80\x02}" + _text("a") + _SIZED + _STORED + b"K\x00K\x02\x85K\x01\x85tRs.",
    "a name of a number of 6,000 digits": b"\x80\x02}" + _HUGE + b"Ns.",
    "a wide key that takes for ever": b"\x80\x02}(" + _nested(b"(", b"t") + b"K\x01u.",
    "a key of sizes": b"\x80\x02}(" + _nested(b"ctorch\nSize\n](", b"e\x85R") + b"K\x01u.",
    "a type of 10^20 characters": b"\x80\x02"
    + _called("torch._utils _rebuild_meta_tensor_no_storage", _nested(b"(", b"t"), b"))")
    + b".",
    "a dictionary within itself": b"\x80\x02}q\x00(" + b"".join(_text(key) + b"h\x00" for key in _IN_ITSELF) + b"u.",
    "keys of one hash": b"\x80\x02}("
    + b"".join(b"cbuiltins\ncomplex\n" + numbers + b"\x86RN" for numbers in _SAME_HASH)
    + b"u.",
    "dictionaries of one list": b"\x80\x02" + _called("collections OrderedDict", _PAIRS, times=10_000) + b".",
    "bytes of one text": b"\x80\x02" + _called("_codecs encode", _text("x" * 10**6), _text("utf-8"), times=9999) + b".",
    "byte arrays": b"\x80\x02" + _called("builtins bytearray", b"J\xff\xff\xff\x0f", times=40) + b".",
    "a key that takes for ever": b"\x80\x02}(K\x01" + b"q\x00h\x00\x86" * 200 + b"K\x01u.",
    "a huge memo index": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a text of 2 GB": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "bytes of 2^60": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc.",
    "a byte array of 2^60": b"\x80\x05\x96" + struct.pack("<Q", 1 << 60) + b"abc.",
    "a frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"}.",
    "empty bytes by the billion": b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
    "no stop": b"\x80\x02}" * 100,
    "an empty stack": b"\x80\x02....",
    "unknown operations": b"\x80\x02\xff\xfe\xfd.",
    "persistent ids": b"\x80\x02K\x01Q.",
    "deep lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
}


def archive_of(data: bytes, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("wrapping", ["zip", "old", "distributed"])
def test_bombs_take_neither_time_nor_memory(tmp_path: Path, refuses: Refuses, bomb: str, wrapping: str) -> None:
    path = tmp_path / "bomb.pt"
    if wrapping == "zip":
        archive_of(BOMBS[bomb], path)
    elif wrapping == "old":
        path.write_bytes(BEGINNING + BOMBS[bomb])
    else:
        path = tmp_path / "bomb"
        path.mkdir()
        (path / ".metadata").write_bytes(BOMBS[bomb])
    refuses(path)


@pytest.mark.parametrize("wrapping", ["zip", "old", "distributed"])
def test_a_pickle_of_too_many_values_is_refused_before_it_is_loaded(
    tmp_path: Path, refuses: Refuses, wrapping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "_MAX_OPERATIONS", 1000)
    test_bombs_take_neither_time_nor_memory(
        tmp_path, lambda path: refuses(path, "1,000 values"), "deep lists", wrapping
    )


@pytest.mark.parametrize("held", ["tensor\nDTensor", "_shard.sharded_tensor.api\nShardedTensor"])
def test_one_process_of_several_is_told_how_to_save_whole_tensors(tmp_path: Path, refuses: Refuses, held: str) -> None:
    archive_of(b"\x80\x02}X\x01\x00\x00\x00actorch.distributed." + held.encode() + b"\n)\x81s.", tmp_path / "a.pt")
    refuses(tmp_path / "a.pt", "full_state_dict=True")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("zipped", [True, False])
def test_settings_beside_weights_may_be_any_number(tmp_path: Path, sign: int, zipped: bool) -> None:
    path, count = tmp_path / "a.pt", sign << 20_000
    held = {"model": {"fc.weight": torch.ones(3, 3)}, "args": {"n_head": count}, "epoch": count}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    assert match(path, path).by_target["fc.weight"].exact


def test_settings_beside_weights_may_be_nested_in_any_depth(tmp_path: Path) -> None:
    weights = _text("a") + _SIZED + _STORED.replace(_HUGE, b"K\x02") + b"K\x00K\x02\x85K\x01\x85tR"
    settings = (b"}" + _text("inner")) * 5000 + b"}" + b"s" * 5000
    path = tmp_path / "a.pt"
    archive_of(b"\x80\x02}(" + _text("model") + b"}" + weights + b"s" + _text("args") + settings + b"u.", path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(8))
    assert open_checkpoint(path).read("a").tolist() == [0, 0]


class Shadowed(dict[str, Any]):
    """Pickles as an ordered dict with attributes in the place of its methods."""

    def __reduce__(self) -> tuple[Any, ...]:
        return OrderedDict, (), dict.fromkeys(("items", "values", "keys", "get"), 1), None, iter(self.items())


def test_a_dict_is_read_whatever_a_pickle_calls_its_methods(tmp_path: Path) -> None:
    state = Shadowed(a=torch.ones(2))
    for number, value in enumerate((state, Shadowed(model=state, epoch=1))):
        torch.save(value, tmp_path / f"{number}.pt")
        assert open_checkpoint(tmp_path / f"{number}.pt").read("a").tolist() == [1, 1]


def test_the_allow_list_blocks_and_names_everything_else(canary: Path) -> None:
    for protocol in range(6):
        data = pickle.dumps([Payload(canary), Evaluated(canary)], protocol=protocol)
        with pytest.raises(CheckpointError, match=r"eval.*system"):
            load_allowed(data, {"collections.OrderedDict": dict}, "here")
    assert not canary.exists()


def test_tensors_that_pickle_dump_wrote_are_told_how_they_become_a_checkpoint(tmp_path: Path, refuses: Refuses) -> None:
    path = tmp_path / "dumped.pkl"
    path.write_bytes(pickle.dumps({"a.weight": torch.ones(2, 2)}))
    assert "torch.save(pickle.load(open(FILE" in refuses(path)
