"""The order of rows of blocks that are defined otherwise than they are run.

What is named as the middle runs before what is named as behind it, whichever is defined first; a decoder may be counted
from its end; and lists of blocks that one block holds side by side take turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations, zip_longest

from tli_cli.architecture import LINEAR, Layer
from tli_cli.describe.from_names.chains import Widths, chain_cost, ends_of, widths
from tli_cli.describe.from_names.places import Module, Part, role_told, tree_of
from tli_cli.describe.vocabulary_places import DECODER, MIDDLE, flow_place

ATTENDING = ("q", "qkv", "qk")
MOST_LISTS = 4


def as_run(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return `layers`, which are in the order of their definition, in that in which names say that their rows run.

    They are returned as they are where they were not defined module by module.
    """
    size = {layer.path: widths(layer, shapes) for layer in layers}
    tree = tree_of(layers)
    return _flat(tree, size, moved=True) if _flat(tree, size, moved=False) == list(layers) else list(layers)


def _flat(node: Module, size: Mapping[str, Widths], *, moved: bool) -> list[Layer]:
    parts: list[Part] = [(child, _flat(child, size, moved=moved)) for child in node.children.values()]
    parts = taking_turns(node, counted_down(node, _by_flow(parts), size), size) if moved else parts
    return ([node.layer] if node.layer else []) + [layer for _, part in parts for layer in part]


def _by_flow(parts: list[Part]) -> list[Part]:
    """Put what is named as an encoder, a middle and a decoder in this order, in the places that they have together."""
    places = [i for i, (module, _) in enumerate(parts) if flow_place(module.name)]
    ordered = sorted((parts[i] for i in places), key=lambda part: flow_place(part[0].name))
    moved = dict(zip(places, ordered, strict=True))
    return [moved.get(i, part) for i, part in enumerate(parts)]


def counted_down(node: Module, parts: list[Part], size: Mapping[str, Widths]) -> list[Part]:
    """Return the numbered blocks of a decoder from the last number on, where its widths grow with the numbers: decoders
    become narrower as they run."""
    if flow_place(node.name) != DECODER or not _is_numbered(node):
        return parts
    made = [ends_of(size, layers).last for _, layers in parts]
    grows = all(a <= b for a, b in pairwise(made)) and made[:1] != made[-1:]
    return parts[::-1] if grows else parts


def taking_turns(node: Module, parts: list[Part], size: Mapping[str, Widths]) -> list[Part]:
    """Let the lists of blocks in a numbered or a middle block take turns: `resnets.0`, `attentions.0`, `resnets.1` ...

    They are of one length, or the first one has one block more. Which one is first, their widths tell; else blocks of
    convolutions stand before blocks of attention.
    """
    known = node.name.isdecimal() or flow_place(node.name) == MIDDLE
    lists = [part for part in parts if _is_row_of_blocks(part[0])] if known else []
    lengths = [len(module.children) for module, _ in lists]
    if not 1 < len(lists) <= MOST_LISTS or max(lengths) - min(lengths) > 1:
        return parts
    rows = [_members(part) for part in lists]
    order = min(permutations(range(len(rows))), key=lambda order: _strain([rows[i] for i in order], size))
    turns = [
        layer for turn in zip_longest(*(rows[i] for i in order), fillvalue=[]) for member in turn for layer in member
    ]
    first = parts.index(lists[0])
    rest = [(i, part) for i, part in enumerate(parts) if part not in lists]
    before, behind = ([part for i, part in rest if (i < first) == early] for early in (True, False))
    return [*before, (lists[0][0], turns), *behind]


def _members(part: Part) -> list[list[Layer]]:
    """Return the layers of each block of a list, in the order in which they stand."""
    held: dict[str, list[Layer]] = {}
    for layer in part[1]:
        index = layer.path.removeprefix(f"{part[0].path}.").partition(".")[0]
        held.setdefault(index, []).append(layer)
    return list(held.values())


def _strain(rows: Sequence[list[list[Layer]]], size: Mapping[str, Widths]) -> tuple[list[int], int, list[bool]]:
    """Return how badly it fits that lists take turns in this order."""
    turns = [member for turn in zip_longest(*rows) for member in turn if member]
    attends = [any(role_told(layer) in ATTENDING for layer in row[0]) for row in rows]
    return [-len(row) for row in rows], chain_cost([ends_of(size, member) for member in turns]), attends


def _is_row_of_blocks(module: Module) -> bool:
    return (
        not module.name.isdecimal()
        and _is_numbered(module)
        and all(
            child.layer is None and sum(layer.kind in LINEAR for layer in child.layers()) > 1
            for child in module.children.values()
        )
    )


def _is_numbered(module: Module) -> bool:
    return bool(module.children) and all(name.isdecimal() for name in module.children)
