"""How much arithmetic a fit is, told from the two architectures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import log2, prod

from tli_cli.architecture import LINEAR, Architecture, Layer, TensorSpec
from tli_cli.fitting.trunk import trunk_points
from tli_cli.options import FIT_MINUTES

SAME = 0.5
"""Under how many octaves apart two numbers of places count as one: a class token is no place more."""
STEPS, LEAST_STEPS = 2000, 30
"""Gradient steps that follow on the closed form: the most, for small networks, and the least, for large ones."""
WORK = 1e12
"""About how many multiplications the gradient steps take together, in `FIT_MINUTES`."""
CLOSED_WORK = 1.5e12
"""About how many multiplications the closed form takes in that time, but for the largest networks."""
IMAGES, LEAST_IMAGES = 512, 8
"""The most made-up samples that the closed form looks at, and the least of large ones."""
SEEN, AGAIN = 8192, 8
"""The most made-up samples that the gradient steps look at, and how often they look at each where fewer would do: a
target fitted to few learns them by heart."""
FEWEST = 16
"""The least samples of networks that take long for each."""
BUDGET = 256 * 3 * 224 * 224
"""About how many numbers the made-up samples hold together, a quarter of them those of the closed form."""
KEPT = 1 << 29
"""About how many numbers of what both networks compute are kept at once: two gigabytes, up to `MORE_KEPT` times as many
where a fit may take longer than `FIT_MINUTES`."""
MORE_KEPT = 4
BATCH, LEAST_BATCH = 64, 8
"""The most and the least samples that one gradient step looks at."""
BATCH_NUMBERS = 1 << 19
"""About how many input numbers one gradient step looks at."""
SPEED = 7e9
"""Multiplications a second of one core, as measured on convolutional networks of ImageNet's size."""
LOOKS, FEW_LOOKS = 5000, 500
"""The least samples that the gradient steps are to look at, for `auto` to choose a fit, and those of networks that take
images of any size: convolutions alone gain from the closed form already."""


def forward_work(architecture: Architecture) -> int:
    """Return about how many multiplications the linear maps of `architecture` take for one sample."""
    return sum(places * spec.size for spec, places in _maps(architecture, range(len(architecture.layers))))


def _maps(architecture: Architecture, chosen: Iterable[int]) -> Iterator[tuple[TensorSpec, int]]:
    """Yield the weight of each linear map among the `chosen` layers, and for how many places of a sample it is run: one
    that recurs is run for each apart."""
    runs = Counter(node.layer for node in architecture.graph)
    for index in chosen:
        layer = architecture.layers[index]
        name = layer.tensor("weight")
        if name and layer.kind in LINEAR:
            yield architecture.by_name[name], max(runs[index], 1) * int(layer.attribute("positions", 1) or 1)


def input_places(architecture: Architecture) -> int:
    """Return about how many places an image has that `architecture` was described for, by its stem; 0 if untold."""
    stem = _stem(architecture)
    return int(stem.attribute("positions", 0) or 0) * int(prod(stem.attribute("stride", (1,)))) if stem else 0


def kept_numbers(architecture: Architecture) -> int:
    """Return how many numbers `architecture` gives at its trunk's points for one sample."""
    points = [place.index for place in trunk_points(architecture)]
    return sum(places * spec.shape[0] for spec, places in _maps(architecture, points))


def _stem(architecture: Architecture) -> Layer | None:
    first = next((layer for layer in architecture.layers if layer.kind in LINEAR), None)
    return first if first is not None and first.kind == "conv" else None


def input_numbers(architecture: Architecture) -> int:
    """Return about how many numbers an image holds for which `architecture` was described; 0 if that is not known."""
    stem = _stem(architecture)
    name = stem.tensor("weight") if stem else None
    return input_places(architecture) * architecture.by_name[name].shape[1] if name else 0


def _enlarged(architecture: Architecture, numbers: int) -> float:
    """Return how many times the places that it was described for a sample of `numbers` has; 1 if about as many."""
    described = input_numbers(architecture)
    ratio = numbers / described if described else 1.0
    return ratio if abs(log2(ratio)) >= SAME else 1.0


