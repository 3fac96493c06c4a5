"""What is fuzzed: each target takes bytes, and must refuse them with a `TliError` or read them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from tli_cli.api import inject
from tli_cli.axis_maps.listing import parsed
from tli_cli.checkpoints import open_checkpoint
from tli_cli.errors import TliError
from tli_cli.plan import Plan
from tli_cli.vocabularies.pairing import TokenRows
from tli_cli.vocabularies.reading import read_vocabulary

Target = Callable[[bytes], None]

MAX_READ = 1 << 24
SOME = 100
"""Rows of a table, more than the tokens that most inputs have."""

_HOME = Path(tempfile.mkdtemp(prefix="tli-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))


def read_all(path: Path) -> None:
    """Open the checkpoint at `path` and read what it holds; a `TliError` is a proper answer."""
    try:
        checkpoint = open_checkpoint(path)
        for spec in checkpoint.tensors:
            if spec.size > MAX_READ or spec.dtype.startswith(("float4", "float6")):
                continue
            value = checkpoint.read(spec.name)
            if tuple(value.shape) != spec.shape or str(value.dtype) != f"torch.{spec.dtype}":
                raise AssertionError(f"{spec}: read {value.shape} {value.dtype}")
            piece = checkpoint.file_range(spec.name)
            if piece is not None and piece.length != value.numel() * value.element_size():
                raise AssertionError(f"{spec}: its bytes are not its elements")
    except TliError as error:
        if not str(error):
            raise AssertionError("an empty message") from error


def safetensors(data: bytes) -> None:
    """Read a safetensors file as it is, and one whose header is the first line."""
    path = _HOME / "a.safetensors"
    path.write_bytes(data)
    read_all(path)
    end = data.find(b"\n")
    if end >= 0:
        header = data[:end] + b" " * (-end % 8)
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[end + 1 :])
        read_all(path)


def archive(data: bytes) -> None:
    """Read a torch file as it is."""
    path = _HOME / "a.pt"
    path.write_bytes(data)
    read_all(path)


def pickled(data: bytes) -> None:
    """Read an archive of torch.save around the pickle `data`, with a few records of values."""
    import zipfile

    path = _HOME / "b.pt"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", data)
        file.writestr("a/version", "3\n")
        for i, length in enumerate((24, 4, 8, 8, 16)):
            file.writestr(f"a/data/{i}", bytes(range(length)))
    read_all(path)


def index(data: bytes) -> None:
    """Read a shard index beside a sound shard."""
    from safetensors.torch import save_file

    shard = _HOME / "index" / "s.safetensors"
    if not shard.exists():
        shard.parent.mkdir()
        save_file({"a": torch.ones(2), "b": torch.zeros(3)}, shard)
    path = shard.with_name("model.safetensors.index.json")
    path.write_bytes(data)
    read_all(path)


def distributed(data: bytes) -> None:
    """Read a distributed checkpoint with the metadata `data`."""
    from seeds import distributed_file

    home = _HOME / "dcp"
    if not home.exists():
        home.mkdir()
        (home / "__0_0.distcp").write_bytes(distributed_file())
    (home / ".metadata").write_bytes(data)
    read_all(home)


def plan(data: bytes) -> None:
    """Carry out a plan between two small checkpoints: as `tli inject --plan` does, from the text to the file."""
    from seeds import plan_models

    from tli_cli.cli.files import read_plan

    source, target = plan_models()
    out, path = _HOME / "plan" / "out.safetensors", _HOME / "plan" / "plan.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    try:
        read = read_plan(str(path))
        text = read.to_json()
        if Plan.from_json(text).to_json() != text:
            raise AssertionError("a plan that does not round-trip")
        inject(source, target, out, plan=read)
    except TliError as error:
        if not str(error) or out.exists():
            raise AssertionError("no message, or a file after an error") from error
        return
    out.unlink()


def vocabulary(data: bytes) -> None:
    """Read a tokeniser, an object as `tokenizer.json` and all else as other files of theirs, and list its own rows."""
    path = _HOME / ("tokenizer.json" if data.lstrip()[:1] == b"{" else "tokenizer.model")
    path.write_bytes(data)
    try:
        read = read_vocabulary(path)
    except TliError as error:
        if not str(error):
            raise AssertionError("an empty message") from error
        return
    parsed(TokenRows(read, read).listing(SOME, SOME), SOME, SOME)


TARGETS: dict[str, Target] = {
    "safetensors": safetensors,
    "archive": archive,
    "pickled": pickled,
    "index": index,
    "distributed": distributed,
    "plan": plan,
    "vocabulary": vocabulary,
}
