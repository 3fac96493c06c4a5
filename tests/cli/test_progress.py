"""What long work says where nobody looks at a bar."""

from __future__ import annotations

from tli_cli.cli.render_progress import lines, progress


def test_lines_come_no_oftener_than_asked(capsys):
    now = 0.0
    tell = lines(60, lambda: now)
    for done in range(1, 1001):
        now += 1.0
        tell(done, 1000, f"net{done}")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "60 of 1,000: net60" and len(said) == 1000 // 60


def test_short_work_says_nothing(capsys):
    with progress() as tell:
        tell(1, 2, "one")
        tell(2, 2, "two")
    assert capsys.readouterr() == ("", "")
