"""Why a target tensor is not made of the source tensor that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import prod

from tli_cli.architecture import STATISTICS, UNTOLD, Architecture, InitialValue, Layer, TensorSpec
from tli_cli.describe.spaces import leaves
from tli_cli.dtypes import is_float
from tli_cli.planning.listed_rows import class_rows, vocabulary_sizes
from tli_cli.planning.request import Request
from tli_cli.planning.roles import Share, is_iterated

COMPUTED = "computed by the constructor"
DRAWS = ("normal_", "uniform_", "bernoulli_", "exponential_", "trunc_normal_", "orthogonal_", "sparse_")
"""Operations of constructors that draw numbers."""
FRESH = ("auto", "fresh")
"""The choices by which a head of other classes starts afresh."""
PACKED = "quantised values are copied as they are, never resized or cast"
INDEX = "int64"
"""The dtype of what picks rows of a table, in which no quantised values are held."""


class Refusals:
    """The reasons for which tensors of a target are not made of those of its sources."""

    def __init__(self, target: Architecture, sources: Sequence[Architecture], request: Request) -> None:
        self._target, self._sources, self._request = target, sources, request
        self._roots = {spec.name: class_rows(target, spec.name) for spec in target.tensors}

    def of(self, wanted: Share, offered: Share | None, layer: Layer, source_layer: Layer, source: Architecture) -> str:
        """Return why `wanted` of `layer` is not made of `offered` of `source_layer`; empty if it may be."""
        if layer.kind == "norm" and not self._request.norms:
            return "norms are left out"
        if refused := self._head_refused(wanted, offered, source):
            return refused
        if _is_packed(wanted.spec, wanted.role) or (offered is not None and _is_packed(offered.spec, offered.role)):
            same = offered is not None and (offered.spec.shape, offered.spec.dtype) == (
                wanted.spec.shape,
                wanted.spec.dtype,
            )
            return "" if same else COMPUTED if wanted.spec.dtype == INDEX else PACKED
        if _is_complex(offered) and not _is_complex(wanted):
            return "complex values have no place among real ones"
        if not (self._target.graph and source.graph) and _is_patch_of_unknown_order(wanted, offered):
            return "files do not tell in which order a linear layer takes the colours and places of a patch"
        if _is_computed(wanted, offered, layer) and not self._is_taken(wanted, offered, layer, source):
            return COMPUTED
        kinds = [side.attribute("norm") for side in (layer, source_layer)]
        if layer.kind == "norm" and source_layer.kind != UNTOLD and kinds.count("batch") == 1:
            return "another kind of norm: a batch norm moves with its statistics or not at all"
        return ""

    def _head_refused(self, wanted: Share, offered: Share | None, source: Architecture) -> str:
        """Return why rows of classes are not taken; tables of tokens are none."""
        mine = self._roots[wanted.spec.name]
        if not mine or offered is None:
            return ""
        theirs = class_rows(source, offered.spec.name) or (offered.spec.shape or (0,))[0]
        known = [vocabulary_sizes(one) for one in self._sources]
        if mine in vocabulary_sizes(self._target) and any(theirs in sizes for sizes in known):
            return ""
        if self._request.head == "fresh" and mine == theirs:
            return "head: fresh, as asked for"
        other = mine != theirs and offered.spec.shape != wanted.spec.shape
        return f"head: {mine} classes, the source has {theirs}" if other and self._request.head in FRESH else ""

    def _is_taken(self, wanted: Share, offered: Share | None, layer: Layer, source: Architecture) -> bool:
        """Tell whether a buffer is taken from the source all the same: what is found or drawn, no other number than its
        own constructor works out, and what goes with a stream of another width."""
        start = self._target.initial.get(wanted.spec.name)
        if start is None and self._request.keep_values != "target":
            return True
        if offered is None:
            return False
        same = offered.spec.shape == wanted.spec.shape
        if same and start is not None and start == source.initial.get(offered.spec.name):
            return True
        if not is_float(wanted.spec.dtype):
            return False
        return is_constant(start) or is_drawn(start) or (layer.is_added and self._has_other_channels(wanted, offered))

    def _has_other_channels(self, wanted: Share, offered: Share) -> bool:
        """Tell whether what is added to a stream runs over more or fewer of its channels than in the source: those that
        its own constructor works out are none of the stream's that is made of the source's."""
        shapes = wanted.spec.shape, offered.spec.shape
        if len(shapes[0]) != len(shapes[1]):
            return False
        axes = (axis for axis, mine, theirs in zip(wanted.axes, *shapes, strict=False) if mine != theirs)
        return any(self._learned.issuperset(leaves(axis.tree)) for axis in axes)

    @cached_property
    def _learned(self) -> frozenset[int]:
        """The spaces of channels that run through what is learned."""
        held = (self._target.axes.get(spec.name, ()) for spec in self._target.tensors if not spec.buffer)
        found = {leaf for axes in held for axis in axes for leaf in leaves(axis.tree)}
        return frozenset(leaf for leaf in found if self._target.spaces[leaf].kind == "channels")


def _is_patch_of_unknown_order(wanted: Share, offered: Share | None) -> bool:
    """Tell whether one of two weights is a convolution's and the other a matrix over all that its kernel covers."""
    shapes = sorted((share.spec.shape for share in (wanted, offered) if share is not None), key=len)
    if len(shapes) < 2 or len(shapes[0]) != 2 or len(shapes[1]) < 4 or max(shapes[1][2:]) == 1:
        return False
    return shapes[0] == (shapes[1][0], prod(shapes[1][1:]))


def _is_computed(wanted: Share, offered: Share | None, layer: Layer) -> bool:
    """Tell whether a buffer holds what its constructor works out: no norm's values, and nothing that is learned."""
    same = offered is not None and offered.spec.shape == wanted.spec.shape
    learned = offered is not None and same and (is_iterated(wanted.spec) or not offered.spec.buffer)
    return wanted.spec.buffer and wanted.role not in STATISTICS and layer.kind != "norm" and not learned


def is_constant(start: InitialValue | None) -> bool:
    """Tell whether a constructor fills a tensor with one value, which says that what comes to be there is found later:
    biases of routers and logits that are kept in buffers."""
    return bool(start) and all(operation[0] in ("zero_", "fill_") for operation in start or ())


def is_drawn(start: InitialValue | None) -> bool:
    """Tell whether a constructor draws the values of a tensor, which are the source's own then: the frequencies of
    Fourier features, a random projection."""
    return any(word in DRAWS for operation in start or () for word in operation if isinstance(word, str))


def _is_packed(spec: TensorSpec, role: str) -> bool:
    """Tell whether what is stored for a layer's weight stands for other numbers: integers, or several in a byte."""
    return role.partition(".")[0] in ("weight", "bias") and not is_float(spec.dtype)


def _is_complex(share: Share | None) -> bool:
    return share is not None and share.spec.dtype.startswith("complex")
