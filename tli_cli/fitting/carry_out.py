"""Carry out the fits of a plan on live models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from tli_cli.axis_maps.apply import apply_expression
from tli_cli.axis_maps.take import MapValues
from tli_cli.fitting.fit import Fitter
from tli_cli.fitting.observe import hooks, observe
from tli_cli.fitting.polish import batch_size, goals, polish
from tli_cli.fitting.samples import synthetic_images, synthetic_tokens, synthetic_values
from tli_cli.plan import Fit, Plan
from tli_cli.report import Progress
from tli_cli.seeding import generator_for

IMAGES = 512
STEPS, LEAST_STEPS = 2000, 30
"""Gradient steps that follow on the closed form: the most, for small networks, and the least, for large ones."""
WORK = 1e12
"""About how many multiplications the gradient steps take together."""
BUDGET = 64 * 3 * 224 * 224
"""About how many numbers the made-up inputs hold together."""


def samples_for(sample: Sequence[torch.Tensor], model: nn.Module, seed: int) -> tuple[torch.Tensor, ...]:
    """Return made-up inputs for `model`, of the shapes of `sample` but for the batch."""
    generator = generator_for(seed, "made-up inputs")
    made = []
    for tensor in sample:
        shape = tuple(tensor.shape[1:])
        count = max(8, min(IMAGES, BUDGET // max(tensor[0].numel(), 1)))
        if not tensor.is_floating_point():
            made.append(synthetic_tokens(count, shape[0], _vocabulary(model), generator))
        elif len(shape) == 3:
            made.append(synthetic_images(count, shape, generator))
        else:
            made.append(synthetic_values(count, shape, generator))
    return tuple(made)


def _vocabulary(model: nn.Module) -> int:
    tables = [module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)]
    return tables[0] if tables else 2


def fit_live(
    plan: Plan,
    target: nn.Module,
    source: nn.Module,
    sample: Sequence[torch.Tensor],
    values: Sequence[MapValues],
    progress: Progress | None = None,
) -> int:
    """Carry out the fits of `plan` on `target`, in place; return how many were reached.

    `target` holds what the plan's steps gave it, `values` the values of the plan's maps; both models are left in
    evaluation mode. One thread does the arithmetic, so that its result does not depend on how many there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fit_live(plan, target, source, sample, values, progress)
    finally:
        torch.set_num_threads(threads)


def _fit_live(
    plan: Plan,
    target: nn.Module,
    source: nn.Module,
    sample: Sequence[torch.Tensor],
    values: Sequence[MapValues],
    progress: Progress | None,
) -> int:
    arguments = samples_for(sample, source, plan.seed)
    points = list(dict.fromkeys(fit.source for fit in plan.fits))
    seen = observe(source, arguments, points)
    observed = {fit: seen[fit.source] for fit in plan.fits if fit.source in seen}

    def channels(fit: Fit, value: torch.Tensor) -> torch.Tensor:
        """Return `value` `(samples, source channels, ...)` with the target's channels."""
        return apply_expression(value, 1, fit.channels, plan.maps, values, contracted=False)

    free = {step.target for step in plan.steps if step.resizer == "fit"}
    fed = {step.target for step in plan.steps if step.resizer == "fit" and step.pieces}
    fitter = Fitter(target, plan.fits, observed, channels, free, fed, generator_for(plan.seed, "fitted rows"))
    fitter.run(arguments)
    reached = observe(target, arguments, [fit.target for fit in plan.fits])
    mine = {fit: reached[fit.target] for fit in plan.fits if fit.target in reached}
    found = goals(target, arguments, plan.fits, mine, observed, channels)
    steps = step_count(target, sample, batch_size(arguments))
    polish(target, arguments, found, free, steps, generator_for(plan.seed, "gradient steps"), progress)
    return len(fitter.done)


def step_count(model: nn.Module, sample: Sequence[torch.Tensor], batch: int) -> int:
    """Return how many gradient steps of `batch` samples `model` is given: fewer the more a step costs."""
    weights = {path: module.weight for path, module in model.named_modules() if hasattr(module, "weight")}
    places = place_counts(model, sample)
    forward = sum(count * weights[path].numel() for path, count in places.items() if path in weights)
    return int(min(STEPS, max(LEAST_STEPS, WORK // max(3 * forward * batch, 1))))


def place_counts(model: nn.Module, sample: Sequence[torch.Tensor]) -> Mapping[str, int]:
    """Return at how many places of one sample the output of each linear map is held, by module path."""
    found: dict[str, int] = {}

    def note(path: str, last: bool) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.ndim >= 2:
                channels = output.shape[-1 if last else 1]
                found.setdefault(path, output[0].numel() // max(channels, 1))

        return hook

    with hooks() as handles, torch.no_grad():
        for path, module in model.named_modules():
            if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                handles.append(module.register_forward_hook(note(path, isinstance(module, nn.Linear))))
        model.eval()(*sample)
    return found
