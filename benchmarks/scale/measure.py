"""Time `tli inject` against `cp` on generated checkpoints, with its peak memory and start-up times.

Each round runs every command once, in alternating order, after all earlier writes have reached the disk. `cp` does not
wait for the disk and `tli` does, so `cp` followed by `sync` of its output is the fair comparison; both are reported.
With `--mergekit` (the path of `mergekit-yaml` in an environment of its own) its passthrough copy is timed as well. With
`--minutes` no case is begun after so many.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from commands import Timing, compare
from generate import KINDS

from tli_cli.checkpoints import open_checkpoint
from tli_cli.cli.parsers import parse_size

TLI = [sys.executable, "-m", "tli_cli"]
WIDER = 1.25
SAVE = "import sys, torch; from safetensors.torch import load_file; torch.save(load_file(sys.argv[1]), sys.argv[2])"
ITEM = {"float32": 4, "bfloat16": 2, "int64": 8}


@dataclass(frozen=True)
class Case:
    """Commands that make the same output, or the same amount of it: first `cp`, `cp, sync`, then the others."""

    what: str
    kind: str
    size: int
    largest: int
    commands: dict[str, Sequence[str]]


def copies(source: Path, out: Path) -> dict[str, Sequence[str]]:
    """Return the two ways to copy a file or a directory's files."""
    what = f"{source}/*" if source.is_dir() else str(source)
    return {"cp": ["sh", "-c", f"cp {what} {out}"], "cp, sync": ["sh", "-c", f"cp {what} {out} && sync {out}/*"]}


def inject(source: Path, target: Path, out: Path, *options: str, suffix: str = ".safetensors") -> Sequence[str]:
    return [*TLI, "inject", str(source), "--target", str(target), "-o", str(out / f"out{suffix}"), *options]


def made(kind: str, size: int, out: Path, *options: str) -> None:
    """Generate a checkpoint in a process of its own: what this one holds would count as its children's."""
    script = Path(__file__).with_name("generate.py")
    subprocess.run(
        [sys.executable, str(script), kind, str(size), str(out), *options], check=True, stdout=subprocess.DEVNULL
    )


def cases(kind: str, size: int, work: Path, mergekit: str | None, every: bool) -> Iterator[Case]:
    """Yield what is measured, with `every` casts and shards too; the files of one case are gone when the next one is
    asked for."""
    out, source, target = work / "out", work / "source.safetensors", work / "target.safetensors"
    made(kind, size, source)
    shutil.copy(source, target)
    known = (kind, source.stat().st_size, largest(source))
    commands = {**copies(source, out), "tli inject": inject(source, target, out)}
    if mergekit and kind == "llm":
        commands["mergekit passthrough"] = passthrough(source, work / "model", out, mergekit)
    yield Case("equal shapes", *known, commands)
    shutil.rmtree(work / "model", ignore_errors=True)
    if every:
        yield from copied_otherwise(kind, size, work, known)
    made(kind, size, target, "--wider", str(WIDER))
    grown = (kind, target.stat().st_size, largest(target))
    yield Case(f"{WIDER} x wider", *grown, {**copies(target, out), "tli inject": inject(source, target, out)})


