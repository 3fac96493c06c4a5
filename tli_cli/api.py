"""The library's calls: `match`, `score`, `inject`, `inspect`, `matrix`, `rank`. The command line calls these and prints
what they return.

What one of them alone needs is imported there, so that each starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tli_cli.architecture import Architecture
from tli_cli.errors import TliError
from tli_cli.given import Model, Named, all_looked_at, called, is_live, looked_at, name_of, names_of, path_of, require
from tli_cli.options import Options
from tli_cli.references import (
    Reading,
    Reference,
    as_its_configuration,
    check_input_shape,
    related,
    with_sums,
)

if TYPE_CHECKING:
    from tli_cli.injection.verification import Verification
    from tli_cli.matrices.matrix import Matrix
    from tli_cli.plan import Plan
    from tli_cli.ranking import Ranking
    from tli_cli.report import Progress, Report
    from tli_cli.scoring.score import Score
    from tli_cli.teachers import Teacher


def _sides(
    sources: Model | Sequence[Model], target: Model, options: Options
) -> tuple[tuple[Reference, ...], Reference]:
    read = all_looked_at(sources, Reading.of_source(options))
    *given, wanted = related([*read, looked_at(target, Reading.of_target(options))])
    return tuple(with_sums(source, wanted) for source in given), wanted


def plan_for(sources: Sequence[Reference], target: Reference, options: Options) -> Plan:
    """Return the plan between resolved references; reads no values, but a few where several sources may be mixed."""
    from tli_cli.fitting.choice import add_fits
    from tli_cli.kinship.ancestry import Values
    from tli_cli.planned import planner
    from tli_cli.references.labels import labels_of, shared_labels

    keep_values = "target" if target.checkpoint is not None else "constructor"
    checkpoints = [source.checkpoint for source in sources]
    held = [None if c is None else Values(c.tensors, c.read) for c in checkpoints]
    theirs = shared_labels([labels_of(source, options.source_labels) for source in sources])
    labels = labels_of(target, options.target_labels), theirs
    planned = planner(sources, target, options, keep_values, held, labels)
    plan = add_fits(planned(options), sources, target, options, lambda: planned(replace(options, method="fit")))
    notes = tuple(note for reference in (*sources, target) for note in reference.remarks)
    many = len(sources) > 1
    aside = tuple(f"{i}:{name}" if many else name for i, source in enumerate(sources) for name in source.aside)
    return replace(plan, notes=tuple(dict.fromkeys((*notes, *plan.notes))), unused=(*plan.unused, *aside))


def match(sources: Model | Sequence[Model], target: Model, *, options: Options = Options()) -> Plan:
    """Return what would be injected into `target` from `sources`: a plan that `inject` carries out. Reads no values.

    Where `target` is a live module, it is what `apply_tli` would do.

    Raises:
        TliError: a reference cannot be read, or an option is unknown.
    """
    require(options, Options, "options")
    if is_live(target):
        from tli_cli.live import apply_tli

        return apply_tli(target, cast("Teacher", sources), options=replace(options, dry_run=True))
    return plan_for(*_sides(sources, target, options), options)


def score(source: Model, target: Model, *, options: Options = Options()) -> Score:
    """Return the TLI score of both directions between two models. Reads no values.

    Raises:
        TliError: a reference cannot be read, or the matcher is unknown.
    """
    from tli_cli.matching import MATCHERS
    from tli_cli.planning.doubted import score_architectures

    require(options, Options, "options")
    read = looked_at(source, Reading.of_source(options)), looked_at(target, Reading.of_target(options))
    given, wanted = related(read)
    found = score_architectures(given.architecture, wanted.architecture, MATCHERS.get(options.matcher))
    return replace(found, source=given.text, target=wanted.text)


def matrix(
    references: Model | Sequence[Model],
    *,
    options: Options = Options(),
    jobs: int | None = None,
    resume: Path | str | None = None,
    places: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Matrix:
    """Return the TLI scores between all of `references`, which may be globs over the catalogue. Reads no values.

    Models that are not given by name are called by their class, the second of one class `Net 2`. With `resume`, what is
    known is kept in that file, and a later call goes on from there. `places` says, for messages, where references stand
    that were read from a file.

    Raises:
        TliError: a reference cannot be read, the matcher is unknown, or `resume` is another matrix's file.
    """
    from tli_cli.matrices.matrix import score_all

    require(options, Options, "options")
    read = Reading(input_shape=options.input_shape, ema=options.ema)
    listed, live = called(references, read, "model")
    if jobs is not None and not (isinstance(jobs, int) and jobs >= 1):
        raise TliError(f"jobs: expected a whole number from 1 on, found {jobs!r}")
    path, where = None if resume is None else path_of(resume, "resume"), places or {}
    return score_all(
        listed,
        matcher=options.matcher,
        reading=read,
        jobs=jobs,
        resume=path,
        places=where,
        progress=progress,
        given=live,
    )


def rank(
    target: Model,
    sources: Model | Sequence[Model],
    *,
    options: Options = Options(),
    progress: Progress | None = None,
    besides: Sequence[str] = (),
    places: Mapping[str, str] | None = None,
) -> Ranking:
    """Return `sources` in the order in which they should start `target`, best first. Reads no values.

    Directories are searched for checkpoints other than `target` and `besides`; globs are taken over the catalogue.
    `places` are those of `matrix`, and so is what live models are called.

    Raises:
        TliError: what was named cannot be read, or the matcher is unknown.
    """
    from tli_cli.ranking import rank_sources

    require(options, Options, "options")
    wanted = looked_at(target, Reading.of_target(options))
    listed, live = called(sources, Reading.of_source(options), "source")
    return rank_sources(wanted, listed, options, progress, besides, places or {}, live)


def inspect(reference: Model, *, options: Options = Options()) -> Architecture:
    """Return what is known of one model. Reads no values.

    Raises:
        TliError: the reference cannot be read.
    """
    return read(reference, options=options).architecture


def read(reference: Model, *, options: Options = Options()) -> Reference:
    """Return what `reference` names as a target would be read, with what the user should know of it.

    Raises:
        TliError: the reference cannot be read.
    """
    require(options, Options, "options")
    reading = Reading.of_one(options)
    if isinstance(reference, (str, PathLike)):
        check_input_shape(name_of(reference), reading)
    return as_its_configuration(looked_at(reference, reading))


def verify(
    out: Named, target: Model, *, options: Options = Options(), progress: Progress | None = None
) -> Verification:
    """Return whether `out` fits `target`: the same names and shapes, floating where it is, and only finite values.

    Raises:
        TliError: one of the two cannot be read.
    """
    from tli_cli.injection.verification import read_back

    require(options, Options, "options")
    path = path_of(out, "out")
    return read_back(path, looked_at(target, Reading.of_target(options)), progress)


def inject(
    sources: Named | Sequence[Named],
    target: Named,
    out: Path | str | None = None,
    *,
    plan: Plan | None = None,
    options: Options = Options(),
    progress: Progress | None = None,
) -> Report:
    """Write an initial checkpoint for `target` from `sources` to `out`, by `plan` or by a plan made here.

    An `out` without an ending is a directory that the target's library loads; without any, nothing is written.

    Raises:
        TliError: something cannot be read or written, or the plan does not fit; nothing is left half written.
        GateError: a gate of `options` is not met; nothing is written.
    """
    from tli_cli.checkpoints.writing.ranks import ALONE, current_ranks
    from tli_cli.plan import Plan
    from tli_cli.report import Report

    require(options, Options, "options")
    if plan is not None:
        require(plan, Plan, "plan", "Plan.from_json(text) reads one")
    written = _output(out, options)
    with ExitStack() as stack:
        ranks = ALONE if written is None else current_ranks()
        with ranks.step():
            given, wanted = _sides(cast("list[Model]", names_of(sources)), name_of(target), options)
            for held in filter(None, (reference.checkpoint for reference in (*given, wanted))):
                stack.enter_context(held)
            made = _checked(plan, given, wanted, options)
        if written is None:
            return Report(made)
        from tli_cli.injection.writing import write_result

        report = write_result(made, given, wanted, written, options, progress)
    if options.verify:
        from tli_cli.injection.comparison import compared

        report = compared(report, [reference.text for reference in given], wanted.text, report.files[0], options)
    return report


def _output(out: Path | str | None, options: Options) -> Path | None:
    """Return where something is written, which may be; None for a dry run."""
    written = None if out is None else path_of(out, "out")
    if written is None or options.dry_run:
        return None
    from tli_cli.checkpoints.writing.model_directory import require_form

    require_form(written)
    return written


def _checked(plan: Plan | None, given: Sequence[Reference], wanted: Reference, options: Options) -> Plan:
    """Return `plan`, or one that is made here, which fits and meets the gates of `options`."""
    from tli_cli.gates import check_gates
    from tli_cli.injection.plan_checks import check_fits
    from tli_cli.plan import EDITED
    from tli_cli.planning.planner import recounted

    if plan is None:
        plan = plan_for(given, wanted, options)
    else:
        check_fits(plan, given, wanted)
    if EDITED in plan.notes:
        plan = recounted(plan, [reference.architecture for reference in given])
    check_gates(plan, options)
    return plan
