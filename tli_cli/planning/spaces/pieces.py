"""One contribution to one target tensor: how the source's axes become the target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isclose

from tli_cli.architecture import LINEAR, Architecture, Layer
from tli_cli.describe.channels_last import is_place
from tli_cli.describe.turned import PAIRS, Way
from tli_cli.describe.vocabulary import canonical_role
from tli_cli.plan import Layout, Piece, map_indices
from tli_cli.planning.numbers import kernel_starts, middle
from tli_cli.planning.roles import Share
from tli_cli.planning.spaces.dims import BEHIND, Alignment, Dim, align_dims, with_heads
from tli_cli.planning.spaces.maps import MapBook

LOOKED_UP = ("embedding", "position", "token", "bias_table")
"""Kinds of layers that pick rows instead of summing over them."""


def make_piece(
    target: Architecture,
    wanted: Share,
    target_layer: Layer,
    query: bool,
    source: Architecture,
    offered: Share,
    model: int,
    book: MapBook,
    rescale: float | None = None,
    turn: Way | None = None,
) -> Piece | None:
    """Return the piece that fills `wanted` from `offered`; None where their dimensions cannot be lined up.

    `rescale` is by what queries must be multiplied, the usual `1/sqrt(width)` if it is None. `turn` is how
    heads are turned, where the source turns them in the other way.
    """
    piece = Piece(
        offered.spec.name,
        model,
        target_range=wanted.cut,
        source_range=offered.cut,
        source_shape=offered.spec.shape,
        target_view=wanted.view,
        source_view=offered.view,
    )
    if not wanted.axes or not offered.axes:
        same = wanted.shape == offered.shape and turn is None
        return piece if same else None
    if turn is not None:
        wanted = replace(wanted, axes=with_heads(target, wanted.axes, turn.width))
        offered = replace(offered, axes=with_heads(source, offered.axes, turn.width))
    guessed = not (target.graph and source.graph) and not _are_relisted(target, wanted, source, offered, model, book)
    known = bool(target.graph or source.graph)
    in_place = not known or lie_alike(target, wanted, source, offered)
    if guessed and turn is None and _is_same_layout(wanted, offered, target_layer) and in_place:
        return piece
    if guessed and turn is None and _is_turned(wanted, offered):
        turned = Layout(offered.shape, (1, 0), wanted.shape)
        summed = tuple(d for d, axis in enumerate(wanted.axes) if axis.contracted)
        return replace(piece, layout=turned, axes=tuple(map(book.same, wanted.shape)), contracted=summed)
    alignment = align_dims(target, wanted.axes, source, offered.axes, table=target_layer.kind == "position")
    if alignment is None or (turn is not None and not _shows_heads(alignment, turn)):
        return None
    use = _use(target_layer, wanted.role, query, target_layer.path in book.before_tied_head)
    made = [i for i, (t, _) in enumerate(alignment.pairs) if not t.contracted]
    rotary = [i for i in made if book.is_turned(alignment.pairs[i][0].tree, i)]
    innermost = max(rotary or [i for i in made if alignment.pairs[i][0].size > 1] or made, default=-1)
    head = max(made, default=-1) if turn is not None else -1
    of_image = any(t.contracted and t.kind == "input" for t, _ in alignment.pairs)
    raw = "raw" if target_layer.path in book.raw_readers else ""
    starts = _starts(alignment, target_layer, source.layer_of[offered.spec.name])
    kinds = [_kind(t, s, target_layer, of_image, book) for t, s in alignment.pairs]
    uses = {i: starts.get(i, "") if kind == "kernel" else raw for i, kind in enumerate(kinds) if i not in made}
    expressions = tuple(
        book.turned(turn)
        if turn is not None and i == head and not turn.is_whole
        else book.expression(
            t.tree,
            source,
            s.tree,
            model,
            kind=kinds[i],
            use=use if i == innermost else uses.get(i, ""),
        )
        for i, (t, s) in enumerate(alignment.pairs)
    )
    return replace(
        piece,
        gain=_gain(alignment.pairs[innermost], rescale) if "query" in use else 1.0,
        layout=_layout(alignment, offered.shape)
        if turn is None or not turn.is_whole
        else _turned(alignment, head, turn),
        axes=expressions,
        contracted=tuple(
            i for i, (t, _) in enumerate(alignment.pairs) if t.contracted and target_layer.kind not in LOOKED_UP
        ),
    )


def _are_relisted(
    target: Architecture, wanted: Share, source: Architecture, offered: Share, model: int, book: MapBook
) -> bool:
    """Tell whether the rows of two tensors of one shape are not each other's."""
    spaces = [target.spaces[axis.tree] for axis in wanted.axes if isinstance(axis.tree, int)]
    same = sorted(wanted.shape) == sorted(offered.shape)
    return same and any(book.rows.moves(space.kind, space.size, source, model) for space in spaces)


def _gain(innermost: tuple[Dim, Dim], rescale: float | None) -> float:
    """Return what is left to multiply where the queries' map makes up for the usual scale by another width of heads."""
    wanted, offered = innermost
    if rescale is None or wanted.size <= offered.size:
        return 1.0
    gain = rescale / (wanted.size / offered.size) ** 0.5
    return 1.0 if isclose(gain, 1.0, rel_tol=1e-6) else gain


def _is_same_layout(wanted: Share, offered: Share, layer: Layer) -> bool:
    """Tell whether two tensors have one shape, in one order of axes; without a graph, heads and kinds are guessed."""
    shape, other = ([size for size in share.shape if size > 1] for share in (wanted, offered))
    summed, offers = (
        [axis.contracted for size, axis in zip(share.shape, share.axes, strict=True) if size > 1]
        for share in (wanted, offered)
    )
    if shape != other:
        return False
    return summed == offers or layer.kind not in LINEAR or shape[:1] != shape[1:2]


