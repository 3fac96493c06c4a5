"""Hostile and broken inputs of every kind, each made in a directory of its own."""

from __future__ import annotations

import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from tests.hostile.test_archives import STATE, repacked, saved
from tests.hostile.test_indexes import CHANGES, SHARD, rewrite
from tests.hostile.test_pickles import BOMBS, HIDING_PLACES, Evaluated, Payload, archive_of
from tests.hostile.test_safetensors import BROKEN
from tests.hostile.test_tensors import LIES

Make = Callable[[Path, Path], Path]
"""Makes the input in a directory that is empty, where code in it would make the file given second; returns its path."""


def _bytes(name: str, data: Callable[[Path], bytes]) -> Make:
    def make(home: Path, canary: Path) -> Path:
        (home / name).write_bytes(data(canary))
        return home / name

    return make


def _flat(name: str, data: bytes) -> Make:
    return _bytes(name, lambda _: data)


def _lie(kind: str, zipped: bool) -> Make:
    def make(home: Path, _: Path) -> Path:
        value = {"fine": torch.ones(2), "fc.weight": LIES[kind]()}
        torch.save(value, home / "lie.pt", _use_new_zipfile_serialization=zipped)
        return home / "lie.pt"

    return make


def _code(place: str, wrapping: str, suffix: str) -> Make:
    def data(canary: Path) -> bytes:
        value = HIDING_PLACES[place]((Payload if wrapping == "zip" else Evaluated)(canary))
        return pickle.dumps(value) if wrapping == "bare" else saved(value, _use_new_zipfile_serialization=True)

    return _bytes(f"code{suffix}", data)


def _bomb(kind: str, wrapping: str) -> Make:
    def make(home: Path, _: Path) -> Path:
        if wrapping == "distributed":
            (home / "bomb").mkdir()
            (home / "bomb" / ".metadata").write_bytes(BOMBS[kind])
            return home / "bomb"
        if wrapping == "zip":
            archive_of(BOMBS[kind], home / "bomb.pt")
        else:
            (home / "bomb.pt").write_bytes(BOMBS[kind])
        return home / "bomb.pt"

    return make


