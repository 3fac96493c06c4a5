"""The order of a file's modules by the channels that they take and give."""

from __future__ import annotations

from tli_cli.describe.from_names.chains import Widths, best_chain


def test_what_takes_colours_stands_behind_nothing_that_gives_as_many_numbers() -> None:
    pyramid, boxes, network = Widths(64, 256), Widths(256, 3), Widths(3, 512)
    assert best_chain([pyramid, boxes, network])[0] == 2
    assert best_chain([network, pyramid, boxes]) == [0, 1, 2]
