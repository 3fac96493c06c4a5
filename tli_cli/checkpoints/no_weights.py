"""What stands in a file of torch.save, or in a pickle of arrays, in the place of weights that can be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tli_cli.architecture import TensorSpec
from tli_cli.errors import CheckpointError

_OF_PADDLE = "StructuredToParameterName@@"
_OF_OPTIMIZERS = ("exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg")
_WITHOUT_NAMES = "shadow_params"
"""Where diffusers and torch_ema keep averages."""
_OF_GENERATORS = ("python", "numpy", "cpu")
_FLAT = re.compile(r"(\w+\.)?optim(izer)?s?\.(state|param_groups|param_state)\.")
"""How the names of an optimizer's state begin where all stand in one dictionary, as Megatron saves them."""
_SLOT = re.compile(
    r"[./](Momentum|(Adam|RMSProp|LAMB|Adagrad)\w*|(adam|lamb)_[mv]|slot_v[rc]?|exp_avg(_sq)?|momentum_buffer)$"
    r"|(?<=_[wb])_momentum$"
)
"""What TensorFlow, torch and Caffe2 call what an optimizer keeps for a weight, behind the name of that."""
_INSTEAD = "name the file of weights, which training scripts write beside it (model.safetensors, pytorch_model.bin ...)"
_OPTIMIZER = f"expected weights, found an optimizer's state alone; {_INSTEAD}"


def require_weights(node: Mapping[Any, Any], where: str) -> None:
    """Raise `CheckpointError` where `node` is known to be an optimizer's state, that of random generators, averages
    without names, or a state dict of Paddle."""
    if _is_of_optimizer(node):
        raise CheckpointError(f"{where}: {_OPTIMIZER}")
    if all(key in node for key in _OF_GENERATORS):
        raise CheckpointError(f"{where}: expected weights, found the state of random generators; {_INSTEAD}")
    if _WITHOUT_NAMES in node:
        raise CheckpointError(
            f"{where}: expected names to tensors, found averages in a list without names; load them into an EMA of the "
            "same model, ema.copy_to(model.parameters()), and save `model.state_dict()`"
        )
    if _OF_PADDLE in node:
        raise CheckpointError(
            f"{where}: expected a file of torch.save, found one of Paddle, whose linear layers are (in, out), and "
            "nothing in it says which those are; save their weights turned in Paddle: turned = {n + '.weight' for n, m "
            "in model.named_sublayers() if isinstance(m, paddle.nn.Linear)}; safetensors.numpy.save_file({k: "
            'v.numpy().T.copy() if k in turned else v.numpy() for k, v in model.state_dict().items()}, "new.'
            'safetensors")'
        )


def of_optimizers(names: Collection[Any], where: str) -> set[str]:
    """Return those of a state dict's names that are of an optimizer's state; raise `CheckpointError` if all are."""
    found = {name for name in names if isinstance(name, str) and _FLAT.match(name)}
    if found and len(found) == len(names):
        raise CheckpointError(f"{where}: {_OPTIMIZER}")
    return found


def slots_among(tensors: Iterable[TensorSpec]) -> set[str]:
    """Return the names of those tensors that an optimizer keeps for others of them, under names below theirs."""
    shapes = {spec.name: spec.shape for spec in tensors}
    ends = {name: _SLOT.search(name) for name in shapes}
    return {name for name, end in ends.items() if end and shapes.get(name[: end.start()]) == shapes[name]}


def _is_of_optimizer(node: Mapping[Any, Any]) -> bool:
    if "state" not in node or not isinstance(node["state"], Mapping):
        return False
    state = node["state"]
    first = next((state[key] for key in state), None)
    kept = isinstance(first, Mapping) and any(key in first for key in _OF_OPTIMIZERS)
    return kept or ("param_groups" in node and isinstance(node["param_groups"], list))
