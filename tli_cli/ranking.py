"""Which of many sources starts a target best."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from os.path import samefile

from tli_cli.checkpoints.located import is_there
from tli_cli.errors import TliError, join_problems
from tli_cli.matching import MATCHERS
from tli_cli.matching.values import Matching
from tli_cli.options import Options
from tli_cli.planning.doubted import doubted_layers
from tli_cli.references import Reading, Reference, related, resolve
from tli_cli.references.sources import NO_MODELS, NO_PLACES, Places, placed, search
from tli_cli.report import Progress
from tli_cli.scoring.keeping import keeping
from tli_cli.scoring.score import coverage_of, score_matching, worst_blocks


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source as a start for the target.

    Attributes:
        source: what names it.
        score: the TLI score from it to the target.
        coverage: the share of the target's elements that it feeds.
        parameters: the number of its trainable elements.
        layers: how many layers the target has, `fed` of which it feeds, `same` of them by an identical layer.
        worst: the target's blocks that hold the score down, each with its worth.
    """

    source: str
    score: float
    coverage: float
    parameters: int
    layers: int
    fed: int
    same: int
    worst: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Ranking:
    """The candidates for `target`, best first, and a line on each source that could not be read."""

    target: str
    candidates: tuple[Candidate, ...]
    skipped: tuple[str, ...] = ()


def rank_sources(
    wanted: Reference,
    sources: Sequence[str],
    options: Options,
    progress: Progress | None = None,
    besides: Sequence[str] = (),
    places: Places = NO_PLACES,
    live: Mapping[str, Reference] = NO_MODELS,
) -> Ranking:
    """Return `sources` in the order in which they should start `wanted`: files, directories to search, names, globs.

    Equal scores go to the greater coverage, then to the smaller source. What is found in a directory or by a glob and
    cannot be read, is the target or one of `besides`, or was written by tli for this target, is left out and reported.
    Those of `sources` that are in `live` are looked at already.

    Raises:
        TliError: a source that was named cannot be read, or none is left.
    """
    found = [*live, *search([source for source in sources if source not in live], places)]
    candidates, skipped = [], []
    for done, source in enumerate(found, 1):
        try:
            if source not in sources:
                _check_is_another(source, wanted, besides)
            read = live[source] if source in live else resolve(source, Reading.of_source(options))
            if source not in sources:
                _check_is_trained(read, wanted)
            given, other = related([read, wanted])
            candidates.append(_candidate(source, given, other, options.matcher))
        except TliError as error:
            if source in sources:
                raise placed(error, source, places) from error
            skipped.append(f"{source}: {error}".replace(f"{source}: {source}", source, 1))
        if progress is not None:
            progress(done, len(found), source)
    if not candidates:
        raise TliError(join_problems(f"no source for {wanted.text} can be read:", skipped))
    candidates.sort(key=lambda c: (-c.score, -c.coverage, c.parameters, c.source))
    return Ranking(wanted.text, tuple(candidates), tuple(skipped))


def _check_is_another(source: str, target: Reference, besides: Sequence[str]) -> None:
    """Raise `TliError` where `source` is the file or directory that is to be started, or one of `besides`."""
    written = [] if target.checkpoint is None else [(target.text, "the target")]
    for other, what in (*written, *((name, "what is written") for name in besides)):
        if is_there(source) and is_there(other) and samefile(source, other):
            raise TliError(f"it is {what}")


def _check_is_trained(source: Reference, target: Reference) -> None:
    """Raise `TliError` where the file of `source` says that it was injected into `target`: who trains it saves
    another."""
    notes = source.checkpoint.metadata if source.checkpoint is not None else {}
    if notes.get("tli.target", "").endswith(f" {target.architecture.fingerprint}"):
        raise TliError("tli wrote it for this target, and it is as untrained; name it to take it all the same")


def _candidate(name: str, given: Reference, wanted: Reference, matcher: str) -> Candidate:
    source, target = given.architecture, wanted.architecture
    matching = MATCHERS.get(matcher)(source, target)
    doubted = doubted_layers(source, target, matching)
    return Candidate(
        name,
        score_matching(matching, doubted),
        coverage_of(matching, target),
        source.parameters,
        *_layers(matching, doubted),
        worst_blocks(matching, 3, doubted),
    )


def _layers(matching: Matching, doubted: Collection[int]) -> tuple[int, int, int]:
    """Return how many units the target has, how many are fed, and how many by a unit like themselves."""
    same = sum(
        pair.similarity == 1
        and not pair.repeat
        and pair.target.place not in doubted
        and keeping(pair.target, pair.source) == 1
        for pair in matching.pairs
    )
    return len(matching.targets), len(matching.pairs), same


def check_for_values(sources: Sequence[str]) -> None:
    """Raise `TliError` if one of `sources` is no file or directory: a name has an architecture and no values."""
    names = [source for source in sources if not is_there(source)]
    if names:
        raise TliError(join_problems("no file or directory, so there are no values to inject:", names))
