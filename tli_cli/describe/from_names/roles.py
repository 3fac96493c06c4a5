"""In which layer a tensor stands, and its role there, by its name."""

from __future__ import annotations

import re
from collections.abc import Collection

from tli_cli.architecture import TensorSpec
from tli_cli.describe.from_names.kinds import is_norm_name
from tli_cli.describe.normed import NORMED, NORMED_WITH

ROLES = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var",
         "num_batches_tracked": "num_batches_tracked"}  # fmt: skip
NORM_SYNONYMS = {"gamma": "weight", "beta": "bias", "scale": "weight", "alpha": "weight", "g": "weight",
                 "b": "bias", "shift": "bias", "offset": "bias", "a_2": "weight", "b_2": "bias",
                 "moving_mean": "running_mean", "moving_variance": "running_var",
                 "moving_var": "running_var"}  # fmt: skip
AFFINE = (("gamma", "beta"), ("alpha", "beta"), ("scale", "shift"), ("scale", "offset"), ("a_2", "b_2"), ("g", "b"))
"""What two vectors are called that scale channels and shift them, wherever they stand; `g` also alone."""
STATISTICS = {"mean": "running_mean", "variance": "running_var", "var": "running_var"}
"""What a module holds that has both of them beside its weight, whatever it is called: Paddle, Flax."""
RECURRENT = re.compile(r"(ih|hh)(_l\d+)?(_reverse)?")
FUSED_BIASES = {"q_bias", "v_bias", "k_bias"}


def place_of(tensor: TensorSpec, names: set[str], normed: Collection[str]) -> tuple[str, str]:
    """Return the path of the layer in which a tensor stands, and its role there; modules that are `normed` hold a norm
    beside their own vectors."""
    if tensor.tied_to in names:
        return place_of(TensorSpec(tensor.tied_to, ()), names, normed)[0], f"tied.{tensor.name}"
    module, _, last = tensor.name.rpartition(".")
    if module and last in ROLES:
        return module, ROLES[last]
    if module and last in NORM_SYNONYMS and is_norm_name(module):
        return module, NORM_SYNONYMS[last]
    vector = sum(size > 1 for size in tensor.shape) == 1
    if module and vector and module not in normed and _is_affine(module, last, names):
        return module, NORM_SYNONYMS[last]
    if (
        last in STATISTICS
        and f"{module}.mean" in names
        and not names.isdisjoint({f"{module}.var", f"{module}.variance"})
    ):
        return module, STATISTICS[last]
    if last in FUSED_BIASES and f"{module}.qkv.weight" in names:
        return f"{module}.qkv", f"bias.{last}"
    projection = f"{module}.{last[:1]}_proj"
    if last in FUSED_BIASES and f"{projection}.weight" in names and f"{projection}.bias" not in names:
        return projection, "bias"
    if last == "gain" and f"{module}.weight" in names:
        return module, "weight.gain"
    if last in NORMED and f"{module}.{NORMED_WITH[last]}" in names:
        return module.removesuffix(".parametrizations.weight"), NORMED[last]
    for role in ("weight", "bias"):
        stem = last.removesuffix(f"_{role}")
        if stem != last and f"{module}.{stem}_weight".strip(".") in names:
            return f"{module}.{stem}".strip("."), role
        stem = last.removeprefix(f"{role}_")
        if stem != last and (RECURRENT.fullmatch(stem) or f"{module}.bias_{stem}" in names):
            return f"{module}.{stem}".strip("."), role
    return tensor.name, "weight"


def _is_affine(module: str, last: str, names: set[str]) -> bool:
    """Tell whether a vector scales the channels that another one beside it shifts, or shifts those."""
    held = (pair for pair in AFFINE if last in pair and f"{module}.weight" not in names)
    return last == "g" or any(all(f"{module}.{name}" in names for name in pair) for pair in held)
