"""What a checkpoint holds, byte by byte."""

from __future__ import annotations

from tli_cli.checkpoints import Checkpoint
from tli_cli.checkpoints.files import read_range
from tli_cli.checkpoints.writing.layout import tensor_bytes


def stored_bytes(checkpoint: Checkpoint, name: str) -> bytes:
    """Return the bytes of a tensor: those in the file where they stand in one piece, else those of its values."""
    piece = checkpoint.file_range(name)
    if piece is None:
        return bytes(tensor_bytes(checkpoint.read(name)))
    buffer = bytearray(piece.length)
    read_range(piece, memoryview(buffer))
    return bytes(buffer)
