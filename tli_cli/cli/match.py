"""`tli match`: how the target's layers would be fed."""

from __future__ import annotations

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.cli.files import check_new, write_new
from tli_cli.cli.render_plan import render_plan
from tli_cli.cli.render_progress import progress
from tli_cli.cli.shared import GATED, OF_PLANS, takes
from tli_cli.gates import check_gates
from tli_cli.options import Options


@takes(*OF_PLANS, "force", *GATED)
def match(
    options: Options,
    sources: given.Sources,
    target: given.Target,
    output: given.PlanOutput = None,
    as_json: given.Json = False,
    as_csv: given.Csv = False,
    every: given.All = False,
) -> None:
    """Show which source layer would feed each target layer, and how.

    Reads no values and writes no weights.
    """
    from tli_cli import api

    given_style = render.style(as_json=as_json, as_csv=as_csv)
    if output is not None:
        check_new(output, force=options.force)
    with progress("reading and matching"):
        plan = api.match(sources, target, options=options)
    if output is not None:
        write_new(output, plan.to_json().encode(), force=options.force)
    render_plan(plan, given_style, every=every)
    check_gates(plan, options)
