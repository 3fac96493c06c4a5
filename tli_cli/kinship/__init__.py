"""A checkpoint of another model's class: same names, other sizes or another depth.

That is where "size mismatch for ..." comes from. What a file cannot tell, roles, couplings and graph, the other model
can.
"""

from __future__ import annotations

from collections.abc import Sequence

from tli_cli.architecture import Architecture
from tli_cli.kinship.adopt import as_kin

__all__ = ["as_kin", "related"]


def related(architectures: Sequence[Architecture]) -> list[Architecture]:
    """Return `architectures`, those that are told by names alone described as the first other one that they are kin
    of."""
    traced = [architecture for architecture in architectures if architecture.graph]
    return [a if a.graph else next(filter(None, (as_kin(a, known) for known in traced)), a) for a in architectures]
