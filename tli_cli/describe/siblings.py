"""What a layer is for, told by the layers that stand beside it: names that differ in one word, shapes that fit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tli_cli.architecture import Layer
from tli_cli.describe.chains import widths
from tli_cli.describe.vocabulary import canonical_role, crossing

WORDS = {
    "q": {"q", "query", "queries"},
    "k": {"k", "key", "keys"},
    "v": {"v", "value", "values", "val"},
    "qkv": {"qkv", "kqv", "wqkv"},
    "kv": {"kv"},
    "gate": {"g", "gate", "gt", "gating"},
}
"""Words that a name may hold beside others: `lin_q`, `attn_key_map`."""


def sibling_roles(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return path -> role for the linear layers whose siblings tell what their own names do not.

    Query, key and value beside one more layer make that one the output; of three layers, two that widen alike are gate
    and up; one that widens to twice what the other takes is both.
    """
    groups: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        if layer.kind == "linear":
            groups[layer.path.rpartition(".")[0]].append(layer)
    return {path: crossing(path) + role for group in groups.values() for path, role in _told(group, shapes)}


def _told(group: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, str]]:
    named = {layer.path: _word(layer.path) for layer in group}
    roles = {role for role in named.values() if role in ("q", "k", "v", "qkv", "kv")}
    left = list(group)
    if {"q", "k", "v"} <= roles or "qkv" in roles or {"q", "kv"} <= roles:
        yield from ((path, role) for path, role in named.items() if role in roles)
        left = [layer for layer in group if named[layer.path] not in roles]
        given = {widths(layer, shapes).last for layer in group if named[layer.path] in ("q", "v")}
        ends = [layer for layer in left if not given or widths(layer, shapes).first in given]
        if len(ends) == 1 and canonical_role(ends[0].path) in ("", "head"):
            yield ends[0].path, "o"
            left = [layer for layer in left if layer is not ends[0]]
    yield from _fed_forward(left, shapes, named)


def _fed_forward(
    group: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]], named: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield what the layers of one feed-forward block are, by their widths."""
    size = {layer.path: widths(layer, shapes) for layer in group}
    if len(group) == 2:
        for first, second in (group, group[::-1]):
            wide, narrow = size[first.path], size[second.path]
            if wide.first == narrow.last and wide.first < wide.last == 2 * narrow.first:
                yield first.path, "gate_up"
                yield second.path, "fc2"
    elif len(group) == 3:
        for narrow_layer in group:
            narrow = size[narrow_layer.path]
            others = [layer for layer in group if layer is not narrow_layer]
            if narrow.first == narrow.last or any(
                (size[o.path].first, size[o.path].last) != (narrow.last, narrow.first) for o in others
            ):
                continue
            yield narrow_layer.path, "fc2"
            known = {layer.path: canonical_role(layer.path) for layer in others}
            if set(known.values()) == {"gate", "up"}:
                continue
            gates = [o for o in others if "gate" in (named[o.path], known[o.path])]
            ups = [o for o in others if known[o.path] == "up"]
            gate = gates[0] if len(gates) == 1 else next((o for o in others if ups and o is not ups[0]), None)
            gate = gate or min(others, key=lambda layer: layer.path)
            yield gate.path, "gate"
            yield next(o.path for o in others if o is not gate), "up"


def _word(path: str) -> str:
    """Return the role whose word is a part of the last name of `path`; "" if there is none."""
    parts = set(re.split(r"[_\d]+", path.rpartition(".")[2].lower()))
    return next((role for role, words in WORDS.items() if parts & words), "")
