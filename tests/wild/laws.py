"""What must hold whatever the networks are: each function returns what is broken, or nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import torch
from torch import nn

from tests.core.support import promises
from tests.models import randomised
from tests.wild.designs import Change, Design, Inputs, build, example_for
from tests.wild.disguise import disguised
from tests.wild.mutants import calls_of, mutated
from tli_cli import Options, apply_tli
from tli_cli.plan import Plan

SAME = 1e-6
"""The largest difference, relative to the largest output, of what computes the same in float64."""

OPTIONS = Options(method="maps")


def trained(name: str, design: Design, seed: int, disguise: Random | None = None, **how: bool) -> nn.Module:
    """Return the network with values as after training; what its constructor works out stays, such as waves."""
    model = build(name, design)
    if disguise is not None:
        disguised(model, disguise, **how)
    kept = {n: b.double() for n, b in model.named_buffers() if not n.endswith(("mean", "var", "_u", "_v"))}
    model = randomised(model, seed)
    model.load_state_dict({**model.state_dict(), **{n: b for n, b in kept.items() if n in model.state_dict()}})
    return model


def outputs(model: nn.Module, example: Inputs) -> torch.Tensor:
    """Return all outputs of `model` in one row."""
    with torch.no_grad():
        out: Any = model(*(tensor.clone() for tensor in example))
    return torch.cat([part.flatten() for part in (out if isinstance(out, tuple) else (out,))])


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference over the largest output; infinite where the outputs have other shapes."""
    return float((a - b).abs().max() / a.abs().max()) if a.shape == b.shape else float("inf")


def taught(name: str, source: Design, target: Design) -> tuple[Plan, float]:
    """Return the plan from one network into the other, carried out, and how far their outputs are apart."""
    given, wanted = trained(name, source, 1), trained(name, target, 2)
    example = example_for(name, target)
    plan = apply_tli(wanted, given, example=example, options=OPTIONS)
    return plan, difference(outputs(given, example), outputs(wanted, example))


def broken_by_change(name: str, design: Design, change: Change) -> list[str]:
    """Return what is wrong with the plan from `design` to `change`."""
    plan, apart = taught(name, design, change.design)
    found = []
    if Plan.from_json(plan.to_json()) != plan or Plan.from_json(plan.to_json()).to_json() != plan.to_json():
        found.append("JSON changes the plan")
    if promises(plan) and not apart < SAME:
        found.append(f"FALSE: called exact, {apart:.1e} apart, {plan.relation}")
    if plan.score >= 1 and (held(name, design) != held(name, change.design) or not apart < SAME):
        found.append("SCORE: 1 for a network that has grown or computes something else")
    if change.grows and not promises(plan):
        found.append(f"MISSED {apart:.1e}: " + reasons(plan))
    return found


def broken_by_mutation(name: str, design: Design, seed: int) -> list[str]:
    """Return what is wrong where both sides have the same tensors, and the code of the target differs in one call.

    Weights are used as they are: a trace does not run what works them out, and would count the calls otherwise.
    """
    design = {**design, "reparametrised": "none"} if "reparametrised" in design else design
    example = example_for(name, design)
    given = trained(name, design, 1)
    at = Random(seed).randrange(calls_of(given, example))
    wanted = mutated(trained(name, design, 2), at, seed)
    plan = apply_tli(wanted, given, example=example, options=OPTIONS)
    apart = difference(outputs(given, example), outputs(wanted, example))
    return [f"FALSE: called exact, {apart:.1e} apart, call {at}"] if promises(plan) and not apart < SAME else []


def held(name: str, design: Design) -> int:
    """Return how many values the layers of a design use, however its tensors are cut and its weights worked out."""
    plain = {**design, "reparametrised": "none"} if "reparametrised" in design else design
    return sum(value.numel() for value in build(name, plain).state_dict().values() if value.numel() > 1)


def reasons(plan: Plan) -> str:
    """Return why steps are not exact, the commonest first, and what is unused."""
    counts: dict[str, list[str]] = {}
    for step in plan.steps:
        if not step.exact:
            counts.setdefault(f"{step.reason or '?'} [{step.action}]", []).append(step.target)
    ordered = sorted(counts.items(), key=lambda item: -len(item[1]))
    said = [f"{reason} x{len(names)} {names[0]}" for reason, names in ordered[:3]]
    return "; ".join([*said, f"unused {list(plan.unused)[:3]}" if plan.unused else ""])


def broken_by_disguise(name: str, design: Design, seed: int) -> list[str]:
    """Return what is wrong where the same network has other names and another order."""
    found = []
    example = example_for(name, design)
    for label, rename, bare in (("live, shuffled", False, False), ("live, renamed", True, False),
                                ("file, shuffled", False, True), ("file, renamed", True, True)):  # fmt: skip
        shuffle = not (rename and bare)  # the order of a file is believed where no name tells
        given = trained(name, design, 1, Random(seed), rename=rename, shuffle=shuffle)
        wanted = trained(name, design, 2)
        teacher: Any = given.state_dict() if bare else given
        plan = apply_tli(wanted, teacher, example=example, options=OPTIONS)
        apart = difference(outputs(given, example), outputs(wanted, example))
        if promises(plan) and not apart < SAME:
            found.append(f"FALSE {label}: called exact, {apart:.1e} apart")
        elif apart != 0:
            found.append(f"DIFFERENT {label}: {apart:.1e}; " + reasons(plan))
        elif not bare and any(not s.exact and s.reason != "computed by the constructor" for s in plan.steps):
            found.append(f"UNSAID {label}: " + reasons(plan))
        if label == "live, shuffled" and design.get("reparametrised") != "spectral_norm" and plan.score != 1:
            found.append(f"SCORE {label}: {plan.score}")
    return found
