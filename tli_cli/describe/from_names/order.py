"""The order of layers where it was lost: what names say first, then the chain of shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tli_cli.architecture import LINEAR, Layer
from tli_cli.describe.from_names.chains import Widths, best_chain, chain_cost, ends_of, widths
from tli_cli.describe.from_names.norm_order import NormOrder
from tli_cli.describe.from_names.outer_order import bridged, head_last, stem_first
from tli_cli.describe.from_names.places import (
    BESIDE,
    Habits,
    Key,
    Module,
    Part,
    first_number,
    habits_of,
    inner_key,
    numbered_key,
    outer_key,
    tree_of,
)
from tli_cli.describe.from_names.rows import counted_down, taking_turns
from tli_cli.describe.spelling import family, natural
from tli_cli.describe.vocabulary import surroundings
from tli_cli.describe.vocabulary_places import TOP_PLACES
from tli_cli.grouping import grouped


def inferred_order(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return `layers`, which know their blocks, in their probable order of execution; those of kind `other` last."""
    size = {layer.path: widths(layer, shapes) for layer in layers}
    sorter = _Sorter({layer.block for layer in layers}, habits_of(layers, size), size)
    ordered = sorter.flatten(tree_of(layers), inside=False)
    return [layer for layer in ordered if layer.kind != "other"] + [layer for layer in ordered if layer.kind == "other"]


