"""Rebuild the catalogue from the installed libraries: `python -m catalogue_builder.build`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from catalogue_builder.pack import pack
from catalogue_builder.survey import retraced, survey
from tli_cli.catalogue.libraries import import_timm, import_torchvision
from tli_cli.catalogue.naming import LIBRARIES
from tli_cli.catalogue.store import DATA, index, read_row
from tli_cli.catalogue.subjects import model_names, subject_of
from tli_cli.errors import first_line


def surveyed(library: str, name: str, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the build keeps of one model: its entry, from the `stored` one if given, or why there is none."""
    warnings.filterwarnings("ignore")
    known: dict[str, Any] = {"library": library, "name": name}
    try:
        subject = subject_of(library, name)
        found = survey(subject) if stored is None else retraced(subject, stored)
    except Exception as error:
        return {**known, "failure": first_line(error)}
    return {
        **known,
        "row": found.row,
        "defaults": dict(found.defaults),
        "input_size": list(found.input_size),
        "traced": found.traced,
        "notes": list(found.notes),
    }


def read_results(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the results of an earlier run, each a line of JSON."""
    if path.exists():
        with open(path) as file:
            for line in file:
                yield json.loads(line)


def survey_all(path: Path, pattern: str, processes: int, *, retrace: bool) -> None:
    """Survey every model whose result is not in `path` yet, and append to it.

    With `retrace`, only the traces are made again; the rest is taken from the catalogue as it is.
    """
    done = {(result["library"], result["name"]) for result in read_results(path)}
    wanted = [(library, name) for library in LIBRARIES for name in model_names(library) if pattern in name]
    held = index()["models"] if retrace else {}
    left = [(*pair, held.get(pair[0], {}).get(pair[1], [None])[0]) for pair in wanted if pair not in done]
    started = time.monotonic()
    with open(path, "a") as file, _workers(processes) as run:
        for count, result in enumerate(run(_surveyed_task, left), start=1):
            file.write(json.dumps(result, separators=(",", ":")) + "\n")
            file.flush()
            _report(f"{count} of {len(left)}, {time.monotonic() - started:.0f} s", count % 50 == 0, result)


def _surveyed_task(task: tuple[str, str, int | None]) -> dict[str, Any]:
    library, name, structure = task
    return surveyed(library, name, None if structure is None else read_row(structure))


@contextmanager
def _workers(count: int) -> Iterator[Callable[..., Iterable[dict[str, Any]]]]:
    """Yield a `map` that works in this process, or in `count` others."""
    if count == 1:
        yield map
        return
    with get_context("spawn").Pool(count, initializer=_one_thread) as pool:
        yield pool.imap


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _report(progress: str, due: bool, result: Mapping[str, Any]) -> None:
    said = result.get("failure") or "; ".join(result["notes"])
    if said or due:
        sys.stderr.write(f"{progress}: {result['library']} {result['name']}: {said or 'held'}\n")


def library_tables() -> dict[str, Any]:
    """Return the libraries' versions, timm's pretrained tags with their numbers of classes, and its former names."""
    timm, torchvision = import_timm(), import_torchvision()
    registry = sys.modules["timm.models._registry"]
    tags = {}
    for name in timm.list_models():
        configs = registry._model_default_cfgs.get(name)
        if configs is not None:
            tags[name] = {tag: config.num_classes for tag, config in sorted(configs.cfgs.items()) if tag}
    renamed = {old: new for old, new in sorted(registry._deprecated_models.items()) if new}
    versions = {"timm": timm.__version__, "torchvision": torchvision.__version__.partition("+")[0]}
    return {"libraries": versions, "tags": tags, "renamed": renamed}


def main() -> None:
    """Survey every model and write the data files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="keep each model's result here, and go on from what is there")
    parser.add_argument("--out", type=Path, default=DATA, help="where to write the data files")
    parser.add_argument("--only", default="", help="survey only names that hold this")
    parser.add_argument("--processes", type=int, default=1, help="how many models to survey at once (default: 1)")
    parser.add_argument(
        "--retrace", action="store_true", help="make only the traces again: quicker, for a changed tracer"
    )
    chosen = parser.parse_args()
    _one_thread()
    with tempfile.TemporaryDirectory() as scratch:
        results = chosen.results or Path(scratch, "results.jsonl")
        survey_all(results, chosen.only, chosen.processes, retrace=chosen.retrace)
        written = pack(list(read_results(results)), library_tables(), chosen.out)
    sys.stderr.write(written + "\n")


if __name__ == "__main__":
    main()
