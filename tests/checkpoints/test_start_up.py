from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

CODE = """
import sys
from tli_cli.checkpoints import open_checkpoint, write_checkpoint
from tli_cli.checkpoints.writing.job import Job
checkpoint = open_checkpoint(sys.argv[1])
assert checkpoint.tensors and checkpoint.stored_names
(out,) = write_checkpoint(sys.argv[2], checkpoint.tensors, Job(lambda spec: checkpoint.file_range(spec.name)))
assert open_checkpoint(out).tensors[0].shape == (2,)
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_checkpoints_are_opened_and_copied_without_torch(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"a{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)({"a": torch.ones(2)}, source)
    command = [sys.executable, "-c", CODE, str(source), str(tmp_path / "b.safetensors")]
    subprocess.run(command, check=True, timeout=120)


COPIED = """
import json, pathlib, sys
from tli_cli.cli import run
source, plan, out = sys.argv[1:]
assert run(("match", source, source, "-o", plan)) == 0
raw = json.loads(pathlib.Path(plan).read_text())
raw["maps"].append({"rule": "same", "rows": 4, "columns": 4})
pathlib.Path(plan).write_text(json.dumps(raw))
assert run(("inject", source, "-t", source, "-o", out, "--plan", plan)) == 0
assert not {"torch", "pydantic", "importlib.metadata"} & sys.modules.keys()
"""


def test_a_plan_that_only_copies_is_carried_out_without_torch_and_pydantic(tmp_path: Path) -> None:
    state = {f"fc{i}.{role}": torch.ones(shape) for i in range(2) for role, shape in (("weight", (4, 4)), ("bias", 4))}
    save_file(state, tmp_path / "a.safetensors")
    names = [str(tmp_path / name) for name in ("a.safetensors", "plan.json", "b.safetensors")]
    subprocess.run([sys.executable, "-c", COPIED, *names], check=True, timeout=120)
