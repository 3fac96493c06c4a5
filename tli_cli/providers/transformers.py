"""Models that a `transformers` configuration describes, built without weights and without any remote code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from tli_cli.catalogue.libraries import import_torchvision
from tli_cli.catalogue.subjects import Subject
from tli_cli.errors import TliError, UnknownReferenceError

TOKENS = 16


def transformers_subject(path: str, arguments: Mapping[str, Any], reference: str) -> Subject:
    """Return the model that the `config.json` at `path` (or in that directory) describes, changed by `arguments`.

    Raises:
        TliError: there is no such file, `transformers` is missing, or does not know the model.
    """
    file = Path(path) / "config.json" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise UnknownReferenceError(f"{reference}: expected a directory with config.json, or that file; found neither")
    try:
        with suppress(TliError):
            import_torchvision()
        import transformers
    except ImportError as error:
        raise TliError(
            f"{reference}: needs transformers, which is not installed: pip install 'tli[transformers]'"
        ) from error
    renamed = {"num_classes": "num_labels", "in_chans": "num_channels"}
    given = {renamed.get(name, name): value for name, value in arguments.items()}
    config = _config(transformers, file, given, reference)
    config._attn_implementation = "eager"
    config._experts_implementation = "batched_mm"
    factory = _factory(transformers, config, reference)

    def create() -> nn.Module:
        model = factory(config)
        if hasattr(model, "initialize_weights"):  # what a constructor on the meta device leaves out
            model.initialize_weights()
        return cast("nn.Module", model)

    return Subject("transformers", path, create, (), {}, inputs=0, keywords=_inputs(config, factory))


def _inputs(config: Any, factory: Any) -> dict[str, torch.Tensor]:
    """Return a batch of two for each of the model's main inputs, on the `meta` device."""
    tokens = torch.zeros((2, TOKENS), dtype=torch.int64, device="meta")
    vision = getattr(config, "vision_config", config)
    side = getattr(vision, "image_size", None) or 224
    sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
    samples = {
        "input_ids": tokens,
        "pixel_values": torch.empty((2, getattr(vision, "num_channels", 3), *sides), device="meta"),
        "input_values": torch.empty((2, 16000), device="meta"),
        "input_features": torch.empty((2, getattr(config, "num_mel_bins", 80), 3000), device="meta"),
    }
    text = hasattr(config, "vocab_size") and getattr(config, "image_size", None) is None
    main = getattr(factory, "main_input_name", "input_ids" if text else "pixel_values")
    inputs = {main: samples.get(main, tokens)}
    if getattr(config, "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = tokens
    if main == "input_ids" and hasattr(config, "vision_config"):
        inputs["pixel_values"] = samples["pixel_values"]
    return inputs


def _config(transformers: Any, file: Path, arguments: Mapping[str, Any], reference: str) -> Any:
    try:
        raw = json.loads(file.read_text())
        config = transformers.AutoConfig.for_model(raw.pop("model_type"), **{**raw, **arguments})
    except (OSError, ValueError, KeyError, AttributeError) as error:
        said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise TliError(f"{reference}: {file} is no configuration that transformers knows: {said}") from error
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
