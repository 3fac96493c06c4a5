"""An adapter in the place of a source: where its base model is, and what it makes of that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tli_cli.checkpoints import Checkpoint, read_config
from tli_cli.checkpoints.directory import find_checkpoint
from tli_cli.checkpoints.layouts.low_rank import CONFIG, apart, config_within, merged, scaled_elsewhere, scaled_within
from tli_cli.checkpoints.located import is_there
from tli_cli.errors import CheckpointError
from tli_cli.kinship.adapters import adapter_names, are_alone

ADAPTER_FILE = "adapter_model"
"""How peft calls the file of an adapter, whatever its ending."""


def is_adapter(checkpoint: Checkpoint) -> bool:
    """Tell whether a checkpoint is an adapter's: by its tensors, or by its name and the configuration beside it, for
    peft saves heads and tables with it that were trained whole, and prompts that are called like no adapter."""
    if are_alone(checkpoint.tensors):
        return True
    if not is_there(str(_home(checkpoint) / CONFIG)):
        return False
    path = checkpoint.path
    return (find_checkpoint(path)[0] if path.is_dir() else path).name.startswith(ADAPTER_FILE)


def base_beside(adapter: Checkpoint) -> str:
    """Return the checkpoint that the adapter's configuration names as its base model, or that stands beside it; ""
    where neither is there. What is on a hub is not fetched."""
    home = _home(adapter)
    named = (read_config(home / CONFIG) or {}).get("base_model_name_or_path")
    places = [str(home / named), named] if isinstance(named, str) and named else []
    found = next((place for place in places if is_there(place) and Path(place).resolve() != home.resolve()), "")
    if found:
        return found
    try:
        beside, _ = find_checkpoint(home)
    except CheckpointError:
        return ""
    return "" if beside.name.startswith("adapter_") or adapter.path in (beside, home) else str(home)


def on_base(text: str, adapter: Checkpoint, base: Checkpoint) -> tuple[Checkpoint, tuple[str, ...]]:
    """Return `base` with the adapter that `text` names taken into its weights, and what the user should know of it.

    Raises:
        CheckpointError: it has no configuration, or is an adapter of another kind or model.
    """
    config = config_of(adapter)
    untold = config is None and scaled_elsewhere(adapter)
    if untold or are_alone(base.tensors):
        wanted = f"{CONFIG} beside it, which tells its scale" if untold else "the checkpoint of its base model"
        found = "none" if untold else f"{base.path}, which holds adapters"
        raise CheckpointError(
            f"{text} holds adapters alone: expected {wanted}, found {found}; --source-arch names a base"
        )
    made = merged(base, adapter, config)
    left = (f"{text}: left aside {'; '.join(made.ignored)}",) if made.ignored else ()
    return made, (f"{text}: an adapter, merged into its base model {base.path}", *left)


def on_own_base(text: str, whole: Checkpoint) -> tuple[Checkpoint, tuple[str, ...]] | None:
    """Return the base model in a checkpoint with the adapter in it taken into its weights, and what the user should
    know of it; None where nothing tells the adapter's scale, or it cannot be merged."""
    base, adapter = apart(whole, adapter_names([spec.name for spec in whole.tensors]))
    config = config_of(whole)
    if config is None and not scaled_within(adapter):
        return None
    try:
        made = merged(base, adapter, config)
    except CheckpointError:
        return None
    left = (f"{text}: left aside {line}" for line in made.ignored)
    return made, (f"{text}: its adapter is merged into its base model", *left)


def config_of(adapter: Checkpoint) -> Mapping[str, Any] | None:
    """Return the configuration of a LoRA, from its own file or from beside it."""
    return config_within(adapter) or read_config(_home(adapter) / CONFIG)


def _home(adapter: Checkpoint) -> Path:
    return adapter.path if adapter.path.is_dir() else adapter.path.parent
