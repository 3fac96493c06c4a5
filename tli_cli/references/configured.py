"""The architecture that the configuration beside a checkpoint names: of transformers, or of a model of timm."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.catalogue.adapt import adapted
from tli_cli.checkpoints import Checkpoint
from tli_cli.checkpoints.in_files import names_in_files
from tli_cli.checkpoints.layouts.joined import joined
from tli_cli.describe.renaming import renamed
from tli_cli.errors import TliError
from tli_cli.kinship.naming import templates
from tli_cli.providers.plausible import is_plausible

if TYPE_CHECKING:
    from tli_cli.providers import Provided

NAMES_AND_TYPES = frozenset(
    {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "id2label", "label2id", "use_cache"}
)
"""Settings that change nothing of what a model computes."""
OTHER = "what it describes has other names or shapes"


class NotBuiltError(TliError):
    """A configuration is known, and what builds its model is not installed or fails."""


def as_configured(bare: Architecture, checkpoint: Checkpoint) -> tuple[Architecture, Checkpoint] | None:
    """Return `bare`, a checkpoint described by names alone, as the configuration beside it says, and the checkpoint
    with the tensors of that; None if it says none.

    No remote code is run, and nothing is built that has more layers than the file has tensors.

    Raises:
        NotBuiltError: what it names cannot be built here, or has other tensors.
    """
    config = checkpoint.config or {}
    reference = configured_reference(checkpoint)
    if not reference:
        return None
    if not is_plausible(config, len(bare.tensors)):
        raise NotBuiltError(OTHER)
    live = _built(reference, json.dumps(config, sort_keys=True))
    whole = joined(checkpoint, live.in_files)
    named = (live.architecture, renamed(live.architecture, names_in_files(live.in_files)))
    found = _among(bare.tensors, named) if whole is None else _among(whole.tensors, [live.architecture])
    if found is None:
        raise NotBuiltError(OTHER)
    origin, order_from = f"{bare.origin} ({found.origin})", live.architecture.order_from
    return replace(found, origin=origin, order_from=order_from), whole or checkpoint


def configured_reference(checkpoint: Checkpoint) -> str:
    """Return what the configuration beside `checkpoint` names, as a reference; empty if it names nothing."""
    config = checkpoint.config or {}
    if isinstance(config.get("model_type"), str):
        path = checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent
        return f"hf:{path / 'config.json'}"
    if isinstance(name := config.get("architecture"), str):
        arguments = config.get("model_args")
        given = {"num_classes": config.get("num_classes"), **(arguments if isinstance(arguments, dict) else {})}
        return f"timm:{name}?{urlencode({key: value for key, value in given.items() if value is not None})}"
    return ""


def settings_of(config: Mapping[str, Any]) -> str:
    """Return what of `config` says how a model computes, as one text."""
    return json.dumps({key: value for key, value in config.items() if key not in NAMES_AND_TYPES}, sort_keys=True)


def as_catalogued(checkpoint: Checkpoint) -> Architecture | None:
    """Return `checkpoint` as the entry of the catalogue which the configuration beside it names; None if it names
    none, or if that is built with arguments of its own."""
    from tli_cli import catalogue

    config = checkpoint.config or {}
    name, classes = config.get("architecture"), config.get("num_classes")
    if not isinstance(name, str) or config.get("model_args"):
        return None
    try:
        known = catalogue.load(f"timm:{name}", num_classes=classes if isinstance(classes, int) else None)
    except TliError:
        return None
    return _among(checkpoint.tensors, [known])


def _among(tensors: Sequence[TensorSpec], built: Sequence[Architecture]) -> Architecture | None:
    """Return that one of `built` which has most of the names of `tensors`, over them; None if the shapes differ."""
    named = [(_names(tensors, known), known) for known in built]
    names, known = max(named, key=lambda pair: len(pair[0]))
    return adapted(renamed(known, names), tensors) if names and known.graph else None


def _names(tensors: Sequence[TensorSpec], known: Architecture) -> dict[str, str]:
    """Return the names that the tensors of `known` have among `tensors`, one prefix apart; none if a shape is
    another."""
    like, shapes = templates(tensors, known), {t.name: t.shape for t in tensors}
    same = all(f.name == f.template and shapes[n] == known.by_name[f.name].shape for n, f in like.items())
    return {found.name: name for name, found in like.items()} if same else {}


@lru_cache(maxsize=8)
def _built(reference: str, config: str) -> Provided:
    """Return what `reference` builds, kept as long as its configuration says `config`."""
    del config
    try:
        from tli_cli.providers import provided

        return provided(reference)
    except ImportError as error:
        raise NotBuiltError(f"{reference}: needs torch, which is not installed") from error
    except TliError as error:
        raise NotBuiltError(str(error)) from error
