"""What the user named, as an architecture and a way to its tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture
from tli_cli.catalogue.naming import LIBRARIES
from tli_cli.checkpoints.in_files import names_in_files
from tli_cli.checkpoints.layouts.joined import joined
from tli_cli.checkpoints.located import is_there
from tli_cli.decoding import shown
from tli_cli.describe.renaming import renamed
from tli_cli.errors import TliError, UnknownReferenceError, join_problems
from tli_cli.kinship.adapters import adapter_names
from tli_cli.references.adoption import adopt
from tli_cli.references.bare import describe_bare
from tli_cli.references.hints import classes_wanted, missing_hint
from tli_cli.references.values import Reading, Reference

if TYPE_CHECKING:
    from tli_cli.checkpoints import Checkpoint

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".json", ".tar", ".dcp")
LIVE = re.compile(r"^(hf:.+|(.+\.py|[A-Za-z_]\w*(\.\w+)*):\w[\w.]*(\?.*|\(.*\))?)$")


def is_traced(text: str) -> bool:
    """Tell whether `text` names code that is run on an input whose shape the user may give."""
    if is_there(text) or text.startswith("hf:"):
        return False
    library = text.partition(":")[0] in LIBRARIES
    return _beyond_the_catalogue(text) if library else LIVE.match(text) is not None


def check_input_shape(text: str, reading: Reading) -> None:
    """Raise `TliError` where an input's shape is given and `text` is not run on one."""
    if reading.input_shape is not None and not is_traced(text):
        raise TliError(
            f"{text}: --input-shape is the input that your own code is traced with, and this is not traced; "
            "path/to/net.py:Net would be, or timm:NAME?img_size=64"
        )


def resolve(text: str, reading: Reading = Reading()) -> Reference:
    """Return what `text` names: a checkpoint, a name of the catalogue, or, on their explicit forms, live code.

    Raises:
        UnknownReferenceError: nothing is known by that name.
        TliError: it is known and cannot be read.
    """
    path = Path(text)
    if path.suffix == ".py" and path.is_file():
        raise UnknownReferenceError(classes_wanted(path))
    if is_there(text):
        return _from_checkpoint(text, reading)
    _refuse_two_answers(text, reading)
    if LIVE.match(text) and text.partition(":")[0] not in LIBRARIES:
        return _from_code(text, reading)
    if path.suffix in SUFFIXES or "/" in text or text == "-":
        from tli_cli.checkpoints.writing.naming import require_named

        require_named(path)
        raise UnknownReferenceError(f"{text}: no such file or directory{missing_hint(text)}")
    return _from_name(text, reading)


def _refuse_two_answers(text: str, reading: Reading) -> None:
    """Raise `TliError` where `text` says one number of classes or channels, and an option another."""
    for option in ("num_classes", "in_chans"):
        said, asked = re.search(rf"[?&,(]\s*{option}\s*=\s*(\d+)", text), getattr(reading, option)
        if said and asked is not None and said[1] != str(asked):
            flag = f"--{option.replace('_', '-')}"
            raise TliError(f"{text}: says {option}={said[1]}, and {flag} {asked}; leave out one of the two")


def _from_code(text: str, reading: Reading) -> Reference:
    from tli_cli.providers import provided

    sizes = {"num_classes": reading.num_classes, "in_chans": reading.in_chans}
    try:
        live = provided(text, input_shape=reading.input_shape, **sizes)
    except UnknownReferenceError as error:
        raise UnknownReferenceError(f"{error}{missing_hint(text) if text.startswith('hf:') else ''}") from error
    return Reference(text, live.architecture, notes=live.notes, in_files=live.in_files)


def _from_name(text: str, reading: Reading) -> Reference:
    from tli_cli import catalogue

    if text.partition(":")[0] in LIBRARIES and _beyond_the_catalogue(text):
        return _from_code(text, reading)
    resolved = catalogue.resolve_name(text)
    architecture = catalogue.load(text, num_classes=reading.num_classes, in_chans=reading.in_chans)
    notes = (resolved.note,) if resolved.note else ()
    return Reference(text, architecture, notes=notes)


def _beyond_the_catalogue(text: str) -> bool:
    """Tell whether `text` has arguments that only the library itself can take."""
    return bool(set(re.findall(r"[?&,](\w+)=", text)) - {"num_classes", "in_chans"})


