"""Writing checkpoints as a stream: one tensor at a time, nothing visible before all of it is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.writing.blocks import BlockWriter
from tli_cli.checkpoints.writing.contents import Content, Held, Repeated, content_of
from tli_cli.checkpoints.writing.job import Job
from tli_cli.checkpoints.writing.layout import FileLayout, lay_out, repeated, require_writable
from tli_cli.checkpoints.writing.naming import aside_name, recover
from tli_cli.checkpoints.writing.output import PendingFile, pending_files, publish
from tli_cli.checkpoints.writing.ranks import Ranks
from tli_cli.checkpoints.writing.shards import (
    Shards,
    index_bytes,
    index_path,
    replaced_with,
    require_no_shard,
    shard_path,
    split,
)
from tli_cli.dtypes import byte_count
from tli_cli.errors import CheckpointError

DCP = ".dcp"
"""How the name of a directory of torch's distributed checkpoint format ends."""

TORCH = (".pt", ".pth", ".bin")
"""How the names of files as torch.save writes them end."""

FILES = (".safetensors", *TORCH)
"""How the names of files that are written end."""


def write_checkpoint(out: Path | str, tensors: Sequence[TensorSpec], job: Job) -> tuple[Path, ...]:
    """Write `tensors` to `out` and return the files, the one to open first.

    A tensor tied to an earlier one of the same file gets that one's bytes. How `out` ends says the format:
    `.safetensors`, that of torch.save (`.pt`, `.pth`, `.bin`), or a directory of torch's distributed checkpoint format
    (`.dcp`). Shards of the first two stand beside an index `<out>.index.json`. After any failure, what was there before
    is there, or nothing.

    Raises:
        CheckpointError: where `out` is there and to be kept, cannot be written, or a tensor is not as announced.
    """
    target = output_path(Path(out))
    require_writable(tensors)
    if Path(out).suffix != DCP:
        return _write_files(Path(out), target, split(tensors, job.max_shard_size), job)
    from tli_cli.checkpoints.writing.dcp_writer import write_distributed

    _is_there(target, several=True)
    require_space(target, sum(byte_count(spec.shape, spec.dtype) for spec in tensors))
    return write_distributed(target, tensors, job)


def _write_files(out: Path, target: Path, shards: Shards, job: Job) -> tuple[Path, ...]:
    """Write `shards` to files called after `target`, which `out` names."""
    require_no_shard(target)
    paths = _paths(out, target, len(shards))
    index = index_bytes(shards, paths, job.notes) if len(shards) > 1 else b""
    results = [index_path(target), *paths] if index else paths
    existing = _existing(target, results, job.ranks)
    with job.ranks.step():
        if existing and not job.force:
            raise CheckpointError(f"{existing[0]}: exists already; use --force to replace it, or choose another name")
        layouts = [_laid_out(shard, job.notes, path, out.suffix) for shard, path in zip(shards, paths, strict=True)]
        require_space(target, sum(layout.total for layout in layouts))
    try:
        with pending_files() as files:
            with job.ranks.step():
                for path, layout in list(zip(paths, layouts, strict=True))[job.ranks.rank :: job.ranks.count]:
                    files.append(PendingFile(path, layout.total))
                    _write_file(files[-1], layout, job)
                if index and job.ranks.is_first:
                    files.append(PendingFile(results[0], len(index)))
                    files[-1].write_at(memoryview(index), 0)
                    files[-1].flush()
            publish(target, files, results, existing, job.ranks, force=job.force)
    except OSError as error:
        raise CheckpointError(
            f"{out}: could not be written: {error.strerror or error}; what was there before is unchanged"
        ) from error
    return tuple(results)


def _existing(target: Path, results: Sequence[Path], ranks: Ranks) -> list[Path]:
    """Return what is there and would be replaced by `results`, once what a killed process left is put right."""
    with ranks.step():
        if ranks.is_first:
            recover(target)
    new = [path for path in results if _is_there(path, several=len(results) > 1)]
    return list(dict.fromkeys([*replaced_with(target), *new]))


def _paths(out: Path, target: Path, count: int) -> list[Path]:
    """Return the names of the files of `target` that hold tensors: its own, or those of `count` shards."""
    if count > 1 and not target.name.isprintable():
        raise CheckpointError(f"{out}: shards are named in an index, which takes plain text alone; choose another name")
    return [target] if count == 1 else [shard_path(target, i, count) for i in range(count)]


def output_path(out: Path) -> Path:
    """Return where `out`, a file or a distributed checkpoint, is written; raise `CheckpointError` where none can be."""
    if str(out) == "-":
        raise CheckpointError("-: weights are not written to standard output; name a file, such as init.safetensors")
    if out.suffix not in (*FILES, DCP):
        raise CheckpointError(
            f"{out}: expected an output name that ends in .safetensors, {', '.join(TORCH)} (what torch.save writes) "
            f"or {DCP} (a directory of torch's distributed checkpoint format), or in nothing (a directory with the "
            "weights and config.json); nothing else is written"
        )
    try:
        target = out.resolve()
        if not target.parent.is_dir():
            raise CheckpointError(f"{out}: the directory {target.parent} does not exist; make it first")
        kind = "directory" if out.suffix == DCP else "regular file"
        if target.exists() and not (target.is_dir() if out.suffix == DCP else target.is_file()):
            raise CheckpointError(f"{out}: is no {kind} and is not replaced; choose another name")
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{out}: cannot be written: {error}") from error
    return target


def _is_there(path: Path, *, several: bool) -> bool:
    """Return whether something has the name `path`; raise `CheckpointError` where nothing can.

    One of `several` files, or a directory, needs room for the longer name that it is moved aside with.
    """
    try:
        (path.with_name(aside_name(path.name)) if several else path).lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror}; choose another name") from error
    return os.path.lexists(path)


def require_space(target: Path, needed: int) -> None:
    """Raise `CheckpointError` where the disk of `target` has not `needed` bytes free."""
    disk = os.statvfs(target.parent)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise CheckpointError(
            f"{target}: needs {needed:,} bytes, but its disk has {free:,} free; make room or choose another place"
        )


def _laid_out(specs: Sequence[TensorSpec], notes: Mapping[str, str], path: Path, form: str) -> FileLayout:
    if form not in TORCH:
        return lay_out(specs, notes)
    from tli_cli.checkpoints.writing.torch_layout import lay_out_torch

    return lay_out_torch(specs, notes, path)


def _write_file(file: PendingFile, layout: FileLayout, job: Job) -> None:
    copies, frames = repeated(layout.specs), dict(layout.frames)
    with contextlib.closing(BlockWriter(file, layout.see)) as writer:
        for spec in layout.specs:
            first = layout.offsets.get(copies.get(spec.name, ""))
            if first != layout.offsets[spec.name]:
                writer.put(Held(memoryview(frames.get(writer.position, b""))))
                if first is None:
                    content: Content = content_of(spec, job.produce(spec))
                else:
                    writer.drain()
                    content = Repeated(file.descriptor, first, byte_count(spec.shape, spec.dtype))
                writer.put(content)
            job.done(spec)
        writer.put(Held(memoryview(frames.get(writer.position, b""))))
        writer.drain()
    if layout.seal is not None:
        layout.seal(file)
    file.flush()
