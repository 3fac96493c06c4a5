"""Write the results of a survey as the catalogue's data files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catalogue_builder.masks import find_masks
from catalogue_builder.storing import write_numbers, write_rows, write_table
from tli_cli.catalogue.decode import decode
from tli_cli.catalogue.features import elements, features
from tli_cli.catalogue.loading import head_names
from tli_cli.catalogue.naming import LIBRARIES, plainness
from tli_cli.catalogue.signature import followers
from tli_cli.catalogue.store import FORMAT


def pack(results: Sequence[Mapping[str, Any]], tables: Mapping[str, Any], folder: Path) -> str:
    """Write the data files in `folder`; the same results give the same bytes, in whatever order they come."""
    held = sorted((r for r in results if "row" in r), key=_family_order)
    number: dict[str, int] = {}
    rows: list[Mapping[str, Any]] = []
    models: dict[str, dict[str, list[Any]]] = {library: {} for library in LIBRARIES}
    for result in held:
        text = json.dumps(result["row"])
        if text not in number:
            number[text] = len(rows)
            rows.append(result["row"])
        classes = result["defaults"].get("num_classes")
        models[result["library"]][result["name"]] = [number[text], classes, result["input_size"]]
    ordered = {library: dict(sorted(entries.items())) for library, entries in models.items()}
    blocks = write_rows(rows, folder)
    _write_signatures(rows, plainest(ordered), folder)
    write_table("report", _report(results), folder)
    write_table("index", {"format": FORMAT, **tables, "models": ordered, "blocks": blocks}, folder)
    size = sum(path.stat().st_size for path in folder.glob("*.bin"))
    return f"{len(held)} names, {len(rows)} architectures, {len(blocks)} blocks, {size:,} bytes"


def _report(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what could not be had, by `library:name`: models that are not held, not traced, or held with a remark."""
    by_name = {f"{result['library']}:{result['name']}": result for result in results}
    return {
        "failed": {name: r["failure"] for name, r in sorted(by_name.items()) if "failure" in r},
        "untraced": sorted(name for name, r in by_name.items() if "row" in r and not r["traced"]),
        "notes": {name: r["notes"] for name, r in sorted(by_name.items()) if r.get("notes")},
    }


def plainest(models: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """Return the numbers of the architectures by their plainest names."""
    names = sorted(((lib, name) for lib in LIBRARIES for name in models[lib]), key=lambda one: plainness(*one))
    return list(dict.fromkeys(models[lib][name][0] for lib, name in names))


def _write_signatures(rows: Sequence[Mapping[str, Any]], order: Sequence[int], folder: Path) -> None:
    """Write by what checkpoints are recognised, and what the nearest architecture is found by."""
    architectures = [decode(json.loads(json.dumps(row)), "", {}) for row in rows]
    masks = find_masks(
        (architecture, followers(row, architecture, "num_classes"), followers(row, architecture, "in_chans"))
        for row, architecture in zip(rows, architectures, strict=True)
    )
    signatures: dict[str, list[list[int]]] = {}
    for number in order:
        shapes = [(t.name, t.shape) for t in architectures[number].tensors]
        dropped = head_names(rows[number])
        headless = [(name, shape) for name, shape in shapes if name not in dropped]
        for signature in sorted({masks.signature(shapes), masks.signature(headless)}):
            signatures.setdefault(f"{signature:x}", []).append([number, masks.image(shapes)])
    write_table("signatures", {**masks.to_json(), "signatures": signatures}, folder)
    write_numbers("features", _packed([(features(a.tensors), elements(a.tensors)) for a in architectures]), folder)


def _packed(described: Sequence[tuple[Mapping[int, int], int]]) -> list[int]:
    """Return the features and elements of several architectures as one row of numbers, which `Features` reads: how many
    there are, how many features each has, their elements, all features, all counts."""
    keys = [sorted(counted) for counted, _ in described]
    counts = [counted[key] for (counted, _), own in zip(described, keys, strict=True) for key in own]
    sizes = [size for _, size in described]
    return [len(described), *map(len, keys), *sizes, *(key for own in keys for key in own), *counts]


def _family_order(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Put models that are likely to resemble each other side by side: those whose names begin alike."""
    name = result["name"].removeprefix("tf_").removeprefix("legacy_").removeprefix("tv_")
    return (re.split(r"[_\d.]", name)[0], name, result["library"], result["name"])
