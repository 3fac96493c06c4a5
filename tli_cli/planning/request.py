"""What a plan is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tli_cli.vocabularies.pairing import Tokens


@dataclass(frozen=True)
class Request:
    """What a plan is asked to do beyond the matching: method, head, norms, seed; and for each source which of its rows
    stand for the target's tokens, or why rows are taken by index; and the target's tensors that are left out."""

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
