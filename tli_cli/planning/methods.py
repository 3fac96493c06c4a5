"""What each method means for a plan."""

from __future__ import annotations

from dataclasses import replace

from tli_cli.errors import TliError
from tli_cli.planning.request import Request
from tli_cli.registry import did_you_mean
from tli_cli.resizing import RESIZERS

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
