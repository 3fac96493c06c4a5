"""What a layer is for, told by the layers that stand beside it: names that differ in one word, shapes that fit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tli_cli.architecture import Layer
from tli_cli.describe.from_names.chains import widths
from tli_cli.describe.vocabulary import canonical_role, crossing
from tli_cli.grouping import grouped

WORDS = {
    "q": {"q", "query", "queries"},
    "k": {"k", "key", "keys"},
    "v": {"v", "value", "values", "val"},
    "qkv": {"qkv", "kqv", "wqkv"},
    "kv": {"kv"},
    "gate": {"g", "gate", "gt", "gating"},
}
"""Words that a name may hold beside others: `lin_q`, `attn_key_map`."""


OTHER_NORM = {"norm1": "norm2", "norm2": "norm1"}
BEHIND_ATTENTION = re.compile(r"(post|after)_(self_)?att(entio)?n\w*$")
CLOSING = re.compile(r"^(out(put)?|final|last)_|(post|after)_(mlp|ffn?|feed_?forward)|_(out(put)?|final)$")
"""Names of norms that end a block; beside one that is named as behind attention, both stand behind the sums."""
ATTENDING = {"q", "k", "v", "qkv", "kv", "qk", "o"}
SIDED = re.compile(
    r"(?P<side>pre|post|before|after)_?(?P<part>(self_)?a(tt(entio)?n)?|sa|f(f|fn|eed_?forward)?|m(lp)?)"
    r"(_(layer_?)?norm|_ln)?"
    r"|(norm|ln)_(?P<side2>pre|post|before|after)_(?P<part2>attn|mlp|ffn?)"
)
"""Names of norms that say on which side of attention or MLP they stand: `post_attention_layernorm`, `pre_ff`."""


ACTIVATED = {
    frozenset({"w1", "w2", "c_proj"}): "w2",
    frozenset({"fc", "gate", "proj"}): "fc",
    frozenset({"fc_1", "fc_2", "proj"}): "fc_1",
}
"""Which of a gated MLP's layers goes through the activation where the names of all three, and no single one, tell it:
Qwen (`modeling_qwen.py`), TensorRT-LLM (`tensorrt_llm/layers/mlp.py`), lit-gpt (`litgpt/model.py`)."""

GATE_LAST = (".ff_proj",)
"""How the names of layers end that make what is multiplied and, behind it, its gate: OLMo (`olmo/model.py`)."""


def sibling_roles(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return path -> role for the linear layers whose siblings tell what their own names do not.

    Query, key and value beside one more layer make that one the output; of three layers, two that widen alike are gate
    and up; one that widens to twice what the other takes is both.
    """
    groups = grouped(layers, lambda layer: (layer.path.rpartition(".")[0], layer.kind))
    told = {
        path: role
        for (_, kind), group in groups.items()
        for path, role in (_told(group, shapes) if kind == "linear" else _norms(group) if kind == "norm" else ())
    }
    told |= _beside_a_branch(groups, shapes)
    told |= _beside_a_row(groups, shapes)
    return {path: crossing(path) + role for path, role in told.items()} | _behind_cross_attention(groups)


