from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

CODE = """
import sys
from tli_cli.checkpoints import open_checkpoint, write_checkpoint
checkpoint = open_checkpoint(sys.argv[1])
assert checkpoint.tensors and checkpoint.stored_names
(out,) = write_checkpoint(sys.argv[2], checkpoint.tensors, lambda spec: checkpoint.file_range(spec.name))
assert open_checkpoint(out).tensors[0].shape == (2,)
assert "torch" not in sys.modules
"""


def test_safetensors_are_opened_and_copied_without_torch(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    command = [sys.executable, "-c", CODE, str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")]
    subprocess.run(command, check=True, timeout=120)