def _from_checkpoint(text: str, reading: Reading) -> Reference:
    from tli_cli.checkpoints import open_checkpoint

    _refuse_other_sizes(text, reading)
    return read_checkpoint(text, reading, lambda expected: open_checkpoint(text, ema=reading.ema, expected=expected))


def read_checkpoint(text: str, reading: Reading, opened: Callable[[Collection[str]], Checkpoint]) -> Reference:
    """Return the checkpoint that `opened` gives, told which names are expected, with the architecture that `reading`
    names, or the one that it seems to have.

    Raises:
        TliError: it cannot be read, or is no checkpoint of that architecture.
    """
    from tli_cli.references.merging import is_adapter

    given = resolve(reading.arch, replace(reading, arch=None, ema=None)) if reading.arch is not None else None
    named = (
        [given.architecture, renamed(given.architecture, names_in_files(given.in_files))] if given is not None else []
    )
    checkpoint = opened({name for architecture in named for name in architecture.by_name})
    notes = [f"{text}: left aside {'; '.join(checkpoint.ignored)}"] if checkpoint.ignored else []
    notes += [f"{text}: {line}" for line in checkpoint.readings]
    if given is not None and given.checkpoint is not None and is_adapter(checkpoint):
        return merged_into(given, text, checkpoint)
    if given is not None:
        checkpoint, said = _without_adapter(checkpoint, given, text)
        notes += said
        checkpoint = joined(checkpoint, given.in_files) or checkpoint
        found = adopt(named, checkpoint, text)
        origin = f"checkpoint {shown(Path(text).name)} ({given.architecture.origin})"
        architecture = replace(found.architecture, origin=origin)
        told = (*notes, *given.notes, *(f"{text}: {said}" for said in found.said))
        return Reference(text, architecture, found.checkpoint, told, aside=found.aside)
    return describe_bare(Reference(text, Architecture((), ()), checkpoint, tuple(notes)), checkpoint.tensors)


def _without_adapter(checkpoint: Checkpoint, given: Reference, text: str) -> tuple[Checkpoint, tuple[str, ...]]:
    """Return `checkpoint` with the adapter in it taken into its weights, where the architecture that was named for it
    has none and something tells the adapter's scale."""
    held, wanted = (adapter_names([spec.name for spec in side.tensors]) for side in (checkpoint, given.architecture))
    from tli_cli.references.merging import is_adapter, on_own_base

    if not held or wanted or is_adapter(checkpoint):
        return checkpoint, ()
    return on_own_base(text, checkpoint) or (checkpoint, ())


def merged_into(base: Reference, text: str, adapter: Checkpoint) -> Reference:
    """Return `base` with the adapter that `text` names taken into its weights.

    Raises:
        CheckpointError: it is an adapter of another kind, or of another model.
    """
    from tli_cli.references.merging import on_base

    if base.checkpoint is None:
        raise TliError(f"{text}: expected its base model's checkpoint, found {base.text}, which has no values")
    checkpoint, said = on_base(text, adapter, base.checkpoint)
    origin = f"checkpoint {shown(Path(text).name)} on {base.architecture.origin}"
    architecture = replace(base.architecture, origin=origin)
    return replace(base, text=text, architecture=architecture, checkpoint=checkpoint, notes=(*base.notes, *said))


def _refuse_other_sizes(text: str, reading: Reading) -> None:
    """Raise `TliError` where a checkpoint is asked to have other classes or channels than its tensors have."""
    asked = [f"--{option.replace('_', '-')}" for option in ("num_classes", "in_chans") if getattr(reading, option)]
    if asked:
        raise TliError(
            f"{text}: a checkpoint has the shapes of its tensors, {' and '.join(asked)} cannot change them; "
            "name its architecture instead (`tli inspect` says what it is), such as resnet50"
        )


def resolve_all(texts: Sequence[str], reading: Reading) -> tuple[Reference, ...]:
    """Return all references; every one that fails is named in one message."""
    found, problems = [], []
    for text in texts:
        try:
            found.append(resolve(text, reading))
        except TliError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise TliError(join_problems("several references cannot be read:", (str(p) for p in problems)))
    return tuple(found)
