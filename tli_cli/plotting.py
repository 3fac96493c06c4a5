"""Draw a matrix of scores as a heat map in which alike models stand side by side."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path

from tli_cli.clustering import clustered_order
from tli_cli.errors import TliError
from tli_cli.matrices import Matrix

SUFFIXES = (".png", ".svg", ".html")


def check_suffix(path: Path) -> None:
    """Raise `TliError` unless the name of `path` says a format that can be written."""
    if path.suffix.lower() not in SUFFIXES:
        raise TliError(
            f"{path}: expected a name that ends in {', '.join(SUFFIXES)}, found {path.suffix or 'no ending'}"
        )


def drawing(matrix: Matrix, suffix: str) -> bytes:
    """Return the heat map as a file of the format that `suffix` names."""
    order = clustered_order(matrix.values)
    names = [matrix.names[i] for i in order]
    values = [[matrix.values[i][j] for j in order] for i in order]
    if suffix.lower() == ".html":
        return _page(names, values, matrix.matcher).encode()
    return _figure(names, values, matrix.matcher, suffix.lower()[1:])


def _figure(names: list[str], values: list[list[float]], matcher: str, kind: str) -> bytes:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise TliError(
            "matplotlib is not installed: install it with `pip install 'tli[plot]'`, or name a file .html"
        ) from error
    from io import BytesIO

    side = min(max(4.0, 0.24 * len(names) + 2.4), 30.0)
    figure = Figure(figsize=(side + 0.6, side), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
    axes.set(xlabel="target", ylabel="source", title=f"TLI score, {matcher}")
    if len(names) <= 120:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
    figure.colorbar(image, shrink=0.7)
    out = BytesIO()
    with rc_context({"svg.hashsalt": "tli"}):
        figure.savefig(out, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return out.getvalue()


def _page(names: list[str], values: list[list[float]], matcher: str) -> str:
    """Return a page that needs nothing else: the scores in steps of 1/255, drawn by a few lines of script."""
    cells = bytes(int(value * 255) for row in values for value in row)
    listed = json.dumps(names).replace("</", "<\\/")
    title = html.escape(f"TLI score, {matcher}: {len(names)} models")
    return _PAGE.replace("@title", title).replace("@names", listed).replace("@cells", base64.b64encode(cells).decode())


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>@title</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 1.5em; }
canvas { image-rendering: pixelated; width: min(90vh, 90vw); border: 1px solid #ccc; }
#said { min-height: 1.4em; font-variant-numeric: tabular-nums; }
</style>
<h1 style="font-size: 18px">@title</h1>
<p id="said">Point at a cell: row = source, column = target.</p>
<canvas id="map"></canvas>
<script>
const names = @names, n = names.length;
const cells = Uint8Array.from(atob("@cells"), c => c.charCodeAt(0));
const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const canvas = document.getElementById("map"), said = document.getElementById("said");
canvas.width = canvas.height = n;
const context = canvas.getContext("2d"), image = context.createImageData(n, n);
cells.forEach((cell, i) => {
  const at = cell / 255 * 4, low = Math.min(Math.floor(at), 3);
  for (let k = 0; k < 3; k++)
    image.data[4 * i + k] = stops[low][k] + (at - low) * (stops[low + 1][k] - stops[low][k]);
  image.data[4 * i + 3] = 255;
});
context.putImageData(image, 0, 0);
canvas.onmousemove = event => {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left) / box.width * n);
  const row = Math.floor((event.clientY - box.top) / box.height * n);
  if (names[row] !== undefined && names[column] !== undefined)
    said.textContent = `${names[row]} \\u2192 ${names[column]}: ${(cells[row * n + column] / 255).toFixed(2)}`;
};
</script>
</html>
"""
