"""How much arithmetic a fit is, told from the two architectures."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2, prod

from tli_cli.architecture import Architecture
from tli_cli.fitting.trunk import LINEAR

STEPS, LEAST_STEPS = 2000, 30
"""Gradient steps that follow on the closed form: the most, for small networks, and the least, for large ones."""
WORK = 1e12
"""About how many multiplications the gradient steps take together."""
IMAGES = 512
"""The most made-up samples."""
BUDGET = 64 * 3 * 224 * 224
"""About how many numbers the made-up samples hold together."""
BATCH, LEAST_BATCH = 64, 8
"""The most and the least samples that one gradient step looks at."""
BATCH_NUMBERS = 1 << 19
"""About how many input numbers one gradient step looks at."""
SPEED = 7e9
"""Multiplications a second of one core, as measured on convolutional networks of ImageNet's size."""


def forward_work(architecture: Architecture) -> int:
    """Return about how many multiplications the linear maps of `architecture` take for one sample."""
    weights = ((layer, layer.tensor("weight")) for layer in architecture.layers if layer.kind in LINEAR)
    return sum(
        int(layer.attribute("positions", 1) or 1) * architecture.by_name[name].size for layer, name in weights if name
    )


def input_places(architecture: Architecture) -> int:
    """Return about how many places an image has for which `architecture` was described, as its first convolution
    tells; 0 if none does."""
    stem = next((layer for layer in architecture.layers if layer.kind in LINEAR), None)
    if stem is None or stem.kind != "conv":
        return 0
    return int(stem.attribute("positions", 0) or 0) * int(prod(stem.attribute("stride", (1,))))


def octaves_apart(target: Architecture, source: Architecture) -> float:
    """Return by how many octaves more places the target's images have than the source's; 0 where they are of about
    one size."""
    mine, theirs = input_places(target), input_places(source)
    apart = log2(mine / theirs) if mine and theirs else 0.0
    return apart if abs(apart) >= 0.5 else 0.0


def sample_count(numbers: int) -> int:
    """Return how many samples of `numbers` numbers each are made up."""
    return max(8, min(IMAGES, BUDGET // max(numbers, 1)))


def batch_size(numbers: int) -> int:
    """Return how many samples of `numbers` numbers each one gradient step takes: fewer of large ones."""
    return min(sample_count(numbers), max(LEAST_BATCH, min(BATCH, BATCH_NUMBERS // max(numbers, 1))))


@dataclass(frozen=True)
class Work:
    """The parts of a fit on `samples` made-up samples, `batch` of them to a gradient step; `source` and `target` are
    the multiplications that one sample takes."""

    source: int
    target: int
    samples: int
    batch: int

    @property
    def steps(self) -> int:
        """How many gradient steps the target is given: fewer the more a step costs."""
        return int(min(STEPS, max(LEAST_STEPS, WORK // max(3 * self.target * self.batch, 1))))

    @property
    def minutes(self) -> float:
        """About how long the fit takes one core: the source is run once or twice, the target two or three times."""
        passes = self.samples * (2 * self.source + 3 * self.target)
        return (passes + 3 * self.target * self.batch * self.steps) / SPEED / 60


def work_of(target: Architecture, source: Architecture, numbers: int) -> Work:
    """Return how much arithmetic a fit is on samples of `numbers` numbers each."""
    return Work(forward_work(source), forward_work(target), sample_count(numbers), batch_size(numbers))
