"""What the user named, as an architecture and a way to its tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tli_cli.architecture import Architecture, TensorSpec
from tli_cli.catalogue.naming import LIBRARIES
from tli_cli.checkpoints.in_files import Layouts, names_in_files
from tli_cli.checkpoints.joined import joined
from tli_cli.checkpoints.located import is_there
from tli_cli.describe.channels_last import with_channels_last
from tli_cli.describe.heads import configured_head_width, configured_heads
from tli_cli.describe.renaming import renamed
from tli_cli.errors import TliError, UnknownReferenceError, join_problems
from tli_cli.options import InputShape
from tli_cli.references.adoption import adopt

if TYPE_CHECKING:
    from tli_cli.checkpoints import Checkpoint

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".json", ".tar", ".dcp")
LIVE = re.compile(r"^(hf:.+|(.+\.py|[A-Za-z_]\w*(\.\w+)*):\w[\w.]*(\?.*|\(.*\))?)$")
BARE = ("file", "inferred", "definition", "recognised")
"""Where the order of layers comes from where nothing but the file was named."""
NEAR = 0.6
"""The share of names and shapes that an entry of the catalogue must have in common with a file to be named for it."""


@dataclass(frozen=True)
class Reference:
    """A resolved reference.

    Attributes:
        text: what the user wrote.
        architecture: names, shapes, layers, graph; the names are the checkpoint's clean names where there is one.
        checkpoint: where the values are, None for an architecture without values.
        notes: what the user should know of how it was read.
        doubts: what had to be guessed of a bare checkpoint.
        in_files: what stands in files for tensors of `architecture` that have other names there, or other forms.
        aside: tensors of the checkpoint that are no part of `architecture`.
        known_as: what the catalogue calls it, such as `timm:resnet50`, if it was named so; empty if not.
    """

    text: str
    architecture: Architecture
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    in_files: Layouts = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    known_as: str = ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, then the doubts."""
        return (*self.notes, *self.doubts)


@dataclass(frozen=True, slots=True)
class Reading:
    """How references are to be read; see `Options`."""

    arch: str | None = None
    input_shape: InputShape | None = None
    num_classes: int | None = None
    in_chans: int | None = None
    ema: str | None = None


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
        raise UnknownReferenceError(_classes_wanted(path))
    if is_there(text):
        return _from_checkpoint(text, reading)
    if LIVE.match(text) and text.partition(":")[0] not in LIBRARIES:
        return _from_code(text, reading)
    if path.suffix in SUFFIXES or "/" in text:
        from tli_cli.checkpoints.naming import require_named

        require_named(path)
        raise UnknownReferenceError(f"{text}: no such file or directory")
    return _from_name(text, reading)


def _classes_wanted(path: Path) -> str:
    from tli_cli.providers.defined import defined_in

    names = defined_in(path)
    told = f"it defines {', '.join(names[:8])}" if names else "such as Net"
    return f"{path}: name a class or function in it, {path}:{names[0] if names else 'Net'}; {told}"


def _from_code(text: str, reading: Reading) -> Reference:
    from tli_cli.providers import provided

    live = provided(text, input_shape=reading.input_shape, num_classes=reading.num_classes, in_chans=reading.in_chans)
    return Reference(text, live.architecture, notes=live.notes, in_files=live.in_files)


def _from_name(text: str, reading: Reading) -> Reference:
    from tli_cli import catalogue

    if text.partition(":")[0] in LIBRARIES and _beyond_the_catalogue(text):
        return _from_code(text, reading)
    resolved = catalogue.resolve_name(text)
    architecture = catalogue.load(text, num_classes=reading.num_classes, in_chans=reading.in_chans)
    notes = (resolved.note,) if resolved.note else ()
    return Reference(text, architecture, notes=notes, known_as=resolved.entry.reference)


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
    given = resolve(reading.arch, replace(reading, arch=None, ema=None)) if reading.arch is not None else None
    named = (
        [given.architecture, renamed(given.architecture, names_in_files(given.in_files))] if given is not None else []
    )
    checkpoint = opened({name for architecture in named for name in architecture.by_name})
    notes = [f"{text}: left aside {line}" for line in checkpoint.ignored]
    notes += [f"{text}: {line}" for line in checkpoint.readings]
    if given is not None:
        checkpoint = joined(checkpoint, given.in_files) or checkpoint
        found = adopt(named, checkpoint, text)
        origin = f"checkpoint {Path(text).name} ({given.architecture.origin})"
        architecture = replace(found.architecture, origin=origin)
        told = (*notes, *given.notes, *(f"{text}: {said}" for said in found.said))
        return Reference(text, architecture, found.checkpoint, told, aside=found.aside, known_as=given.known_as)
    architecture, doubts = _describe(checkpoint, checkpoint.tensors, text)
    return Reference(text, architecture, checkpoint, tuple(notes), tuple(doubts))


def _refuse_other_sizes(text: str, reading: Reading) -> None:
    """Raise `TliError` where a checkpoint is asked to have other classes or channels than its tensors have."""
    asked = [f"--{option.replace('_', '-')}" for option in ("num_classes", "in_chans") if getattr(reading, option)]
    if asked:
        raise TliError(
            f"{text}: a checkpoint has the shapes of its tensors, {' and '.join(asked)} cannot change them; "
            "name its architecture instead (`tli inspect` says what it is), such as resnet50"
        )


