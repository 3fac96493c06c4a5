"""Build both sides with random values, inject through files, and compare what the two models compute."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tli_cli.api import inject
from tli_cli.options import Options
from tli_cli.providers.arguments import split_reference
from tli_cli.providers.code import load_factory
from tli_cli.report import Report

ZOO = Path(__file__).parent / "zoo"
EXACT = 1e-6
"""The largest relative difference of outputs in float64 at which two models count as the same."""

Tensors = Mapping[str, torch.Tensor]


def reference(name: str) -> str:
    """Return the reference of the zoo's model `name`: `images:tv_resnet` is a function of `zoo/images.py`."""
    file, _, rest = name.partition(":")
    return f"{ZOO / file}.py:{rest}"


def build(name: str, seed: int = 0) -> nn.Module:
    """Build the zoo's model `name` with random values everywhere and one `eps` for all libraries."""
    head, arguments = split_reference(reference(name))
    model: nn.Module = load_factory(head)(**arguments)
    randomise(model, seed)
    for module in model.modules():
        for attribute in ("eps", "variance_epsilon"):
            if isinstance(getattr(module, attribute, None), float):
                setattr(module, attribute, 1e-6)
    return model.eval()


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Draw every parameter and every running statistic, so that no constant hides a wrong pairing."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        weighted = isinstance(module, (nn.Linear, nn.modules.conv._ConvNd))
        for name, value in module.named_parameters(recurse=False):
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim > 1:
                value.copy_(noise * (max(1, value[0].numel()) ** -0.5 if weighted else 0.3))
            else:
                gain = name.endswith("weight") or "gamma" in name or name == "scale"
                value.copy_(1 + 0.2 * noise if gain else 0.1 * noise)
        for name, value in module.named_buffers(recurse=False):
            if name == "running_mean":
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
            elif name == "running_var":
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))


def batch(model: nn.Module, shape: tuple[int, ...] | None) -> torch.Tensor:
    """Return two samples: images of `shape`, or token ids where there is none."""
    generator = torch.Generator().manual_seed(7)
    if shape is None:
        return torch.randint(2, 60, (2, 16), generator=generator)
    return torch.randn((2, *shape), generator=generator, dtype=torch.float64)


def outputs(model: nn.Module, sample: torch.Tensor) -> list[torch.Tensor]:
    """Return what `model` computes in float64 as a list of tensors."""
    with torch.no_grad():
        return _flat(model.double().eval()(sample))


def _flat(out: Any) -> list[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        return [out]
    if isinstance(out, Mapping) and "logits" in out:
        return [out["logits"]]
    values = out.values() if isinstance(out, Mapping) else out if isinstance(out, (list, tuple)) else ()
    return [tensor for value in values for tensor in _flat(value)]


def difference(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    """Return the largest difference over all outputs, relative to the largest value of the first."""
    assert first and len(first) == len(second)
    assert all(torch.isfinite(a).all() and a.abs().max() > 0 for a in first)
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(first, second, strict=True))


def save(model: nn.Module, path: Path) -> Path:
    """Save the state dict of `model`: `.pt` in its order, `.safetensors` sorted by the format, ties stored once."""
    state = model.state_dict()
    if path.suffix == ".safetensors":
        held: dict[int, str] = {}
        state = {n: t.clone() for n, t in state.items() if held.setdefault(t.data_ptr() or id(t), n) == n}
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@dataclass(frozen=True)
class Injected:
    """What came of an injection: both models, the file's tensors, and the report."""

    source: nn.Module
    target: nn.Module
    tensors: Tensors
    report: Report

    @property
    def kept(self) -> dict[str, str]:
        """Return the reasons of the tensors that nothing was injected into."""
        return {step.target: step.reason for step in self.report.plan.steps if step.action == "keep"}

    @property
    def adapted(self) -> dict[str, str]:
        """Return what was said of the tensors that were reshaped."""
        steps = self.report.plan.steps
        return {step.target: step.reason for step in steps if step.action != "keep" and step.resizer != "copy"}


def transfer(
    folder: Path,
    source: str,
    target: str,
    *,
    shape: tuple[int, ...] | Literal["guessed"] | None = (3, 64, 64),
    suffix: str = ".pt",
    traced: bool = True,
    bare_target: bool = False,
    options: Options = Options(),
    load: bool = True,
) -> Injected:
    """Inject the zoo's model `source` into its model `target`, files on both sides, and load the result strictly.

    `traced` gives the source file its class; `bare_target` names the target by a checkpoint file alone.
    """
    giver, taker = build(source, 1), build(target, 2)
    held = save(giver, folder / f"source{suffix}")
    wanted = str(save(taker, folder / f"target{suffix}")) if bare_target else reference(target)
    size = None if shape == "guessed" else shape
    given = replace(options, source_arch=reference(source) if traced else None, input_shape=size, force=True)
    out = folder / "out.safetensors"
    report = inject(str(held), wanted, out, options=given)
    tensors = load_file(out)
    if load:
        load_strictly(taker, tensors)
    return Injected(giver, taker, tensors, report)


def load_strictly(model: nn.Module, tensors: Tensors) -> None:
    """Load `tensors` with `strict=True`; ties that the file holds once are given both their names."""
    own = model.state_dict(keep_vars=True)
    first = {id(tensor): name for name, tensor in own.items() if name in tensors}
    full = {name: tensors[name if name in tensors else first.get(id(tensor), name)] for name, tensor in own.items()
            if name in tensors or id(tensor) in first}  # fmt: skip
    assert set(tensors) <= set(own)
    state = OrderedDict(full)
    state._metadata = getattr(own, "_metadata", {})  # type: ignore[attr-defined]
    model.load_state_dict(state, strict=True)


def compare(result: Injected, shape: tuple[int, ...] | None, target_shape: tuple[int, ...] | None = None) -> float:
    """Return the relative difference of the two models' outputs on random input."""
    sample = batch(result.source, shape)
    other = sample if target_shape is None else batch(result.target, target_shape)
    return difference(outputs(result.source, sample), outputs(result.target, other))