def lie_alike(target: Architecture, wanted: Share, source: Architecture, offered: Share) -> bool:
    """Tell whether places and channels of flattened maps stand in one order on both sides, as far as both know them."""
    mine, theirs = (
        [
            [is_place(side, child) for child in axis.tree[1:]]
            for axis in share.axes
            if axis.contracted and isinstance(axis.tree, tuple)
        ]
        for side, share in ((target, wanted), (source, offered))
    )
    flattened = [[order[0] for order in side if len(set(order)) > 1] for side in (mine, theirs)]
    return not all(flattened) or flattened[0] == flattened[1]


def _is_turned(wanted: Share, offered: Share) -> bool:
    """Tell whether one matrix is the other turned: what the one sums over behind stands in front in the other."""
    summed = [[axis.contracted for axis in share.axes] for share in (wanted, offered)]
    return wanted.shape == offered.shape[::-1] and summed in (
        [[False, True], [True, False]],
        [[True, False], [False, True]],
    )


def _layout(alignment: Alignment, shape: Sequence[int]) -> Layout | None:
    if alignment.shape == tuple(shape) and alignment.permute == tuple(range(len(alignment.permute))):
        return None
    return Layout(alignment.split, alignment.permute, alignment.shape)


def _shows_heads(alignment: Alignment, way: Way) -> bool:
    """Tell whether the innermost dimension that is made is the width of a head on both sides."""
    made = [pair for pair in alignment.pairs if not pair[0].contracted]
    return bool(made) and [dim.size for dim in made[-1]] == [way.width, way.width] and made[-1][1].place >= 0


def _turned(alignment: Alignment, head: int, way: Way) -> Layout:
    """Return how the source is viewed where the channels of its heads, dimension `head`, are turned in the other way
    than `way`."""
    at, half = alignment.pairs[head][1].place, way.width // 2
    cut = (2, half) if way.kind == PAIRS else (half, 2)
    order = [(i,) if i < at else (at + 1, at) if i == at else (i + 1,) for i in alignment.permute]
    split = (*alignment.split[:at], *cut, *alignment.split[at + 1 :])
    return Layout(split, tuple(i for found in order for i in found), alignment.shape)


def _use(layer: Layer, role: str, query: bool, before_tied_head: bool) -> str:
    if layer.kind != "norm":
        return "query" if query else ""
    what = "weight" if role == "weight" else "bias"
    return f"{what}{' tied' if before_tied_head else ''}{' query' if query else ''}"


def _kind(t: Dim, s: Dim, layer: Layer, of_image: bool, book: MapBook) -> str:
    if t.kind == "kernel" or s.kind == "kernel" or (of_image and t.kind == "grid"):
        if _is_patch(layer, of_image) and s.size > 1:
            return "patch"
        return "summed" if t.place >= BEHIND and layer.kind == "conv" else "kernel"
    if t.kind == "grid" and s.kind == "grid" and t.contracted and book.has_channels(t.tree):
        return "channels"  # beside others that the input has
    if t.kind == "grid" and s.kind == "grid":
        return "offsets" if layer.kind == "bias_table" or layer.attribute("relative") else "grid"
    if book.is_turned(t.tree, t.place, t.contracted):
        return "rotary"
    if t.kind == "regrouped":
        return t.kind
    for kind in ("input", "vocabulary", "classes"):
        if kind in (t.kind, s.kind):
            placed = layer.kind == "position" or canonical_role(layer.path) == "position"
            return "places" if kind == "vocabulary" and placed else kind
    return "channels"


def _starts(alignment: Alignment, target: Layer, source: Layer) -> dict[int, str]:
    """Return by dimension at which row of a kernel that of the source starts, where it is not in the middle."""
    kernel = [i for i, (t, s) in enumerate(alignment.pairs) if t.kind == s.kind == "kernel"]
    starts = kernel_starts(target, source) or ()
    sizes = [(alignment.pairs[i][0].size, alignment.pairs[i][1].size) for i in kernel]
    if len(starts) != len(kernel):
        return {}
    return {i: str(at) for i, at, (m, n) in zip(kernel, starts, sizes, strict=True) if at != middle(m, n)}


def _is_patch(layer: Layer, of_image: bool) -> bool:
    """Tell whether a layer takes an image patch by patch: one vector of each, or a kernel as wide as its stride."""
    stride, kernel = layer.attribute("stride"), layer.attribute("kernel")
    return bool(kernel and stride == kernel and max(kernel) > 1) or (layer.kind == "linear" and of_image)


def is_exact(piece: Piece, book: MapBook, but: str = "") -> bool:
    """Tell whether every map of the piece keeps the function, those of the rule `but` aside."""
    maps = (book.maps[index] for expression in piece.axes for index in map_indices(expression))
    return all(m.exact or m.rule == but for m in maps)


def is_copy(piece: Piece, book: MapBook) -> bool:
    """Tell whether the piece moves values without changing or reordering any."""
    unmoved = all(book.maps[index].rule == "same" for expression in piece.axes for index in map_indices(expression))
    return unmoved and piece.fold is None and piece.gain == 1.0 and not any(piece.added)


def is_scaled(piece: Piece, book: MapBook) -> bool:
    """Tell whether the piece multiplies what it makes."""
    words = {w for e in piece.axes for i in map_indices(e) for w in book.maps[i].rule.split()[1:]}
    return piece.gain != 1.0 or bool(words & {"tied", "query", "weight"})
