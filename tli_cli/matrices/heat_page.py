"""A heat map as a page that needs nothing else: names beside it where cells are large enough, scores at the mouse."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from math import floor


def heat_page(names: Sequence[str], values: Sequence[Sequence[float]], title: str) -> str:
    """Return the page: the scores in hundredths, cut, drawn by a few lines of script."""
    parts = {
        "@title": html.escape(f"{title}: {len(names)} models"),
        "@names": json.dumps(list(names)).replace("</", "<\\/"),
        "@cells": base64.b64encode(bytes(floor(value * 100 + 1e-9) for row in values for value in row)).decode(),
    }
    return re.sub("|".join(parts), lambda place: parts[place[0]], _PAGE)


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>@title</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 1.5em; }
h1 { font-size: 18px; }
#said { min-height: 1.4em; font-variant-numeric: tabular-nums; }
#view { display: inline-grid; grid-template-columns: auto auto; max-width: 95vw; max-height: 85vh; overflow: auto;
  border: 1px solid #ccc; }
#above, #left, #corner { position: sticky; background: white; z-index: 1; }
#above { top: 0; display: flex; align-items: flex-end; }
#left { left: 0; }
#corner { top: 0; left: 0; z-index: 2; }
#above div, #left div { font-size: min(12px, calc(var(--cell) * 0.9)); line-height: var(--cell); white-space: nowrap; }
#above div { width: var(--cell); writing-mode: vertical-rl; transform: rotate(180deg); padding-top: 4px; }
#left div { height: var(--cell); text-align: right; padding-right: 4px; }
.small #above, .small #left, .small #corner { display: none; }
.small #view { display: block; }
.on { font-weight: bold; }
canvas { image-rendering: pixelated; display: block; }
</style>
<h1>@title</h1>
<p id="said">Point at a cell: row = source, column = target.</p>
<p>Cell size <input id="size" type="range" min="1" max="40"></p>
<div id="view"><div id="corner"></div><div id="above"></div><div id="left"></div><canvas id="map"></canvas></div>
<script>
const names = @names, n = names.length, readable = 8;
const cells = Uint8Array.from(atob("@cells"), c => c.charCodeAt(0));
const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const [canvas, said, size, above, left] = ["map", "said", "size", "above", "left"].map(x => document.getElementById(x));
canvas.width = canvas.height = n;
const context = canvas.getContext("2d"), image = context.createImageData(n, n);
cells.forEach((cell, i) => {
  const at = cell / 25, low = Math.min(Math.floor(at), 3);
  for (let k = 0; k < 3; k++)
    image.data[4 * i + k] = stops[low][k] + (at - low) * (stops[low + 1][k] - stops[low][k]);
  image.data[4 * i + 3] = 255;
});
context.putImageData(image, 0, 0);
for (const side of [above, left])
  for (const name of names) side.appendChild(document.createElement("div")).textContent = name;
const resize = () => {
  document.body.style.setProperty("--cell", size.value + "px");
  canvas.style.width = canvas.style.height = size.value * n + "px";
  document.body.classList.toggle("small", size.value < readable);
};
size.value = Math.max(1, Math.min(24, Math.floor(innerHeight * 0.7 / n)));
size.oninput = resize;
resize();
canvas.onmousemove = event => {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left) / box.width * n);
  const row = Math.floor((event.clientY - box.top) / box.height * n);
  if (names[row] === undefined || names[column] === undefined) return;
  said.textContent = `${names[row]} \\u2192 ${names[column]}: ${(cells[row * n + column] / 100).toFixed(2)}`;
  document.querySelectorAll(".on").forEach(label => label.classList.remove("on"));
  left.children[row].classList.add("on");
  above.children[column].classList.add("on");
};
</script>
</html>
"""
