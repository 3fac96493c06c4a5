"""Injection into a live module, in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tli_cli.axis_maps.take import MapValues
from tli_cli.errors import TliError
from tli_cli.fitting.choice import Replan, feeding, fitted_plan, gains, is_tried
from tli_cli.fitting.running import Running, shared_share
from tli_cli.fitting.verdict import before_fits, carried_out
from tli_cli.fitting.work import work_of
from tli_cli.gates import check_gates
from tli_cli.given import require
from tli_cli.initial import constant_start
from tli_cli.injection.fitted import fitted_state, require_trained
from tli_cli.injection.injector import injector_for
from tli_cli.injection.trials import tried_live
from tli_cli.kinship.ancestry import Values
from tli_cli.options import Labels, Options
from tli_cli.plan import Plan, Step
from tli_cli.planned import planner
from tli_cli.providers.effective import (
    Worked,
    effective_state,
    not_held,
    require_values,
    set_effective,
    unwrapped,
    worked_out,
)
from tli_cli.providers.inputs import Inputs
from tli_cli.providers.module import described_live
from tli_cli.references import Reference
from tli_cli.references.labels import labels_in, labels_of, shared_labels
from tli_cli.teachers import Taught, Teacher, example_of, told_live, understood

Sample = tuple[torch.Tensor, ...]


def apply_tli(
    model: nn.Module,
    teacher: Teacher | Sequence[Teacher],
    *,
    example: Any = None,
    teacher_example: Any = None,
    options: Options = Options(),
) -> Plan:
    """Inject the weights of `teacher` into `model`, in place, and return the plan that was carried out.

    Whatever is raised, the model is as it was before. `Options.dry_run` leaves it so too.

    `model` is the target and `teacher` the source (the paper's words): a module, a state dict, the path of a
    checkpoint, or several of them. What nothing is injected into keeps its value. All may live on any device; the
    arithmetic is done where the teacher's tensors are. `example` is a batch of input for the model, a tuple or a
    dictionary of what it takes, or shapes in their places; `teacher_example` is one for a teacher that is a module and
    takes another. Left out, they are batches of the shapes in `options`.

    Raises:
        TliError: a model cannot be run on the given example, a checkpoint cannot be read, or an option is unknown.
        GateError: a gate of `options` is not met.
    """
    require(options, Options, "options")
    model = unwrapped(model, "the model")
    if not options.dry_run:
        require_values(
            effective_state(model), "the model", "`model.to_empty(device=...)`, and its own start, come first"
        )
    example = example_of(options.input_shape) if example is None else example
    teacher_example = example_of(options.source_input_shape) if teacher_example is None else teacher_example
    described, inputs = described_live(model, example)
    own = told_live(model, described, "example")
    teachers, target = understood(teacher, own, teacher_example, example, options)
    lesson = _Lesson(model, target, inputs, tuple(teachers), options)
    plan, sample = lesson.planned()
    check_gates(plan, options)
    if options.dry_run:
        return plan
    return lesson.put(plan, sample)


@dataclass(frozen=True)
class _Lesson:
    """A model, what was understood of it, what it takes, and what is taken from where."""

    model: nn.Module
    target: Reference
    inputs: Inputs
    teachers: tuple[Taught, ...]
    options: Options

    def planned(self) -> tuple[Plan, Sample]:
        """Return the plan, and zeros of the models' inputs' shape where it has fits."""
        references = [teacher.reference for teacher in self.teachers]
        held = [Values(t.reference.architecture.tensors, t.read) for t in self.teachers]
        listed, own = self.options.source_labels, self.options.target_labels
        theirs = [
            _labels(t.module) if t.module and not listed else labels_of(t.reference, listed) for t in self.teachers
        ]
        labels = _labels(self.model) if own is None else labels_of(self.target, own), shared_labels(theirs)
        planned = planner(references, self.target, self.options, "target", held, labels)
        plan, sample = self._fitted(planned(self.options), lambda: planned(replace(self.options, method="fit")))
        told = (note for reference in (*references, self.target) for note in reference.remarks)
        return replace(plan, notes=tuple(dict.fromkeys((*told, *plan.notes)))), sample

    def _fitted(self, plan: Plan, replan: Replan) -> tuple[Plan, Sample]:
        """Return `plan` with fits where they are asked for or promise most."""
        asked = self.options.method == "fit"
        only, target = feeding(plan), self.target.architecture
        given = self.teachers[only or 0]
        teacher, source = given.module, given.reference.architecture
        graphs = bool(target.graph and source.graph and self.inputs.tensors)
        possible = only is not None and graphs and not any(worked_out(self.model)) and not given.reference.made
        possible = possible and not any(parameter.is_meta for parameter in self.model.parameters())
        if teacher is None or not possible or not (asked or (self.options.method == "auto" and gains(plan))):
            if asked:
                raise TliError("method 'fit': expected one module as a teacher, and both models to run on the example")
            return plan, ()
        sample = tuple(torch.zeros(t.shape, dtype=t.dtype) for t in self.inputs.tensors)
        try:
            mine, theirs = (Running(deepcopy(m).float().cpu().eval(), sample) for m in (self.model, teacher))
            share = shared_share(mine, theirs, target, source, self.options.fit_minutes)
            fitted = fitted_plan(plan, target, source, mine.numbers, share, self.options, replan)
            return fitted, mine.shown(share).sample
        except TliError as error:
            if asked:
                raise
            return replace(plan, notes=(*plan.notes, f"not fitted: {error}")), ()

    def put(self, plan: Plan, sample: Sample) -> Plan:
        """Carry out `plan` on the model, and return it as it was carried out."""
        plan, made = self._carried_out(plan, sample)
        twins = _copied(plan, self.teachers)
        plan = _without_claims(plan, not_held(self.model, made, twins))
        set_effective(self.model, made, twins)
        return plan

    def _carried_out(self, plan: Plan, sample: Sample) -> tuple[Plan, dict[str, torch.Tensor]]:
        """Return the plan as far as it could be carried out, and what it makes of the model's tensors."""
        own = effective_state(self.model)

        def initial(step: Step) -> torch.Tensor:
            value = own[step.target]
            constant = constant_start(step.initial, value.shape, value.dtype)
            return value if constant is None else constant

        injector = injector_for(before_fits(plan), lambda index, name: self.teachers[index].read(name), initial)
        made = {step.target: injector.make(step).to(own[step.target]) for step in injector.plan.steps}
        try:
            return plan, {**made, **self._learned(plan, made, sample, injector.maps)}
        except TliError as error:
            if self.options.method == "fit":
                raise
            plan, said = carried_out(plan, error, self.target.architecture)
            check_gates(plan, self.options)
            return replace(plan, notes=(*plan.notes, said)), made if plan.coverage else {}

    def _learned(
        self, plan: Plan, made: Mapping[str, torch.Tensor], sample: Sample, maps: Sequence[MapValues]
    ) -> Mapping[str, torch.Tensor]:
        """Return what fits change of what was `made`; raise `TliError` where a trial is against it."""
        teacher = self.teachers[plan.fits[0].model if plan.fits else 0]
        if plan.fits and teacher.module is not None:
            source = teacher.reference.architecture
            require_trained(source, teacher.read, type(teacher.module).__name__, self.options)
            numbers = Running(self.model, sample).numbers
            work = work_of(self.target.architecture, source, numbers, plan.fit_minutes)
            return fitted_state(plan, self.model, teacher.module, made, sample, maps, work, self.options)
        if is_tried(plan):
            tried_live(plan, self.target.architecture, self.model, made, self.inputs.tensors)
        return {}


def _copied(plan: Plan, teachers: Sequence[Taught]) -> dict[str, Worked]:
    """Return what the tensors are in their teachers, by their names in the target, that are copied from what a teacher
    works out."""
    made = [{n: (m, a) for n, m, a in worked_out(t.module)} if t.module else {} for t in teachers]
    copies = (s for s in plan.steps if s.is_copied and len(s.pieces) == 1)
    whole = ((s.target, p) for s in copies for p in s.pieces if p.target_range is None and p.source_range is None)
    return {name: made[piece.model][piece.source] for name, piece in whole if piece.source in made[piece.model]}


def _without_claims(plan: Plan, names: Collection[str]) -> Plan:
    """Return `plan`, in which no step is exact of the tensors that cannot be what was made for them."""
    if not names:
        return plan
    said = "the way it is worked out (a parametrisation, or pruning) does not let it be what was made for it"
    return replace(plan.doubting(names, said), notes=(*plan.notes, f"{', '.join(sorted(names))}: {said}"))


def _labels(module: nn.Module) -> Labels:
    """Return what the classes of a model of transformers are called."""
    return labels_in({"id2label": getattr(getattr(module, "config", None), "id2label", None)})
