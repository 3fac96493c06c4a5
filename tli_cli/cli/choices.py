"""Closed choices of the command line."""

from __future__ import annotations

from enum import Enum


class Matcher(str, Enum):
    """How layers are paired."""

    dp = "dp"
    path = "path"


class Method(str, Enum):
    """How tensors of another shape are made from their sources."""

    auto = "auto"
    fit = "fit"
    maps = "maps"
    net2net = "net2net"
    even = "even"
    combo = "combo"
    crop = "crop"
    resize = "resize"
    select = "select"
    tile = "tile"
    magnitude = "magnitude"
    fna = "fna"
    dpiat = "dpiat"


class OnNonfinite(str, Enum):
    """What to do with NaN and infinite values in a source."""

    error = "error"
    keep = "keep"
