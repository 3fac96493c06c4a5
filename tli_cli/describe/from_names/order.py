"""The order of layers where it was lost: what names say first, and then the chain of shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tli_cli.architecture import LINEAR, Layer
from tli_cli.describe.blocks import block_paths
from tli_cli.describe.from_names.chains import Widths, best_chain, chain_cost, widths
from tli_cli.describe.from_names.places import (
    DIMENSIONS,
    Habits,
    Key,
    Module,
    habits_of,
    inner_key,
    numbered_key,
    outer_key,
)
from tli_cli.describe.spelling import family, last_number, natural, stem_of
from tli_cli.describe.vocabulary import TOP_PLACES, surroundings

BESIDE = ("se", "down", "shortcut")
"""Surroundings of convolutions that are not in line with the others of a block."""

Part = tuple[Module, list[Layer]]


def inferred_order(layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]) -> list[Layer]:
    """Return `layers` in their probable order of execution; those of kind `other` last."""
    blocks = block_paths([layer.path for layer in layers], [layer.kind for layer in layers])
    size = {layer.path: widths(layer, shapes) for layer in layers}
    sorter = _Sorter({block for block, _ in blocks}, habits_of(layers, size), size)
    ordered = sorter.flatten(_tree(layers), inside=False)
    return [layer for layer in ordered if layer.kind != "other"] + [layer for layer in ordered if layer.kind == "other"]


def _tree(layers: Sequence[Layer]) -> Module:
    root = Module("", "")
    for layer in layers:
        node = root
        for part in layer.path.split("."):
            path = f"{node.path}.{part}" if node.path else part
            node = node.children.setdefault(part, Module(part, path))
        node.layer = layer
    return root


class _Sorter:
    """Sorts modules by their places; `inner` holds the paths of blocks, `size` the widths of layers."""

    def __init__(self, inner: set[str], habits: Habits, size: Mapping[str, Widths]) -> None:
        self.inner = inner
        self.habits = habits
        self.size = size

    def flatten(self, node: Module, inside: bool) -> list[Layer]:
        """Return the layers of `node` in order; `inside` tells that it stands within a block."""
        inside = inside or (node.path in self.inner and node.layer is None)
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
        parts = self._with_pair(parts)
        if inside:
            parts = self._with_norms(parts)
            parts = self._with_gates(parts)
        parts = self._with_makers(parts)
        parts = parts if node.path else self._with_start(self._with_end(parts))
        return ([node.layer] if node.layer else []) + [layer for _, part in parts for layer in part]

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
        others = [part for part in lists if part is not norms]
        if norms is None or len(others) != 1 or norms[0].children.keys() != others[0][0].children.keys():
            return parts
        made, takes = zip(
            *((self.size[layer.path].last, self.size[layer.path].first) for layer in others[0][1]), strict=True
        )
        width = tuple(self.size[layer.path].first for layer in norms[1])
        pairs = list(zip(others[0][1], norms[1], strict=True))
        joined = [layer for pair in pairs for layer in (pair[::-1] if width == takes != made else pair)]
        return [(part[0], joined) if part is others[0] else part for part in parts if part is not norms]

    def _ends(self, layers: Sequence[Layer]) -> Widths:
        known = [self.size[layer.path] for layer in layers if self.size[layer.path].last]
        return Widths(next((w.first for w in known if w.first), 0), known[-1].last) if known else Widths(0, 0)

    def _rechained(self, parts: list[Part], keys: Mapping[str, Key]) -> list[Part]:
        """Put siblings of one place in the order in which their widths chain best, each family of names together."""
        result: list[Part] = []
        start = before = 0
        while start < len(parts):
            end = start + 1
            while end < len(parts) and keys[parts[end][0].name] == keys[parts[start][0].name]:
                end += 1
            run = self._by_number(parts[start:end], before)
            families: dict[str, list[Part]] = {}
            for part in run:
                families.setdefault(family(part[0].name), []).append(part)
            if len(families) > 1 and run == parts[start:end]:
                run = self._chained(list(families.values()), before)
                mixed = self._chained([[part] for part in run], before)
                if all([part for part in mixed if part in members] == members for members in families.values()):
                    run = mixed  # what is numbered keeps its order
            result.extend(run)
            start, before = end, self._ends([layer for _, part in run for layer in part]).last or before
        return result

    def _chained(self, runs: Sequence[list[Part]], before: int) -> list[Part]:
        """Return the runs in the order in which their widths chain best, or as they are if none is better."""
        ends = [self._ends([layer for _, layers in run for layer in layers]) for run in runs]
        order = best_chain(ends, before)
        better = chain_cost([ends[i] for i in order], before) < chain_cost(ends, before)
        return [part for i in (order if better else range(len(runs))) for part in runs[i]]

    def _by_number(self, run: list[Part], before: int) -> list[Part]:
        """Return the run sorted by the first number in the names (conv1, bn1, conv2), or from the last number on (up2,
        decoder2, up1), if its widths chain better so."""

        def key(part: Part, sign: int = 1) -> tuple[float, ...]:
            match = re.search(r"\d+", DIMENSIONS.sub("", part[0].name))
            numbered = numbered_key(part[0].name, self.habits.convolution_norm_first)
            upsampling = any(layer.attribute("transposed") for layer in part[1][:1])
            number, place = numbered or (float(match[0]) if match else -1.0, float(not upsampling))
            return sign * number, place

        orders = [run, sorted(run, key=key)]
        if any(re.match(r"dec|up", module.name.lower()) for module, _ in run):
            orders.append(sorted(run, key=lambda part: key(part, -1)))
        return min(orders, key=lambda order: chain_cost([self._ends(layers) for _, layers in order], before))

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

    def _with_norms(self, parts: list[Part]) -> list[Part]:
        """Put norms beside convolutions: those named alike, `bn_dw` at `conv_dw` and `a_bn` at `a`, with the one that
        is left over; else numbered ones at those that are not, in order."""
        norms = [p for p in parts if p[0].layer and p[0].layer.kind == "norm"]
        weighted = [
            p for p in parts if p[0].layer and p[0].layer.kind == "conv" and surroundings(p[0].name) not in BESIDE
        ]
        if named := self._named_alike(norms, weighted) or self._numbered_alike(norms, weighted):
            return self._beside(parts, named)
        by_creation = _as_created(norms)
        norms = by_creation or [p for p in norms if re.fullmatch(r"\D+_?\d", p[0].name)]
        plain = by_creation or not any(re.search(r"\d$", p[0].name) for p in weighted)
        if not norms or len(norms) != len(weighted) or not plain:
            return parts
        return self._beside(parts, dict(zip([p[0].name for p in weighted], norms, strict=True)))

    def _named_alike(self, norms: Sequence[Part], weighted: Sequence[Part]) -> dict[str, Part]:
        """Return for each convolution's name the norm that is named like it; nothing if the names tell too little."""
        stems = [stem_of(norm[0].name) for norm in norms]
        found = {
            conv[0].name: norms[stems.index(stem)]
            for conv in weighted
            if (stem := stem_of(conv[0].name)) and stems.count(stem) == 1
        }
        left = [norm for norm in norms if norm not in found.values()]
        free = [
            conv
            for conv in weighted
            if conv[0].name not in found and left and self._ends(conv[1]).last == self._ends(left[0][1]).first
        ]
        if found and len(left) == len(free) == 1:
            found[free[0][0].name] = left[0]
        return found if found and len(left) <= 1 else {}

    def _numbered_alike(self, norms: Sequence[Part], weighted: Sequence[Part]) -> dict[str, Part]:
        """Return for each convolution's name the norm of its number, `batch2` for `c2`, where these words say nothing
        and all of both are numbered alike."""
        mine, theirs = (
            dict(zip(map(last_number, names), held, strict=True))
            for names, held in (
                ([part[0].name for part in norms], norms),
                ([part[0].name for part in weighted], weighted),
            )
        )
        known = all(numbered_key(part[0].name, self.habits.convolution_norm_first) for part in (*norms, *weighted))
        if known or "" in mine or mine.keys() != theirs.keys() or len(mine) < len(norms) or len(theirs) < len(weighted):
            return {}
        fits = all(self.size[mine[n][1][0].path].first in self._ends(theirs[n][1]) for n in mine)
        return {theirs[number][0].name: norm for number, norm in mine.items()} if fits else {}

    def _beside(self, parts: list[Part], norms: Mapping[str, Part]) -> list[Part]:
        """Return the parts with each of `norms` beside the one that it is named for."""
        moved = {norm[0].name for norm in norms.values()}
        result: list[Part] = []
        for part in parts:
            if part[0].name in moved:
                continue
            norm = norms.get(part[0].name)
            pair = [norm, part] if self.habits.convolution_norm_first else [part, norm]
            result.extend(p for p in (pair if norm else [part]) if p)
        return result

    def _with_makers(self, parts: list[Part]) -> list[Part]:
        """Put a batch norm that stands behind other channels than its own behind the one layer that makes as many."""
        for norm in [part for part in parts if part[0].layer and part[0].layer.attribute("norm") == "batch"]:
            at, width = parts.index(norm), self.size[norm[1][0].path].first
            before = self._ends([layer for _, layers in parts[:at] for layer in layers]).last
            rest = [*parts[:at], *parts[at + 1 :]]
            makers = [i for i, (_, layers) in enumerate(rest) if self._makes(layers, width)]
            bare = [i for i in makers if not (i + 1 < len(rest) and _is_norm(rest[i + 1]))]
            if before not in (0, width) and len(bare) == 1:
                parts = [*rest[: bare[0] + 1], norm, *rest[bare[0] + 1 :]]
        return parts

    def _with_end(self, parts: list[Part]) -> list[Part]:
        """Put the one layer that takes what the last module gives, and not what stands before it, behind that;
        with nothing before it, if nothing takes what it gives."""
        ends = [self._ends(layers) for _, layers in parts]
        takers = Counter(end.first for end in ends)
        given, before = [0], 0
        for end in reversed(ends):
            given.append(given[-1] or end.last)
        for at, (_, layers) in enumerate(parts[:-1]):
            first, last = ends[at]
            alone = len(layers) == 1 and layers[0].kind in LINEAR
            given_last = given[-at - 2] or before
            strange = before != first if before else first != last
            if alone and strange and given_last == first and takers[last] == (first == last):
                return [*parts[:at], *parts[at + 1 :], parts[at]]
            before = last or before
        return parts

    def _with_start(self, parts: list[Part]) -> list[Part]:
        """Put the one layer that takes what nothing gives before all others, if the first of these takes what it gives."""
        ends = [self._ends(layers) for _, layers in parts]
        given = {end.last for end in ends}
        strange = [i for i, end in enumerate(ends) if end.first and end.first not in given]
        at = strange[0] if len(strange) == 1 else 0
        before = next((end.first for end in ends[:at] if end.first), 0)
        alone = at and len(parts[at][1]) == 1 and parts[at][1][0].kind in LINEAR
        return [parts[at], *parts[:at], *parts[at + 1 :]] if alone and before == ends[at].last else parts

    def _entry_keys(self, parts: Sequence[Part]) -> dict[str, Key]:
        """Return the place of what halves the resolution before the rest of its block or stage, and not beside it: it
        makes as many channels as something there takes, of others, which nothing takes but a row of layers."""
        for module, layers in parts:
            if surroundings(module.name) != "down":
                continue
            ends = self._ends(layers)
            taken = {self._ends(other).first for o, other in parts if o is not module}
            beside = ends.first in taken and sum(layer.kind == "conv" for layer in layers) < 2
            if ends.last in taken - {ends.first} and not beside:
                return {module.name: (-2.0,)}
        return {}

    def _makes(self, layers: Sequence[Layer], width: int) -> bool:
        return any(layer.kind == "conv" for layer in layers) and self._ends(layers).last == width

    def _with_gates(self, parts: list[Part]) -> list[Part]:
        """Put squeeze-and-excitation after the convolution that it weighs: a grouped one, else the last that fits."""
        gates = [p for p in parts if surroundings(p[0].name) == "se"]
        if len(gates) != 1:
            return parts
        width = self._ends(gates[0][1]).first
        rest = [p for p in parts if p is not gates[0]]
        fits = [
            i
            for i, (module, layers) in enumerate(rest)
            if self._ends(layers).last == width
            and any(layer.kind == "conv" for layer in layers)
            and surroundings(module.name) not in BESIDE
        ]
        if not fits:
            return parts
        grouped = [i for i in fits if self._is_grouped(rest[i][1], self._ends(rest[i - 1][1]).last if i else 0)]
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


def _as_created(norms: Sequence[Part]) -> list[Part]:
    """Return norms that a library named in the order in which they were made, `norm`, `norm_1`, `norm_2`, in that
    order; none if they are named otherwise."""
    names = {part[0].name: part for part in norms}
    first = min(names, key=len, default="")
    made = [first, *(f"{first}_{i}" for i in range(1, len(norms)))]
    return [names[name] for name in made] if len(norms) > 1 and names.keys() == set(made) else []


def _is_list(module: Module) -> bool:
    return all(name.isdecimal() and child.layer and not child.children for name, child in module.children.items())


def _is_norm(part: Part) -> bool:
    return part[0].layer is not None and part[0].layer.kind == "norm"
