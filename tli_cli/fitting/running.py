"""Build the models behind references, so that they can be run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import nn

from tli_cli.architecture import Architecture
from tli_cli.describe.channels_last import takes_flattened
from tli_cli.errors import TliError
from tli_cli.fitting.building import recipe_for
from tli_cli.fitting.image_size import image_share, shortened
from tli_cli.options import InputShape, Options
from tli_cli.references import Reference


@dataclass(frozen=True)
class Running:
    """A live model with its constructor's values, and a batch of zeros of its inputs' shapes."""

    model: nn.Module
    sample: tuple[torch.Tensor, ...]

    @property
    def numbers(self) -> int:
        """How many numbers one sample has."""
        return sum(tensor[0].numel() for tensor in self.sample)

    def shown(self, share: float) -> Running:
        """Return the same with images of a `share` of the sides; itself where that is 1."""
        return replace(self, sample=shortened(self.sample, share)) if share < 1 else self


def run_source(reference: Reference, options: Options) -> Running:
    """Return the model of a source: of `--source-arch`, or of what its checkpoint is known as.

    Raises:
        TliError: it cannot be built here.
    """
    return _built(reference, options.source_arch, options.shape_of_source, {})


def run_target(reference: Reference, options: Options) -> Running:
    """Return the model of a target.

    Raises:
        TliError: it cannot be built here.
    """
    return _built(
        reference, None, options.input_shape, {"num_classes": options.num_classes, "in_chans": options.in_chans}
    )


def _built(
    reference: Reference, named: str | None, input_shape: InputShape | None, sizes: Mapping[str, int | None]
) -> Running:
    from tli_cli.providers.arguments import split_reference
    from tli_cli.providers.live import subject_for

    _require_order(reference)
    recipe = recipe_for(reference, named)
    head, arguments = split_reference(recipe.text)
    arguments |= {name: value for name, value in {**recipe.sizes, **sizes}.items() if value is not None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        subject = subject_for(head, arguments, input_shape=input_shape, reference=recipe.text)
        model = subject.create().float().eval()
    sample = subject.arguments() or tuple(subject.keywords.values())
    if not sample and not subject.keywords:
        raise TliError(f"--method fit: no usual input fits {recipe.text}; give its shape with --input-shape")
    if len(subject.keywords) > 1 or not sample:
        raise TliError(f"--method fit: {recipe.text} takes several named inputs, which cannot be made up yet")
    return Running(model, tuple(torch.zeros(t.shape, dtype=t.dtype) for t in sample))


def _require_order(reference: Reference) -> None:
    """Raise `TliError` where values of the file do not stand in the order in which the model takes them."""
    if reference.checkpoint is None or not reference.checkpoint.channels_last:
        return
    architecture = reference.architecture
    found = next((t.name for t in architecture.tensors if takes_flattened(architecture, t.name)), None)
    if found is not None:
        raise TliError(f"{reference.text} cannot be run: {found} takes a flattened map, whose channels are last there")


def shared_share(mine: Running, theirs: Running, target: Architecture, source: Architecture, minutes: float) -> float:
    """Return what share of their images' sides two models are shown: smaller ones where their own take a fit
    more than `minutes` of one core, and both can be run on such.

    Raises:
        TliError: they take neither inputs of equal shapes nor images of two sizes, or one cannot be run on its own.
    """
    shapes, others = ([tuple(t.shape[1:]) for t in running.sample] for running in (mine, theirs))
    images = len(shapes) == len(others) == 1 and len(shapes[0]) == len(others[0]) == 3
    if shapes != others and not (images and shapes[0][0] == others[0][0]):
        raise TliError(f"--method fit: the two models take inputs of different shapes, {others} and {shapes}")
    share = image_share(target, source, mine.numbers, minutes)
    if share < 1:
        with suppress(TliError):
            _run(mine.shown(share), theirs.shown(share))
            return share
    _run(mine, theirs)
    return 1.0


def _run(*models: Running) -> None:
    """Raise `TliError` if one of the models cannot be run on zeros of its inputs' shapes."""
    for running in models:
        try:
            with torch.no_grad():
                running.model(*running.sample)
        # The model is the user's own code, which may fail in any way.
        except Exception as error:
            shapes = [list(t.shape) for t in running.sample]
            raise TliError(f"{type(running.model).__name__} cannot be run on {shapes}: {error}") from error


def load_values(model: nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Give `model` the values of `state`; raise `TliError` where it has no tensors of these names and shapes."""
    own = model.state_dict()
    strange = [key for key, value in state.items() if key not in own or own[key].shape != value.shape]
    if strange:
        raise TliError(f"--method fit: {name} builds a model without {', '.join(strange[:5])} of these shapes")
    model.load_state_dict(state, strict=False)
