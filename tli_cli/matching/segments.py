"""Stages and blocks as sequences: what the hierarchical matcher aligns before it looks at layers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log2

from tli_cli.describe.vocabulary_places import module_place, tower
from tli_cli.grouping import grouped
from tli_cli.matching.bags import Bag, bag_of, joined
from tli_cli.matching.mixing import Shares, mixing_kinds, mixing_shares, widest_window
from tli_cli.matching.parallel import with_parallel_lists
from tli_cli.matching.units import Key, Unit

WEIGHTED = ("conv", "dense", "linear")
A_FEW = 3
ENDS = re.compile(r"^(\w*stem\w*|conv_?1|patch_embed\w*|embed\w*|\w*head\w*|classifier|fc\d*|pre_logits|pooler)(\.|$)")


@dataclass(frozen=True)
class Block:
    """The units of one block in execution order."""

    name: str
    stage: str
    units: tuple[Unit, ...]

    @cached_property
    def tower(self) -> str:
        """The tower in which its layers stand, where names tell; "" where they tell nothing."""
        told = {tower(f"{unit.path}.") for unit in self.units}
        return told.pop() if len(told) == 1 else ""

    @cached_property
    def weighted(self) -> int:
        """The number of convolutions and linear layers."""
        return sum(unit.kind in WEIGHTED for unit in self.units)

    @cached_property
    def forms(self) -> Bag:
        """How often each form of unit occurs."""
        return bag_of(unit.form_label for unit in self.units)

    @cached_property
    def shapes(self) -> Bag:
        """How often each exact label occurs."""
        return bag_of(unit.exact_label for unit in self.units)

    @property
    def width(self) -> int:
        """The number of channels that the block's last weighted unit puts out."""
        widths = [unit.shape[0] for unit in self.units if unit.kind in WEIGHTED]
        return widths[-1] if widths else 0

    @property
    def positions(self) -> int:
        """The number of places at which the block's output is held, 0 if unknown."""
        known = [unit.positions for unit in self.units if unit.kind in WEIGHTED and unit.positions > 1]
        return known[-1] if known else 0

    @cached_property
    def mixing(self) -> frozenset[str]:
        """How the block mixes places."""
        return mixing_kinds(self.units, self.positions)

    @cached_property
    def window(self) -> float:
        """The side of the largest window that it looks through, 0 if it mixes no places by convolution."""
        return widest_window(self.units)


@dataclass(frozen=True)
class Stage:
    """Consecutive blocks at one resolution, or of one container."""

    blocks: tuple[Block, ...]

    @property
    def units(self) -> Iterator[Unit]:
        """The units of the blocks in order."""
        return (unit for block in self.blocks for unit in block.units)

    @property
    def level(self) -> float | None:
        """The resolution as log2 of the number of positions."""
        known = [block.positions for block in self.blocks if block.positions]
        return log2(known[-1]) if known else None

    @cached_property
    def forms(self) -> Bag:
        """How often each form of unit occurs."""
        return joined(block.forms for block in self.blocks)

    @cached_property
    def mixing(self) -> Shares:
        """How much of the stage's mixing is of each kind."""
        return mixing_shares(block.mixing for block in self.blocks)


def blocks_of(units: Sequence[Unit]) -> list[Block]:
    """Return the blocks in the order of their first units; a plain chain of layers gives one block a weighted layer."""
    parted = with_parallel_lists(grouped(units, lambda unit: unit.home))
    blocks = [Block(name, members[0].stage, tuple(members)) for name, members in parted.items()]
    if not any(_is_inner(block) for block in blocks):
        blocks = _with_followers(blocks)
    return [piece for block in blocks for piece in (_chain(block) if _is_chain(block) else [block])]


