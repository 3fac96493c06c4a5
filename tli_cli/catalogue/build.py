"""Rebuild the catalogue from the installed libraries: `python -m tli_cli.catalogue.build`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tli_cli.catalogue.libraries import import_timm, import_torchvision
from tli_cli.catalogue.naming import LIBRARIES
from tli_cli.catalogue.pack import pack
from tli_cli.catalogue.store import DATA
from tli_cli.catalogue.subjects import Subject, subjects
from tli_cli.catalogue.survey import survey


def surveyed(subject: Subject) -> dict[str, Any]:
    """Return what the build keeps of one model: its entry, or why there is none."""
    known: dict[str, Any] = {"library": subject.library, "name": subject.name}
    try:
        found = survey(subject)
    except Exception as error:
        return {**known, "failure": (str(error) or type(error).__name__).splitlines()[0][:300]}
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


def survey_all(path: Path, pattern: str) -> None:
    """Survey every model whose result is not in `path` yet, and append to it."""
    done = {(result["library"], result["name"]) for result in read_results(path)}
    started, count = time.monotonic(), 0
    with open(path, "a") as file:
        for subject in (subject for library in LIBRARIES for subject in subjects(library)):
            if (subject.library, subject.name) in done or pattern not in subject.name:
                continue
            result = surveyed(subject)
            file.write(json.dumps(result, separators=(",", ":")) + "\n")
            file.flush()
            count += 1
            _report(count, time.monotonic() - started, result)


def _report(count: int, seconds: float, result: Mapping[str, Any]) -> None:
    said = result.get("failure") or "; ".join(result["notes"])
    if said or count % 50 == 0:
        sys.stderr.write(f"{count} models, {seconds:.0f} s: {result['library']} {result['name']}: {said or 'held'}\n")


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
    """Survey every model, in one process, and write the data files."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="keep each model's result here, and go on from what is there")
    parser.add_argument("--out", type=Path, default=DATA, help="where to write the data files")
    parser.add_argument("--only", default="", help="survey only names that hold this")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        results = chosen.results or Path(scratch, "results.jsonl")
        survey_all(results, chosen.only)
        written = pack(list(read_results(results)), library_tables(), chosen.out)
    sys.stderr.write(written + "\n")


if __name__ == "__main__":
    main()
