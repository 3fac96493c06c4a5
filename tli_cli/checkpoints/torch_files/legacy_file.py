"""Files that torch.save wrote before torch 1.6: pickles one after another, and then the elements of each storage."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from tli_cli.checkpoints.torch_files.arrays import put_arrays
from tli_cli.checkpoints.torch_files.pickles import (
    MAX_PICKLE,
    blocked_message,
    globals_in,
    globals_so_far,
    load_allowed,
)
from tli_cli.checkpoints.torch_files.slots import item_size
from tli_cli.checkpoints.torch_files.torch_pickles import Storage, allowed, storage_of
from tli_cli.errors import CheckpointError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")
_BEGINNING = 32
"""The bytes within which a file of torch.save has its number, whatever protocol it was pickled with."""
_SAVE = "save `model.state_dict()`, or its arrays by name, best as safetensors"
_SOMETHING_ELSE = f"expected a state dict written by torch.save, found a pickle of something else; {_SAVE}"


def read_legacy(file: BinaryIO, size: int, where: str) -> tuple[Any, dict[str, tuple[int, int]]]:
    """Return what the file of `size` bytes holds, and where the bytes of each storage begin and how many there are.

    Raises:
        CheckpointError: it is no such file, is damaged, or its pickles ask for more than data.
    """
    seen: dict[str, Storage] = {}

    def noted(pid: Any) -> Storage:
        storage = storage_of(pid)
        seen[storage.key] = storage
        return storage

    if not _has_magic(file):
        return _plain(file, size, where), {}
    magic, protocol, machine = (_next(file, where) for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or not isinstance(machine, dict):
        raise CheckpointError(f"{where}: {_SOMETHING_ELSE}")
    if machine.get("little_endian") is not True:
        raise CheckpointError(f"{where}: written on a big-endian machine; save it again on a little-endian one")
    root = _next(file, where, noted)
    keys = _next(file, where)
    return root, _storages(file, size, seen, keys, where)


def _has_magic(file: BinaryIO) -> bool:
    """Tell whether the file begins as torch's do."""
    held = _MAGIC.to_bytes(10, "little") in file.read(_BEGINNING)
    file.seek(0)
    return held


def _plain(file: BinaryIO, size: int, where: str) -> Any:
    """Return what a pickle holds that torch.save did not write, if that is arrays of NumPy in dictionaries."""
    if blocked := sorted(globals_so_far(file) - set(allowed())):
        raise CheckpointError(blocked_message(where, blocked))
    if size > MAX_PICKLE:
        raise CheckpointError(f"{where}: expected a pickle of at most {MAX_PICKLE:,} bytes, found {size:,}; {_SAVE}")
    root = _next(file, where)
    if not put_arrays(root):
        raise CheckpointError(f"{where}: {_SOMETHING_ELSE}")
    return root


def _next(file: BinaryIO, where: str, persistent: Any = None) -> Any:
    """Return what the next pickle describes; it is looked through before it is read."""
    start = file.tell()
    globals_in(file, where)
    end = file.tell()
    file.seek(start)
    return load_allowed(file.read(end - start), allowed(), where, persistent)


def _storages(file: BinaryIO, size: int, seen: dict[str, Storage], keys: Any, where: str) -> dict[str, tuple[int, int]]:
    """Return where the bytes of the storages `keys` stand, which follow each other with their numbers before them."""
    found: dict[str, tuple[int, int]] = {}
    position = file.tell()
    for key in keys if isinstance(keys, list) else ():
        storage = seen.get(key) if isinstance(key, str) else None
        file.seek(position)
        count = file.read(_COUNT.size)
        if storage is None or len(count) < _COUNT.size or _COUNT.unpack(count) != (storage.count,):
            raise CheckpointError(f"{where}: its list of storages is damaged or cut off; make or download it again")
        length = storage.count * item_size(storage.dtype, where)
        found[key] = (position + _COUNT.size, length)
        position += _COUNT.size + length
        if position > size:
            raise CheckpointError(f"{where}: its values reach beyond the end; it is incomplete: download it again")
    return found
