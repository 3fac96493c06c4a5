from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tli_cli.cli.render import Style
from tli_cli.cli.render_report import render_report, report_parts


@pytest.fixture
def report(plan, tmp_path):
    file = tmp_path / "out.safetensors"
    file.write_bytes(bytes(2500))
    return SimpleNamespace(
        plan=plan,
        files=(file,),
        exact=2,
        adapted=3,
        initialised=3,
        unused=2,
        coverage=plan.coverage,
        warnings=("fc.weight: the head starts afresh",),
        verification=None,
    )


def test_summary(report, as_text, check_golden):
    folder = f"{report.files[0].parent}/"
    check_golden("inject.txt", as_text(report_parts(report)).replace(folder, ""))


def test_plain_summary_is_one_fact_a_line(report, capsys):
    render_report(report, Style.PLAIN)
    out, err = capsys.readouterr()
    facts = dict(line.split("\t") for line in out.splitlines())
    assert facts["placed_exactly"] == "2" and facts["coverage"] == "94.6 %" and "2.5 kB" in facts["written"]
    assert "warning: fc.weight: the head starts afresh" in err


def test_json_lists_every_tensor(report, capsys):
    render_report(report, Style.JSON)
    value = json.loads(capsys.readouterr().out)
    assert value["version"] == 1 and value["files"] == [str(report.files[0])]
    assert [tensor["name"] for tensor in value["tensors"]] == [step.target for step in report.plan.steps]


def test_a_dry_run_says_that_nothing_is_written(report, as_text):
    report.files = ()
    assert "nothing (dry run)" in as_text(report_parts(report))
