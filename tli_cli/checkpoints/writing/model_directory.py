"""Writing a directory that a library loads at once: the weights, and beside them what says how to build the model."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tli_cli.architecture import TensorSpec
from tli_cli.checkpoints.writing.directories import pending_directory, write_whole
from tli_cli.checkpoints.writing.job import Job
from tli_cli.checkpoints.writing.writer import DCP, FILES, output_path, require_space, write_checkpoint
from tli_cli.dtypes import byte_count
from tli_cli.errors import CheckpointError

CONFIG = "config.json"
OF_DIFFUSERS = "_class_name"
"""What a configuration of diffusers says, and no other does."""

Beside = Mapping[str, bytes | Path]
"""The files beside the weights, by name: what they hold, or what they are copied from."""

_NAMED = re.compile(r"(\.v?\d.*)?")
"""How the name of such a directory may end: in nothing, or in a version (`llama-3.2-1b`, `run.v2`)."""
_WEIGHTS = re.compile(r"((diffusion_)?pytorch_)?model(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")


def is_model_directory(out: Path) -> bool:
    """Tell whether what is to be written to `out` is a directory with a model's weights and its configuration."""
    return str(out) != "-" and out.suffix not in (*FILES, DCP) and bool(_NAMED.fullmatch(out.suffix) or out.is_dir())


def require_form(out: Path) -> None:
    """Raise `CheckpointError` where nothing of the name `out` is written."""
    if not is_model_directory(out):
        output_path(out)


def write_model_directory(
    out: Path, tensors: Sequence[TensorSpec], job: Job, *, beside: Beside, own: Collection[str]
) -> tuple[Path, ...]:
    """Write `tensors` and the files `beside` them to the directory `out`, and return the files, the weights first; what
    such a directory may hold of its `own` is replaced with it.

    Raises:
        CheckpointError: where `out` holds anything that is to be kept, or files of another kind, or cannot be written.
    """
    target = out.resolve()
    if not target.parent.is_dir():
        raise CheckpointError(f"{out}: the directory {target.parent} does not exist; make it first")
    require_space(target, sum(byte_count(spec.shape, spec.dtype) for spec in tensors))
    allowed = {*own, *beside}
    with pending_directory(
        target, job.ranks, force=job.force, require_own=lambda: _require_own(target, allowed)
    ) as draft:
        written = write_checkpoint(draft / _weights_name(beside), tensors, replace(job, force=False))
        with job.ranks.step():
            for name, content in beside.items() if job.ranks.is_first else ():
                _put(draft / name, content)
    return tuple(target / name for name in (*(path.name for path in written), *beside))


def _weights_name(beside: Beside) -> str:
    """Return what the library that reads the configuration calls the weights."""
    config = beside.get(CONFIG, b"{}")
    is_of_diffusers = isinstance(config, bytes) and OF_DIFFUSERS in json.loads(config)
    return "diffusion_pytorch_model.safetensors" if is_of_diffusers else "model.safetensors"


def _put(path: Path, content: bytes | Path) -> None:
    if isinstance(content, bytes):
        write_whole(path, content)
    else:
        shutil.copyfile(content, path)


def _require_own(target: Path, own: Collection[str]) -> None:
    """Raise `CheckpointError` where more is at `target` than a model's directory that is replaced as a whole."""
    if not target.is_dir():
        raise CheckpointError(f"{target}: is no directory and is not replaced; choose another name")
    others = [p.name for p in sorted(target.iterdir()) if not (p.name in own or _WEIGHTS.fullmatch(p.name))]
    if others:
        raise CheckpointError(
            f"{target}: holds {', '.join(others[:4])}, which --force would remove as well; move that away, or choose "
            "another name"
        )
