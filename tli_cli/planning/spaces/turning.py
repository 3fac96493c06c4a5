"""Which channels of queries and keys a rotary embedding turns together, neighbours or those of two halves, on both
sides of a pair of layers: by the graph, or by names of projects that are known for one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tli_cli.architecture import Architecture, AxisTree
from tli_cli.describe.spaces import factors_of
from tli_cli.describe.turned import HALVES, PAIRS, Way, turned_channels, way_of
from tli_cli.matching.units import Unit, main_tensor
from tli_cli.matching.values import Matching, Pair
from tli_cli.plan import Step
from tli_cli.planning.roles import made_by

ROLES = ("q", "k", "q_norm", "k_norm")
NAMED: tuple[tuple[str, str, str, str], ...] = (
    (HALVES, r"(^|\.)model\.layers\.\d+\.attention\.wqkv\.", "", ""),
    (PAIRS, r"(^|\.)attention\.(wq|wk|wqkv)\.", r"\.feed_forward\.((experts\.\d+\.)?w1|gate)\.", ""),
    (PAIRS, r"(^|\.)layers\.\d+\.attn\.[qk]_proj\.", r"\.attn\.output_proj\.", r"\.[qk]_norm\.|\.q_proj\.bias$"),
    (HALVES, r"(^|\.)layers\.\d+\.attn\.[qk]_(proj|norm)\.", r"\.attn\.output_proj\.", ""),
    (HALVES, r"(^|\.)layers\.\d+\.self_attn\.([qk]|qkv)_(proj|norm)\.", r"\.self_attn\.o_proj\.", ""),
    (HALVES, r"(^|\.)h\.\d+\.attn\.(qkv|attn|norm_[qk])\.", r"\.norm_1\.", ""),
    (HALVES, r"(^|\.)W_pack\.", "", ""),
)  # fmt: skip
"""(way, names of queries and keys, what else is in the file, what is not): InternLM2; the files of LLaMA's and
Mistral's authors (meta-llama/llama, `llama/model.py`), gpt-fast and EasyLM; torchtune (`models/llama2`), of which
Qwen's turn halves; transformers (`models/llama`); lit-gpt; Baichuan."""
LIKELY = re.compile(r"(^|\.)(wq|wk|wqkv|attn_(q|k|qkv))(\.|$)")
"""What else is named like LLaMA of its authors, and files of llama.cpp, of which those of LLaMA turn neighbours."""
UNTOLD = "its channels may turn in pairs in one of the files and in halves in the other"
UNCUT = (
    "its channels turn in pairs in one of the files and in halves in the other, of heads whose width is a guess; "
    "--source-arch or a configuration beside the file tells it"
)


