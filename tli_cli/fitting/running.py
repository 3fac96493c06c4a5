"""Build the models behind references, so that they can be run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tli_cli.errors import TliError
from tli_cli.options import InputShape, Options
from tli_cli.references import Reference


@dataclass(frozen=True)
class Running:
    """A live model with its constructor's values, and a batch of zeros of its inputs' shapes."""

    model: nn.Module
    sample: tuple[torch.Tensor, ...]


def run_source(reference: Reference, options: Options) -> Running:
    """Return the model of a source: of `--source-arch`, or of the catalogue's entry that its checkpoint is
    recognised as.

    Raises:
        TliError: it cannot be built here.
    """
    return _run(reference, options.source_arch, options.input_shape, {})


def run_target(reference: Reference, options: Options) -> Running:
    """Return the model of a target.

    Raises:
        TliError: it cannot be built here.
    """
    return _run(
        reference, None, options.input_shape, {"num_classes": options.num_classes, "in_chans": options.in_chans}
    )


def _run(
    reference: Reference, named: str | None, input_shape: InputShape | None, sizes: Mapping[str, int | None]
) -> Running:
    from tli_cli.providers.arguments import split_reference
    from tli_cli.providers.live import subject_for

    text, recognised = _live_text(reference, named)
    head, arguments = split_reference(text)
    arguments |= {name: value for name, value in {**recognised, **sizes}.items() if value is not None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        subject = subject_for(head, arguments, input_shape=input_shape, reference=text)
        model = subject.create().float().eval()
    sample = subject.arguments() or tuple(subject.keywords.values())
    if not sample and not subject.keywords:
        raise TliError(f"--method fit: no usual input fits {text}; give its shape with --input-shape")
    if len(subject.keywords) > 1 or not sample:
        raise TliError(f"--method fit: {text} takes several named inputs, which cannot be made up yet")
    return Running(model, tuple(torch.zeros(t.shape, dtype=t.dtype) for t in sample))


def _live_text(reference: Reference, named: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return what can be built for `reference`, and the options that its checkpoint tells of."""
    from tli_cli import catalogue

    text = named or reference.text
    if not Path(text).exists():
        return (text if ":" in text else f"{catalogue.resolve_name(text).entry.library}:{text}"), {}
    found = catalogue.recognise(reference.checkpoint.tensors) if reference.checkpoint is not None else None
    if found is None or found.prefix:
        raise TliError(f"{text} cannot be run: it holds no code, and no architecture is known for it (--source-arch)")
    return f"{found.entry.library}:{found.entry.name}", found.options
