"""An adapter in the place of a source: where its base model is, and what it makes of that."""

from __future__ import annotations

from pathlib import Path

from tli_cli.checkpoints import Checkpoint, read_config
from tli_cli.checkpoints.directory import find_checkpoint
from tli_cli.checkpoints.layouts.low_rank import CONFIG, merged
from tli_cli.checkpoints.located import is_there
from tli_cli.errors import CheckpointError
from tli_cli.kinship.adapters import are_alone


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
    return "" if beside.name.startswith("adapter_") or beside == adapter.path else str(home)


def on_base(text: str, adapter: Checkpoint, base: Checkpoint) -> tuple[Checkpoint, tuple[str, ...]]:
    """Return `base` with the adapter that `text` names taken into its weights, and what the user should know of it.

    Raises:
        CheckpointError: it has no configuration, or is an adapter of another kind or model.
    """
    config = read_config(_home(adapter) / CONFIG)
    if config is None or are_alone(base.tensors):
        wanted = f"{CONFIG} beside it, which tells its scale" if config is None else "the checkpoint of its base model"
        found = "none" if config is None else f"{base.path}, which holds adapters"
        raise CheckpointError(
            f"{text} holds adapters alone: expected {wanted}, found {found}; --source-arch names a base"
        )
    made = merged(base, adapter, config)
    left = (f"{text}: left aside {line}" for line in made.ignored)
    return made, (f"{text}: an adapter, merged into its base model {base.path}", *left)


def _home(adapter: Checkpoint) -> Path:
    return adapter.path if adapter.path.is_dir() else adapter.path.parent