def _with_followers(blocks: Sequence[Block]) -> list[Block]:
    """Join each norm that stands for itself to the weighted layer before it that stands for itself, as in a network
    without modules of its own."""
    joined: list[Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if last is not None and last.weighted == 1 and not block.weighted and _is_loose(last) and _is_loose(block):
            joined[-1] = Block(last.name, last.stage, (*last.units, *block.units))
        else:
            joined.append(block)
    return joined


def _is_loose(block: Block) -> bool:
    return block.units[0].path == block.name


def _is_chain(block: Block) -> bool:
    """Tell whether a block is a sequence of layers, or of modules of one weighted layer each; outside of numbered
    blocks, of sequences of layers as well."""
    inner = [unit.path.removeprefix(f"{block.name}.") for unit in block.units]
    nested = not any(part.isdecimal() for part in block.name.split(".")[:-1])
    digits = all(part.isdecimal() for path in inner for part in path.split("."))
    if block.weighted >= 2 and digits:
        return nested or all("." not in path for path in inner)
    return nested and _is_row(inner, block.units)


def _is_row(inner: Sequence[str], units: Sequence[Unit]) -> bool:
    """Tell whether all units stand in numbered modules that hold no more than one weighted layer each."""
    holders = {unit.place: path.partition(".")[0] for path, unit in zip(inner, units, strict=True)}
    weighted = [holders[place] for place in {unit.place for unit in units if unit.kind in WEIGHTED}]
    return len({*weighted}) == len(weighted) > 1 and all(holder.isdecimal() for holder in holders.values())


def _chain(block: Block) -> list[Block]:
    groups: list[list[Unit]] = [[]]
    for unit in block.units:
        if unit.kind in WEIGHTED and any(o.kind in WEIGHTED and o.place != unit.place for o in groups[-1]):
            groups.append([])
        groups[-1].append(unit)
    return [Block(group[0].path, block.stage, tuple(group)) for group in groups if group]


def split_ends(blocks: Sequence[Block]) -> tuple[list[Block], list[Block], list[Block]]:
    """Return stem, body and head: the body runs from the first to the last block that is neither by name or place.

    What holds a single position, where others hold more, is behind the body.
    """
    placed = any(block.positions for block in blocks)
    inner = [i for i, block in enumerate(blocks) if _is_inner(block) and (block.positions or not placed)]
    if not inner and all(unit.positions == 1 for block in blocks for unit in block.units if unit.kind in WEIGHTED):
        weighted = [i for i, block in enumerate(blocks) if block.weighted]
        if len(weighted) > 2:  # a perceptron: nothing but its place tells a layer's part
            start, head = weighted[0] + 1, weighted[-1]
            return list(blocks[:start]), list(blocks[start:head]), list(blocks[head:])
    if not inner:
        head = _head_of_a_chain(blocks)
        start = next((i + 1 for i, block in enumerate(blocks) if block.weighted), 0)
        start = min(start, head)
        return list(blocks[:start]), list(blocks[start:head]), list(blocks[head:])
    body = blocks[inner[0] : inner[-1] + 1]
    heads = [] if placed else [block for block in body if {unit.role for unit in block.units} == {"head"}]
    behind = [*heads, *blocks[inner[-1] + 1 :]]
    return list(blocks[: inner[0]]), [block for block in body if block not in heads], behind


def _head_of_a_chain(blocks: Sequence[Block]) -> int:
    """Return where the head begins: with the first layer behind all maps, or with the last one if no map is known."""
    weighted = [i for i, block in enumerate(blocks) if block.weighted]
    maps = [i for i in weighted if blocks[i].positions]
    if not maps:
        return max(weighted[-1:] or [len(blocks)])
    return next((i for i in weighted if i > maps[-1]), len(blocks))


def _is_inner(block: Block) -> bool:
    if block.weighted < 2 or ENDS.search(block.name):
        return False
    return bool(block.stage) or block.name[-1:].isdecimal()


def first_level(blocks: Sequence[Block]) -> float | None:
    """Return the resolution of the network's first weighted layer, as `Stage.level`."""
    first = next((unit for block in blocks for unit in block.units if unit.kind in WEIGHTED), None)
    return log2(first.positions) if first is not None and first.positions else None


def stages_of(body: Sequence[Block]) -> list[Stage]:
    """Cut the body where the resolution changes, or where it is unknown, where the container or width changes; and
    between an encoder and a decoder."""
    stages: list[list[Block]] = []
    before: object = None
    for block in body:
        mark: object = module_place(block.name)[0], block.positions or (block.stage, block.width)
        if not stages or (mark != before and block.weighted):
            stages.append([])
        stages[-1].append(block)
        before = mark if block.weighted else before
    return [Stage(tuple(blocks)) for blocks in stages]


def have_own_shapes(units: Sequence[Unit], known: Collection[Key]) -> bool:
    """Tell whether a few of `units` with weights are `known`, and no other one has the shape of any of them."""
    weighted = [unit for unit in units if unit.kind in WEIGHTED]
    held = [unit.shape for unit in weighted if unit.key in known]
    return len(held) >= A_FEW and {*held}.isdisjoint(unit.shape for unit in weighted if unit.key not in known)
