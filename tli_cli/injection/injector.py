"""Run a plan: make each target tensor from the source tensors that its step names. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from tli_cli.axis_maps.expressions import apply_expression, apply_parted
from tli_cli.axis_maps.selection import selection_of, with_phases
from tli_cli.axis_maps.take import Read
from tli_cli.axis_maps.values import LEAVE_SOME, PlanMaps
from tli_cli.describe.normed import WITH_LENGTH
from tli_cli.errors import PlanError
from tli_cli.floats import STORED
from tli_cli.injection.in_memory import computed, length_of, lengthened, selected
from tli_cli.pieces import AxisExpression, Fold, Piece, shape_of_part
from tli_cli.plan import DIRECTION, LENGTH, Plan, Step
from tli_cli.resizing import RESIZERS
from tli_cli.seeding import generator_for

Initial = Callable[[Step], torch.Tensor]
"""Give the value that a target tensor starts from where nothing is injected."""

Region = tuple[tuple[int, int, int], tuple[int, ...]]
"""A part of a target tensor: `(axis, start, stop)`, counted on the tensor's view of a shape."""


@dataclass
class Injector:
    """Makes the target tensors of `plan` one at a time; `maps` are the values of its axis maps."""

    plan: Plan
    read: Read
    initial: Initial
    maps: PlanMaps

    def make(self, step: Step) -> torch.Tensor:
        """Return the tensor of `step`, of its shape and in the source's dtype (the initial value's for kept tensors).

        Raises:
            PlanError: the pieces do not give the step's shape.
        """
        if step.action == "keep":
            return self.initial(step)
        if step.resizer == LENGTH:
            weight = self.plan.by_role[step.layer, "weight"]  # whose length it gives
            whole = self._of_pieces(replace(weight, resizer="maps"))
            return length_of(whole, step.shape).to(whole.dtype)
        return self._direction(step) if step.resizer == DIRECTION else self._of_pieces(step)

    def _direction(self, step: Step) -> torch.Tensor:
        """Return a weight that is given a length: without one of its own it starts in some direction, not at zero."""
        made = self._of_pieces(replace(step, resizer="maps"))
        gone = length_of(made, self.plan.by_role[step.layer, WITH_LENGTH].shape) == 0
        return torch.where(gone, self.initial(step).to(made), made) if bool(gone.any()) else made

    def _of_pieces(self, step: Step) -> torch.Tensor:
        regions: dict[Region | None, torch.Tensor] = {}
        for piece in step.pieces:
            made = self._with_missing_rows(step, piece, self._piece(step, piece))
            shape = _region_shape(step, piece)
            made = self._fitted(made, shape, step)
            made = made * piece.weight if piece.weight != 1.0 else made
            region = None if piece.target_range is None else (piece.target_range, piece.target_view or step.shape)
            held = regions.get(region)
            regions[region] = made if held is None else held + made.to(held.device)
        if None in regions:
            return regions[None]
        base = self.initial(step).clone()
        for ((axis, start, stop), view), made in ((r, m) for r, m in regions.items() if r is not None):
            base = base.to(device=made.device, dtype=torch.promote_types(base.dtype, made.dtype)).contiguous()
            cut = base.view(view).narrow(axis, start, stop - start)
            cut.copy_(made.reshape(cut.shape))
        return base

    def _source(self, piece: Piece) -> torch.Tensor:
        tensor = self.read(piece.model, piece.source)
        if piece.fold is not None:
            tensor = self._folded(tensor, piece.fold, piece)
        if piece.source_range is not None:
            axis, start, stop = piece.source_range
            if piece.source_view:
                if torch.Size(piece.source_view).numel() != tensor.numel():
                    raise PlanError(f"plan: {piece.source} {list(tensor.shape)} cannot be seen as {piece.source_view}")
                tensor = tensor.reshape(piece.source_view)
            if axis >= tensor.ndim or not 0 <= start <= stop <= tensor.shape[axis]:
                raise PlanError(f"plan: range {piece.source_range} is outside of {piece.source} {list(tensor.shape)}")
            tensor = tensor.narrow(axis, start, stop - start)
            tensor = tensor.flatten(axis - 1, axis + 1) if piece.source_view else tensor
        return tensor

    def _folded(self, tensor: torch.Tensor, fold: Fold, piece: Piece) -> torch.Tensor:
        """Return a layer's weight, or its bias, which may stand in place of the norm's mean, with the norm or scale
        behind it, or before it, taken into it."""

        def held(name: str, missing: float) -> torch.Tensor:
            return read(name) if name else torch.full_like(slope, missing)

        def read(name: str) -> torch.Tensor:
            return computed(self.read(piece.model, name)).to(tensor.device)

        tensor = lengthened(tensor, read(fold.length)) if fold.length else tensor
        if fold.before:
            factor = read(fold.before) + fold.offset
            along = [-1 if dim == fold.axis else 1 for dim in range(tensor.ndim)]
            tensor = computed(tensor) * factor.reshape(along)
        if not (fold.variance or fold.scale):
            return tensor
        slope = (read(fold.variance) + fold.epsilon).rsqrt() if fold.variance else torch.ones(1)
        slope = slope.to(tensor.device) * held(fold.scale, 1.0)
        if piece.source == fold.mean:
            made = held(fold.shift, 0.0) + (held(fold.bias, 0.0) - computed(tensor)) * slope
        else:
            made = computed(tensor) * slope.reshape(-1, *[1] * (tensor.ndim - 1))
        return made.to(tensor.dtype)

    def _piece(self, step: Step, piece: Piece) -> torch.Tensor:
        tensor = self._source(piece)
        if step.resizer not in ("copy", "maps"):
            shape = _region_shape(step, piece)
            generator = generator_for(self.plan.seed, step.target)
            start = self._start(step, piece)
            return RESIZERS.get(step.resizer)(tensor, shape, generator=generator, initial=start)
        if piece.layout is not None:
            tensor = tensor.reshape(piece.layout.split).permute(piece.layout.permute).reshape(piece.layout.shape)
        if step.resizer == "copy" or not (tensor.is_floating_point() or tensor.is_complex()):
            return tensor
        if piece.axes and len(piece.axes) != tensor.ndim:
            raise PlanError(f"plan: {step.target}: {len(piece.axes)} axes for a source of shape {list(tensor.shape)}")
        return self._mapped(tensor, piece) if piece.axes else self._gained(tensor, piece)

    def _mapped(self, tensor: torch.Tensor, piece: Piece) -> torch.Tensor:
        """Return `tensor` with every axis taken through its expression; a few rows at a time where all choose."""
        maps, contracted = self.plan.maps, [dim in piece.contracted for dim in range(tensor.ndim)]
        selections = [selection_of(e, maps, self.maps, c) for e, c in zip(piece.axes, contracted, strict=True)]
        chosen = [selection for selection in selections if selection is not None]
        if (
            not any(piece.added)
            and len(chosen) == len(selections)
            and tensor.device.type == "cpu"
            and str(tensor.dtype)[6:] in STORED
        ):
            made = selected(tensor, with_phases(chosen, contracted), piece.gain)
            if made is not None:
                return made
        made = computed(tensor) + piece.added[0]
        for dim, expression in enumerate(piece.axes):
            made = apply_expression(made, dim, expression, maps, self.maps, contracted[dim])
        made = apply_parted(made, [None if one is None else one.parted for one in selections], contracted)
        return (made * piece.gain - piece.added[1]).to(tensor.dtype)

    def _gained(self, tensor: torch.Tensor, piece: Piece) -> torch.Tensor:
        if piece.gain == 1.0 and not any(piece.added):
            return tensor
        return ((computed(tensor) + piece.added[0]) * piece.gain - piece.added[1]).to(tensor.dtype)

    def _start(self, step: Step, piece: Piece) -> torch.Tensor:
        """Return what the part of the target that `piece` feeds starts from."""
        start = self.initial(step)
        if piece.target_range is None:
            return start
        axis, first, stop = piece.target_range
        part = start.reshape(piece.target_view or step.shape).narrow(axis, first, stop - first)
        return part.reshape(_region_shape(step, piece))

    def _with_missing_rows(self, step: Step, piece: Piece, made: torch.Tensor) -> torch.Tensor:
        """Return `made` with rows that the source lacks (new classes, tokens, channels) at their initial values."""
        for dim, expression in enumerate(piece.axes):
            if dim in piece.contracted or step.resizer != "maps":
                continue
            missing = torch.nonzero(self._missing(expression)).flatten()
            if len(missing):
                start = self._start(step, piece).to(made).reshape(made.shape)
                made = made.index_copy(dim, missing.to(made.device), start.index_select(dim, missing.to(made.device)))
        return made

    def _missing(self, expression: AxisExpression) -> torch.Tensor:
        """Return which target indices of `expression` nothing feeds, of shape `(rows,)`."""
        if isinstance(expression, int):
            take = self.maps[expression].out
            rule = self.plan.maps[expression].rule
            if rule in LEAVE_SOME and take is not None and take.index is not None:
                return torch.from_numpy(take.index == -1)
            return torch.zeros(self.plan.maps[expression].rows, dtype=torch.bool)
        parts = [self._missing(child) for child in expression[1:]]
        if expression[0] == "+":
            return torch.cat(parts)
        whole = parts[0]
        for part in parts[1:]:
            whole = (whole[:, None] | part[None, :]).flatten()
        return whole

    def _fitted(self, tensor: torch.Tensor, shape: Sequence[int], step: Step) -> torch.Tensor:
        if tensor.numel() != torch.Size(shape).numel():
            raise PlanError(
                f"plan: {step.target}: expected shape {list(shape)}, its pieces give {list(tensor.shape)}; "
                "make the plan again with `tli match -o`"
            )
        return tensor.reshape(tuple(shape))


def _region_shape(step: Step, piece: Piece) -> tuple[int, ...]:
    return shape_of_part(step.shape, piece.target_range, piece.target_view)


def injector_for(plan: Plan, read: Read, initial: Initial) -> Injector:
    """Return what makes the tensors of `plan`, its axis maps by what `read` gives."""
    return Injector(plan, read, initial, PlanMaps(plan, read))
