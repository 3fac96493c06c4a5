"""Build what a live reference names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tli_cli.catalogue.detection import without_crops
from tli_cli.catalogue.libraries import import_timm, import_torchvision
from tli_cli.catalogue.subjects import Subject, timm_subject, torchvision_subject
from tli_cli.errors import TliError, TraceError, UnknownReferenceError
from tli_cli.options import InputShape
from tli_cli.providers.arguments import split_reference
from tli_cli.providers.code import load_factory
from tli_cli.providers.effective import require_shapes
from tli_cli.providers.inputs import Inputs, guess_input, names_of, shapes_of, takes_by_name
from tli_cli.registry import did_you_mean

_WEIGHTS = frozenset({"pretrained", "pretrained_cfg", "checkpoint_path", "weights", "weights_backbone", "cache_dir"})
"""Arguments by which the libraries read or download values: nothing is ever fetched."""


def subject_for(head: str, arguments: Mapping[str, Any], *, input_shape: InputShape | None, reference: str) -> Subject:
    """Return the model that `head` names, with how to build it and what to run it on.

    Raises:
        TliError: the library is not installed, or the name, file or attribute does not exist.
    """
    scheme, _, name = head.partition(":")
    if scheme in ("timm", "torchvision"):
        return _library_subject(scheme, name, arguments, input_shape, reference)
    if scheme == "hf":
        from tli_cli.providers.transformers import transformers_subject

        return transformers_subject(name, arguments, reference)
    return _own_subject(load_factory(head), arguments, input_shape, reference)


def _library_subject(
    library: str, name: str, arguments: Mapping[str, Any], input_shape: InputShape | None, reference: str
) -> Subject:
    known = import_timm().list_models() if library == "timm" else import_torchvision().models.list_models()
    plain = name.partition(".")[0] if library == "timm" else name
    if plain not in known:
        hint = did_you_mean(plain, known) or "see the library's documentation for its names"
        raise UnknownReferenceError(f"{reference}: the installed {library} has no such model; {hint}")
    if weights := sorted(_WEIGHTS & arguments.keys()):
        raise TliError(
            f"{reference}: {' and '.join(weights)} would fetch weights, which an architecture has not; "
            "leave it out, and give the checkpoint itself where values are wanted"
        )
    subject = timm_subject(name, **arguments) if library == "timm" else torchvision_subject(name, **arguments)
    channels = arguments.get("in_chans", subject.input_size[0])
    size = shapes_of(input_shape)[0] if input_shape else (channels, *subject.input_size[1:])
    return replace(subject, input_size=size, defaults={})


@dataclass(frozen=True)
class OwnSubject(Subject):
    """A user's own class, whose sample need not be an image; there is none where no usual input fits it."""

    sample: tuple[torch.Tensor, ...] = ()

    def arguments(self, in_chans: int | None = None) -> tuple[torch.Tensor, ...]:
        """Return what the model is traced on."""
        del in_chans
        return self.sample


def _own_subject(
    factory: Callable[..., Any],
    arguments: Mapping[str, Any],
    input_shape: InputShape | None,
    reference: str,
) -> Subject:
    head, _ = split_reference(reference)
    placed = [value for name, value in arguments.items() if name.isdigit()]
    named = {name: value for name, value in arguments.items() if not name.isdigit()}
    names = names_of(input_shape)

    def create(**options: int) -> nn.Module:
        try:
            model = factory(*placed, **{**named, **options})
        except SystemExit as error:
            raise TliError(
                f"{reference}: calling it ended the program; name a class or function that returns"
            ) from error
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # of its own code, not of how it is called
            raise TliError(
                f"{reference}: cannot be called: {error}; give its arguments as {head}?name=value "
                f"(it takes {_signature(factory)})"
            ) from error
        if not isinstance(model, nn.Module):
            raise TliError(f"{reference}: expected it to make a torch.nn.Module, found {type(model).__name__}")
        require_shapes(model, f"{reference} (name a function that makes the model, runs it and returns it)")
        model = without_crops(model)
        return model if not names or takes_by_name(model, names) else _taking_names(model)

    try:
        inputs = guess_input(create, input_shape, reference)
    except TraceError:
        inputs = Inputs()
    size = tuple(inputs.args[0].shape[1:]) if inputs.args else ()
    return OwnSubject("", head, create, size, {}, sample=inputs.args, keywords=inputs.kwargs)


def _signature(factory: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(factory))
    except ValueError:
        return "unknown arguments"


def _taking_names(model: nn.Module) -> nn.Module:
    """Return `model`, whose `forward` takes one dictionary, so that it takes what is in there by name."""
    plain = type(model)

    def forward(self: nn.Module, **named: Any) -> Any:
        return plain.forward(self, named)

    model.__class__ = type(plain.__name__, (plain,), {"forward": forward})
    return model
