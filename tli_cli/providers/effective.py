"""Live modules as what they compute: without wrappers around them, and with each weight that is worked out from others
(parametrised, pruned, spectrally normalised) as the one tensor that the layer uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.optim.swa_utils import AveragedModel

from tli_cli.errors import TliError

ITERATIONS = 50
_HOOKS = (prune.BasePruningMethod, SpectralNorm)
_PARTED = ("DTensor", "FullyShardedDataParallel")
"""How torch calls a parameter that is spread over processes, and a module whose parameters are."""
_WRAPPERS = (nn.DataParallel, DistributedDataParallel, AveragedModel)


def require_values(state: Mapping[str, torch.Tensor], what: str, first: str) -> None:
    """Raise `TliError` where tensors are on the `meta` device; `first` says what has to be done to `what`."""
    without = [name for name, value in state.items() if value.is_meta]
    if without:
        raise TliError(f"{what} has no values: {', '.join(without[:4])} are on the meta device; {first}")


def unwrapped(model: object, what: str) -> nn.Module:
    """Return the module in a compiled, averaged or parallel one, which is the same object within.

    Raises:
        TliError: it is no module, or has parameters without a shape yet.
    """
    while isinstance(model, _WRAPPERS) or hasattr(model, "_orig_mod"):
        model = getattr(model, "_orig_mod", None) or model.module  # type: ignore[attr-defined]
    if not isinstance(model, nn.Module):
        found = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TliError(f"expected a torch.nn.Module as {what}, found {found}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TliError(
            f"expected a torch.nn.Module as {what}, found one of TorchScript, whose code is not followed; give the "
            "module that it was made of, or, as a teacher, its state_dict()"
        )
    if any(type(held).__name__ in _PARTED for held in (*model.modules(), *model.parameters())):
        raise TliError(
            f"{what} {type(model).__name__}: each process holds parts of its weights (FSDP, tensor parallelism); use "
            "it before it is sharded, or write a checkpoint with tli_cli.inject that set_model_state_dict loads"
        )
    require_shapes(model, f"{what} {type(model).__name__}")
    return model


def require_shapes(model: nn.Module, what: str) -> None:
    """Raise `TliError` where parameters of `model`, which the message calls `what`, have no shape yet."""
    lazy = [name for name, value in model.named_parameters() if nn.parameter.is_lazy(value)]
    if lazy:
        raise TliError(
            f"{what}: {', '.join(lazy[:4])} have no shape yet; run the model once on a batch, so that its lazy layers "
            "are made"
        )


def worked_out(model: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield the name, the module and the attribute of each tensor that is worked out from others of its module."""
    for path, module in model.named_modules():
        made = list(module.parametrizations) if parametrize.is_parametrized(module) else []
        masked = [n.removesuffix("_mask") for n, _ in module.named_buffers(recurse=False) if n.endswith("_mask")]
        made += [name for name in masked if hasattr(module, f"{name}_orig")]
        made += [hook.name for hook in _spectral_norms(module)]
        for name in made:
            yield f"{path}.{name}" if path else name, module, str(name)


def made_plain(twin: nn.Module, model: nn.Module) -> nn.Module:
    """Return `twin`, a copy of `model`, changed in place so that what was worked out is a parameter again."""
    theirs = list(worked_out(twin))
    for (_, module, attribute), (_, real, _) in zip(theirs, list(worked_out(model)), strict=True):
        value = nn.Parameter(torch.empty_like(_used(real, attribute), device="meta"))
        if parametrize.is_parametrized(module):  # its class, and what that works out, is shared with the model's
            module.__class__ = type(module).__bases__[0]
            del module.parametrizations
        module.__dict__.pop(attribute, None)
        module._parameters = {attribute: value, **module._parameters}
        module._parameters.pop(f"{attribute}_orig", None)
        for kind in ("mask", "u", "v"):
            module._buffers.pop(f"{attribute}_{kind}", None)
        for key, hook in list(module._forward_pre_hooks.items()):
            if attribute in (getattr(hook, "_tensor_name", ""), getattr(hook, "name", "")) and isinstance(hook, _HOOKS):
                del module._forward_pre_hooks[key]
    return twin


