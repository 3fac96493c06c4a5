"""Rows that are taken one by one: of classes by a list of the user's, of tokens by what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tli_cli.architecture import Architecture
from tli_cli.describe.spaces import leaves
from tli_cli.errors import TliError
from tli_cli.pieces import AxisMap
from tli_cli.plan import ROW_BY_ROW
from tli_cli.vocabularies.pairing import TokenRows, Tokens


class ListedRows:
    """Gives the maps of axes of classes and tokens, and notes what was done with these."""

    def __init__(
        self,
        target: Architecture,
        head_rows: Mapping[int, int],
        tokens: Sequence[Tokens] = (),
        *,
        by_axes: bool = True,
    ) -> None:
        self._head_rows, self._tokens, self._by_axes = head_rows, tokens, by_axes
        self._sizes = vocabulary_sizes(target)
        self._known: dict[tuple[int, int, int], AxisMap | None] = {}
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how rows of classes and tokens were taken."""
        return tuple(self._notes)

    def of(self, kind: str, m: int, source: Architecture, n: int, model: int) -> AxisMap | None:
        """Return the map of an axis of `kind` from `n` rows of source `model` to `m`; None where none is listed."""
        if kind == "classes" and self._head_rows:
            self._check_head_rows(m, n)
            if m == n and all(self._head_rows.get(row) == row for row in range(m)):
                return AxisMap("same", m, m)
            index = tuple(self._head_rows.get(row, -1) for row in range(m))
            taken = sum(row >= 0 for row in index)
            if taken < m:
                self._notes[f"head: {taken} of {m} classes take a row of the source, the others start afresh"] = None
            return AxisMap(ROW_BY_ROW, m, n, exact=False, index=index)
        if kind not in ("vocabulary", "classes") or m not in self._sizes or n not in vocabulary_sizes(source):
            return None
        if (m, n, model) not in self._known:
            self._known[m, n, model] = self._by_token(m, n, model, main=max(self._sizes))
        return self._known[m, n, model]

    def moves(self, kind: str, m: int, source: Architecture, model: int) -> bool:
        """Tell whether an axis of `kind` of equal size has its rows elsewhere."""
        found = self.of(kind, m, source, m, model)
        return found is not None and found.rule != "same"

    def _by_token(self, m: int, n: int, model: int, main: int) -> AxisMap | None:
        tokens = self._tokens[model] if model < len(self._tokens) else ""
        if isinstance(tokens, TokenRows) and tokens.fits(m, n):
            if not tokens.moves(m, n):
                return AxisMap("same", m, m)
            if not self._by_axes:
                self._note("rows are not taken by token, for the method works on shapes alone")
                return None
            kept, composed, others = tokens.counts(m)
            self._note(
                f"{kept} of {kept + composed + others} tokens keep their rows, {composed} start as the mean of their "
                f"pieces, {others} as the mean of all ({tokens.source.origin} to {tokens.target.origin})"
            )
            return AxisMap("tokens", m, n, exact=False, listing=tokens.listing(m, n))
        if isinstance(tokens, TokenRows):
            tokens = (
                f"{tokens.source.origin} has {tokens.source.size} tokens and {tokens.target.origin} "
                f"{tokens.target.size}, which these tables do not fit"
            )
        elif m == n:
            return None
        if tokens and m == main:
            self._note(f"rows by index, {n} to {m}: {tokens}")
        return None

    def _note(self, text: str) -> None:
        self._notes[f"vocabulary: {text}"] = None

    def _check_head_rows(self, m: int, n: int) -> None:
        for row, taken in self._head_rows.items():
            if row >= m or taken >= n:
                raise TliError(
                    f"--head map: row {row} from row {taken}: the target has rows 0 to {m - 1}, the source 0 to {n - 1}"
                )


def class_rows(architecture: Architecture, name: str) -> int:
    """Return the size of the axis of tensor `name` that is made and runs over classes, 0 if it has none."""
    spaces = architecture.spaces
    found = (t for t in architecture.made(name) if any(spaces[leaf].kind == "classes" for leaf in leaves(t)))
    return next((architecture.size_of(tree) for tree in found), 0)


def vocabulary_sizes(architecture: Architecture) -> set[int]:
    """Return how many tokens the vocabularies of an architecture have."""
    return {space.size for space in architecture.spaces if space.kind == "vocabulary"}