def copied_otherwise(kind: str, size: int, work: Path, known: tuple[str, int, int]) -> Iterator[Case]:
    """Yield what takes equal shapes to another type, to another format, and to other shards."""
    out, source, target = work / "out", work / "source.safetensors", work / "target.safetensors"
    cast = "float16" if kind == "llm" else "bfloat16"
    yield Case(
        f"cast to {cast}", *known, {**copies(source, out), "tli inject": inject(source, target, out, "--dtype", cast)}
    )
    saved = [sys.executable, "-c", SAVE, str(source), str(out / "out.pt")]
    torch = {"tli inject": inject(source, target, out, suffix=".pt"), "load_file, torch.save": saved}
    yield Case("to .pt", *known, {**copies(source, out), **torch})
    pieces = work / "pieces"
    pieces.mkdir()
    made(kind, size, pieces / "model.safetensors", "--max-shard-size", str(size // 8))
    limit = ("--max-shard-size", str(size // 5))
    yield Case("shards to shards", *known, {**copies(pieces, out), "tli inject": inject(pieces, target, out, *limit)})
    shutil.rmtree(pieces)


def passthrough(source: Path, home: Path, out: Path, mergekit: str) -> Sequence[str]:
    """Return mergekit's copy of `source`, which it wants in a directory with a configuration."""
    home.mkdir()
    os.link(source, home / "model.safetensors")
    tensors = {spec.name: spec for spec in open_checkpoint(source).tensors}
    layers = 1 + max(int(name.split(".")[2]) for name in tensors if name.startswith("model.layers."))
    rows, width = tensors["model.embed_tokens.weight"].shape
    inner = tensors["model.layers.0.mlp.up_proj.weight"].shape[0]
    sizes = {"vocab_size": rows, "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    known = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_attention_heads": width // 64}
    (home / "config.json").write_text(json.dumps({**known, **sizes, "tie_word_embeddings": False}))
    (home / "merge.yml").write_text(f"models:\n  - model: {home}\nmerge_method: passthrough\ndtype: bfloat16\n")
    return [mergekit, str(home / "merge.yml"), str(out), "--no-copy-tokenizer"]


def largest(path: Path) -> int:
    return max(prod(spec.shape) * ITEM[spec.dtype] for spec in open_checkpoint(path).tensors)


def start_up(work: Path, rounds: int) -> list[Timing]:
    """Measure how long it takes until a command could do something."""
    small, saved = work / "small.safetensors", work / "small.pt"
    made("vision", 1, small)
    subprocess.run([*TLI, "inject", str(small), "--target", str(small), "-o", str(saved)], check=True)
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "import torch": [sys.executable, "-c", "import torch"],
        "tli --help": [*TLI, "--help"],
        "tli match, two small files": [*TLI, "match", str(small), str(small), "--json"],
        "tli match, two small files of torch.save": [*TLI, "match", str(saved), str(saved), "--json"],
        "tli inject, two small files": inject(small, small, work / "out"),
    }
    return compare(commands, work / "out", rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["100MB", "1GB"], help="such as 100MB 1GB 10GB")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing after so many")
    parser.add_argument("--few-cases-above", type=parse_size, default=parse_size("2GB"), metavar="SIZE")
    parser.add_argument("--mergekit", help="the path of mergekit-yaml")
    parser.add_argument("--work", type=Path, required=True, help="a directory on the disk to measure; emptied")
    parser.add_argument("--json", type=Path, help="where the figures go")
    arguments = parser.parse_args()
    work, end = arguments.work, time.monotonic() + 60 * arguments.minutes
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    results: list[dict[str, Any]] = [
        {
            "what": "start-up",
            "load": os.getloadavg()[0],
            "timings": [asdict(t) for t in start_up(work, arguments.rounds)],
        }
    ]
    for size in map(parse_size, arguments.sizes):
        for kind in arguments.kinds:
            for case in cases(kind, size, work, arguments.mergekit, size <= arguments.few_cases_above):
                if time.monotonic() > end:
                    print(f"left out for want of time: {case.what}, {case.kind}, {case.size:,} bytes", flush=True)
                    continue
                timings = compare(case.commands, work / "out", arguments.rounds)
                known = {key: value for key, value in vars(case).items() if key != "commands"}
                results.append({**known, "timings": [asdict(timing) for timing in timings]})
                show(case, timings)
                if arguments.json is not None:
                    arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    shutil.rmtree(work)


def show(case: Case, timings: Sequence[Timing]) -> None:
    print(f"{case.what}, {case.kind}, {case.size:,} bytes, largest tensor {case.largest:,}")
    for timing in timings:
        spread = f"{min(timing.seconds):.2f}-{max(timing.seconds):.2f}"
        print(f"  {timing.name:<22} {timing.median:8.2f} s  ({spread})  peak {timing.peak >> 20:6} MiB", flush=True)


if __name__ == "__main__":
    main()
