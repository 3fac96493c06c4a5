"""Models that a `transformers` configuration describes, built without weights and without any remote code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tli_cli.catalogue.subjects import Subject
from tli_cli.errors import TliError, UnknownReferenceError

TOKENS = 12


@dataclass(frozen=True)
class TransformersSubject(Subject):
    """A model of `transformers`: text models run on token indices, the others on images."""

    text: bool = False

    def arguments(self, in_chans: int | None = None) -> tuple[torch.Tensor, ...]:
        """Return what the model is traced on."""
        if self.text:
            return (torch.zeros(2, TOKENS, dtype=torch.int64, device="meta"),)
        return super().arguments(in_chans)


def transformers_subject(path: str, arguments: Mapping[str, Any], reference: str) -> Subject:
    """Return the model that the `config.json` at `path` (or in that directory) describes, changed by `arguments`.

    Raises:
        TliError: there is no such file, `transformers` is missing, or does not know the model.
    """
    file = Path(path) / "config.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise UnknownReferenceError(f"{reference}: expected a directory with config.json, or that file; found neither")
    try:
        import transformers
    except ImportError as error:
        raise TliError(f"{reference}: needs transformers, which is not installed: pip install transformers") from error
    config = _config(transformers, file, arguments, reference)
    config._attn_implementation = "eager"
    factory = _factory(transformers, config, reference)

    def create(**options: int) -> nn.Module:
        if "num_classes" in options:
            config.num_labels = options["num_classes"]
        if "in_chans" in options:
            config.num_channels = options["in_chans"]
        model: nn.Module = factory(config)
        return model

    size = getattr(config, "image_size", None)
    text = hasattr(config, "vocab_size") and size is None
    sides = tuple(size) if isinstance(size, (list, tuple)) else (size or 224, size or 224)
    shape = (getattr(config, "num_channels", 3), *sides)
    return TransformersSubject("transformers", path, create, shape, {}, text=text)


def _config(transformers: Any, file: Path, arguments: Mapping[str, Any], reference: str) -> Any:
    try:
        raw = json.loads(file.read_text())
        config = transformers.AutoConfig.for_model(raw.pop("model_type"), **{**raw, **arguments})
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise TliError(f"{reference}: {file} is no configuration that transformers knows: {error}") from error
    return config


def _factory(transformers: Any, config: Any, reference: str) -> Any:
    names = getattr(config, "architectures", None) or []
    for name in names:
        found = getattr(transformers, name, None)
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    if names:
        raise TliError(f"{reference}: transformers has no model {', '.join(names)}; remote code is never run")
    return transformers.AutoModel.from_config
