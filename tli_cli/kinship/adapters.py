"""Low-rank adapters in a checkpoint: what changes a base model's weights and is no layer of it (arXiv 2106.09685)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tli_cli.architecture import TensorSpec
from tli_cli.errors import TliError

ADAPTER = re.compile(r"(^|\.)(lora|loha|lokr|hada|ia3|oft|vera|boft)_\w+(\.|$)|(\.|_)lora\.(down|up)\.")
"""How peft and those that write files like it call adapters' tensors: `lora_A`, `lora_down`, `ia3_l`."""
ALPHA = re.compile(r"\.alpha$")
"""What stands beside the factors of a layer, and may be a layer's own elsewhere."""
MOST = 0.7
"""The share of a file's tensors from which on it holds adapters alone, and the few layers that are saved with them: a
file that holds the base model as well has one weight for every two factors."""
MERGE = "merge them into their base model first (peft: model.merge_and_unload()) and name what that gives"
NAME = "name the checkpoint of its base model with --source-arch, and it is merged into that"


def adapters(tensors: Sequence[TensorSpec], others: Sequence[TensorSpec], text: str) -> tuple[str, ...]:
    """Return the names of the adapters among `tensors` of a source, where `others`, the target's, hold none.

    Raises:
        TliError: there is nothing else.
    """
    found = adapter_names([spec.name for spec in tensors])
    if not found or any(ADAPTER.search(spec.name) for spec in others):
        return ()
    if are_alone(tensors):
        raise TliError(f"{text} holds adapters alone ({len(found)} tensors, such as {found[0]}) and no model; {NAME}")
    return found


def are_alone(tensors: Sequence[TensorSpec]) -> bool:
    """Tell whether a file holds adapters and nearly nothing else."""
    return len(adapter_names([spec.name for spec in tensors])) >= MOST * len(tensors) > 0


def adapter_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of `names` that adapters' tensors have, scales beside factors among them."""
    found = {name: match.start() for name in names if (match := ADAPTER.search(name))}
    changed = {name[:at] for name, at in found.items()}
    return tuple(name for name in names if name in found or (ALPHA.search(name) and name[: -len(".alpha")] in changed))


def said_of(found: Sequence[str]) -> str:
    """Return what the user should know of adapters that are left out."""
    count = f"{len(found)} tensors, such as {found[0]}"
    return f"its adapters ({count}) are left out, so that the base model is taken; {MERGE}"