def _archive(change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> Make:
    return _flat("archive.pt", repacked(saved(STATE), change, compression))


def _cut(keep: float, zipped: bool) -> Make:
    whole = saved(STATE, _use_new_zipfile_serialization=zipped)
    return _flat("cut.pt", whole[: int(len(whole) * keep)])


def _distributed(change: Callable[[Any], None] | None, keep: int | None = None) -> Make:
    def make(home: Path, _: Path) -> Path:
        path = home / "checkpoint"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.save({"model": {"a": torch.ones(2, 3), "b": torch.zeros(4)}}, checkpoint_id=path)
        if change is not None:
            rewrite(path, change)
        for file in path.glob("*.distcp") if keep is not None else []:
            file.write_bytes(file.read_bytes()[:keep])
        return path

    return make


def _index(content: Any, shard: bytes | None = None) -> Make:
    def make(home: Path, canary: Path) -> Path:
        save_file({"a": torch.ones(2)}, home / SHARD)
        if shard is not None:
            (home / SHARD).write_bytes(shard)
        (home / "loop.safetensors").symlink_to(home / "loop.safetensors")
        (home / "device.safetensors").symlink_to("/dev/zero")
        (home / "far.safetensors").symlink_to(home.parent / "fine.safetensors")
        path = home / "model.safetensors.index.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return make


def _module(suffix: str, kind: str) -> Make:
    def make(home: Path, _: Path) -> Path:
        path = home / f"module{suffix}"
        net = torch.nn.Linear(2, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "whole":
                torch.save(net, path)
            elif kind == "script":
                torch.jit.save(torch.jit.script(net), path)
            else:
                torch.export.save(torch.export.export(net, (torch.ones(1, 2),)), home / "exported.pt2")
                (home / "exported.pt2").rename(path)
        return path

    return make


def _place(make_there: Callable[[Path], None], name: str) -> Make:
    def make(home: Path, _: Path) -> Path:
        make_there(home / name)
        return home / name

    return make


def _unreadable(path: Path) -> None:
    path.symlink_to(path)


def _sparse_file(path: Path) -> None:
    """Make a file that claims a terabyte and holds nothing."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _deep(depth: int) -> Any:
    value: Any = {"a": torch.ones(2)}
    for _ in range(depth):
        value = {"model": value}
    return value


_OTHER = {
    "a web page": b"<!DOCTYPE html><html>not found</html>",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
    "zeros": b"\0" * 1000,
    "text": b"plain text\n" * 40,
    "half an archive's first bytes": b"PK\x03\x04",
    "JSON": b'{"a": [1, 2, 3]}',
    "a long line": b"x" * 3_000_000,
    "bytes that are no text": bytes(range(256)) * 8,
    "deep JSON": b"[" * 100_000,
    "a number of many digits": b'{"version": ' + b"9" * 100_000 + b"}",
    "a comma in excess": b'{"version": 1,}',
    "text in UTF-16": "plan".encode("utf-16"),
}

_INDEXES: dict[str, Any] = {
    "outside": {"weight_map": {"a": "../fine.safetensors"}},
    "absolute": {"weight_map": {"a": "/etc/passwd"}},
    "by a link": {"weight_map": {"a": "far.safetensors"}},
    "to a device": {"weight_map": {"a": "device.safetensors"}},
    "to a loop": {"weight_map": {"a": "loop.safetensors"}},
    "to itself": {"weight_map": {"a": "model.safetensors.index.json"}},
    "to nothing": {"weight_map": {"a": "missing.safetensors"}},
    "to a tensor that is not there": {"weight_map": {"a": SHARD, "b": SHARD}},
    "of a number": {"weight_map": {"a": 5}},
    "empty": {"weight_map": {}},
    "a list": [],
    "half of one": b'{"weight_map": {"a"',
    "no UTF-8": b"\xff\xfe",
    "half a character": b'{"weight_map": {"\\ud800": "' + SHARD.encode() + b'"}}',
}

KINDS: dict[str, Make] = {
    **{f"safetensors: {kind}": _flat("broken.safetensors", data) for kind, data in BROKEN.items()},
    **{f"other: {kind}": _flat(f"other{suffix}", data)
       for kind, data in _OTHER.items() for suffix in (".pt", ".safetensors", ".json")},
    **{f"lie: {kind}": _lie(kind, zipped=number % 2 == 0) for number, kind in enumerate(LIES)},
    **{f"code: {place}, {wrapping}, {suffix}": _code(place, wrapping, suffix)
       for place in HIDING_PLACES
       for wrapping, suffix in (("zip", ".ckpt"), ("bare", ".pt"), ("zip", ".safetensors"))},
    **{f"bomb: {kind}, {wrapping}": _bomb(kind, wrapping)
       for kind in BOMBS for wrapping in ("zip", "bare", "distributed")},
    **{f"cut: {keep}, {zipped}": _cut(keep, zipped)
       for keep in (0.02, 0.5, 0.98) for zipped in (True, False)},
    "archive: compressed": _archive(lambda _, content: content, zipfile.ZIP_DEFLATED),
    "archive: short records": _archive(lambda name, content: content[:8] if "/data/" in name else content),
    "archive: no records": _archive(lambda name, content: None if "/data/" in name else content),
    "archive: big-endian": _archive(lambda name, content: b"big" if name.endswith("byteorder") else content),
    **{f"dcp: {kind}": _distributed(change) for kind, change in CHANGES.items()},
    **{f"dcp: cut at {keep}": _distributed(None, keep) for keep in (0, 10, 200)},
    **{f"index: {kind}": _index(content) for kind, content in _INDEXES.items()},
    "index: a pickle as a shard": _index({"weight_map": {"a": SHARD}}, saved(STATE)),
    "index: a cut shard": _index({"weight_map": {"a": SHARD}}, b"\x10\0\0"),
    **{f"module: {kind}": _module(suffix, kind)
       for kind, suffix in (("whole", ".pt"), ("script", ".pt"), ("exported", ".pt2"))},
    "place: nothing": _place(lambda path: None, "nothing.safetensors"),
    "place: an empty directory": _place(Path.mkdir, "directory"),
    "place: a pipe": _place(os.mkfifo, "pipe.safetensors"),
    "place: a loop": _place(_unreadable, "loop.pt"),
    "place: a device": _place(lambda path: path.symlink_to("/dev/zero"), "zero.safetensors"),
    "place: a terabyte of nothing": _place(_sparse_file, "huge.safetensors"),
    "place: a terabyte of nothing, torch": _place(_sparse_file, "huge.pt"),
    "place: a terabyte of nothing, JSON": _place(_sparse_file, "huge.index.json"),
    "nested too deep": _bytes("deep.pt", lambda _: saved(_deep(40))),
    "a list of tensors": _bytes("list.pt", lambda _: saved([torch.ones(2)])),
    "one tensor": _bytes("tensor.pt", lambda _: saved(torch.ones(2))),
    "keys that are numbers": _bytes("numbers.pt", lambda _: saved({1: torch.ones(2)})),
    "two models": _bytes("two.pt", lambda _: saved({"g": {"a": torch.ones(2)}, "d": {"a": torch.ones(2)}})),
    "only optimizer state": _bytes("optimizer.pt", lambda _: saved({"optimizer": {"state": {0: torch.ones(2)}}})),
    "only counters": _bytes("counters.pt", lambda _: saved({"n_averaged": torch.ones(())})),
    "a name of a terminal's commands": _bytes("escape.pt", lambda _: saved({"a\x1b[2J": torch.ones(2)})),
}  # fmt: skip