def effective_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state dict of `model` as `made_plain` would have it; what was worked out shares no memory with it."""
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    for name, module, attribute in worked_out(model):
        state = {at: value for at, value in state.items() if not _is_part(at, name)}
        state[name] = _used(module, attribute)
    return state


Worked = tuple[nn.Module, str]
"""A module and the attribute of it that is worked out."""


def set_effective(model: nn.Module, values: dict[str, torch.Tensor], twins: Mapping[str, Worked]) -> None:
    """Put `values` into `model`, in place; what is worked out gets what makes it, as near as that can be.

    `twins` are, by name, what those were in another model that are copied from it: if they are worked out alike there,
    what makes them is copied.
    """
    made = {name: (module, attribute) for name, module, attribute in worked_out(model)}
    own = model.state_dict()
    with torch.no_grad():
        for name, value in values.items():
            if name in made:
                _put(*made[name], value, twins.get(name))
            else:
                own[name].copy_(value)


def not_held(model: nn.Module, values: dict[str, torch.Tensor], twins: Mapping[str, Worked]) -> list[str]:
    """Return which of `values` the tensors of `model` that are worked out cannot be, such as a norm of their own."""
    found = []
    for name, module, attribute in worked_out(model):
        if name in values:
            copy = _copied(module)
            with torch.no_grad():
                _put(copy, attribute, values[name], twins.get(name))
            if not torch.allclose(_used(copy, attribute), values[name], rtol=1e-3, atol=1e-5):
                found.append(name)
    return found


def _put(module: nn.Module, attribute: str, value: torch.Tensor, twin: Worked | None) -> None:
    mine, theirs = _parts(module, attribute), _parts(*twin) if twin else {}
    if {n: t.shape for n, t in mine.items()} == {n: t.shape for n, t in theirs.items()}:
        for name, part in mine.items():
            part.copy_(theirs[name])
    elif parametrize.is_parametrized(module, attribute):
        steps = _steps(module, attribute)
        before = {name: part.clone() for name, part in steps.state_dict().items()}
        try:
            setattr(module, attribute, value.clone())  # torch may keep it
            _iterate(steps)
            _keep_directions(steps, before)
        except (NotImplementedError, RuntimeError, ValueError):  # there are no such values for it
            return
    else:
        getattr(module, f"{attribute}_orig").copy_(value)
        for hook in _spectral_norms(module, attribute):
            for _ in range(ITERATIONS):
                hook.compute_weight(module, do_power_iteration=True)


def _parts(module: nn.Module, attribute: str) -> dict[str, torch.Tensor]:
    """Return what makes a tensor that is worked out, by what it is called in whatever works it out."""
    if not parametrize.is_parametrized(module, attribute):
        kinds = ("orig", "u", "v") if _spectral_norms(module, attribute) else ("orig", "mask")
        return {kind: getattr(module, f"{attribute}_{kind}") for kind in kinds}
    steps = _steps(module, attribute)
    called = "".join(type(step).__name__ for step in steps)
    return {f"{called} {name}": part for name, part in steps.state_dict().items()}


def _steps(module: nn.Module, attribute: str) -> parametrize.ParametrizationList:
    return cast(nn.ModuleDict, module.parametrizations)[attribute]  # type: ignore[return-value]


def _iterate(steps: parametrize.ParametrizationList) -> None:
    """Bring the vectors of a spectral norm (arXiv 1802.05957) to those of the weight that it holds now."""
    if len(steps) == 1 and hasattr(steps[0], "_u"):
        training = steps[0].training
        steps[0].train()
        for _ in range(ITERATIONS):
            steps[0](steps.original)
        steps[0].train(training)


def _keep_directions(steps: parametrize.ParametrizationList, before: Mapping[str, torch.Tensor]) -> None:
    """Give what a weight norm (arXiv 1602.07868) gives no length the direction that it had `before`: it divides by
    what that measures."""
    if [type(step).__name__ for step in steps] == ["_WeightNorm"]:
        length, direction = (cast(torch.Tensor, getattr(steps, name)) for name in ("original0", "original1"))
        direction.copy_(torch.where(length == 0, before["original1"], direction))


def _used(module: nn.Module, attribute: str) -> torch.Tensor:
    """Return what a module uses in evaluation, which may differ in training; the module is left as it is."""
    copy = _copied(module)
    with torch.no_grad():
        if parametrize.is_parametrized(copy, attribute):
            used: torch.Tensor = getattr(copy, attribute)
        elif hooks := _spectral_norms(copy, attribute):
            used = hooks[0].compute_weight(copy, do_power_iteration=False)
        else:
            used = getattr(copy, f"{attribute}_orig") * getattr(copy, f"{attribute}_mask")
        return used.detach().clone()


def _copied(module: nn.Module) -> nn.Module:
    memo: dict[int, object] = {
        id(value): value.detach().clone()
        for value in vars(module).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    return deepcopy(module, memo).eval()


def _spectral_norms(module: nn.Module, attribute: str = "") -> list[SpectralNorm]:
    """Return what normalises weights of a module spectrally as torch did it before its version 2, or one of them."""
    hooks = [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, SpectralNorm)]
    return [hook for hook in hooks if attribute in ("", hook.name)]


def _is_part(name: str, of: str) -> bool:
    path, _, attribute = of.rpartition(".")
    inside = f"{path}.parametrizations.{attribute}." if path else f"parametrizations.{attribute}."
    return name.startswith(inside) or name in {f"{of}_{kind}" for kind in ("orig", "mask", "u", "v")}
