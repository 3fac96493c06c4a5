"""The data sets, by name: images `(count, 3, 16, 16)`, or grey ones `(count, 1, 8, 8)`, and labels, split into training
and test."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase

import torch
from torch.nn.functional import avg_pool2d, interpolate

from benchmarks.convergence.glyphs import SIDE, draw
from benchmarks.convergence.shapes import NAMES, draw_shapes

GREEK_CAPITALS = "".join(chr(code) for code in range(0x391, 0x3AA) if code != 0x3A2)
GREEK_SMALL = "".join(chr(code) for code in range(0x3B1, 0x3CA) if code != 0x3C2)
ALPHABETS = {
    "capitals": ascii_uppercase,
    "small": ascii_lowercase,
    "numerals": "0123456789",
    "greek": GREEK_CAPITALS,
    "greek_small": GREEK_SMALL,
}
CLASSES = {name: len(alphabet) for name, alphabet in ALPHABETS.items()} | {"digits": 10, "shapes": len(NAMES)}
GREY = " in grey"
"""What the names of data sets end with whose images are shown grey and at half the size."""
CLASSES |= {name + GREY: CLASSES[name] for name in ("capitals", "small", "digits")}
TEST_COUNT = 600


@dataclass(frozen=True)
class Data:
    """A classification task of images that fit in memory."""

    name: str
    classes: int
    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


@lru_cache
def load(name: str, count: int) -> Data:
    """Return the data set `name` with `count` training images (fewer where there are no more)."""
    kind = name.removesuffix(GREY)
    images, labels = _digits() if kind == "digits" else _drawn(kind, count + TEST_COUNT)
    images = images if kind == name else avg_pool2d(images.mean(1, keepdim=True), 2)
    test, train = slice(0, TEST_COUNT), slice(TEST_COUNT, TEST_COUNT + count)
    return Data(name, CLASSES[name], images[train], labels[train], images[test], labels[test])


def _drawn(name: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    seed = 100 + list(CLASSES).index(name)
    return draw_shapes(count, seed) if name == "shapes" else draw(ALPHABETS[name], count, seed)


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return scikit-learn's handwritten digits, enlarged, dark on a light ground, in an order of their own."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float().unsqueeze(1) / 16
    images = interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False).repeat(1, 3, 1, 1)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(100))
    return ((0.7 - images) / 0.35)[order], torch.from_numpy(bunch.target)[order]
