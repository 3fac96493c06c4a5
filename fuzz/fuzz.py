"""Fuzz the readers of checkpoints and plans, guided by coverage; stop at the first input that is not handled.

`python fuzz/fuzz.py` runs every target for `--seconds`; what is found is written to `out/fuzz` and belongs into a test.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("safetensors", "archive", "pickled", "index", "distributed", "plan", "vocabulary")
INSTRUMENTED = ["tli_cli", "pickletools"]


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Fuzz the target called `name` in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from mutators import MUTATORS
        from seeds import seeds
        from targets import TARGETS
    pickle._Unpickler.load = atheris.instrument_func(pickle._Unpickler.load)
    corpus = Path(tempfile.mkdtemp(prefix=f"tli-corpus-{name}-"))
    for i, data in enumerate(seeds(name)):
        (corpus / f"seed{i}").write_bytes(data)
    options = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=3000", "-max_len=20000", "-verbosity=0"]
    command = [sys.argv[0], *options, "-print_final_stats=1", f"-artifact_prefix={found / name}-", str(corpus)]
    atheris.Setup(command, TARGETS[name], custom_mutator=MUTATORS.get(name))
    atheris.Fuzz()


def main() -> None:
    """Fuzz one target, or all of them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="?", choices=NAMES, help="all, one after another, if left out")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--found", type=Path, default=Path("out/fuzz"))
    arguments = parser.parse_args()
    arguments.found.mkdir(parents=True, exist_ok=True)
    if arguments.target is not None:
        fuzz(arguments.target, arguments.seconds, arguments.found)
        return
    failed = []
    for name in NAMES:
        sys.stdout.write(f"== {name}\n")
        sys.stdout.flush()
        command = [sys.executable, __file__, name, "--seconds", str(arguments.seconds), "--found", str(arguments.found)]
        if subprocess.run(command).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"not handled: {', '.join(failed)}; the inputs are in {arguments.found}")


if __name__ == "__main__":
    main()
