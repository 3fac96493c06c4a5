"""Architectures from live code: the installed libraries, a `transformers` configuration, or a user's own class.

Only the explicit forms `timm:NAME?...`, `torchvision:NAME?...`, `hf:PATH`, `path/net.py:Net` and
`package.module:factory` come here; the last two run the user's own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture
from tli_cli.checkpoints.in_files import Layouts
from tli_cli.errors import TliError
from tli_cli.options import InputShape
from tli_cli.providers.arguments import split_reference

if TYPE_CHECKING:
    from tli_cli.catalogue.subjects import Subject


@dataclass(frozen=True)
class Provided:
    """A live architecture, and what the user should be told of how it was made.

    `in_files` says what stands in its library's files for tensors that have other names there, or other forms.
    """

    architecture: Architecture
    notes: tuple[str, ...] = ()
    in_files: Layouts = field(default_factory=dict)


def provided(
    reference: str,
    *,
    input_shape: InputShape | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
) -> Provided:
    """Return the live model that `reference` names, traced on the `meta` device; a note says so where it cannot be run
    and has its order of definition.

    Raises:
        TliError: it cannot be imported or built, or its code ends the program or never comes to an end.
    """
    given = {"num_classes": num_classes, "in_chans": in_chans}
    try:
        return _provided(
            reference, input_shape, {option: value for option, value in given.items() if value is not None}
        )
    except SystemExit as error:
        raise TliError(f"{reference}: its code ended the program when it was run; let it raise an error") from error
    except RecursionError as error:
        raise TliError(f"{reference}: its modules or its calls stand in each other without end, or too deep") from error


def _provided(reference: str, input_shape: InputShape | None, given: Mapping[str, int]) -> Provided:
    from tli_cli.providers.described import described
    from tli_cli.providers.live import subject_for

    head, arguments = split_reference(reference)
    arguments |= given
    subject = subject_for(head, arguments, input_shape=input_shape, reference=reference)
    architecture, _, problem = described(subject, {}, reference)
    in_files = subject.in_files()
    if not problem:
        return Provided(architecture, (*subject.said, *_other_input(subject, input_shape, reference)), in_files)
    note = f"{problem}; its layers stand in the order of their definition"
    said = (
        ""
        if head.startswith("hf:")
        else ". --input-shape gives the shape of one sample, or of several inputs as '3,224,224;10' or "
        "'image=3,224,224;tokens=10'"
    )
    return Provided(architecture, (*subject.said, note + said), in_files)


def _other_input(subject: Subject, input_shape: InputShape | None, reference: str) -> tuple[str, ...]:
    """Return what is said where a user's own model does not run on `input_shape` and was run on something else."""
    from tli_cli.providers.inputs import shapes_of

    taken = [tuple(value.shape[1:]) for value in subject.arguments()]
    if subject.library or input_shape is None or subject.keywords or taken == list(shapes_of(input_shape)):
        return ()
    shapes = ";".join(",".join(map(str, shape)) for shape in taken)
    return (f"{reference}: does not run on --input-shape, without a batch; traced with {shapes} instead",)
