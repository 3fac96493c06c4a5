"""What a live model is taught by: a module, a state dict, or a checkpoint file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Union, cast

import torch
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.checkpoints.checkpoint import Checkpoint
from tli_cli.checkpoints.state_dict import StateDict, with_tensors
from tli_cli.errors import TliError, TraceError
from tli_cli.injection.stored_values import StoredValues
from tli_cli.options import InputShape, Options
from tli_cli.providers.effective import effective_state, require_values, unwrapped
from tli_cli.providers.inputs import names_of, shapes_of
from tli_cli.providers.module import describe_live
from tli_cli.references.as_used import with_sums
from tli_cli.references.reference import read_checkpoint, resolve
from tli_cli.references.relating import related
from tli_cli.references.values import Reading, Reference

Teacher = Union[nn.Module, Mapping[str, Any], str, "os.PathLike[str]"]

_STATE_DICT = "the state dict"


@dataclass(frozen=True)
class Taught:
    """A teacher as it was understood: what it is, the way to its values, and the module where it is one."""

    reference: Reference
    read: Callable[[str], torch.Tensor]
    module: nn.Module | None = None


def understood(
    teachers: Teacher | Sequence[Teacher], target: Reference, example: Any, shared: Any, options: Options
) -> tuple[list[Taught], Reference]:
    """Return `teachers` and `target`, those that are told by names alone described as another one that they are kin of.

    `example` is what teachers that are modules take, or else `shared`, the target's, where they take that.

    Raises:
        TliError: one of them cannot be run on `example`, cannot be read, or has no values.
    """
    several = isinstance(teachers, Sequence) and not isinstance(teachers, str)
    listed = cast("Sequence[Teacher]", teachers if several else [teachers])
    if not listed:
        raise TliError("no teacher given: expected a module, a state dict or a checkpoint file, or a list of such")
    taught = [_taught(teacher, target, (example, shared), options) for teacher in listed]
    *references, wanted = related([*(t.reference for t in taught), target])
    used = [with_sums(reference, wanted) for reference in references]
    return [_as_related(t, r, wanted, options) for t, r in zip(taught, used, strict=True)], wanted


def _as_related(taught: Taught, reference: Reference, target: Reference, options: Options) -> Taught:
    """Return a teacher as `reference`, which may hold tensors in another form than it was understood in."""
    if taught.module is not None or reference is taught.reference:
        made = {name: partial(work, taught.read) for name, work in reference.made.items()}
        return replace(
            taught, reference=reference, read=lambda name: made[name]() if name in made else taught.read(name)
        )
    return _stored(reference, target, options)


def _stored(reference: Reference, target: Reference, options: Options) -> Taught:
    values = StoredValues([reference], target, keep_nonfinite=options.on_nonfinite == "keep")
    return Taught(reference, lambda name: values.read(0, name))


def _taught(teacher: Teacher, target: Reference, examples: tuple[Any, Any], options: Options) -> Taught:
    if isinstance(teacher, nn.Module):
        teacher = unwrapped(teacher, "a teacher")
        state = effective_state(teacher)
        require_values(state, "a teacher", "load it first")
        reference = told_live(teacher, _understood_alone(teacher, *examples), "teacher_example")
        return Taught(reference, lambda name: state[name].detach(), teacher)
    reading = Reading.of_source(options)
    if isinstance(teacher, Mapping):
        reference = state_dict_reference(teacher, reading)
    elif isinstance(teacher, str | os.PathLike):
        reference = resolve(os.fspath(teacher), reading)
    else:
        raise TliError(
            "expected a module, a state dict or a checkpoint file as a teacher, or a list of such, found "
            f"{type(teacher).__name__}"
        )
    return _stored(reference, target, options)


def state_dict_reference(state: Mapping[str, Any], reading: Reading) -> Reference:
    """Return a state dict, plain or nested in training state, as a reference; raise `TliError` where it is none."""
    held, path = StateDict(with_tensors(state), _STATE_DICT, reading.ema), Path(_STATE_DICT)
    return read_checkpoint(_STATE_DICT, reading, lambda expected: Checkpoint(path, held, expected=expected))


def _understood_alone(teacher: nn.Module, example: Any, shared: Any) -> Architecture:
    if example is not None:
        return describe_live(teacher, example)
    try:
        return describe_live(teacher, shared)
    except TraceError:  # it takes another input than the model
        return describe_live(teacher, like=_shape_of_sample(shared))


def _shape_of_sample(batch: Any) -> tuple[int, ...] | None:
    """Return the shape of one sample of a batch that is one tensor, or of its shape; None of any other."""
    sizes = batch.shape if isinstance(batch, torch.Tensor) else batch
    plain = isinstance(sizes, tuple) and all(isinstance(size, int) for size in sizes)
    return tuple(sizes[1:]) if plain else None


def told_live(module: nn.Module, described: Architecture, option: str) -> Reference:
    """Return a module as a reference, and that it ran on no input if so; `option` is what gives it one."""
    name = type(module).__name__
    said = f"{name}: it runs on no usual input, and was told by names and shapes alone; {option} gives it one"
    return Reference(name, described, notes=() if described.graph else (said,))


def live_reference(module: nn.Module, input_shape: InputShape | None) -> Reference:
    """Return a module, run on samples of `input_shape` if that is given, as a reference.

    Raises:
        TliError: it cannot be run on such samples, or its code is not followed.
    """
    module = unwrapped(module, "a model")
    return told_live(module, describe_live(module, example_of(input_shape)), "Options(input_shape=...)")


def example_of(input_shape: InputShape | None) -> Any:
    """Return the shapes of a batch of samples of `input_shape`, those of several inputs in a list or by name."""
    if input_shape is None:
        return None
    shapes, names = [(2, *shape) for shape in shapes_of(input_shape)], names_of(input_shape)
    return dict(zip(names, shapes, strict=True)) if names else shapes
