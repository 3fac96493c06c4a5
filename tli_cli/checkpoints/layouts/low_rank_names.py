"""What the tensors of low-rank adapters are called by those who write them, and what they change in a base model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tli_cli.describe.spelling import changed, prefix_change
from tli_cli.grouping import gathered

OF_PEFT = re.compile(
    r"(?P<path>.+)\.(lora_(?P<linear>[AB])(?P<named>\.\w+)?\.weight|lora_embedding_(?P<table>[AB])(\.\w+)?"
    r"|lora_(?P<length>magnitude)_vector(\.\w+)?(\.weight)?)"
)
"""peft's names, `peft/tuners/lora/layer.py`: with the adapter's own name in a state dict, without it in files."""
OF_OTHERS = re.compile(r"(?P<path>.+?)(\.lora_|\.lora\.|\.lora_linear_layer\.|_lora\.)(?P<way>down|up)\.weight")
"""Names of kohya-ss/sd-scripts, and of diffusers before it took those of peft."""
ALPHA = ".alpha"
WAYS = {"down": "A", "up": "B"}
COMPONENT = re.compile(r"(lora_(unet|te\d?|t5xxl|transformer|prior)_|(unet|transformer|prior|text_encoder)(_\d)?\.)")
"""Which of a pipeline's models a tensor is for."""
SAVED = re.compile(r"\.(base_layer|modules_to_save(\.\w+)?)\.(?=\w+$)")
"""Where a layer stands whole, within what peft puts around it."""
SAVED_ALONE = re.compile(r"\.modules_to_save(\.\w+)?\.(?=\w+$)")
ORIGINAL = re.compile(r"\.original_module\.(?=\w+$)")
"""Where peft puts a layer that is trained whole, and where it keeps what that was before."""
WRAPPED = "base_model.model."


@dataclass(frozen=True)
class Part:
    """What one tensor is of the adapter of the layer at `path`: `A` (down), `B` (up), `magnitude` or `alpha`; `scaled`
    where its library keeps the scale elsewhere."""

    path: str
    what: str
    scaled: bool = False


def part_of(stored: str) -> Part | None:
    """Return what the tensor stored as `stored` is of an adapter, None if it is none of its parts."""
    if match := OF_PEFT.fullmatch(stored):
        path = match["path"].removeprefix(WRAPPED)
        what = match["linear"] or match["table"] or match["length"]
        return Part(path, what, bool(path != match["path"] or match["named"] or not match["linear"]))
    if match := OF_OTHERS.fullmatch(stored):
        return Part(match["path"].replace(".processor.", "."), WAYS[match["way"]])
    return Part(stored.removesuffix(ALPHA), "alpha") if stored.endswith(ALPHA) else None


def factored_paths(names: Iterable[str]) -> set[str]:
    """Return the paths of the layers that have factors among the tensors called so."""
    return {part.path for name in names if (part := part_of(name)) and part.what in WAYS.values()}


def component(stored: str) -> str:
    """Return how the names of the pipeline's model begin that a tensor is for; "" where it does not say."""
    match = COMPONENT.match(stored)
    return match[0] if match else ""


class BaseNames:
    """The names that a base model's file stores its tensors by, `base`, which may stand within or around others there,
    for those of an adapter."""

    def __init__(self, base: Iterable[str], adapter: Iterable[str]) -> None:
        self._known = set(base)
        told = gathered((component(stored), _of_base(stored)) for stored in adapter)
        self._change = {begin: prefix_change(names, list(self._known)) for begin, names in told.items()}
        self._flat = gathered((end.replace(".", "_"), name) for name in self._known for end in _ends(name))

    def of(self, stored: str) -> str:
        """Return the base's name for what the adapter stores as `stored`, of a factor for its weight; "" if it has
        none. Names without dots have underscores in their places."""
        begin, own = component(stored), _of_base(stored)
        name = changed(own, self._change.get(begin, ("", "")))
        if name in self._known:
            return name
        plain = own[len(begin) :].removesuffix(".weight") if begin else ""
        found = self._flat.get(f"{plain}_weight", []) if plain and "." not in plain else []
        return min(found, key=len) if Counter(map(len, found))[min(map(len, found), default=0)] == 1 else ""

    def foreign(self, names: Sequence[str]) -> set[str]:
        """Return how those of `names` begin that are for another model of a pipeline: this one has none of them, and
        some of the others."""
        known = {begin: any(self.of(n) for n in names if component(n) == begin) for begin in map(component, names)}
        return {begin for begin, here in known.items() if begin and not here} if any(known.values()) else set()


def _ends(name: str) -> Iterator[str]:
    yield name
    yield from (name[i + 1 :] for i, letter in enumerate(name) if letter == ".")


def _of_base(stored: str) -> str:
    part = part_of(stored)
    return SAVED.sub(".", f"{part.path}.weight" if part else stored).removeprefix(WRAPPED)
