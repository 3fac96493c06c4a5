"""One contribution to one target tensor: how the source's axes become the target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import LINEAR, UNTOLD, Architecture, Layer
from tli_cli.describe.channels_last import is_place
from tli_cli.describe.spaces import leaves
from tli_cli.describe.turned import PAIRS, Way
from tli_cli.pieces import Layout, Piece
from tli_cli.planning.roles import Share
from tli_cli.planning.spaces.dimension_rules import Ends, MappedDims
from tli_cli.planning.spaces.dims import Alignment, align_dims
from tli_cli.planning.spaces.maps import MapBook


def make_piece(ends: Ends, book: MapBook) -> Piece | None:
    """Return the piece that fills what `ends` want from what they offer; None where dimensions cannot be lined up."""
    wanted, offered = ends.wanted, ends.offered
    piece = Piece(
        offered.spec.name,
        ends.model,
        target_range=wanted.cut,
        source_range=offered.cut,
        source_shape=offered.spec.shape,
        target_view=wanted.view,
        source_view=offered.view,
    )
    if not wanted.axes or not offered.axes or _is_one_untold(ends):
        same = wanted.shape == offered.shape and ends.turn is None
        return piece if same else None
    ends = ends.with_whole_heads
    return _by_shape(piece, ends, book) or _along(piece, ends, book)


def _is_one_untold(ends: Ends) -> bool:
    """Tell whether one layer alone is of no known kind, such as what no code runs: its channels are no other's."""
    kinds = ends.layer.kind, ends.source.layer_of[ends.offered.spec.name].kind
    return kinds[0] != kinds[1] and UNTOLD in kinds


def _by_shape(piece: Piece, ends: Ends, book: MapBook) -> Piece | None:
    """Return `piece` as shapes alone tell, where nothing else is known of one side: as it is, or turned; else None."""
    wanted, offered, known = ends.wanted, ends.offered, (ends.target.graph, ends.source.graph)
    if all(known) or ends.turn is not None or _are_relisted(ends, book):
        return None
    in_place = not any(known) or lie_alike(ends.target, wanted, ends.source, offered)
    if in_place and _is_same_layout(wanted, offered, ends.layer):
        return piece
    if not _is_turned(wanted, offered):
        return None
    turned = Layout(offered.shape, (1, 0), wanted.shape)
    summed = tuple(d for d, axis in enumerate(wanted.axes) if axis.contracted)
    return replace(piece, layout=turned, axes=tuple(map(book.same, wanted.shape)), contracted=summed)


def _along(piece: Piece, ends: Ends, book: MapBook) -> Piece | None:
    """Return `piece` with a map along each dimension; None where dimensions cannot be lined up."""
    wanted, offered, turn = ends.wanted, ends.offered, ends.turn
    table = ends.layer.kind == "position"
    alignment = align_dims(ends.target, wanted.axes, ends.source, offered.axes, table=table)
    if alignment is None or (turn is not None and not _shows_heads(alignment, turn)):
        return None
    mapped = MappedDims(ends, alignment, book)
    if turn is not None and turn.is_whole:
        layout: Layout | None = _turned(alignment, mapped.head, turn)
    else:
        layout = _layout(alignment, offered.shape)
    return replace(piece, gain=mapped.gain, layout=layout, axes=mapped.expressions, contracted=mapped.contracted)


def _are_relisted(ends: Ends, book: MapBook) -> bool:
    """Tell whether the rows of two tensors of one shape are not each other's."""
    spaces = [ends.target.spaces[axis.tree] for axis in ends.wanted.axes if isinstance(axis.tree, int)]
    same = sorted(ends.wanted.shape) == sorted(ends.offered.shape)
    return same and any(book.rows.moves(space.kind, space.size, ends.source, ends.model) for space in spaces)


def _is_same_layout(wanted: Share, offered: Share, layer: Layer) -> bool:
    """Tell whether two tensors have one shape, in one order of axes; without a graph, heads and kinds are guessed, and
    which way a convolution goes."""
    shape, other = ([size for size in share.shape if size > 1] for share in (wanted, offered))
    summed, offers = (
        [axis.contracted for size, axis in zip(share.shape, share.axes, strict=True) if size > 1]
        for share in (wanted, offered)
    )
    if shape != other:
        return False
    goes_either_way = layer.kind == "conv" and len(shape) > 2
    return summed == offers or goes_either_way or layer.kind not in LINEAR or shape[:1] != shape[1:2]


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
    """Return how the source is viewed where the channels of its heads, dimension `head`, are turned otherwise."""
    at, half = alignment.pairs[head][1].place, way.width // 2
    cut = (2, half) if way.kind == PAIRS else (half, 2)
    order = [(i,) if i < at else (at + 1, at) if i == at else (i + 1,) for i in alignment.permute]
    split = (*alignment.split[:at], *cut, *alignment.split[at + 1 :])
    return Layout(split, tuple(i for found in order for i in found), alignment.shape)


def is_exact(piece: Piece, book: MapBook, but: str = "") -> bool:
    """Tell whether every map of the piece keeps the function, those of the rule `but` aside."""
    maps = (book.maps[index] for expression in piece.axes for index in leaves(expression))
    return all(m.exact or m.rule == but for m in maps)


def is_copy(piece: Piece, book: MapBook) -> bool:
    """Tell whether the piece moves values without changing or reordering any."""
    unmoved = all(book.maps[index].rule == "same" for expression in piece.axes for index in leaves(expression))
    return unmoved and piece.fold is None and piece.gain == 1.0 and not any(piece.added)


def is_scaled(piece: Piece, book: MapBook) -> bool:
    """Tell whether the piece multiplies what it makes."""
    words = {w for e in piece.axes for i in leaves(e) for w in book.maps[i].rule.split()[1:]}
    return piece.gain != 1.0 or bool(words & {"tied", "query", "weight"})
