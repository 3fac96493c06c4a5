"""Which checkpoint a directory holds."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from tli_cli.checkpoints.files import is_plain_name, read_small
from tli_cli.checkpoints.strangers import stranger
from tli_cli.checkpoints.tensor_parallel import RANK, require_whole
from tli_cli.errors import CheckpointError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".nemo")
_PREFERRED = (
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
    "mp_rank_00_model_states.pt",
)
_NOT_MODELS = re.compile(
    r"\.|(optimizer|scheduler|training_args|rng_state|scaler|trainer_state|recipe_state|sampler|dl_state_dict)"
    r"|.*_optim_states\.pt$"
)
_ADAPTER = "adapter_model."
_PARTITION = re.compile(r"zero_pp_rank_\d")
"""How DeepSpeed calls the files that each process wrote of its own."""
_PART = re.compile(r"(.+)-\d+-of-\d+(\.\w+)")
_LONGEST_NAME = 255


def is_checkpoint_name(name: str) -> bool:
    """Return whether a file called `name` may be a checkpoint or an index of one."""
    return name.endswith(SUFFIXES) or name.endswith(".index.json")


def find_checkpoint(directory: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the checkpoint in `directory` (or its distributed metadata) and a line on what was passed over."""
    chosen, others = _chosen(directory)
    return chosen, tuple(f"{name}: another checkpoint in the directory, not read" for name in others)


def checkpoints_in(directory: Path) -> list[Path]:
    """Return every checkpoint in `directory`, which stands for the one that it is read as; no shard is one."""
    try:
        chosen, others = _chosen(directory)
    except CheckpointError:
        names = _names(directory)
        indexes = {name: _PART.sub(r"\1\2.index.json", name) for name in _models(names)}
        return [directory / name for name, index in indexes.items() if name == index or index not in names]
    own = directory if not others or chosen.name in _PREFERRED else chosen
    return [own, *(directory / name for name in others if name not in _PREFERRED)]


def _names(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in directory.iterdir() if not entry.is_dir())
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read: {error.strerror}") from error


def _models(names: Collection[str]) -> list[str]:
    return [name for name in names if is_checkpoint_name(name) and not _NOT_MODELS.match(name)]


def _chosen(directory: Path) -> tuple[Path, list[str]]:
    names = _names(directory)
    if ".metadata" in names:
        return directory / ".metadata", []
    found = _models(names)
    candidates = [name for name in found if not name.startswith(_ADAPTER)] or found
    chosen = next((name for name in _PREFERRED if name in candidates), None)
    if chosen is None:
        indexes = [name for name in candidates if name.endswith(".index.json")]
        alone = [name for name in candidates if not _PARTITION.match(name) and not _PART.fullmatch(name)]
        likely = indexes or alone or candidates
        if not likely and (inner := _latest(directory, names) or _first_rank(directory)):
            return _chosen(inner)
        if likely:
            require_whole(directory / likely[0])
        if len(likely) != 1:
            raise CheckpointError(_which(directory, names, likely))
        chosen = likely[0]
    others = [name for name in found if name != chosen and not _PARTITION.match(name)]
    return directory / chosen, [name for name in others if not _PART.fullmatch(name)]


def _latest(directory: Path, names: list[str]) -> Path | None:
    """Return the directory within `directory` that a file called `latest` names, as DeepSpeed writes it."""
    if "latest" not in names:
        return None
    name = read_small(directory / "latest", _LONGEST_NAME, "the name of a directory").decode(errors="replace").strip()
    inner = directory / name
    return inner if is_plain_name(name) and inner.is_dir() and not inner.is_symlink() else None


def _first_rank(directory: Path) -> Path | None:
    """Return the directory within `directory` that holds the first part of what Megatron wrote, maybe all of it."""
    ranks = sorted(entry for entry in directory.iterdir() if entry.name.startswith(RANK) and entry.is_dir())
    return ranks[0] if ranks and not ranks[0].is_symlink() else None


def _which(directory: Path, names: list[str], likely: list[str]) -> str:
    if not likely:
        hint = f"; its config.json alone is named hf:{directory}" if (directory / "config.json").is_file() else ""
        inner = (path for depth in ("*/*", "*/*/*") for path in sorted(directory.glob(depth)))
        below = [str(path.parent) for path in inner if _models([path.name]) or path.name == ".metadata"]
        below = [name for name in below if not _NOT_MODELS.match(Path(name).name)]
        hint += f"; there is one in {', '.join(list(dict.fromkeys(below))[:4])}" if below else ""
        others = [f", but {name}, {found[0]}: {found[1]}" for name in names if (found := stranger(name, b""))]
        return (
            f"{directory}: expected a checkpoint in the directory (model.safetensors, pytorch_model.bin, an index with "
            f"its shards, a distributed checkpoint), found none{others[0] if others else ''}{hint}"
        )
    shown = ", ".join(likely[:8])
    if all(map(_PARTITION.match, likely)):
        return (
            f"{directory}: found the parts of ZeRO stage 3 alone: {shown}; put them together with `python "
            "zero_to_fp32.py . whole`, a script that DeepSpeed writes into the directory of its checkpoints, and name "
            "what that writes"
        )
    if all(map(_PART.fullmatch, likely)):
        return f"{directory}: found shards without the index that names them: {shown}; get their .index.json too"
    return f"{directory}: found several checkpoints: {shown}; name the file that you mean"
