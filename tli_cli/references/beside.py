"""What stands beside a target's weights where a library loads the directory: its configuration and its tokeniser."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tli_cli.catalogue.naming import resolve_name
from tli_cli.checkpoints import read_config
from tli_cli.checkpoints.writing.model_directory import CONFIG, OF_DIFFUSERS, Beside
from tli_cli.errors import TliError
from tli_cli.options import Options
from tli_cli.providers.arguments import configured, split_reference
from tli_cli.references.shared_tokens import tokenizer_of
from tli_cli.references.values import Reference
from tli_cli.vocabularies.reading import NAMES, SETTINGS

_OF_TOKENS = (*NAMES, *SETTINGS, "merges.txt", "chat_template.jinja", "generation_config.json")
_OF_INPUTS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
BESIDE = frozenset({CONFIG, *_OF_TOKENS, *_OF_INPUTS})
"""What may lie beside weights: a configuration, a tokeniser, what text is made with, how input is prepared."""
_INPUTS = ("image_size", "num_channels", "num_mel_bins")

_Described = tuple[dict[str, Any], Path | None]
"""The configuration of a model, and the directory in which it lies, if it lies in one."""


def beside_weights(out: Path, source: Reference, target: Reference, options: Options, dtype: str) -> Beside:
    """Return what makes the weights of `target`, most of them of `dtype`, a directory `out` that its library loads.

    The target's own files are taken; where it has no tokeniser, or no settings for its images or sound, those of
    `source` are if its vocabulary, or its input, is of the same size.

    Raises:
        TliError: no configuration says what the target is.
    """
    mine, theirs = _described(target, options), _described(source, options)
    if mine is None:
        raise TliError(
            f"{out}: a directory is written where a configuration says what the target is (hf:DIR, a directory with "
            f"config.json, or a name of timm's), found {target.text}; write a file for it, such as init.safetensors"
        )
    config, home = mine
    typed = {"torch_dtype" if "torch_dtype" in config else "dtype": dtype} if "model_type" in config else {}
    same_inputs = theirs is not None and _inputs(config) == _inputs(theirs[0])
    tokens = tokenizer_of(target, options.target_tokenizer)
    alike = tokens is None and _vocabularies(source) == _vocabularies(target) != []
    tokens = tokenizer_of(source, options.source_tokenizer) if alike else tokens
    return {
        CONFIG: (json.dumps({**config, **typed}, indent=2) + "\n").encode(),
        **(_found(theirs[1], _OF_TOKENS) if theirs and alike else {}),
        **_found(home, (*_OF_TOKENS, *_OF_INPUTS)),
        **(_found(tokens.parent, (*_OF_TOKENS, tokens.name)) if tokens is not None else {}),
        **(_found(theirs[1], _OF_INPUTS) if theirs and same_inputs and not _found(home, _OF_INPUTS) else {}),
    }


def _found(home: Path | None, names: Sequence[str]) -> dict[str, Path]:
    return {name: home / name for name in names if (home / name).is_file()} if home is not None else {}


def _inputs(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what a configuration, or that of a tower in it, says of the input's size."""
    parts = (config, *(part for _, part in sorted(config.items()) if isinstance(part, Mapping)))
    return [(key, part[key]) for part in parts for key in _INPUTS if key in part]


def _vocabularies(reference: Reference) -> list[int]:
    return [space.size for space in reference.architecture.spaces if space.kind == "vocabulary"]


def _described(reference: Reference, options: Options) -> _Described | None:
    if reference.checkpoint is not None:
        path, config = reference.checkpoint.path, reference.checkpoint.config or {}
        known = not config.keys().isdisjoint(("model_type", "architecture", OF_DIFFUSERS))
        return (config, path if path.is_dir() else path.parent) if known else None
    head, arguments = split_reference(reference.text)
    asked = {"num_classes": options.num_classes, "in_chans": options.in_chans}
    arguments |= {name: value for name, value in asked.items() if value is not None}
    if head.startswith("hf:"):
        path = Path(head.removeprefix("hf:"))
        file = path / CONFIG if path.is_dir() else path
        return configured(read_config(file) or {}, arguments), file.parent
    return _of_timm(reference.text, arguments)


def _of_timm(text: str, arguments: Mapping[str, Any]) -> _Described | None:
    """Return the configuration that `timm.create_model("local-dir:...")` reads; None for what is not of timm.

    Raises:
        TliError: timm, which knows how its models are to be built, is not installed.
    """
    head, named = split_reference(text if "?" in text else text.replace(",", "?", 1))
    try:
        entry = resolve_name(head).entry
    except TliError:
        return None
    if entry.library != "timm":
        return None
    given = {**entry.defaults, **named, **arguments}
    classes, channels = given.pop("num_classes", 0), given.pop("in_chans")
    size = given.get("img_size", entry.input_size[1:])
    settings = _timms_settings(head.removeprefix("timm:"), entry.name)
    for key in settings.keys() & {"mean", "std"}:  # repeated in turn as the first layer's weights are; of one, the mean
        held = settings[key]
        settings[key] = [held[i % len(held)] for i in range(channels)] if channels > 1 else [sum(held) / len(held)]
    pretrained = {
        **settings,
        "num_classes": classes,
        "input_size": [channels, *(size if isinstance(size, (list, tuple)) else (size, size))],
    }
    model = {**given, **({"in_chans": channels} if channels != entry.defaults["in_chans"] else {})}
    config = {"architecture": entry.name, "num_classes": classes, "model_args": model, "pretrained_cfg": pretrained}
    return config, None


def _timms_settings(name: str, plain: str) -> dict[str, Any]:
    """Return what timm notes of the weights `name`, or of the architecture `plain`: its layers to adapt, whether its
    size is fixed, how images are prepared."""
    from tli_cli.catalogue.libraries import import_timm

    timm = import_timm()
    known = timm.get_pretrained_cfg(name if name in timm.list_pretrained() else plain)
    found = known.to_dict(remove_source=True, remove_null=True) if known is not None else {}
    own = ("architecture", "tag", "custom_load", "pool_size", "test_input_size", "label_offset")
    return {key: value for key, value in found.items() if key not in own}
