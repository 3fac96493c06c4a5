"""Build what a live reference names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tli_cli.catalogue.subjects import Subject, timm_subject, torchvision_subject
from tli_cli.errors import TliError, UnknownReferenceError
from tli_cli.providers.code import load_factory
from tli_cli.providers.inputs import guess_input

IMAGE_SIZES = (224, 32, 64, 28, 299, 256, 384, 16, 8)


def subject_for(
    head: str, arguments: Mapping[str, Any], *, input_shape: tuple[int, ...] | None, reference: str
) -> Subject:
    """Return the model that `head` names, with how to build it and what to run it on.

    Raises:
        TliError: the library is not installed, or the name, file or attribute does not exist.
    """
    scheme, _, name = head.partition(":")
    if scheme in ("timm", "torchvision"):
        return _library_subject(scheme, name, arguments, reference)
    if scheme == "hf":
        from tli_cli.providers.transformers import transformers_subject

        return transformers_subject(name, arguments, reference)
    factory = load_factory(head)
    return _own_subject(factory, name, arguments, input_shape, reference)


def _library_subject(library: str, name: str, arguments: Mapping[str, Any], reference: str) -> Subject:
    make = timm_subject if library == "timm" else torchvision_subject
    try:
        return make(name, **arguments)
    except ImportError as error:
        raise TliError(f"{reference}: needs {library}, which is not installed: pip install {library}") from error
    except (RuntimeError, ValueError, KeyError) as error:
        raise UnknownReferenceError(f"{reference}: {library} has no such model: {error}") from error


@dataclass(frozen=True)
class OwnSubject(Subject):
    """A user's own class, whose sample need not be an image."""

    sample: tuple[torch.Tensor, ...] = ()

    def arguments(self, in_chans: int | None = None) -> tuple[torch.Tensor, ...]:
        """Return what the model is traced on."""
        del in_chans
        return self.sample


def _own_subject(
    factory: Callable[..., Any],
    name: str,
    arguments: Mapping[str, Any],
    input_shape: tuple[int, ...] | None,
    reference: str,
) -> Subject:
    def create(**options: int) -> nn.Module:
        try:
            model = factory(**{**arguments, **options})
        except TypeError as error:
            wanted = inspect.signature(factory) if callable(factory) else ""
            raise TliError(
                f"{reference}: cannot be called: {error}; give its arguments as {reference.partition('?')[0]}?name=value "
                f"(it takes {wanted})"
            ) from error
        if not isinstance(model, nn.Module):
            raise TliError(f"{reference}: expected it to make a torch.nn.Module, found {type(model).__name__}")
        return model

    sample = guess_input(create, input_shape, reference)
    parameters = _accepted(factory)
    defaults = {n: int(parameters[n]) for n in ("num_classes", "in_chans") if isinstance(parameters.get(n), int)}
    return OwnSubject("", name, create, tuple(sample[0].shape[1:]), defaults, sample=sample)


def _accepted(factory: Callable[..., Any]) -> dict[str, Any]:
    try:
        return {name: parameter.default for name, parameter in inspect.signature(factory).parameters.items()}
    except (TypeError, ValueError):
        return {}
