"""What to run a `transformers` model on: its main input and what else its `forward` asks for, until one set fits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from tli_cli.describe.tracing.meta import on_meta, without_values

TOKENS = 16
FRAMES = 16
SECOND = 16_000
BESIDE = ("input_ids", "pixel_values", "input_features", "bbox")
"""Inputs that a model may take beside its main one, by which more of it runs."""


def fitting_inputs(create: Callable[[], nn.Module], config: Any) -> dict[str, torch.Tensor]:
    """Return a batch of two for the inputs of the model that `create` makes, on the `meta` device.

    The first set on which the model runs is taken; where none does, the plainest one, so that its error is told.
    """
    try:
        with torch.device("meta"):
            model = create()
    except (NotImplementedError, RuntimeError):
        model = create()
    model = on_meta(model).eval()
    plainest: dict[str, torch.Tensor] = {}
    for plain, inputs in _candidates(model, config):
        plainest = inputs if plain else plainest
        try:
            with torch.no_grad(), torch.device("meta"), without_values():
                model(**inputs)
        except Exception:  # any failure of the model means: not these inputs
            continue
        return inputs
    return plainest


def _candidates(model: Any, config: Any) -> Iterator[tuple[bool, dict[str, torch.Tensor]]]:
    """Yield sets of inputs, and whether they are the plainest: first with all that a model may take beside its main
    input, then with less of that, each in the usual shapes."""
    parameters = inspect.signature(model.forward).parameters
    main = model.main_input_name if isinstance(model.main_input_name, str) else model.main_input_name[0]
    named = [name for name, p in parameters.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    asked = list(dict.fromkeys([*([main] if main in parameters or not named else []), *named]))
    if "decoder_input_ids" in parameters and getattr(config, "is_encoder_decoder", False):
        asked.append("decoder_input_ids")
    beside = [name for name in BESIDE if name in parameters and name not in asked]
    masks = [(name,) for name in ("attention_mask",) if name in parameters]  # which code may make for itself alone
    for more in dict.fromkeys([tuple(beside), *((name,) for name in beside), (), *masks]):
        shapes = {name: _shapes(config, name) for name in (*asked, *more)}
        for kind in range(max(map(len, shapes.values()))):
            yield not (more or kind), {name: known[min(kind, len(known) - 1)] for name, known in shapes.items()}


def _shapes(config: Any, name: str) -> list[torch.Tensor]:
    """Return samples for an input of this name, in the shapes that models take it in, the usual first."""
    side = _found(config, "image_size", 224)
    height, width = (side[0], side[-1]) if isinstance(side, (list, tuple)) else (side, side)
    image = (_found(config, "num_channels", 3), height, width)
    frames, bands = _found(config, "num_frames", FRAMES), _found(config, "num_mel_bins", 80)
    places = _found(config, "max_source_positions", 1500)  # Whisper's, each of two frames
    length, width = _found(config, "max_length", 1024), _found(config, "hidden_size", 64)
    video = (frames, *image)
    shapes: Mapping[str, list[tuple[int, ...]]] = {
        "pixel_values": [image, video, (1, *image)],
        "pixel_values_videos": [video],
        "input_values": [(SECOND,), (1, SECOND), (length, bands)],
        "input_features": [
            (bands, 3000),
            (100, bands),
            (1, _found(config, "spec_size", 256), bands),
            (bands, 2 * places),
        ],
        "past_values": [(_found(config, "context_length", 64), _found(config, "num_input_channels", 1))],
        "inputs_embeds": [(TOKENS, width)],
        "hidden_states": [(TOKENS, width)],
        "query_embeds": [(TOKENS, width)],
        "latents": [(width, TOKENS)],
    }
    if name in shapes:
        return [torch.empty((2, *shape), device="meta") for shape in shapes[name]]
    extent = (TOKENS, 4) if name == "bbox" else (TOKENS,)
    return [torch.zeros((2, *extent), dtype=torch.int64, device="meta")]


def _found(config: Any, name: str, usual: Any) -> Any:
    """Return an attribute of a configuration, or of the first configuration within it that has it."""
    inner = [value for key, value in vars(config).items() if key.endswith("_config") and hasattr(value, "to_dict")]
    for each in (config, *inner):
        if (value := getattr(each, name, None)) is not None:
            return value
    return usual