def _beside_a_branch(
    groups: Mapping[tuple[str, str], Sequence[Layer]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    """Return `shortcut` for the one convolution, and its norm, that stands beside a module of convolutions in which one
    takes what it takes and one gives what it gives."""
    told: dict[str, str] = {}
    for (path, kind), group in groups.items():
        if kind != "conv" or len(group) > 1 or not path or max(group[0].attribute("kernel", (2,))) > 1:
            continue
        within = [o for (p, k), other in groups.items() if k == "conv" and p.startswith(f"{path}.") for o in other]
        inside, own = [widths(layer, shapes) for layer in within], widths(group[0], shapes)
        modules = {layer.path.removeprefix(f"{path}.").partition(".")[0] for layer in within}
        if len(modules) == 1 and {own.first} <= {w.first for w in inside} and {own.last} <= {w.last for w in inside}:
            told |= {layer.path: "shortcut" for layer in (*group, *groups.get((path, "norm"), ())[:2])}
    return told


def _beside_a_row(
    groups: Mapping[tuple[str, str], Sequence[Layer]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    """Return `shortcut` for the first of several numbered convolutions, and its norm, that takes what the second takes,
    which does not take what it gives, and gives what the last gives: `0_conv` beside `1_conv` to `3_conv`."""
    told: dict[str, str] = {}
    for (path, kind), group in groups.items():
        numbers = [re.findall(r"\d+", layer.path.rpartition(".")[2]) for layer in group]
        if kind != "conv" or len(group) < 3 or {len(found) for found in numbers} != {1}:
            continue
        row = sorted(zip((int(found[0]) for found in numbers), group, strict=True), key=lambda entry: entry[0])
        first, second, last = (widths(layer, shapes) for _, layer in (row[0], row[1], row[-1]))
        if first.first == second.first != first.last == last.last and row[0][0] < row[1][0]:
            norms = groups.get((path, "norm"), ())
            own = [n for n in norms if re.findall(r"\d+", n.path.rpartition(".")[2]) == [str(row[0][0])]]
            told |= {layer.path: "shortcut" for layer in (row[0][1], *own)}
    return told


def _behind_cross_attention(groups: Mapping[tuple[str, str], Sequence[Layer]]) -> dict[str, str]:
    """Return what the second and third of three numbered norms are beside an attention to another sequence, the
    attention's and the MLP's; of two, where one more stands in the MLP, the second is the attention's."""
    crossed = {path.rpartition(".")[0] for path, _ in groups if crossing(f"{path}.")}
    told: dict[str, str] = {}
    for (path, kind), group in groups.items():
        named = {canonical_role(layer.path): layer.path for layer in group}
        if kind == "norm" and path in crossed and {"norm1", "norm2", "norm3"} <= named.keys():
            told |= {named["norm2"]: "cross_norm", named["norm3"]: "norm2"}
        elif kind == "norm" and path in crossed and "norm1" in named:
            inner = [
                o.path for (p, k), other in groups.items() if k == kind and p.startswith(f"{path}.") for o in other
            ]
            own = [name for name in inner if canonical_role(name) == "mlp_norm"]
            if len(own) == 1:
                told[own[0]] = "norm2"
                told |= {named["norm2"]: "cross_norm"} if "norm2" in named else {}
    return told


def _norms(group: Sequence[Layer]) -> Iterator[tuple[str, str]]:
    """Yield what the norms of one block are that their own names do not tell: the other one of two, of which one is
    attention's or the MLP's, and those beside one that is behind the MLP."""
    named = {layer.path: canonical_role(layer.path) for layer in group if layer.attribute("norm") != "batch"}
    if len(group) == len(named) == 2 and not any(named.values()) and _are_in_row(*sorted(named)):
        yield from zip(sorted(named), OTHER_NORM, strict=True)
    elif len(group) == len(named) == 2 and re.search(r"\d", group[0].path):
        for (path, role), (beside, other) in (named.items(), reversed(named.items())):
            if role == "norm2" and BEHIND_ATTENTION.search(path) and CLOSING.search(beside.rpartition(".")[2]):
                yield from ((path, "norm1"), (beside, "norm2"))
                break
            if role in OTHER_NORM and not other:
                yield beside, OTHER_NORM[role]
    yield from _sided(group)


def _are_in_row(first: str, second: str) -> bool:
    """Tell whether two names are the same but for a last letter or digit, which is the next one: `ln_a` and `ln_b`."""
    return first[:-1] == second[:-1] and ord(second[-1]) - ord(first[-1]) == 1


def _sided(group: Sequence[Layer]) -> Iterator[tuple[str, str]]:
    """Yield what the norms of one block are where one is said to stand behind the MLP: `post_attention_layernorm` is
    then before the sum, and not the norm of the MLP as it is without."""
    sides: dict[str, list[str]] = defaultdict(list)
    for layer in group:
        if match := SIDED.fullmatch(layer.path.rpartition(".")[2].lower()):
            side, part = match["side"] or match["side2"], match["part"] or match["part2"]
            late, attends = side in ("post", "after"), part[-1] in "an" and part != "ffn"
            role = ("post_attn_norm" if late else "norm1") if attends else ("post_mlp_norm" if late else "norm2")
            sides[role].append(layer.path)
    if "post_mlp_norm" in sides:
        for role, paths in sides.items():
            plain = [path for path in paths if canonical_role(path) not in ("norm1", "norm2")]
            if len(paths) == 1 or len(plain) == 1:
                yield (paths if len(paths) == 1 else plain)[0], role


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
    known = {canonical_role(layer.path) for layer in group} & ATTENDING
    left = [layer for layer in left if canonical_role(layer.path) not in ATTENDING]
    if known <= {"o"}:
        attending = _attending(group, shapes)
        yield from attending.items()
        left = [layer for layer in left if layer.path not in attending]
    yield from _fed_forward(left, shapes, named)


def _attending(group: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return which of layers, none of which is named as what makes queries, is the one of queries, keys and values and
    which its output: the only one that widens three times, where none takes so much, and the only one that keeps the
    width."""
    size = {layer.path: widths(layer, shapes) for layer in group if canonical_role(layer.path) in ("", "o")}
    wide = [path for path, own in size.items() if own.last == 3 * own.first > 0]
    if len(wide) != 1:
        return {}
    width = size[wide[0]].first
    square = [path for path, own in size.items() if own.first == own.last == width]
    taken = any(widths(layer, shapes).first in (3 * width, 3 * width / 2) for layer in group)
    return {} if taken or len(square) != 1 else {wide[0]: "qkv", square[0]: "o"}


def _fed_forward(
    group: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]], named: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield what the layers of one feed-forward block are, by their widths."""
    size = {layer.path: widths(layer, shapes) for layer in group}
    if len(group) == 2:
        for first, second in (group, group[::-1]):
            wide, narrow = size[first.path], size[second.path]
            if wide.first == narrow.last and wide.first < wide.last == 2 * narrow.first:
                yield first.path, "up_gate" if first.path.endswith(GATE_LAST) else "gate_up"
                yield second.path, "fc2"
            elif (wide.first, wide.last) == (narrow.last, narrow.first) and canonical_role(first.path) == "up":
                yield first.path, "fc1"
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
            activated = ACTIVATED.get(frozenset(layer.path.rpartition(".")[2] for layer in group), "gate")
            gates = [o for o in others if o.path.endswith(f".{activated}")] or [
                o for o in others if "gate" in (named[o.path], known[o.path])
            ]
            ups = [o for o in others if known[o.path] == "up"]
            gate = gates[0] if len(gates) == 1 else next((o for o in others if ups and o is not ups[0]), None)
            gate = gate or min(others, key=lambda layer: layer.path)
            yield gate.path, "gate"
            yield next(o.path for o in others if o is not gate), "up"


def _word(path: str) -> str:
    """Return the role whose word is a part of the last name of `path`; "" if there is none."""
    parts = set(re.split(r"[_\d]+", path.rpartition(".")[2].lower()))
    return next((role for role, words in WORDS.items() if parts & words), "")
