"""A plan for a target with sums of branches, from one for the layers that these are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture, Layer
from tli_cli.branches.merging import apart
from tli_cli.branches.values import Act, Branches
from tli_cli.describe.walks import walked
from tli_cli.plan import Plan, Side, Step
from tli_cli.planning.starts.chains import passing

ALONE = "of the branches that are added up here, {} takes what the source's one layer computes"
SAID = "in {} sums of linear branches of the target one takes the source's layer, and the others start at zero"

Factors = Mapping[int, float]
"""What layers of a sum multiply what they take with, by their acts; those that are not named may hold anything."""


def split(plan: Plan, target: Architecture, sums: Sequence[Branches], keep_values: str) -> Plan:
    """Return `plan`, in which each of `sums` is one layer, for `target`; the rest starts as `keep_values` says."""
    steps = plan.by_target | {step.target: step for sum in sums for step in _steps(plan, target, sum, keep_values)}
    return replace(
        plan,
        target=Side(target.origin, target.fingerprint, target.order_from),
        steps=tuple(steps[spec.name] for spec in target.tensors),
        notes=(*plan.notes, SAID.format(len(sums))),
    )


def splittable(source: Architecture, target: Architecture) -> list[Branches]:
    """Return the sums of branches of `target` that are one layer in `source`, of which one branch can take that."""
    return [sum for sum in apart(source, target)[1] if _factors(sum) is not None]


def _main(sum: Branches) -> int:
    return next(i for i, act in enumerate(sum.acts) if act.op == "conv" and act.tensor("weight") == sum.weight.name)


def _factors(sum: Branches) -> Factors | None:
    """Return what layers multiply with, so that one branch computes all; None where that cannot be.

    What takes a way around all layers is taken off by a branch of each channel alone, such as a batch norm, as in
    FastViT (arXiv 2303.14189).
    """
    main, found, signs, around = _main(sum), dict[int, float](), dict[int, float](), 0.0
    path = {*walked([main], lambda i: (j for j, act in enumerate(sum.acts) if i in act.inputs))}
    path.update(walked([main], lambda i: (before for before in sum.acts[i].inputs if before >= 0)))
    waiting = [(len(sum.acts) - 1, 1.0)]
    while waiting:
        index, sign = waiting.pop()
        if index < 0:
            around += sign
        elif (act := sum.acts[index]).op == "add":
            waiting += [(before, sign * own) for before, own in zip(act.inputs, act.signs, strict=True)]
        elif index in found or (index in path and sign < 0) or not act.tensor("weight"):
            return None
        else:
            found[index], signs[index] = float(index in path), sign
            waiting += [(act.inputs[0], sign)] if index in path and act.inputs[0] in path else []
    beside = [i for i in found if i not in path and sum.acts[i].inputs == (-1,) and _is_by_channel(sum, sum.acts[i])]
    if around and beside:
        found[beside[0]] = -around * signs[beside[0]]
    held = not sum.bias or _holds_bias(sum, found) is not None
    return found if held and (beside or not around) else None


def _is_by_channel(sum: Branches, act: Act) -> bool:
    """Tell whether a layer multiplies each channel by a number."""
    return act.op == "norm" or bool(
        sum.weight.shape[1] == 1 and act.layer and {*act.layer.attribute("kernel", (0,))} == {1}
    )


def _holds_bias(sum: Branches, factors: Factors) -> Layer | None:
    """Return the first layer of the branch that computes all that adds a bias."""
    acts = (sum.acts[i] for i in sorted(factors) if i >= _main(sum) and factors[i] == 1)
    return next((act.layer for act in acts if act.tensor("bias")), None)


def _steps(plan: Plan, target: Architecture, sum: Branches, keep_values: str) -> Iterator[Step]:
    """Yield the steps of the tensors within `sum`: as they start where nothing feeds its layer."""
    whole, factors = plan.by_target[sum.weight.name], _factors(sum) or {}
    bias = plan.by_target[sum.bias.name] if sum.bias else None
    fresh, holder = whole.action == "keep" and whole.initial in ("constructor", "target"), _holds_bias(sum, factors)
    for i, act in enumerate(sum.acts):
        starts = _starts(act.layer, factors[i]) if act.layer and i in factors and not fresh else {}
        for role, name in act.tensors:
            layer = target.layer_of[name]
            step = replace(
                whole, target=name, shape=target.by_name[name].shape, role=role, layer=layer.path, block=layer.block
            )
            if name == whole.target:
                yield whole
            elif bias and role == "bias" and act.layer is holder and not fresh:
                yield replace(bias, target=name, layer=step.layer, block=step.block)
            else:
                said = whole.reason if fresh else ALONE.format("this one" if factors.get(i) == 1 else "another one")
                initial = starts.get(role, keep_values)
                yield replace(step, action="keep", pieces=(), resizer="", initial=initial, similarity=0.0, reason=said)


def _starts(layer: Layer, factor: float) -> Mapping[str, str]:
    """Return how the tensors of a layer start so that it multiplies what it takes with `factor`, by role."""
    weight = {1.0: "ones", 0.0: "zeros"}.get(factor, repr(factor))
    return {**(passing(layer) if layer.attribute("norm") else {}), "weight": weight, "bias": "zeros"}
