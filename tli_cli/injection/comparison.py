"""Run source and target on the same random input in float64, and say how far their outputs differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tli_cli.axis_maps.kept_tokens import KeptTokens, kept_tokens
from tli_cli.devices import double_device, usable_device
from tli_cli.errors import TliError, first_line
from tli_cli.injection.loading import loaded
from tli_cli.options import Options
from tli_cli.references import Reading
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
    first, sample = loaded(live, source, replace(Reading.of_source(options), arch=None), more=True)
    second, other = loaded(target, out, replace(Reading.of_target(options), ema=None))
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


def output_of(value: Any) -> torch.Tensor:
    """Return the main tensor in what a model gives: itself, its `logits`, or the first of several."""
    while not isinstance(value, torch.Tensor):
        if hasattr(value, "logits"):
            value = value.logits
        elif isinstance(value, Mapping) and value:
            value = next(iter(value.values()))
        elif isinstance(value, (tuple, list)) and value:
            value = value[0]
        else:
            raise TliError(f"--verify: cannot compare outputs of type {type(value).__name__}")
    return value


def outputs_of(value: Any) -> list[torch.Tensor]:
    """Return all floating tensors in what a model gives, by shape: libraries may order their heads differently."""
    return sorted(_floating(value), key=lambda tensor: tuple(tensor.shape))


def _floating(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, (Mapping, tuple, list)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _floating(part)


def have_shapes(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    """Tell whether both hold tensors of the same shapes in the same order, and at least one."""
    return bool(some) and [t.shape for t in some] == [t.shape for t in others]


def difference(expected: torch.Tensor, found: torch.Tensor) -> float:
    """Return the largest difference between two tensors of one shape, over the largest value of the first; infinite
    where one of them is not finite in a place where the other one is.

    >>> difference(torch.tensor([1.0, -2.0]), torch.tensor([1.0, -1.0]))
    0.5
    """
    expected, found = expected.double().cpu(), found.double().cpu()
    usable = expected.isfinite()
    if not torch.equal(usable, found.isfinite()):
        return float("inf")
    scale = float(expected[usable].abs().max()) if usable.any() else 0.0
    apart = float((expected - found)[usable].abs().max()) if usable.any() else 0.0
    return apart / max(scale, torch.finfo(torch.float64).tiny)
