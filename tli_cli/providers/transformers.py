"""Models that a `transformers` configuration describes, built without weights and without any remote code."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tli_cli.catalogue.libraries import import_torchvision
from tli_cli.catalogue.subjects import Subject
from tli_cli.checkpoints.files import read_small
from tli_cli.checkpoints.in_files import InFiles, Layouts, Part
from tli_cli.errors import TliError, UnknownReferenceError, first_line
from tli_cli.grouping import gathered
from tli_cli.providers.arguments import configured
from tli_cli.providers.module import TRACEABLE_EXPERTS
from tli_cli.providers.plausible import TOO_MANY, is_plausible
from tli_cli.providers.samples import fitting_inputs

_MAX = 16 << 20


class TransformersSubject(Subject):
    """A model of `transformers`, which renames some tensors as it saves and loads them, and cuts others."""

    def in_files(self) -> Layouts:
        """Return what `save_pretrained` makes of the tensors that it renames or cuts; those that it joins are left
        out.

        Raises:
            TliError: the library cannot cut them.
        """
        try:
            revert = importlib.import_module("transformers.core_model_loading").revert_weight_conversion
        except (ImportError, AttributeError):  # before transformers 5, files hold what the class holds
            return {}
        with torch.device("meta"):
            model = self.create()
        state = model.state_dict()
        try:
            with _Views():
                saved = revert(model, dict(state))
        except Exception as error:  # as many kinds as there are settings that do not hold together
            raise TliError(f"hf:{self.name}: transformers cannot save its model: {first_line(error)}") from error
        parts = gathered(
            (_storage(tensor), Part(name, tuple(tensor.shape), tensor.storage_offset(), tensor.stride()))
            for name, tensor in saved.items()
        )
        found = {
            name: InFiles(tuple(tensor.shape), tuple(parts.get(_storage(tensor), ()))) for name, tensor in state.items()
        }
        return {name: held for name, held in found.items() if held.is_complete and held.parts[0].name != name}


class _Views(TorchFunctionMode):
    """Keeps all that is cut from a tensor a view of it, which says what it was cut from."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        copies = func in (torch.Tensor.contiguous, torch.Tensor.clone)
        return args[0] if copies else func(*args, **(kwargs or {}))


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


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
        raise TliError(f"{reference}: needs transformers, which is not installed: pip install transformers") from error
    with _quiet(transformers):
        config = _config(transformers, file, arguments, reference)
    config._attn_implementation = "eager"
    config._experts_implementation = TRACEABLE_EXPERTS
    factory = _factory(transformers, config, reference)

    def create() -> nn.Module:
        with _quiet(transformers):
            model = factory(config)
            if hasattr(model, "initialize_weights"):  # what a constructor on the meta device leaves out
                model.initialize_weights()
        return cast("nn.Module", model)

    try:
        inputs = fitting_inputs(create, config)
    except Exception as error:  # the library raises many kinds where a configuration does not hold together
        raise TliError(f"{reference}: transformers cannot build {file}: {first_line(error)}") from error
    said = () if config.architectures else (_said_of_class(create, path, reference),)
    return TransformersSubject("transformers", path, create, (), {}, inputs=0, keywords=inputs, said=said)


def _said_of_class(create: Callable[[], nn.Module], path: str, reference: str) -> str:
    """Return what is said of a configuration that names no class: it is that of a model without a head."""
    with torch.device("meta"):
        name = type(create()).__name__
    return (
        f"{reference}: its configuration names no `architectures`, so this is the plain {name}, without a head; "
        f"'hf:{path}?architectures=NAME' says which class is meant"
    )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep the library from warning of settings that matter to those who run the model."""
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _config(transformers: Any, file: Path, arguments: Mapping[str, Any], reference: str) -> Any:
    try:
        text = read_small(file, _MAX, "a configuration")  # which may hold floats that JSON has no number for
        raw = json.loads(text, object_hook=lambda o: float(o["__float__"]) if set(o) == {"__float__"} else o)
        settings = configured(raw, arguments)
        if not is_plausible(settings):
            raise ValueError(TOO_MANY)
        config = transformers.AutoConfig.for_model(settings.pop("model_type"), **settings)
    except Exception as error:  # as many kinds as there are ways to be no configuration
        said = first_line(error)
        raise TliError(f"{reference}: {file} is no configuration that transformers knows: {said}") from error
    return config


def _factory(transformers: Any, config: Any, reference: str) -> Any:
    said = getattr(config, "architectures", None) or []
    names = [str(name)[:80] for name in (said if isinstance(said, list | tuple) else [said])]
    for name in names:
        found = getattr(transformers, name, None)
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    if names:
        raise TliError(f"{reference}: transformers has no model {', '.join(names)}; remote code is never run")
    if type(config) in transformers.AutoModel._model_mapping:
        return transformers.AutoModel.from_config
    return _model_beside(transformers, config, reference)


def _model_beside(transformers: Any, config: Any, reference: str) -> Any:
    """Return the plainest model that the library defines for a configuration which only parts of models have."""
    module = importlib.import_module(type(config).__module__.replace(".configuration_", ".modeling_"))
    models = [
        (len(name), name, found)
        for name, found in vars(module).items()
        if isinstance(found, type)
        and issubclass(found, transformers.PreTrainedModel)
        and found.__module__ == module.__name__
        and getattr(found, "config_class", None) is type(config)
    ]
    if not models:
        raise TliError(f"{reference}: transformers has no model for {type(config).__name__} alone")
    return min(models)[2]
