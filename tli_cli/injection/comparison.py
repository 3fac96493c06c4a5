"""Run source and target on the same random input in float64, and say how far their outputs differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch
from torch import nn

from tli_cli.architecture import TensorSpec
from tli_cli.axis_maps.kept_tokens import KeptTokens, kept_tokens
from tli_cli.catalogue import recognise, resolve_name
from tli_cli.checkpoints import open_checkpoint
from tli_cli.checkpoints.layouts.in_files import names_in_files
from tli_cli.checkpoints.layouts.joined import joined
from tli_cli.checkpoints.located import is_there
from tli_cli.describe.channels_last import as_defined
from tli_cli.devices import double_device, usable_device
from tli_cli.errors import TliError, first_line
from tli_cli.injection.outputs import difference, have_shapes, output_of, outputs_of
from tli_cli.kinship.adapters import are_alone
from tli_cli.options import InputShape, Options
from tli_cli.references import Reading, resolve
from tli_cli.references.configured import configured_reference
from tli_cli.references.prefixes import prefixed
from tli_cli.report import Report

NAMES_TOKENS = re.compile(r"(^|_)input_ids$|^tokens$")
"""What inputs of tokens are called, where they have a name."""


def compared(report: Report, sources: Sequence[str], target: str, out: Path | str, options: Options) -> Report:
    """Return `report` with the difference of the outputs, or with a warning that says why they cannot be compared."""
    if len(sources) != 1:
        return replace(report, warnings=(*report.warnings, "--verify: several sources have no output to compare with"))
    try:
        tokens = kept_tokens(report.plan)
        return replace(report, verification=largest_difference(sources[0], target, out, options, tokens))
    except TliError as error:
        return replace(report, warnings=(*report.warnings, str(error)))


def largest_difference(
    source: str, target: str, out: Path | str, options: Options, tokens: KeptTokens | None = None
) -> float:
    """Return the largest difference between the outputs of `source` and of `out` in `target`, over the largest output.

    Where both give as many tensors of the same shapes, all are compared, each over its own largest value; else the main
    one is. With `tokens`, both are given some of these, and their outputs for these are compared.

    Raises:
        TliError: one of the two cannot be built here, they take other inputs, or they give outputs of other shapes.
    """
    live = options.source_arch or source
    first, sample = _loaded(live, source, options.input_shape, {}, options.ema, more=True)
    sizes = {"num_classes": options.num_classes, "in_chans": options.in_chans}
    second, other = _loaded(target, out, options.input_shape, sizes, None)
    if [tuple(t.shape) for t in sample.values()] != [tuple(t.shape) for t in other.values()]:
        raise TliError(f"--verify: {live} takes {_shapes(sample)} and {target} {_shapes(other)}: nothing to compare")
    theirs = mine = random_like(tuple(sample.values()), options.seed)
    if tokens is not None:
        theirs, mine = _named(sample, theirs, tokens.theirs), _named(sample, mine, tokens.mine)
    device = double_device(usable_device(options.device))
    with torch.no_grad():
        given, made = _run(first, sample, theirs, live, device), _run(second, other, mine, target, device)
    every, each = outputs_of(given), outputs_of(made)
    if tokens is None and have_shapes(every, each):
        return max(map(difference, every, each))
    expected, found = output_of(given), output_of(made)
    if tokens is not None and (expected.shape[-1], found.shape[-1]) == (tokens.columns, tokens.rows):
        expected, found = expected[..., tokens.theirs], found[..., tokens.mine]
    elif _are_rows_alone(expected, found, sample):
        rows = min(expected.shape[-1], found.shape[-1])
        expected, found = expected[..., :rows], found[..., :rows]
    if expected.shape != found.shape:
        raise TliError(f"--verify: {live} gives {list(expected.shape)} and {target} {list(found.shape)}")
    return difference(expected, found)


def _named(names: Iterable[str], given: Sequence[torch.Tensor], rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the inputs `given` with the tokens in them, zeros and ones, as the first of `rows`."""
    if len(rows) < 2:
        raise TliError("--verify: the two vocabularies have no tokens in common to compare")
    return tuple(
        rows[value] if not value.is_floating_point() and (name.isdigit() or NAMES_TOKENS.search(name)) else value
        for name, value in zip(names, given, strict=True)
    )


