"""Reading files of torch.save: weights only, checked before they are loaded, values at their offsets in the archive."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tli_cli.checkpoints.archive import Archive, check_archive
from tli_cli.checkpoints.files import FileRange, sniff
from tli_cli.checkpoints.nested import Found, find_state_dict
from tli_cli.checkpoints.pickles import blocked_message, globals_in
from tli_cli.checkpoints.slots import slots_of, specs_of
from tli_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch

MIN_TORCH = (2, 10)
_LEGACY_PICKLES = 5
_PLAIN = frozenset(
    {
        "collections.OrderedDict",
        "collections.Counter",
        "argparse.Namespace",
        "_codecs.encode",
        *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("set", "complex", "bytearray")),
    }
)
_BLOCKED = re.compile(r"(?:GLOBAL|Unsupported class|class) ([\w.]+)")


class TorchFile:
    """One file of torch.save; its values are read one by one where the archive allows it."""

    format = "torch"
    order_from = "file"

    def __init__(self, path: Path, ema: str | None = None) -> None:
        self.path = path
        kind = sniff(path)
        if path.suffix == ".safetensors":
            raise CheckpointError(f"{path}: expected a safetensors file, found a {kind} file under its name; not read")
        require_safe_torch(path)
        archive = check_archive(path) if kind == "zip" else None
        self.metadata = archive.notes if archive else {}
        _refuse_code(path, archive.globals if archive else _legacy_globals(path))
        found = _find(path, archive, ema)
        self._slots, left_out = slots_of(found.tensors, archive, path)
        self.ignored = (*found.ignored, *left_out)
        self.tensors = specs_of(self._slots)
        self.settings = found.settings

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor stored as `name`, on the CPU."""
        return self._slots[name].read()

    def file_range(self, name: str) -> FileRange | None:
        """Return where the bytes of `name` stand, None where they are not contiguous."""
        return self._slots[name].file_range()


def require_safe_torch(path: Path) -> None:
    """Raise `CheckpointError` unless torch is new enough to read pickles safely."""
    try:
        import torch
    except ImportError as error:
        said = "install it" if isinstance(error, ModuleNotFoundError) else f"it cannot be loaded here: {error}"
        raise CheckpointError(f"{path}: reading this file needs torch; {said}, or use safetensors") from error
    found = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])
    if found < MIN_TORCH:
        raise CheckpointError(
            f"{path}: reading pickles safely needs torch 2.10 or newer, found {torch.__version__}; "
            "upgrade torch, or use safetensors"
        )


def _refuse_code(path: Path, named: frozenset[str]) -> None:
    """Refuse what torch would not load either, naming all of it; torch has the last word."""
    if blocked := sorted(name for name in named - _PLAIN if not name.startswith("torch.")):
        raise CheckpointError(blocked_message(str(path), blocked))


def _legacy_globals(path: Path) -> frozenset[str]:
    """Return the globals in the pickles that stand before the values of a file older than torch 1.6."""
    named: frozenset[str] = frozenset()
    with path.open("rb") as file:
        for _ in range(_LEGACY_PICKLES):
            if file.peek(1):
                named |= globals_in(file, str(path))
    return named


def _find(path: Path, archive: Archive | None, ema: str | None) -> Found:
    if archive is not None and _can_be_lazy(archive):
        found = _found(path, archive, ema, lazy=True)
        if all(_is_in_record(tensor, archive) for tensor in found.tensors.values()):
            return found
    # torch computes where records are from how it packs them, so an archive that was packed again is not read lazily
    return _found(path, archive, ema, lazy=False)


def _found(path: Path, archive: Archive | None, ema: str | None, lazy: bool) -> Found:
    import torch

    found = find_state_dict(load_weights(path, archive, lazy), str(path), ema)
    # without the attributes of its own, which may stand in the way of its methods, that a pickle can give a tensor
    return replace(found, tensors={name: torch.Tensor.detach(value) for name, value in found.tensors.items()})


def _is_in_record(tensor: torch.Tensor, archive: Archive) -> bool:
    try:
        offset = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
    except NotImplementedError:  # sparse tensors have no storage; they are refused with their name
        return True
    return offset is None or offset in archive.records


def load_weights(path: Path, archive: Archive | None, lazy: bool) -> Any:
    """Return what the file holds, the tensors on the `meta` device if `lazy`."""
    import torch

    options: dict[str, Any] = {"map_location": "meta"} if lazy else {"map_location": "cpu", "mmap": archive is not None}
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            return torch.load(path, weights_only=True, **options)
    except pickle.UnpicklingError as error:
        blocked = sorted(set(_BLOCKED.findall(str(error))))
        if blocked:
            raise CheckpointError(blocked_message(str(path), blocked)) from error
        raise CheckpointError(_damaged(path, error)) from error
    except Exception as error:  # torch raises many kinds on damaged input
        raise CheckpointError(_damaged(path, error)) from error


def _can_be_lazy(archive: Archive) -> bool:
    import torch

    # quantised tensors cannot be built on the meta device; older torch reads every record for it
    quantised = "torch._utils._rebuild_qtensor" in archive.globals
    return not quantised and hasattr(torch.serialization, "_is_meta_location")


def _damaged(path: Path, error: Exception) -> str:
    # torch puts its advice around the reason, and it includes loading the file unsafely
    reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().splitlines() or [""]
    return (
        f"{path}: expected a state dict written by torch.save, found something that cannot be read "
        f"({type(error).__name__}: {reason[0][:160]}); it is damaged, incomplete or of another kind: make it again"
    )
