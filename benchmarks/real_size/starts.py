"""What a target's values are before its first step, by the name of the start."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.convergence.plain import PLAIN
from benchmarks.real_size.pairs import Net, Pair
from benchmarks.real_size.tasks import Task, load
from benchmarks.real_size.training import train
from tli_cli import Options, inject

STARTS = ("default", "auto", "limit", "names", "kaiming")
SOURCE_RATE = 1e-3


@dataclass
class Starts:
    """The starts of one pair: what is trained or injected for them is made once."""

    pair: Pair
    folder: Path
    device: str
    source_steps: int
    seconds: dict[str, float] = field(default_factory=dict)

    def make(self, start: str, classes: int, seed: int) -> nn.Module:
        """Return the target started by `start`; its head is fresh unless both tasks have the same classes."""
        model = self.pair.target.build(classes, seed)
        if start in PLAIN:
            with torch.no_grad():
                PLAIN[start](model, torch.Generator().manual_seed(seed))
            return model
        if start == "auto":
            model.load_state_dict(load_file(self._injected()))
            return model
        state = load_file(self._trained(self.pair.source if start == "names" else self.pair.target))
        own = model.state_dict()
        kept = {name for name, value in state.items() if name in own and own[name].shape == value.shape}
        if not self.pair.keeps_head:
            kept -= {
                name
                for name in kept
                if name.split(".")[0] in ("fc", "classifier", "head") and len(own[name]) == classes
            }
        model.load_state_dict(own | {name: state[name] for name in kept})
        return model

    def _injected(self) -> Path:
        out = self.folder / "auto.safetensors"
        if out.exists():
            return out
        source = self._trained(self.pair.source)
        source_task, target_task = self._task(self.pair.source_task), self._task(self.pair.target_task)
        options = Options(
            head="keep" if self.pair.keeps_head else "fresh",
            source_arch=self.pair.source.reference(source_task.classes),
            input_shape=self.pair.target.input_shape,
            device=self.device,
        )
        begun = time.perf_counter()
        inject(str(source), self.pair.target.reference(target_task.classes), str(out), options=options)
        self.seconds["inject"] = time.perf_counter() - begun
        return out

    def _trained(self, net: Net) -> Path:
        path = self.folder / f"{'source' if net == self.pair.source else 'limit'}.safetensors"
        if path.exists():
            return path
        task = self._task(self.pair.source_task)
        model = net.build(task.classes, 11)
        begun = time.perf_counter()
        curve = train(model, task, SOURCE_RATE, self.source_steps, 7, cosine=True)
        self.seconds[path.stem] = time.perf_counter() - begun
        self.seconds[f"{path.stem} tells"] = curve[-1]
        save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, path)
        return path

    def _task(self, name: str) -> Task:
        return load(name, self.device)
