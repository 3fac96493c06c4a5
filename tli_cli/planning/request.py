"""What a plan is asked to do, and what each method means for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tli_cli.errors import TliError
from tli_cli.registry import did_you_mean
from tli_cli.resizing import RESIZERS
from tli_cli.vocabularies.pairing import Tokens


@dataclass(frozen=True)
class Request:
    """What a plan is asked to do beyond the matching: method, head, norms, seed; and for each source which of its rows
    stand for the target's tokens, or why rows are taken by index; the target's tensors that are left out, and the pairs
    that are asked for."""

    matcher: str = "dp"
    method: str = "auto"
    head: str = "auto"
    head_rows: Mapping[int, int] = field(default_factory=dict)
    norms: bool = True
    seed: int = 0
    top_k: int = 1
    resizer: str = "maps"
    widen: str = "widen"
    narrow: str = "strongest"
    identity: bool = True
    keep_values: str = "constructor"
    tokens: Sequence[Tokens] = ()
    skipped: frozenset[str] = frozenset()
    pairs: Sequence[str] = ()


COHERENT = {
    "auto": ("widen", "strongest"),
    "fit": ("widen", "strongest"),
    "maps": ("widen", "strongest"),
    "net2net": ("net2net", "strongest"),
    "even": ("widen", "even"),
}
"""Methods that map coupled axes together, with the rules by which they widen and narrow."""


def methods() -> tuple[str, ...]:
    """Return the names of all methods, the default first."""
    return (*COHERENT, *RESIZERS)


def method_request(request: Request) -> Request:
    """Return `request` with what its method asks for; raise `TliError` for an unknown method."""
    if request.method in COHERENT:
        widen, narrow = COHERENT[request.method]
        return replace(request, widen=widen, narrow=narrow)
    if request.method in RESIZERS:
        return replace(request, resizer=request.method, identity=False)
    hint = did_you_mean(request.method, methods()) or ""
    raise TliError(f"unknown method {request.method!r}: expected one of {', '.join(methods())}; {hint}".rstrip("; "))
