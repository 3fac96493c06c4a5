"""The ways out: data to standard output, everything else to standard error. Nothing else prints."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import typer

from tli_cli.cli.streams import data_stream, standard_output
from tli_cli.decoding import shown

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

JSON_VERSION = 1
_GAP = 3
"""The blanks between two columns of a table."""
_LEAST = 12
"""The least columns for words."""

_LONGEST_LINE = 2_000
"""What a file is asked to be called, and what it says, may be a message of megabytes."""


class Style(Enum):
    """The form of what goes to standard output."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"
    CSV = "csv"


def style(*, as_json: bool = False, as_csv: bool = False) -> Style:
    """Return the form that was asked for: tables when a person looks, plain lines in a pipe."""
    if as_json and as_csv:
        raise typer.BadParameter("only one of --json and --csv is printed", param_hint="'--csv'")
    if as_json:
        return Style.JSON
    if as_csv:
        return Style.CSV
    return Style.TABLE if data_stream().isatty() or os.environ.get("FORCE_COLOR") else Style.PLAIN


def columns() -> int:
    """Return how many columns the terminal has."""
    return get_terminal_size().columns


def plain_table(*columns: str, **form: Any) -> Table:
    """Return a table with a line beneath its heading, and `columns` in which long words go on in another line."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False, **form)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def facts_table(facts: Iterable[tuple[str, object]]) -> Table:
    """Return names and what is said of each."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(Text(name.replace("_", " "), style="bold"), Text(str(value), overflow="fold"))
    return table


def pairs_table(
    names: Sequence[str], rows: Sequence[Sequence[Text]], spare: Collection[str], short: Sequence[Sequence[Text]] = ()
) -> Table:
    """Return a table of `rows`, a heading alone or a cell for each of the columns called `names`; the last two are how
    and a number. Where the terminal is too narrow for a row in one line, columns that are `spare` go, then the rows are
    `short`, how wraps, and names last."""
    widths = _widths(names, rows)
    fits = sum(widths) + _GAP * (len(names) - 1) <= columns()
    *kept, how, last = (i for i, name in enumerate(names) if fits or name not in spare)
    if short and sum(widths[i] + _GAP for i in (*kept, how, last)) - _GAP > columns():
        rows, widths = short, _widths(names, short)
    room = columns() - sum(widths[i] + _GAP for i in (*kept, last))
    table = plain_table()
    for i in kept:
        table.add_column(names[i], overflow="fold", max_width=widths[i] + max(0, room - widths[how]))
    table.add_column(names[how], overflow="fold", max_width=max(_LEAST, min(room, widths[how])))
    table.add_column(names[last], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*([row[i] for i in (*kept, how, last)] if len(row) == len(names) else row))
    return table


def _widths(names: Sequence[str], rows: Sequence[Sequence[Text]]) -> list[int]:
    """Return how wide each column is whose cells are broken between their words alone."""
    from rich.cells import cell_len

    whole = [row for row in rows if len(row) == len(names)]
    words = [[part for row in whole for part in row[i].plain.split(", ")] for i in range(len(names))]
    return [max(map(cell_len, [name, *column])) for name, column in zip(names, words, strict=True)]


@standard_output()
def show(*parts: RenderableType) -> None:
    """Print tables and texts for a person."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False, markup=False)  # names may hold brackets
    for part in parts:
        console.print(part)


@standard_output()
def plain(rows: Iterable[Sequence[object]]) -> None:
    """Print rows as tab-separated lines."""
    for row in rows:
        print("\t".join(str(cell) for cell in row))


@standard_output()
def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as CSV under their header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


@standard_output()
def as_json(value: dict[str, Any]) -> None:
    """Print a value as JSON, with the version of its schema first."""
    print(json.dumps({"version": JSON_VERSION, **value}, indent=1))


@standard_output()
def raw(text: str) -> None:
    """Print text as it is."""
    sys.stdout.write(text)


def note(text: str) -> None:
    """Say something beside the data."""
    _say(text, "")


def warn(text: str) -> None:
    """Say that something deserves a look."""
    _say(text, "warning")


def fail(text: str) -> None:
    """Say why nothing was done."""
    _say(text, "error")


def _say(text: str, label: str) -> None:
    if label and sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        label = f"\x1b[{'31' if label == 'error' else '33'}m{label}\x1b[0m"
    text = "\n".join(_short(shown(line)) for line in text.split("\n"))
    print(f"{label}: {text}" if label else text, file=sys.stderr)


def _short(line: str) -> str:
    """Return `line` without its midst, if that is too long to be read; what is wrong and what to do stand at its
    ends."""
    half = _LONGEST_LINE // 2
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} [...] {line[-half:]}"
