"""What was named, as an architecture and a way to its tensors, and how it is to be read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture
from tli_cli.checkpoints.checkpoint import Made
from tli_cli.checkpoints.in_files import Layouts
from tli_cli.decoding import shown
from tli_cli.options import InputShape, Options

if TYPE_CHECKING:
    from tli_cli.catalogue import Recognition
    from tli_cli.checkpoints import Checkpoint


@dataclass(frozen=True)
class Reference:
    """A resolved reference.

    Attributes:
        text: what the user wrote.
        architecture: names, shapes, layers, graph; the names are the checkpoint's clean names where there is one.
        checkpoint: where the values are, None for an architecture without values.
        notes: what the user should know of how it was read.
        doubts: what had to be guessed of a bare checkpoint.
        in_files: what stands in files for tensors of `architecture` that have other names there, or other forms.
        aside: tensors of the checkpoint that are no part of `architecture`.
        recognised: what nothing but its names and shapes said that it is.
        made: what is made from the tensors that it holds under other names, or in parts.
        branched: what it is as code runs it, where `architecture` has layers in place of sums of branches.
        unproved: whether its graph is left behind, as `architecture` has the tensors in another form.
    """

    text: str
    architecture: Architecture
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    in_files: Layouts = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    recognised: Recognition | None = None
    unproved: bool = False
    made: Made = field(default_factory=dict)
    branched: Architecture | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, then the doubts."""
        return tuple(shown(line) for line in (*self.notes, *self.doubts))


@dataclass(frozen=True, slots=True)
class Reading:
    """How references are to be read; see `Options`."""

    arch: str | None = None
    input_shape: InputShape | None = None
    num_classes: int | None = None
    in_chans: int | None = None
    ema: str | None = None

    @classmethod
    def of_source(cls, options: Options) -> Reading:
        """Return how sources are to be read."""
        return cls(arch=options.source_arch, input_shape=options.shape_of_source, ema=options.ema)

    @classmethod
    def of_target(cls, options: Options) -> Reading:
        """Return how the target is to be read: `ema` is what to take of a source."""
        return cls(None, options.input_shape, options.num_classes, options.in_chans)

    @classmethod
    def of_one(cls, options: Options) -> Reading:
        """Return how a reference alone is to be read."""
        return replace(cls.of_target(options), ema=options.ema)
