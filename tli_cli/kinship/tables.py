"""Tables of tokens that serve as heads: of one tensor with several names files may keep any name alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.kinship.naming import Likeness

NAMES = ("head", "embed")
"""What the other names of a table say that it is."""


def with_tables(
    named: Mapping[str, Likeness], known: Architecture, tensors: Sequence[TensorSpec]
) -> dict[str, Likeness]:
    """Return the likenesses with tensors taken for tables of the known network that the checkpoint lacks by name: one
    of a name that is tied to the table there, or the one that is left over, if it is named for a head or a table."""
    if not named:
        return {}
    held = {found.template for found in named.values()}
    roots = {name: known.by_name[found.template].tied_to or "" for name, found in named.items()}
    first = {root: name for name, root in reversed(roots.items()) if root and root not in held}
    beside = [t for t in tensors if t.name not in named and len(t.shape) == 2]
    left = [t for t in beside if canonical_role(t.name.removesuffix(".weight")) in NAMES]
    lost = [table for table in _tables(known) if table not in held and table not in first]
    if len(left) == len(lost) == 1:
        first[lost[0]] = left[0].name
    return {**named, **{name: Likeness(root, root) for root, name in first.items()}}


def _tables(known: Architecture) -> list[str]:
    """Return the names of the tables that are run once more, as a head."""
    runs = Counter(node.layer for node in known.graph)
    tables = (
        layer.tensor("weight") for i, layer in enumerate(known.layers) if layer.kind == "embedding" and runs[i] > 1
    )
    return [name for name in tables if name]