def octaves_apart(target: Architecture, source: Architecture) -> float:
    """Return how many octaves more places the target's images have than the source's; 0 if about as many."""
    mine, theirs = input_places(target), input_places(source)
    apart = log2(mine / theirs) if mine and theirs else 0.0
    return apart if abs(apart) >= SAME else 0.0


@dataclass(frozen=True)
class Work:
    """The parts of a fit on `samples` made-up samples, `batch` of them to a gradient step; the closed form looks at the
    first `solved` of them. `source` and `target` are the multiplications that one sample takes, `allowed` the minutes
    of one core that all of it may take, by estimate."""

    source: int
    target: int
    samples: int
    solved: int
    batch: int
    allowed: float = FIT_MINUTES

    @property
    def _work(self) -> float:
        return WORK * self.allowed / FIT_MINUTES

    @property
    def steps(self) -> int:
        """How many gradient steps the target is given: fewer the more one costs, none where a few take long."""
        step = max(3 * self.target * self.batch, 1)
        return int(min(STEPS, max(LEAST_STEPS, self._work // step))) if LEAST_STEPS * step <= 2 * self._work else 0

    @property
    def unseen(self) -> int:
        """How many samples are kept from the gradient steps, to see what these are worth; none where all are few."""
        return min(self.samples // 8, self.samples - self.solved, IMAGES)

    @property
    def looks(self) -> int:
        """At how many samples the gradient steps may look, all together."""
        return int(self._work // max(3 * self.target, 1))

    @property
    def minutes(self) -> float:
        """About how long the fit takes one core."""
        passes = self.solved * passes_of(self.target, self.source) + (self.samples - self.solved) * 2 * self.source
        return (passes + 3 * self.target * self.batch * self.steps) / SPEED / 60

    @property
    def suffices(self) -> bool:
        """Whether the time is enough for gradient steps that look at enough samples."""
        return self.allows(LOOKS)

    def allows(self, looks: int) -> bool:
        """Tell whether the time is enough for gradient steps that look at so many samples."""
        return self.minutes <= self.allowed and self.looks >= looks


def passes_of(target: int, source: int) -> int:
    """Return the multiplications of a sample in the closed form: up to two runs of the source, three of the target."""
    return 2 * source + 3 * target


def work_of(target: Architecture, source: Architecture, numbers: int, minutes: float = FIT_MINUTES) -> Work:
    """Return how much arithmetic a fit is on samples of `numbers` numbers each, that may take one core `minutes`."""
    closed = CLOSED_WORK * minutes / FIT_MINUTES
    enlarged = _enlarged(target, numbers)
    mine, theirs = (int(enlarged * forward_work(side)) for side in (target, source))
    usual = max(LEAST_IMAGES, min(IMAGES, BUDGET // 4 // max(numbers, 1)))
    kept = enlarged * (2 * kept_numbers(target) + kept_numbers(source))
    room = int(KEPT * max(1.0, min(MORE_KEPT, minutes / FIT_MINUTES)) // max(kept, 1.0))
    solved = max(min(FEWEST, usual), min(usual, int(closed // max(passes_of(mine, theirs), 1)), room))
    batch = max(LEAST_BATCH, min(BATCH, BATCH_NUMBERS // max(numbers, 1)))
    work = Work(theirs, mine, solved, solved, min(solved, batch), minutes)
    room = min(room, int(closed // max(2 * theirs, 1)), BUDGET // max(numbers, 1))
    return replace(work, samples=max(solved, min(SEEN, work.steps * work.batch // AGAIN, room)))


def minutes_for(looks: int, target: Architecture, source: Architecture, numbers: int, allowed: float) -> float:
    """Return how many minutes of one core would be enough for gradient steps that look at so many samples: `allowed`,
    doubled until they are."""
    while not work_of(target, source, numbers, allowed).allows(looks):
        allowed *= 2
    return allowed
