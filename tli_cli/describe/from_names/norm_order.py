"""The order of norms among the layers of a block: beside the convolutions that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tli_cli.describe.from_names.chains import Widths, ends_of
from tli_cli.describe.from_names.places import BESIDE, Habits, Part, numbered_key
from tli_cli.describe.spelling import last_number, stem_of
from tli_cli.describe.vocabulary import surroundings


@dataclass(frozen=True)
class NormOrder:
    """Puts norms in their places; `habits` are the whole network's, `size` holds the widths of layers."""

    habits: Habits
    size: Mapping[str, Widths]

    def beside_convolutions(self, parts: list[Part]) -> list[Part]:
        """Put norms beside convolutions: those named alike, `bn_dw` at `conv_dw` and `a_bn` at `a`, with the one that
        is left over; else numbered ones at those that are not, in order."""
        norms = [p for p in parts if p[0].layer and p[0].layer.kind == "norm"]
        weighted = [
            p for p in parts if p[0].layer and p[0].layer.kind == "conv" and surroundings(p[0].name) not in BESIDE
        ]
        if not norms or not weighted:
            return parts
        if named := self._named_alike(norms, weighted) or self._numbered_alike(norms, weighted):
            return self._beside(parts, named)
        by_creation = _as_created(norms)
        norms = by_creation or [p for p in norms if re.fullmatch(r"\D+_?\d", p[0].name)]
        plain = by_creation or not any(re.search(r"\d$", p[0].name) for p in weighted)
        if len(norms) != len(weighted) or not plain:
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
            if conv[0].name not in found
            and left
            and ends_of(self.size, conv[1]).last == ends_of(self.size, left[0][1]).first
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
        fits = all(self.size[mine[n][1][0].path].first in ends_of(self.size, theirs[n][1]) for n in mine)
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

    def behind_makers(self, parts: list[Part]) -> list[Part]:
        """Put a batch norm that stands behind other channels than its own behind the one layer that makes as many."""
        for norm in [part for part in parts if part[0].layer and part[0].layer.attribute("norm") == "batch"]:
            at, width = parts.index(norm), self.size[norm[1][0].path].first
            before = ends_of(self.size, [layer for _, layers in parts[:at] for layer in layers]).last
            rest = [*parts[:at], *parts[at + 1 :]]
            convs = [i for i, (_, layers) in enumerate(rest) if any(layer.kind == "conv" for layer in layers)]
            makers = [i for i in convs if ends_of(self.size, rest[i][1]).last == width]
            norms = [i for i, (own, _) in enumerate(rest) if own.layer is not None and own.layer.kind == "norm"]
            bare = [i for i in makers if i + 1 not in norms]
            if before not in (0, width) and len(bare) == 1:
                parts = [*rest[: bare[0] + 1], norm, *rest[bare[0] + 1 :]]
        return parts


def _as_created(norms: Sequence[Part]) -> list[Part]:
    """Return norms that a library named in the order in which they were made, `norm`, `norm_1`, `norm_2`, in that
    order; none if they are named otherwise."""
    names = {part[0].name: part for part in norms}
    first = min(names, key=len, default="")
    made = [first, *(f"{first}_{i}" for i in range(1, len(norms)))]
    return [names[name] for name in made] if len(norms) > 1 and names.keys() == set(made) else []