def turned_by_guess(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return what the user should know of queries and keys whose channels may stand elsewhere than they belong."""
    for doubt in (UNCUT, UNTOLD):
        found = [step.target for step in steps if step.action == "transfer" and doubt in step.reason]
        if found:
            told = "" if doubt == UNCUT else "; --source-arch can tell"
            return (f"{len(found)} queries and keys, such as {found[0]}, may be wrong: {doubt}{told}",)
    return ()


@dataclass(frozen=True, slots=True)
class Turn:
    """How heads are turned otherwise than their partners, None where both are alike, and what is not certain."""

    way: Way | None = None
    doubt: str = ""


class Turns:
    """How the heads of a target and of one source are turned."""

    def __init__(self, target: Architecture, source: Architecture, matching: Matching) -> None:
        self._mine, self._theirs = _Side(target, matching.targets), _Side(source, matching.sources)

    def of(self, pair: Pair) -> Turn:
        """Return how the channels of `pair` are turned otherwise in its target than in its source."""
        if self._are_named_alike(pair):
            return Turn(doubt=UNTOLD if self._is_named_otherwise(pair) else "")
        mine, theirs = self._mine.way(pair.target), self._theirs.way(pair.source)
        if mine is None or theirs is None:
            return Turn(doubt=UNTOLD if self._is_doubtful(pair, mine, theirs) else "")
        if mine.kind == theirs.kind:
            return Turn()
        if (mine.turned, mine.width, mine.start) != (theirs.turned, theirs.width, theirs.start):
            return Turn(doubt=UNTOLD)
        told = self._mine.is_cut(pair.target) or self._theirs.is_cut(pair.source)
        return Turn(mine, "" if told else UNCUT)

    def _is_doubtful(self, pair: Pair, mine: Way | None, theirs: Way | None) -> bool:
        """Tell whether one side turns neighbours, or may do so, and the other may not."""
        paired = [
            side.is_likely(unit) or (way is not None and way.kind == PAIRS)
            for side, unit, way in ((self._mine, pair.target, mine), (self._theirs, pair.source, theirs))
        ]
        if paired[0] == paired[1]:
            return False
        side, way = (self._theirs, theirs) if paired[0] else (self._mine, mine)
        return side.is_silent or way is not None

    def _is_named_otherwise(self, pair: Pair) -> bool:
        """Tell whether the names of a bare file are those of projects that turn heads in another way than the other
        side, which has the same names and is run: it may be a file of either."""
        run, bare = ((self._mine, pair.target), (self._theirs, pair.source))[:: 1 if self._mine.is_run else -1]
        way, named = run[0].way(run[1]), bare[0].named_way(bare[1])
        return run[0].is_run and way is not None and named not in ("", way.kind)

    def _are_named_alike(self, pair: Pair) -> bool:
        """Tell whether names are all that one side tells, and are those of the other."""
        told = self._mine.is_run and self._theirs.is_run
        return not told and self._mine.name(pair.target) == self._theirs.name(pair.source)


class _Side:
    def __init__(self, architecture: Architecture, units: Sequence[Unit]) -> None:
        self._architecture = architecture
        self._is_placed = any(unit.role == "position" for unit in units)
        self.is_run = architecture.order_from in ("trace", "catalogue")

    @cached_property
    def _turned(self) -> set[AxisTree]:
        return turned_channels(self._architecture)

    @cached_property
    def _names(self) -> str:
        return "\n".join(self._architecture.by_name)

    @cached_property
    def _named(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """The ways that names say, as far as the file holds what goes with them."""
        known = () if self.is_run or self._is_placed else NAMED
        return tuple(
            (way, re.compile(names))
            for way, names, beside, without in known
            if (not beside or re.search(beside, self._names))
            if not (without and re.search(without, self._names, re.M))
        )

    @property
    def is_silent(self) -> bool:
        """Whether nothing shows what is not turned."""
        return not self._architecture.graph and not self._is_placed

    def name(self, unit: Unit) -> str:
        """Return the last words of the name of a unit's weight, those of the module that holds it among them."""
        return ".".join(self._full(unit).split(".")[-3:])

    def way(self, unit: Unit) -> Way | None:
        """Return how the heads of what `unit` makes are turned; None if nothing tells."""
        tree = made_by(self._architecture, unit)
        if tree is None:
            return None
        if kind := self.named_way(unit):
            width = self._width(tree)
            return Way(kind, width, width) if width % 2 == 0 else None
        return way_of(self._architecture, tree, self._turned) if self._architecture.graph else None

    def named_way(self, unit: Unit) -> str:
        """Return how names say that the heads of what `unit` makes are turned; empty if they do not."""
        if unit.role not in ROLES:
            return ""
        return next((kind for kind, names in self._named if names.search(self._full(unit))), "")

    def is_likely(self, unit: Unit) -> bool:
        """Tell whether a unit is named as those of which neighbours often turn."""
        return not self.is_run and not self._is_placed and bool(LIKELY.search(self._full(unit)))

    def is_cut(self, unit: Unit) -> bool:
        """Tell whether it is known how many heads a unit makes."""
        return self.is_run or bool(self._architecture.layers[unit.place].attribute("heads"))

    def _full(self, unit: Unit) -> str:
        return main_tensor(self._architecture.layers[unit.place]) or ""

    def _width(self, tree: AxisTree) -> int:
        return self._architecture.size_of(factors_of(tree)[-1])
