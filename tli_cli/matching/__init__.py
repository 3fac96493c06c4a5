"""Which source layer feeds which target layer: one matcher for each file.

Layers, or their parts, are `units`; what is known of one side (blocks, stages, fingerprints of surroundings) is worked
out once, in `sides`. `dp` sets apart what is idle, held again, or of another input, collects what graphs, shapes and
names prove (`evidence`), pairs stages and blocks (`blocks`), then the units in these (`unit_pairs`), then what is left.
`path` compares every unit with every other. Both return `values`.
"""

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
