"""Print how far the outputs of grown networks are from their sources', in float64: `python -m benchmarks.growth`."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from benchmarks.growth.pairs import pairs, sample
from tli_cli import apply_tli


def randomise(model: nn.Module, seed: int) -> nn.Module:
    """Give every tensor random values that are no constants, statistics included, and make all epsilons equal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.ndim > 1:
                tensor.copy_(noise / max(1, tensor[0].numel()) ** 0.5)
            elif name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            else:
                tensor.copy_((0.0 if name.endswith(("bias", "mean")) else 1.0) + 0.2 * noise)
    for module in model.modules():
        if isinstance(getattr(module, "eps", None), float):
            module.eps = 1e-6
    return model.double().eval()


def main() -> None:
    """Print a Markdown table: the pair, the largest relative difference of the outputs, and what the plan promises."""
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    print("| target | largest difference | the plan says |")
    print("|---|---:|---|")
    for name, build_source, build_target, shape in pairs():
        source, target = randomise(build_source(), 1), randomise(build_target(), 2)
        example = sample(shape)
        plan = apply_tli(target, source, example=example)
        example = example.double() if example.is_floating_point() else example
        with torch.no_grad():
            before, after = (getattr(out, "logits", out) for out in (source(example), target(example)))
        difference = float((before - after).abs().max() / before.abs().max())
        said = "function kept" if all(step.exact for step in plan.steps) else "as close as can be"
        print(f"| {name} | {difference:.1e} | {said} |", flush=True)


if __name__ == "__main__":
    main()
