"""A checkpoint of another model's class: same names, other sizes or another depth.

That is where "size mismatch for ..." comes from. What a file cannot tell, roles, couplings and graph, the other model
can: `naming` says which tensor is like which, `repeats` and `regions` which blocks are there more or less often,
`sizes` how large each space is, and `adopt` puts it together. `copies`, `adapters`, `quantised` and `ancestry` tell
what else names and values of files say.
"""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.architecture import Architecture
from tli_cli.kinship.adopt import as_kin

__all__ = ["as_kin", "related"]


def related(architectures: Sequence[Architecture], head_widths: Sequence[int] = ()) -> list[Architecture]:
    """Return `architectures`, those that are told by names alone described as the first other one that they are kin of.

    `head_widths` are those that the configurations beside the checkpoints tell, 0 where none does.
    """
    traced = [architecture for architecture in architectures if architecture.graph]
    widths = head_widths or [0] * len(architectures)
    return [
        a if a.graph else next(filter(None, (as_kin(a, known, width) for known in traced)), a)
        for a, width in zip(architectures, widths, strict=True)
    ]
