"""Make target tensors that need arithmetic, on the device that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from tli_cli.allocator import kept_blocks
from tli_cli.axis_maps.values import PlanMaps
from tli_cli.devices import reproducible, usable_device
from tli_cli.errors import TliError, first_line
from tli_cli.fitting.choice import is_tried
from tli_cli.fitting.verdict import before_fits, carried_out
from tli_cli.gates import check_gates
from tli_cli.initial import DRAWN, constant_start, default_initial, drawn_start, replay
from tli_cli.injection.fitted import fitted_values
from tli_cli.injection.injector import Injector
from tli_cli.injection.stored_values import StoredValues
from tli_cli.injection.trials import head_start, tried
from tli_cli.plan import Plan, Step

if TYPE_CHECKING:
    from tli_cli.options import Options
    from tli_cli.references import Reference
    from tli_cli.report import Progress

SMALLER = (
    "{} is drawn {:.2g} times as large as its constructor draws it, to learn at once: what it reads has grown in "
    "training, as nothing normalises it"
)


class Maker:
    """Makes one target tensor at a time; the source tensor that was read last is kept for the parts that follow."""

    def __init__(
        self,
        plan: Plan,
        maps: PlanMaps,
        values: StoredValues,
        sources: Sequence[Reference],
        target: Reference,
        options: Options,
        progress: Progress | None = None,
    ) -> None:
        self._values, self._target, self._seed = values, target, plan.seed
        self._device = usable_device(options.device)
        self._last: tuple[tuple[int, str], torch.Tensor] | None = None
        self._injector = Injector(before_fits(plan), self._read, self._initial, maps)
        self.plan = plan
        """What is carried out: the plan without its fits where these are worth nothing, or one that moves nothing."""
        self._fitted = self._fit(sources, options, progress) if plan.fits or is_tried(plan) else {}
        self._head, self._factor = head_start(self.plan, target, self._made, options)
        if self._head:
            values.notes.append(SMALLER.format(self._head, self._factor))

    def _fit(
        self, sources: Sequence[Reference], options: Options, progress: Progress | None
    ) -> Mapping[str, torch.Tensor]:
        """Return what is fitted; nothing where that fails and was not asked for: the maps alone are a start too, but
        between unlike models, where the target starts as it would without a source."""
        plan = self.plan
        try:
            with kept_blocks():
                if not plan.fits:
                    tried(self._injector, plan, self._target, options, progress)
                    return {}
                source = sources[plan.fits[0].model]
                return fitted_values(self._injector, plan, source, self._target, options, progress)
        except TliError as error:
            if options.method == "fit":
                raise
            self.plan, said = carried_out(plan, error, self._target.architecture)
            check_gates(self.plan, options)
            self._injector.plan = self.plan
            self._values.notes.append(said)
            return {}

    def make(self, step: Step, dtype: str) -> torch.Tensor:
        """Return the tensor of `step`, contiguous on the CPU, in `dtype`.

        Raises:
            TliError: memory does not suffice, or the arithmetic fails on these values.
        """
        try:
            with torch.no_grad(), reproducible(self._device):
                made = self._made(step)
                made = made * self._factor if step.target == self._head else made
            if all(piece.source_range is None for piece in step.pieces):
                self._last = None
            return made.to(device="cpu", dtype=getattr(torch, dtype)).contiguous()
        except (RuntimeError, MemoryError, ArithmeticError) as error:
            given, said = ", ".join(dict.fromkeys(piece.source for piece in step.pieces[:4])), first_line(error)
            of = f"{step.target} {list(step.shape)}: could not be made from {given or 'its initial value'}"
            raise TliError(f"{of}: {said}; nothing was written") from error

    def _made(self, step: Step) -> torch.Tensor:
        """Return the tensor of `step`, a fresh head as its constructor draws it."""
        fitted = self._fitted.get(step.target)
        return self._injector.make(self._injector.plan.by_target[step.target]) if fitted is None else fitted

    def _read(self, model: int, name: str) -> torch.Tensor:
        key = (model, name)
        if self._last is None or self._last[0] != key:
            self._last = None  # before the next one is read: both at once would cost memory
            self._last = (key, self._values.read(model, name).to(self._device))
        return self._last[1]

    def _initial(self, step: Step) -> torch.Tensor:
        """Return what the step's target tensor starts from: a constant, its own value, or its constructor's."""
        architecture = self._target.architecture
        spec = architecture.by_name[step.target]
        constant = constant_start(step.initial, spec.shape, getattr(torch, spec.dtype))
        if constant is not None:
            return constant
        if step.initial == "target" and self._target.checkpoint is not None:
            return self._target.checkpoint.read(step.target)
        if step.initial in DRAWN:
            return replay(drawn_start(step.initial, spec.shape), spec.shape, spec.dtype, self._seed, step.target)
        layer = architecture.layer_of.get(step.target)
        operations = architecture.initial.get(step.target) or default_initial(
            layer.kind if layer else "other", step.role, spec.shape
        )
        return replay(operations, spec.shape, spec.dtype, self._seed, step.target)
