"""Reading files of torch.save: pickles of descriptions alone, values at their places in the file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints.files import ZIP, FileRange, sniff, stamp_of
from tli_cli.checkpoints.nested import find_state_dict
from tli_cli.checkpoints.reader import read_bytes
from tli_cli.checkpoints.torch_files.archive import read_archive
from tli_cli.checkpoints.torch_files.arrays import Arrays, PickledArray, put_arrays
from tli_cli.checkpoints.torch_files.legacy_file import read_legacy
from tli_cli.checkpoints.torch_files.packed import Window, weights_in, zipped_weights
from tli_cli.checkpoints.torch_files.pickles import load_allowed
from tli_cli.checkpoints.torch_files.slots import Slot, slot_of, slots_of, specs_of
from tli_cli.checkpoints.torch_files.torch_pickles import PickledTensor, allowed, storage_of
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch


class TorchFile:
    """One file of torch.save; opening it reads what describes the tensors, and does not import torch."""

    format = "torch"
    order_from = "file"

    def __init__(self, path: Path, ema: str | None = None) -> None:
        self.path = path
        kind = sniff(path)
        if path.suffix == ".safetensors":
            raise CheckpointError(f"{path}: expected a safetensors file, found a {kind} file under its name; not read")
        self._stamp = stamp_of(path)
        self.metadata: dict[str, str] = {}
        packed = weights_in(path) if kind == "tar" else zipped_weights(path) if kind == "zip" else None
        self._start, self._size = packed or (0, self._stamp.size)
        root, storages = self._loaded()
        if not storages:  # beside tensors, arrays are training state
            put_arrays(root)
        found = find_state_dict(root, str(path), ema)
        held = {name: value for name, value in found.tensors.items() if isinstance(value, PickledArray)}
        self._arrays = Arrays(held, str(path))
        tensors = {name: value for name, value in found.tensors.items() if name not in held}
        self._slots, left_out = slots_of(tensors, storages, str(path))
        self.ignored = (*found.ignored, *left_out)
        self.tensors = (*self._arrays.tensors, *specs_of(self._slots))
        self.settings = found.settings

    def _loaded(self) -> tuple[Any, dict[str, tuple[int, int]]]:
        """Return what the pickle describes, and where the bytes of each storage begin and how many there are."""
        with self.path.open("rb") as whole:
            file = whole if not self._start else io.BufferedReader(Window(whole, self._start, self._size))
            is_zip = file.read(len(ZIP)) == ZIP
            file.seek(0)
            if not is_zip:
                return read_legacy(file, self._size, str(self.path))
            archive = read_archive(file, self._size, str(self.path))
        self.metadata = archive.notes
        return load_allowed(archive.pickle, allowed(), str(self.path), storage_of), archive.storages

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor stored as `name`, on the CPU, contiguous or not."""
        if name not in self._slots:
            return self._arrays.read(name)
        slot = self._slots[name]
        return slot.tensor(read_bytes(self._range(slot), name, slot.dtype))

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are not its elements in order."""
        slot = self._slots.get(name)
        return self._range(slot) if slot is not None and slot.is_plain else None

    def _range(self, slot: Slot) -> FileRange:
        return FileRange(self.path, self._start + slot.start, slot.length, self._stamp)


def load_tensor(data: bytearray, where: str) -> torch.Tensor:
    """Return the one tensor that torch.save wrote to `data`.

    Raises:
        CheckpointError: it holds something else, or is damaged.
    """
    import torch

    archive = read_archive(io.BytesIO(data), len(data), where)
    held = load_allowed(archive.pickle, allowed(), where, storage_of)
    if not isinstance(held, PickledTensor):
        raise CheckpointError(f"{where}: expected a tensor, found {type(held).__name__}; save the checkpoint again")
    slot = slot_of(held, archive.storages, where)
    piece = data[slot.start : slot.start + slot.length]
    return slot.tensor(torch.frombuffer(piece, dtype=torch.uint8) if piece else torch.empty(0, dtype=torch.uint8))
