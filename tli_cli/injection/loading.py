"""A checkpoint's values in the model that a reference names, and an input for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlencode

import torch
from torch import nn

from tli_cli.architecture import TensorSpec
from tli_cli.catalogue import recognise, resolve_name
from tli_cli.catalogue.subjects import Subject
from tli_cli.checkpoints import Checkpoint, open_checkpoint
from tli_cli.checkpoints.in_files import Layouts, names_in_files
from tli_cli.checkpoints.layouts.joined import joined
from tli_cli.checkpoints.located import is_there
from tli_cli.describe.channels_last import as_defined
from tli_cli.errors import TliError
from tli_cli.grouping import grouped
from tli_cli.kinship.adapters import are_alone
from tli_cli.providers.arguments import split_reference
from tli_cli.providers.live import subject_for
from tli_cli.references import Reading, resolve
from tli_cli.references.configured import configured_reference
from tli_cli.references.prefixed import prefixed

State = dict[str, torch.Tensor]


def loaded(
    reference: str, checkpoint: Path | str, reading: Reading, *, more: bool = False
) -> tuple[nn.Module, Mapping[str, torch.Tensor]]:
    """Return the model that `reference` names, in float64, with the values of `checkpoint`, which may hold `more` than
    it takes, and a sample of its inputs by name; those without a name stand under their numbers.

    Raises:
        TliError: the model cannot be built here, no input for it is known, or the values are not its.
    """
    subject = _subject(reference, reading)
    sample = {**{str(i): value for i, value in enumerate(subject.arguments())}, **subject.keywords}
    if not sample:
        raise TliError(f"--verify: no usual input fits {reference}; give its shape with --input-shape")
    model = subject.create().double().eval()
    own = model.state_dict()
    with open_checkpoint(checkpoint, ema=reading.ema, expected=_known(own, subject.in_files())) as opened:
        state = _with_tied(own, _state(own, opened, subject.in_files(), reference, reading))
    kept = {name: value for name, value in state.items() if name in own} if more else state
    try:
        model.load_state_dict(kept, strict=True)
    except RuntimeError as error:
        raise TliError(f"--verify: {checkpoint} does not load into {reference}: {error}") from error
    return model, sample


def _subject(reference: str, reading: Reading) -> Subject:
    text = _live_name(reference, reading.ema)
    head, arguments = split_reference(text)
    sizes = {"num_classes": reading.num_classes, "in_chans": reading.in_chans}
    arguments |= {key: value for key, value in sizes.items() if value is not None}
    return subject_for(head, arguments, input_shape=reading.input_shape, reference=text)


def _live_name(reference: str, ema: str | None) -> str:
    """Return `reference` in a form that can be built: a bare name of the catalogue gets its library, and a checkpoint
    is what the configuration beside it says, or what it is recognised as."""
    if is_there(reference):
        with open_checkpoint(reference, ema=ema) as checkpoint:
            if are_alone(checkpoint.tensors):
                raise TliError(f"--verify: {reference} is an adapter; verify a result of the merged model instead")
            if configured := configured_reference(checkpoint):
                return configured
            found = recognise(checkpoint.tensors)
        if found is not None:
            return f"{found.entry.library}:{found.entry.name}?{urlencode(found.options)}"
        raise TliError(f"--verify: {reference} holds no code to run; name its architecture with --source-arch")
    if ":" in reference:
        return reference
    return f"{resolve_name(reference).entry.library}:{reference}"


def _known(own: State, layouts: Layouts) -> set[str]:
    return {*own, *names_in_files(layouts).values()}


def _state(own: State, opened: Checkpoint, layouts: Layouts, reference: str, reading: Reading) -> State:
    """Return the values of a checkpoint by the names of the model `reference`, whose tensors are `own`."""
    in_files = {stored: name for name, stored in names_in_files(layouts).items()}
    whole = joined(opened, layouts) or opened
    if not _known(own, layouts).issuperset(spec.name for spec in whole.tensors):
        found = prefixed(whole, [TensorSpec(name, tuple(value.shape)) for name, value in own.items()])
        whole = found.checkpoint if found is not None else whole
    names = {spec.name: spec.name if spec.name in own else in_files.get(spec.name, spec.name) for spec in whole.tensors}
    state = {own_name: whole.read(name) for name, own_name in names.items()}
    if not whole.channels_last:
        return state
    defined = resolve(reference, reading).architecture
    return {name: as_defined(defined, name, value) for name, value in state.items()}


def _with_tied(own: State, state: State) -> State:
    """Return `state` with each tensor under all names that the model has for it: a file may keep one of them."""
    found = dict(state)
    for tied in _tied(own):
        held = next((state[name] for name in tied if name in state), None)
        found |= {} if held is None else {name: state.get(name, held) for name in tied}
    return found


def _tied(state: State) -> Iterable[list[str]]:
    names = grouped(state, lambda name: state[name].data_ptr())
    return (several for place, several in names.items() if place and len(several) > 1)
