"""The scores between all pairs of many architectures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, signal
from threading import Thread
from time import sleep
from typing import Any

from tli_cli.checkpoints.located import is_there
from tli_cli.checkpoints.writing.blocks import cores
from tli_cli.errors import TliError, join_problems
from tli_cli.matrices.kept_rows import KeptRows
from tli_cli.matrices.rows import RowScores, Sides
from tli_cli.references import Reading, Reference, resolve, with_configurations
from tli_cli.references.sources import NO_MODELS, NO_PLACES, Places, expand, placed
from tli_cli.report import Progress
from tli_cli.version import __version__

ALONE = 400
"""Up to so many pairs are not worth a second process."""


@dataclass(frozen=True)
class Matrix:
    """Scores: `values[i][j]` from source `names[i]` to target `names[j]`."""

    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    matcher: str = "dp"


def score_all(
    references: Sequence[str],
    *,
    matcher: str = "dp",
    reading: Reading = Reading(),
    jobs: int | None = None,
    resume: Path | None = None,
    places: Places = NO_PLACES,
    progress: Progress | None = None,
    given: Mapping[str, Reference] = NO_MODELS,
) -> Matrix:
    """Return the scores between all of `references`; globs stand for the names in the catalogue that they match.

    References that name one architecture are scored once. With `resume`, every row is kept in that file once it is
    known, and a later call goes on from there. `places` says where references stand that were read from a file. Those
    of `references` that are in `given` are looked at already.

    Raises:
        TliError: a reference cannot be read, or `resume` is another matrix's file.
    """
    names = expand(references, places, given)
    place, sides = _sides(names, given, reading, places, progress)
    store = KeptRows(resume, _key(sides, matcher), len(sides.alone))
    rows = store.rows
    waiting = [i for i in range(len(sides.alone)) if i not in rows]
    for i, row in _computed(sides, waiting, matcher, jobs):
        rows[i] = row
        store.add(i, row)
        if progress is not None:
            progress(len(rows), len(sides.alone), sides.alone[i].architecture.origin)
    values = tuple(tuple(rows[place[target]][place[source]] for target in names) for source in names)
    return Matrix(tuple(names), values, matcher)


def _sides(
    names: Sequence[str],
    given: Mapping[str, Reference],
    reading: Reading,
    places: Places,
    progress: Progress | None,
) -> tuple[dict[str, int], Sides]:
    """Return the place of each name in the list of different architectures, and the sides of these."""
    stored = {name: None if name in given else _stored_as(name) for name in names}
    first: dict[Hashable, str] = {}
    held = {name: first.setdefault(stored[name] or name, name) for name in names}
    different = sorted(first.values(), key=lambda name: stored[name] is not None)
    own = sum(stored[name] is None for name in different)
    read = _read(different, given, reading, places, progress)
    sides = Sides.of(with_configurations(list(islice(read, own)), known=own < len(different)), read)
    place = {name: i for i, name in enumerate(different)}
    return {name: place[held[name]] for name in names}, sides


def _read(
    names: Sequence[str],
    given: Mapping[str, Reference],
    reading: Reading,
    places: Places,
    progress: Progress | None,
) -> Iterator[Reference]:
    """Yield the reference of each name; every name that cannot be read is told of."""
    problems: list[TliError] = []
    for done, name in enumerate(names, 1):
        try:
            yield given[name] if name in given else resolve(name, reading)
        except TliError as error:
            problems.append(placed(error, name, places))
        if progress is not None:
            progress(done, len(names), f"reading {name}")
    if len(problems) > 1:
        raise TliError(join_problems(f"{len(problems)} of {len(names)} models cannot be read:", map(str, problems)))
    if problems:
        raise problems[0]


def _stored_as(name: str) -> Hashable:
    """Return what names of one stored architecture have in common; None if it is not in the catalogue."""
    from tli_cli import catalogue

    if is_there(name):
        return None
    try:
        resolved = catalogue.resolve_name(name)
    except TliError:
        return None
    return resolved.entry.structure, *sorted({**resolved.entry.defaults, **resolved.options}.items())


def _key(sides: Sides, matcher: str) -> str:
    """Return a digest of what a stored row depends on."""
    architectures = [side.architecture for side in sides.alone]
    parts = [f"{a.fingerprint} {' '.join(node.op for node in a.graph)} {a.order_from}" for a in architectures]
    return hashlib.sha256("\n".join([__version__, matcher, *parts]).encode()).hexdigest()[:16]


_rows: RowScores | None = None


def _computed(
    sides: Sides, waiting: Sequence[int], matcher: str, jobs: int | None
) -> Iterator[tuple[int, Sequence[float]]]:
    """Yield target and its scores for all that are `waiting`, in any order, on as many cores as there are."""
    from multiprocessing import get_all_start_methods, get_context

    workers = min(jobs or cores(), len(waiting))
    if workers < 2 or len(waiting) * len(sides.alone) <= ALONE:
        scores = RowScores(sides, matcher)
        yield from ((i, scores.row(i)) for i in waiting)
        return
    method = "fork" if "fork" in get_all_start_methods() else "spawn"
    given = (sides, matcher)
    if method == "fork":
        _begin(*given)
    chunk = max(1, min(16, len(waiting) // (4 * workers)))
    begun = os.getpid(), *(given if method == "spawn" else ())
    with get_context(method).Pool(workers, _begin_worker, begun) as pool:
        yield from pool.imap_unordered(_row, waiting, chunk)


def _begin(sides: Sides, matcher: str) -> None:
    global _rows
    _rows = RowScores(sides, matcher)


def _begin_worker(parent: int, *given: Any) -> None:
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_DFL)
    Thread(target=_end_with, args=(parent,), daemon=True).start()
    if given:
        _begin(*given)


def _end_with(parent: int) -> None:
    """End this process once `parent`, which it works for, has gone, however that was killed."""
    while os.getppid() == parent:
        sleep(1)
    os._exit(1)


def _row(target: int) -> tuple[int, Sequence[float]]:
    if _rows is None:
        raise RuntimeError("a worker must be begun first")
    return target, _rows.row(target)
