"""`tli score`: how similar two models are, or many."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.files import check_new, write_new
from tli_cli.cli.render_matrix import render_matrix
from tli_cli.cli.render_progress import progress
from tli_cli.cli.render_score import render_score
from tli_cli.cli.shared import OF_TWO, takes
from tli_cli.errors import TliError
from tli_cli.gates import check_minimum
from tli_cli.options import Options

if TYPE_CHECKING:
    from tli_cli.matrices.matrix import Matrix

MATRIX = "Many models"

Models = Annotated[
    list[str] | None,
    given.references(
        "SOURCE TARGET...",
        "Two models, or more for a matrix; globs such as 'timm:resnet*' and 'runs/*.pt' stand for names and files.",
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw a clustered heat map to this .png, .svg or .html.", rich_help_panel=MATRIX),
]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keep what is known in this file, and go on from it.", rich_help_panel=MATRIX),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="How many processes; one a core if not given.", rich_help_panel=MATRIX),
]
Minimum = Annotated[float | None, given.least("--min", "The least score from SOURCE to TARGET.")]


@takes(*OF_TWO, "matcher", "force")
def score(
    options: Options,
    models: Models = None,
    from_file: given.FromFile = None,
    plot: Plot = None,
    resume: Resume = None,
    jobs: Jobs = None,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    minimum: Minimum = None,
) -> None:
    """Say how much of each of two models can be fed from the other; of more than two, all pairs.

    From 0 to 1; 1 means that every layer has an identical partner in its place. Reads no values.
    """
    from tli_cli import api
    from tli_cli.references.sources import is_glob, read_names

    given_style = render.style(as_json=as_json, as_csv=as_csv)
    places = read_names(from_file) if from_file else {}
    names = [*(models or ()), *places]
    if len(names) < 2 and not any(map(is_glob, names)):
        if places:
            raise TliError(f"{from_file}: expected two references or more, one a line, found {names[0]!r} alone")
        raise typer.BadParameter("name two models or more", param_hint="'SOURCE TARGET...'")
    if len(names) == 2 and not any(map(is_glob, names)) and not (from_file or plot or resume):
        with progress("reading and matching"):
            result = api.score(*names, options=options)
        render_score(result, given_style)
        check_minimum(result.forward, minimum)
        return
    _check_for_matrix(options, minimum)
    _check_plot(plot, options)
    with progress("reading") as tell:
        found = api.matrix(names, options=options, jobs=jobs, resume=resume, places=places, progress=tell)
    _draw(found, plot, options)
    render_matrix(found, given_style)


def _check_plot(plot: Path | None, options: Options) -> None:
    if plot is not None:
        from tli_cli.matrices.plotting import check_suffix

        check_suffix(plot)
        check_new(plot, force=options.force)


def _draw(found: Matrix, plot: Path | None, options: Options) -> None:
    if plot is not None:
        from tli_cli.matrices.plotting import drawing

        write_new(plot, drawing(found, plot.suffix), force=options.force)
        render.note(f"drawn: {plot}")


def _check_for_matrix(options: Options, minimum: float | None) -> None:
    """Raise a usage error for options that say something of one source or one target."""
    alone = ("source_arch", "source_input_shape", "num_classes", "in_chans")
    asked = [f"--{name.replace('_', '-')}" for name in alone if getattr(options, name) is not None]
    for option in (*asked, *(["--min"] if minimum is not None else [])):
        raise typer.BadParameter("takes one source and one target", param_hint=f"'{option}'")