def _are_rows_alone(expected: torch.Tensor, found: torch.Tensor, sample: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether outputs for tokens differ in nothing but how many they score: a vocabulary that grew keeps its first
    rows, which are compared."""
    of_tokens = any(not value.is_floating_point() for value in sample.values())
    return of_tokens and expected.ndim > 2 and expected.shape[:-1] == found.shape[:-1]


def _loaded(
    reference: str,
    checkpoint: Path | str,
    input_shape: InputShape | None,
    sizes: Mapping[str, int | None],
    ema: str | None,
    *,
    more: bool = False,
) -> tuple[nn.Module, Mapping[str, torch.Tensor]]:
    """Return the model that `reference` names with the values of `checkpoint`, which may hold `more` than it takes, and
    a sample of its inputs by name.

    Inputs without a name stand under their numbers.
    """
    from tli_cli.providers.arguments import split_reference
    from tli_cli.providers.live import subject_for

    text = _live_name(reference, ema)
    head, arguments = split_reference(text)
    arguments |= {key: value for key, value in sizes.items() if value is not None}
    subject = subject_for(head, arguments, input_shape=input_shape, reference=text)
    sample = {**{str(i): value for i, value in enumerate(subject.arguments())}, **subject.keywords}
    if not sample:
        raise TliError(f"--verify: no usual input fits {text}; give its shape with --input-shape")
    model = subject.create().double().eval()
    layouts = subject.in_files()
    in_files = {stored: name for name, stored in names_in_files(layouts).items()}
    own = model.state_dict()
    known = {*own, *in_files}
    with open_checkpoint(checkpoint, ema=ema, expected=known) as opened:
        whole = joined(opened, layouts) or opened
        if not known.issuperset(spec.name for spec in whole.tensors):
            found = prefixed(whole, [TensorSpec(name, tuple(value.shape)) for name, value in own.items()])
            whole = found.checkpoint if found is not None else whole
        names = {
            spec.name: spec.name if spec.name in own else in_files.get(spec.name, spec.name) for spec in whole.tensors
        }
        state = {own_name: whole.read(name) for name, own_name in names.items()}
        if whole.channels_last:
            reading = Reading(
                input_shape=input_shape, num_classes=sizes.get("num_classes"), in_chans=sizes.get("in_chans")
            )
            defined = resolve(reference, reading).architecture
            state = {name: as_defined(defined, name, value) for name, value in state.items()}
    for tied in _tied(own):
        held = next((state[name] for name in tied if name in state), None)
        state |= {} if held is None else {name: state.get(name, held) for name in tied}
    if more:
        state = {name: value for name, value in state.items() if name in own}
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise TliError(f"--verify: {checkpoint} does not load into {reference}: {error}") from error
    return model, sample


def _tied(state: Mapping[str, torch.Tensor]) -> Iterable[list[str]]:
    """Return the names of each tensor that has several; a file may leave out all but one."""
    names: dict[int, list[str]] = {}
    for name, tensor in state.items():
        names.setdefault(tensor.data_ptr(), []).append(name)
    return (several for place, several in names.items() if place and len(several) > 1)


def _run(
    model: nn.Module, names: Iterable[str], values: Sequence[torch.Tensor], reference: str, device: torch.device
) -> Any:
    named = {name: value.to(device) for name, value in zip(names, values, strict=True)}
    try:
        return model.to(device)(
            *(value for name, value in named.items() if name.isdigit()),
            **{name: value for name, value in named.items() if not name.isdigit()},
        )
    except Exception as error:  # a model's own code may raise anything
        if device.type != "cpu":  # it may hold tensors that do not move with it
            return _run(model, names, values, reference, torch.device("cpu"))
        raise TliError(f"--verify: {reference} cannot be run on random input: {first_line(error)}") from error


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


def random_like(sample: tuple[torch.Tensor, ...], seed: int) -> tuple[torch.Tensor, ...]:
    """Return random input of the sample's shapes: normal float64 values, or zeros and ones for whole numbers."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(t.shape, generator=generator, dtype=torch.float64)
        if t.is_floating_point()
        else torch.randint(2, t.shape, generator=generator, dtype=t.dtype)
        for t in sample
    )


def _shapes(sample: Mapping[str, torch.Tensor]) -> str:
    return ", ".join(str(list(t.shape[1:])) for t in sample.values())
