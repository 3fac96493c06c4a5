"""Both ends of one contribution to a target tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tli_cli.architecture import Architecture, Layer
from tli_cli.describe.turned import Way
from tli_cli.planning.roles import Share
from tli_cli.planning.spaces.dims import with_heads


@dataclass(frozen=True, slots=True)
class Ends:
    """What is wanted and what is offered for it.

    Attributes:
        target, wanted, layer: the target, the share of its tensor that is filled, and the layer that holds it.
        source, offered, model: the source, the share of its tensor that fills it, and the source's number.
        query: whether the layer makes queries.
        rescale: by what queries must be multiplied, the usual `1/sqrt(width)` if it is None.
        turn: how heads are turned, where the source turns them in the other way.
    """

    target: Architecture
    wanted: Share
    layer: Layer
    source: Architecture
    offered: Share
    model: int
    query: bool = False
    rescale: float | None = None
    turn: Way | None = None

    @property
    def with_whole_heads(self) -> Ends:
        """These, with the channels of each head as one dimension where heads are turned otherwise."""
        if self.turn is None:
            return self
        wanted = replace(self.wanted, axes=with_heads(self.target, self.wanted.axes, self.turn.width))
        offered = replace(self.offered, axes=with_heads(self.source, self.offered.axes, self.turn.width))
        return replace(self, wanted=wanted, offered=offered)
