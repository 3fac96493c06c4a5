"""Architectures from live code: the installed libraries, a `transformers` configuration, or a user's own class.

Only the explicit forms `timm:NAME?...`, `torchvision:NAME?...`, `hf:PATH`, `path/net.py:Net` and `package.module:factory` come here;
the last two run the user's own code.
"""

from __future__ import annotations

from tli_cli.architecture import Architecture
from tli_cli.providers.arguments import split_reference

LIBRARIES = ("timm", "torchvision")


def provide(
    reference: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
) -> Architecture:
    """Return the architecture of the live model that `reference` names, traced on the `meta` device.

    Raises:
        TliError: it cannot be imported, built or run.
    """
    from tli_cli.catalogue.survey import traced
    from tli_cli.providers.live import subject_for

    head, arguments = split_reference(reference)
    subject = subject_for(head, arguments, input_shape=input_shape, reference=reference)
    options = dict(subject.defaults)
    options |= {"num_classes": num_classes} if num_classes is not None else {}
    options |= {"in_chans": in_chans} if in_chans is not None else {}
    return traced(subject, options, reference)[0]
