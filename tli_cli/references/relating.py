"""References beside each other: what each tells of the others, and the configuration beside it of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tli_cli.architecture import Architecture
from tli_cli.describe.channels_last import with_channels_last
from tli_cli.describe.from_names.heads import configured_head_width, configured_heads
from tli_cli.errors import TliError
from tli_cli.references.as_used import as_used
from tli_cli.references.bare import BARE, describe_bare, guesses_of, order_lost
from tli_cli.references.experts import with_experts_of, with_known_experts
from tli_cli.references.likest import as_its_class, is_open, with_likest
from tli_cli.references.reference import merged_into, resolve
from tli_cli.references.values import Reference


def related(references: Sequence[Reference]) -> tuple[Reference, ...]:
    """Return `references`, of which the last is the target, the bare checkpoints among them described as the
    configurations beside them say, else as another one that they are kin of, or that tells which of several networks
    they are."""
    return tuple(map(_as_laid_out, _related(references)))


def _as_laid_out(reference: Reference) -> Reference:
    """Return `reference` with flattened maps as they stand in its file."""
    if reference.checkpoint is None or not reference.checkpoint.channels_last:
        return reference
    return replace(reference, architecture=with_channels_last(reference.architecture))


def _related(references: Sequence[Reference]) -> tuple[Reference, ...]:
    references = [*(as_used(source, references[-1]) for source in references[:-1]), references[-1]]
    references = with_configurations([*(_alone(source, references[-1]) for source in references[:-1]), references[-1]])
    references = (*(with_experts_of(source, references[-1]) for source in references[:-1]), references[-1])
    references = (*(as_its_class(source, references[-1]) for source in references[:-1]), references[-1])
    if any(map(is_open, references)):
        references = with_likest(references)
    if all(reference.architecture.graph for reference in references):
        return tuple(references)
    own = [_says_what_runs(reference) for reference in references]
    from tli_cli.kinship import related as related_architectures

    configs = [(r.checkpoint.config if r.checkpoint else None) or {} for r in references]
    found = related_architectures([r.architecture for r in references], [configured_head_width(c) for c in configs])
    described = [
        reference
        if architecture is reference.architecture
        else replace(reference, architecture=architecture, doubts=guesses_of(reference.text, architecture))
        for reference, architecture in zip(references, found, strict=True)
    ]
    *sources, target = (_told_by(reference, described) for reference in described)
    return with_assumptions((*(with_known_experts(source, target) for source in sources), target), own)


def _says_what_runs(reference: Reference) -> bool:
    from tli_cli.references.configured import configured_reference

    checkpoint = reference.checkpoint
    return bool(reference.architecture.graph or (checkpoint and configured_reference(checkpoint)))


def with_configurations(references: Sequence[Reference], *, known: bool = False) -> tuple[Reference, ...]:
    """Return `references`, the bare checkpoints among them as the configurations beside them say.

    Where all have the same names, shapes and settings, which is enough, they are as they were, and nothing about them
    is in doubt; `known` says that there are others that have a graph.
    """
    from tli_cli.references.configured import settings_of

    known |= any(reference.architecture.graph for reference in references)
    settings = {settings_of(r.checkpoint.config) for r in references if r.checkpoint and r.checkpoint.config}
    if known or len(settings) > 1 or len({reference.architecture.fingerprint for reference in references}) > 1:
        return tuple(as_its_configuration(reference) for reference in references)
    return tuple(replace(reference, doubts=()) if len(references) > 1 else reference for reference in references)


def _alone(source: Reference, target: Reference) -> Reference:
    """Return a bare checkpoint without the adapters in it, and without the second one of a network that it holds twice,
    where the target holds no such, nor what is called so; it says what is quantised in it alone.

    Raises:
        TliError: it holds nothing but adapters.
    """
    from tli_cli.describe.quantised import said_of_quantised
    from tli_cli.kinship.adapters import NAME, adapters, are_alone, said_of
    from tli_cli.kinship.copies import copies
    from tli_cli.references.merging import base_beside, is_adapter, on_own_base

    wanted = target.architecture.tensors
    if source.checkpoint is None or source.architecture.order_from not in BARE:
        return source
    alone = is_adapter(source.checkpoint) and not are_alone(wanted)
    if alone and (base := base_beside(source.checkpoint)):
        return merged_into(resolve(base), source.text, source.checkpoint)
    aside = adapters(source.architecture.tensors, wanted, source.text)
    if alone:
        raise TliError(f"{source.text} holds an adapter alone and no model; {NAME}")
    if aside and (found := on_own_base(source.text, source.checkpoint)):
        whole = replace(source, checkpoint=found[0], notes=(*source.notes, *found[1]), doubts=(), recognised=None)
        return describe_bare(whole, found[0].tensors)
    told = [*([said_of(aside)] if aside else ()), *said_of_quantised(source.architecture.tensors, wanted)]
    kept = tuple(spec for spec in source.architecture.tensors if spec.name not in set(aside))
    twice = copies(kept) if copies(wanted) is None else None
    if twice is not None and not twice.stand_in([spec.name for spec in wanted]):
        kept, aside, told = twice.kept, (*aside, *twice.dropped), [*told, str(twice)]
    noted = replace(source, notes=(*source.notes, *(f"{source.text}: {line}" for line in told)))
    return describe_bare(replace(noted, doubts=(), recognised=None, aside=aside), kept) if aside else noted


def _told_by(reference: Reference, others: Sequence[Reference]) -> Reference:
    """Return a bare checkpoint with its heads cut as those of the first other one of its size, if that is known, and in
    the order of the first other one that it is named like, if its own is lost."""
    from tli_cli.describe.from_names.names import describe_names
    from tli_cli.kinship.heads import heads_like
    from tli_cli.kinship.naming import in_order_of

    checkpoint, bare = reference.checkpoint, reference.architecture
    if bare.graph or checkpoint is None:
        return reference
    beside = [(o.architecture, o.checkpoint and o.checkpoint.config) for o in others if o.text != reference.text]
    known = [(other, configured_heads(config or {}, 0)) for other, config in beside]
    own = configured_heads(checkpoint.config or {}, 0)[0]
    cut = next(filter(None, (heads_like(bare, other, told) for other, told in known)), None) if not own else None
    ordered = next(filter(None, (in_order_of(bare, other) for other in _in_order(reference, others))), None)
    if cut is None and ordered is None:
        return reference
    tensors, order_from = (ordered, "recognised") if ordered else (bare.tensors, bare.order_from)
    config = cut or checkpoint.config
    described = describe_names(tensors, order_from=order_from, origin=bare.origin, config=config)
    guesses = guesses_of(reference.text, bare) if cut else ()
    settled = (*guesses, *order_lost(reference.text, bare)) if described.order_from != "inferred" else guesses
    return replace(reference, architecture=described, doubts=tuple(d for d in reference.doubts if d not in settled))


def _in_order(reference: Reference, others: Sequence[Reference]) -> list[Architecture]:
    """Return the others whose tensors are in the order of their definition, where those of `reference` are not."""
    lost = [other.checkpoint is not None and other.checkpoint.order_from == "inferred" for other in others]
    if reference.checkpoint is None or reference.checkpoint.order_from != "inferred":
        return []
    return [other.architecture for other, without in zip(others, lost, strict=True) if not without]


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


def with_assumptions(references: Sequence[Reference], own: Sequence[bool]) -> tuple[Reference, ...]:
    """Return `references`, of which the last is the target, with a doubt on each that is taken to compute as the other
    side does and is not described as that; `own` tells of each whether its own code is known."""
    *sources, target = references
    *theirs, its = own
    doubted = [s if known else _taken_as(s, target, "--source-arch") for s, known in zip(sources, theirs, strict=True)]
    told = next((source for source, known in zip(sources, theirs, strict=True) if known), None)
    return (*doubted, target if its or told is None else _taken_as(target, told, "its architecture's name"))


def _taken_as(reference: Reference, other: Reference, remedy: str) -> Reference:
    known = reference.architecture.graph and reference.architecture.order_from == "recognised"
    if known or reference.text == other.text:  # names say whose code runs it; the order of its sizes does not
        return reference
    doubt = (
        f"{reference.text}: nothing says what runs between its tensors (activations, heads of attention, numbers of "
        f"code); taken to be as in {other.text}; {remedy} can tell"
    )
    return replace(reference, doubts=(*reference.doubts, doubt))