class _Sorter:
    """Sorts modules by their places; `inner` holds the paths of blocks, `size` the widths of layers."""

    def __init__(self, inner: set[str], habits: Habits, size: Mapping[str, Widths]) -> None:
        self.inner = inner
        self.habits = habits
        self.size = size
        self.norms = NormOrder(habits, size)

    def flatten(self, node: Module, inside: bool) -> list[Layer]:
        """Return the layers of `node` in order; `inside` tells that it stands within a block."""
        inside = inside or (node.path in self.inner and node.layer is None)
        own = [node.layer] if node.layer else []
        if node.path and len(node.children) < 2:
            return own + [layer for child in node.children.values() for layer in self.flatten(child, inside)]
        keys = {
            name: inner_key(child, node.children, self.habits)
            if inside
            else outer_key(child, node.children, self.habits)
            for name, child in node.children.items()
        }
        keys |= {} if inside else self._stem_keys(node.children)
        held: list[Part] = [(child, self.flatten(child, inside)) for child in node.children.values()]
        keys |= self._entry_keys(held) if node.path else {}
        parts = sorted(held, key=lambda part: (keys[part[0].name], natural(part[0].name)))
        parts = self._interleaved(parts)
        parts = self._rechained(parts, keys)
        parts = taking_turns(node, counted_down(node, parts, self.size), self.size)
        parts = self._with_pair(parts)
        if inside:
            parts = self.norms.beside_convolutions(parts)
            parts = self._with_gates(parts)
        else:
            parts = bridged(parts, self.size)
        parts = self.norms.behind_makers(parts)
        parts = parts if node.path else stem_first(head_last(parts, self.size), self.size)
        return own + [layer for _, part in parts for layer in part]

    def _stem_keys(self, siblings: Mapping[str, Module]) -> dict[str, Key]:
        """Return the places of `conv1`, `bn1`, `conv2` ... where these convolutions follow one another in the stem."""
        run: list[str] = []
        while (module := siblings.get(f"conv{len(run) + 1}")) and module.layer and module.layer.kind == "conv":
            if run and self.size[siblings[run[-1]].path].last != self.size[module.path].first:
                break
            run.append(module.name)
        if len(run) < 2:
            return {}
        names = [name for conv in run for name in (conv, conv.replace("conv", "bn"), conv.replace("conv", "norm"))]
        placed = {name: numbered_key(name, self.habits.convolution_norm_first) for name in names if name in siblings}
        return {name: (TOP_PLACES["stem"], *key) for name, key in placed.items() if key}

    def _interleaved(self, parts: list[Part]) -> list[Part]:
        """Put layers of two lists of as many side by side, `conv.1` and `norm.1` before `conv.2` and `norm.2`: a norm
        behind the layer that makes its channels, or else before it."""
        lists = [part for part in parts if len(part[1]) > 1 and _is_list(part[0])]
        norms = next((part for part in lists if all(layer.kind == "norm" for layer in part[1])), None)
        others = [part for part in lists if part is not norms and norms and len(part[1]) == len(norms[1])]
        if norms is None or len(others) != 1 or norms[0].children.keys() != others[0][0].children.keys():
            return parts
        made, takes = zip(
            *((self.size[layer.path].last, self.size[layer.path].first) for layer in others[0][1]), strict=True
        )
        width = tuple(self.size[layer.path].first for layer in norms[1])
        pairs = list(zip(others[0][1], norms[1], strict=True))
        joined = [layer for pair in pairs for layer in (pair[::-1] if width == takes != made else pair)]
        return [(part[0], joined) if part is others[0] else part for part in parts if part is not norms]

    def _rechained(self, parts: list[Part], keys: Mapping[str, Key]) -> list[Part]:
        """Put siblings of one place in the order in which their widths chain best, each family of names together."""
        result: list[Part] = []
        start = before = 0
        while start < len(parts):
            end = start + 1
            while end < len(parts) and keys[parts[end][0].name] == keys[parts[start][0].name]:
                end += 1
            run = self._in_line(parts[start:end], before) if end - start > 1 else parts[start:end]
            result.extend(run)
            made = (ends_of(self.size, layers).last for _, layers in reversed(run))
            start, before = end, next(filter(None, made), before)
        return result

    def _in_line(self, parts: list[Part], before: int) -> list[Part]:
        """Return siblings of one place in their order."""
        run = self._by_number(parts, before)
        families = grouped(run, lambda part: family(part[0].name))
        if len(families) > 1 and run == parts:
            run = self._chained(list(families.values()), before)
            mixed = self._chained([[part] for part in run], before)
            if all([part for part in mixed if part in members] == members for members in families.values()):
                run = mixed  # what is numbered keeps its order
        return run

    def _chained(self, runs: Sequence[list[Part]], before: int) -> list[Part]:
        """Return the runs in the order in which their widths chain best, or as they are if none is better."""
        ends = [ends_of(self.size, [layer for _, layers in run for layer in layers]) for run in runs]
        order = best_chain(ends, before)
        better = chain_cost([ends[i] for i in order], before) < chain_cost(ends, before)
        return [part for i in (order if better else range(len(runs))) for part in runs[i]]

    def _by_number(self, run: list[Part], before: int) -> list[Part]:
        """Return the run sorted by the first number in the names (conv1, bn1, conv2), or from the last number on (up2,
        decoder2, up1), if its widths chain better so."""

        def key(part: Part, sign: int = 1) -> tuple[float, ...]:
            numbered = numbered_key(part[0].name, self.habits.convolution_norm_first)
            upsampling = any(layer.attribute("transposed") for layer in part[1][:1])
            number, place = numbered or (first_number(part[0].name), float(not upsampling))
            return sign * number, place

        orders = [run, sorted(run, key=key)]
        if any(re.match(r"dec|up", module.name.lower()) for module, _ in run):
            orders.append(sorted(run, key=lambda part: key(part, -1)))
        ends = {module.name: ends_of(self.size, layers) for module, layers in run}
        return min(orders, key=lambda order: chain_cost([ends[module.name] for module, _ in order], before))

    def _with_pair(self, parts: list[Part]) -> list[Part]:
        """Put a norm before the only other layer if it is as wide as what that layer takes and not as what it gives."""
        if len(parts) != 2 or not all(len(layers) == 1 for _, layers in parts):
            return parts
        norm = next((p for p in parts if p[1][0].kind == "norm"), None)
        other = next((p for p in parts if p[1][0].kind in LINEAR), None)
        if norm is None or other is None:
            return parts
        width, size = self.size[norm[1][0].path].first, self.size[other[1][0].path]
        if size.first == size.last or width not in size:
            return parts
        return [norm, other] if width == size.first else [other, norm]

    def _entry_keys(self, parts: Sequence[Part]) -> dict[str, Key]:
        """Return the place of what halves the resolution before the rest of its block or stage, and not beside it: it
        makes as many channels as something there takes, of others, which nothing takes but a row of layers."""
        for module, layers in parts:
            if surroundings(module.name) != "down":
                continue
            ends = ends_of(self.size, layers)
            taken = {ends_of(self.size, other).first for o, other in parts if o is not module}
            beside = ends.first in taken and sum(layer.kind == "conv" for layer in layers) < 2
            if ends.last in taken - {ends.first} and not beside:
                return {module.name: (-2.0,)}
        return {}

    def _with_gates(self, parts: list[Part]) -> list[Part]:
        """Put squeeze-and-excitation after the convolution that it weighs: a grouped one, else the last that fits."""
        gates = [p for p in parts if surroundings(p[0].name) == "se"]
        if len(gates) != 1:
            return parts
        width = ends_of(self.size, gates[0][1]).first
        rest = [p for p in parts if p is not gates[0]]
        fits = [
            i
            for i, (module, layers) in enumerate(rest)
            if ends_of(self.size, layers).last == width
            and any(layer.kind == "conv" for layer in layers)
            and surroundings(module.name) not in BESIDE
        ]
        if not fits:
            return parts
        grouped = [i for i in fits if self._is_grouped(rest[i][1], ends_of(self.size, rest[i - 1][1]).last if i else 0)]
        at = (grouped or fits)[-1] + 1
        while (
            at < len(rest)
            and (layer := rest[at][0].layer)
            and layer.kind == "norm"
            and not self.habits.convolution_norm_first
        ):
            at += 1
        return [*rest[:at], gates[0], *rest[at:]]

    def _is_grouped(self, layers: Sequence[Layer], before: int) -> bool:
        """Tell whether a convolution takes fewer channels than `before`, a part of them for each group."""
        known = [layer for layer in layers if layer.kind == "conv" and max(layer.attribute("kernel", (1,))) > 1]
        return any(layer.attribute("groups", 1) > 1 or self.size[layer.path].first < before for layer in known)


def _is_list(module: Module) -> bool:
    return all(name.isdecimal() and child.layer and not child.children for name, child in module.children.items())
