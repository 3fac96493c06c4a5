"""Show a plan: the pairing, what is kept, what is left unused, and the score below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from tli_cli.cli import render
from tli_cli.cli.render import Style
from tli_cli.cli.rows import INITIAL, Row, is_counter, layer_of, layer_rows, tensor_rows
from tli_cli.cli.text import count_text, parent, score_text, shape_text, share_text, shared_items, similarity_text
from tli_cli.plan import Plan

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

HEADER = ("target", "target_shape", "source", "source_shape", "how", "similarity", "reason")
SHOWN_NAMES = 5


def render_plan(plan: Plan, style: Style, *, every: bool = False) -> None:
    """Print a plan in `style`; with `every`, all tensors and all unused names."""
    if style is Style.JSON:
        render.raw(plan.to_json())
    elif style is Style.CSV:
        render.as_csv(HEADER, _cells(plan))
    elif style is Style.PLAIN:
        render.plain(_cells(plan))
        render.note(f"score {score_text(plan.score)}, {plan_counts(plan)}")
    else:
        render.show(*plan_parts(plan, every=every))
    for text in plan.notes:
        render.note(f"note: {text}")


def plan_parts(plan: Plan, *, every: bool = False) -> Iterator[RenderableType]:
    """Yield the table and the lists below it."""
    from rich.text import Text

    sources = ", ".join(side.origin for side in plan.sources)
    yield Text.assemble((sources, "bold"), " -> ", (plan.target.origin, "bold"))
    yield Text(f"method {plan.method}, matcher {plan.matcher}, relation: {plan.relation}", style="dim")
    yield Text()
    yield pairing_table(tensor_rows(plan) if every else layer_rows(plan))
    yield Text()
    yield from leftovers(plan, every=every)
    yield Text.assemble(("score ", "bold"), (score_text(plan.score), "bold green"))
    yield Text(plan_counts(plan))


def leftovers(plan: Plan, *, every: bool = False) -> Iterator[RenderableType]:
    """Yield the lists of target tensors not fed from a source, by reason, and of source tensors not used."""
    from rich.padding import Padding
    from rich.text import Text

    kept = list(kept_layers(plan, every=every))
    if kept:
        yield Text("Initialised, not fed from a source", style="bold")
    for (initial, reason), group in groupby(sorted(kept, key=_why), key=_why):
        lines = [line for *_, line in group]
        start = INITIAL.get(initial, initial)
        yield Padding(
            f"{reason or 'the plan says so'} ({start}): {count_text(len(lines), 'layer')}", (0, 0, 0, 2), expand=False
        )
        yield from _listed(lines, 4, every=every)
    if kept:
        yield Text()
    if plan.unused:
        yield Text(f"Left unused in the source: {count_text(len(plan.unused), 'tensor')}", style="bold")
        layers = groupby(plan.unused, key=parent)
        lines = [f"{layer}: {', '.join(n.removeprefix(layer + '.') for n in names)}" for layer, names in layers]
        yield from _listed(lines, 2, every=every)
        yield Text()


def plan_counts(plan: Plan) -> str:
    """Return one line on coverage and on how many tensors are exact, adapted, initialised and unused."""
    return (
        f"coverage {share_text(plan.coverage)}: {count_text(plan.exact, 'tensor')} placed exactly, {plan.adapted} "
        f"adapted, {plan.initialised} initialised; {len(plan.unused)} unused in the source"
    )


def pairing_table(rows: Iterable[Row]) -> Table:
    """Return the table of pairings, a heading above the rows of each block; where names would be broken for them no
    shapes, and the path that a block's sources share beside its heading alone."""
    names, groups = ("target", "shape", "source", "shape", "how", "sim"), groupby(rows, key=lambda row: row.block)
    blocks = [(block, list(members)) for block, members in groups]
    whole, short = ([row for block in blocks for row in _block(*block, short=s)] for s in (False, True))
    return render.pairs_table(names, whole, ("shape",), short)


def _block(block: str, members: Sequence[Row], *, short: bool) -> Iterator[list[Text]]:
    from rich.text import Text

    there = ""
    if block and [row.target for row in members] != [block]:
        parts = [row.source.partition("{")[0].split(".") for row in members if row.source] if short else []
        there = ".".join(parts[0][: shared_items(parts, min(map(len, parts)) - 1)]) if parts else ""
        heading = (block, "", there, "", "", "") if there else (block,)
        yield [Text(cell, style="bold") for cell in heading]
    yield from (styled(row, block, there) for row in members)


def styled(row: Row, block: str = "", there: str = "") -> list[Text]:
    """Return the cells of a row, its names below `block` and `there`."""
    from rich.text import Text

    inside = bool(block) and row.target.startswith(f"{block}.")
    name = f"  {row.target[len(block) + 1 :]}" if inside else row.target
    colour = "dim" if not row.fed else "green" if row.exact else "yellow"
    similarity = similarity_text(row.similarity) if row.fed else ""
    cells = (name, row.shape, row.source.removeprefix(f"{there}.") or "-", row.source_shape)
    return [*(Text(cell, style="" if row.fed else "dim") for cell in cells), Text(row.how, colour), Text(similarity)]


def kept_layers(plan: Plan, *, every: bool = False) -> Iterator[tuple[str, str, str]]:
    """Yield how each layer that is not fed starts, why, and its name with its tensors' shapes; counters of batches
    with `every` alone."""
    kept = (step for step in plan.steps if step.action != "transfer" and (every or not is_counter(step)))
    for (layer, initial, reason), group in groupby(kept, key=lambda step: (layer_of(step), step.initial, step.reason)):
        members = ", ".join(f"{step.target.removeprefix(layer + '.')} {shape_text(step.shape)}" for step in group)
        yield initial, reason, f"{layer}: {members}"


def _why(kept: tuple[str, str, str]) -> tuple[str, str]:
    return kept[:2]


def _listed(lines: Sequence[str], indent: int, *, every: bool) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    limit = len(lines) if every or len(lines) <= SHOWN_NAMES + 1 else SHOWN_NAMES
    for line in lines[:limit]:
        yield Padding(Text(line, style="dim"), (0, 0, 0, indent), expand=False)
    if limit < len(lines):
        yield Padding(f"and {len(lines) - limit} more (--all lists them)", (0, 0, 0, indent), expand=False)


def _cells(plan: Plan) -> Iterator[tuple[object, ...]]:
    for row in tensor_rows(plan):
        similarity = similarity_text(row.similarity) if row.fed else ""
        yield row.target, row.shape, row.source, row.source_shape, row.how, similarity, row.reason
