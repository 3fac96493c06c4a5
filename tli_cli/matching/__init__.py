"""Which source layer feeds which target layer: one matcher for each file."""

from __future__ import annotations

from collections.abc import Callable

from tli_cli.architecture import Architecture
from tli_cli.matching.values import Matching
from tli_cli.registry import Registry

Matcher = Callable[[Architecture, Architecture], Matching]
MATCHERS: Registry[Matcher] = Registry(
    "matcher",
    {
        "dp": "tli_cli.matching.dp:match_dp",
        "path": "tli_cli.matching.path:match_path",
    },
)
