"""Draw accuracy curves in a terminal."""

from __future__ import annotations

from rich.text import Text

MARKS = (("●", "green"), ("○", "yellow"), ("+", "cyan"))
WIDTH, HEIGHT = 64, 16

Curve = list[tuple[int, float]]


def chart(curves: dict[str, Curve], *, title: str) -> Text:
    """Return a chart of curves in [0, 1] over steps, and the area under each as a share of the whole."""
    last = max(curve[-1][0] for curve in curves.values())
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for (mark, colour), curve in reversed(list(zip(MARKS, curves.values(), strict=False))):
        for step, value in curve:
            cells[round(step / last * (WIDTH - 1)), round(value * (HEIGHT - 1))] = (mark, colour)
    text = Text(f"{title}\n", style="")
    for row in reversed(range(HEIGHT)):
        text.append(f"{row / (HEIGHT - 1):5.0%} ┤" if row % 5 == 0 else "      │")
        for column in range(WIDTH):
            text.append(*cells.get((column, row), (" ", "")))
        text.append("\n")
    text.append(f"      └{'─' * WIDTH}\n       0{'step'.center(WIDTH - 1 - len(str(last)))}{last}\n\n")
    for (mark, colour), (name, curve) in zip(MARKS, curves.items(), strict=False):
        text.append(f" {mark} ", colour)
        text.append(f"{name:12} first {curve[0][1]:6.1%}   last {curve[-1][1]:6.1%}   mean {mean(curve):6.1%}\n")
    return text


def mean(curve: Curve) -> float:
    """Return the mean height of a curve."""
    return sum(value for _, value in curve) / len(curve)