def _describe(checkpoint: Checkpoint, tensors: Sequence[TensorSpec], text: str) -> tuple[Architecture, list[str]]:
    """Return the architecture of `tensors` of a bare checkpoint, and what is not certain of it."""
    from tli_cli import catalogue
    from tli_cli.describe.names import describe_names
    from tli_cli.references.configured import as_catalogued

    origin = f"checkpoint {Path(text).name}"
    if (named := as_catalogued(checkpoint)) is not None:
        return replace(named, origin=f"{origin} ({named.origin})"), []
    found = catalogue.recognise(tensors)
    if found is not None:
        known = found.architecture
        return replace(known, order_from="recognised", origin=f"{origin} ({found})"), []
    described = describe_names(tensors, order_from=checkpoint.order_from, origin=origin, config=checkpoint.config)
    doubts = []
    near = catalogue.nearest(tensors)
    if near is not None and near.overlap >= NEAR:
        doubts.append(f"{text}: not in the catalogue; {near}")
    if described.order_from == "inferred":
        doubts.append(f"{text}: the order of its layers is not in the file and was inferred; --source-arch can name it")
    return described, [*doubts, *_guesses(text, described)]


def related(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return `references`, of which the last is the target, the bare checkpoints among them described as the
    configurations beside them say, else as another one that they are kin of."""
    return tuple(map(_as_laid_out, _related(references)))


def _as_laid_out(reference: Reference) -> Reference:
    """Return `reference` with flattened maps as they stand in its file."""
    if reference.checkpoint is None or not reference.checkpoint.channels_last:
        return reference
    return replace(reference, architecture=with_channels_last(reference.architecture))


def _related(references: Sequence[Reference]) -> tuple[Reference, ...]:
    references = with_configurations([*(_alone(source, references[-1]) for source in references[:-1]), references[-1]])
    if all(reference.architecture.graph for reference in references):
        return tuple(references)
    from tli_cli.kinship import related as related_architectures

    configs = [(r.checkpoint.config if r.checkpoint else None) or {} for r in references]
    found = related_architectures([r.architecture for r in references], [configured_head_width(c) for c in configs])
    described = [
        reference
        if architecture is reference.architecture
        else replace(reference, architecture=architecture, doubts=_guesses(reference.text, architecture))
        for reference, architecture in zip(references, found, strict=True)
    ]
    return tuple(_cut_alike(reference, described) for reference in described)


def with_configurations(references: Sequence[Reference], *, known: bool = False) -> tuple[Reference, ...]:
    """Return `references`, the bare checkpoints among them as the configurations beside them say.

    Where all have the same names, shapes and settings, which is enough, they are as they were; `known` says that there
    are others that have a graph.
    """
    from tli_cli.references.configured import settings_of

    known |= any(reference.architecture.graph for reference in references)
    settings = {settings_of(r.checkpoint.config) for r in references if r.checkpoint and r.checkpoint.config}
    if known or len(settings) > 1 or len({reference.architecture.fingerprint for reference in references}) > 1:
        return tuple(as_its_configuration(reference) for reference in references)
    return tuple(references)


def _alone(source: Reference, target: Reference) -> Reference:
    """Return a bare checkpoint without the adapters in it, and without the second one of a network that it holds twice,
    where the target holds no such.

    Raises:
        TliError: it holds nothing but adapters.
    """
    from tli_cli.kinship.adapters import adapters, said_of
    from tli_cli.kinship.copies import copies

    checkpoint, wanted = source.checkpoint, target.architecture.tensors
    if checkpoint is None or source.architecture.order_from not in BARE:
        return source
    aside = adapters(source.architecture.tensors, wanted, source.text)
    told = [said_of(aside)] if aside else []
    kept = tuple(spec for spec in source.architecture.tensors if spec.name not in set(aside))
    found = copies(kept) if copies(wanted) is None else None
    if found is not None:
        kept, aside, told = found.kept, (*aside, *found.dropped), [*told, str(found)]
    if not aside:
        return source
    architecture, doubts = _describe(checkpoint, kept, source.text)
    notes = (*source.notes, *(f"{source.text}: {line}" for line in told))
    return replace(source, architecture=architecture, notes=notes, doubts=tuple(doubts), aside=aside)


def _cut_alike(reference: Reference, others: Sequence[Reference]) -> Reference:
    """Return a bare checkpoint with its heads cut as those of the first other one of its size, if that is known."""
    from tli_cli.describe.names import describe_names
    from tli_cli.kinship.heads import heads_like

    checkpoint, bare = reference.checkpoint, reference.architecture
    if bare.graph or checkpoint is None or (checkpoint.config and configured_heads(checkpoint.config, 0)[0]):
        return reference
    heads = next(filter(None, (heads_like(bare, other.architecture) for other in others)), None)
    if heads is None:
        return reference
    described = describe_names(bare.tensors, order_from=bare.order_from, origin=bare.origin, config=heads)
    told = f"{reference.text}: how its heads are cut is taken from the other model of its size; --source-arch can tell"
    certain = tuple(doubt for doubt in reference.doubts if doubt not in _guesses(reference.text, bare))
    return replace(reference, architecture=described, doubts=(*certain, told))


def as_its_configuration(reference: Reference) -> Reference:
    """Return a bare checkpoint as the configuration beside it says, where it says what it is."""
    if reference.architecture.graph or reference.checkpoint is None or not reference.checkpoint.config:
        return reference
    from tli_cli.references.configured import NotBuiltError, as_configured

    try:
        found = as_configured(reference.architecture, reference.checkpoint)
    except NotBuiltError as error:
        return replace(reference, doubts=(*reference.doubts, f"{reference.text}: its config.json is not used: {error}"))
    if found is None:
        return reference
    architecture, checkpoint = found
    return replace(reference, architecture=architecture, checkpoint=checkpoint, doubts=())


def _guesses(text: str, architecture: Architecture) -> tuple[str, ...]:
    if not architecture.guessed:
        return ()
    return (f"{text}: how its heads or groups are cut is not in the file and was guessed; --source-arch can tell",)


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
