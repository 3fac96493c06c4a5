"""What a caller may ask of matching, injection and scoring, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from tli_cli.errors import TliError, join_problems

InputShape = tuple[int, ...] | tuple[tuple[int, ...], ...] | Mapping[str, tuple[int, ...]]
"""The shape of one sample, or one shape for each input of a model, in order or by name."""

FIT_MINUTES = 8.0
"""About how long a fit may take one core, unless another time is given."""

HEAD_CHOICES = ("auto", "fresh", "keep", "map")
"""What happens to the rows of a classifier of another size, or by labels to any; `map:FILE` names a file that says
which source row feeds which target row."""

DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e5m2", "float8_e4m3fn")
"""What floating tensors may be cast to."""

SHAPES = "a shape such as (3, 224, 224), a tuple of such, or such by the names of inputs"

Labels = Mapping[str, int]
"""The rows of a classifier by what its classes are called."""


@dataclass(frozen=True, slots=True)
class Options:
    """Every option of `match`, `inject` and `score`, with its default.

    Attributes:
        matcher: the strategy that pairs layers (`dp`, `path`).
        method: the strategy that resizes tensors (`auto`, `combo`, `crop`, ...).
        head: `auto` takes a classifier of as many classes as it is and starts one of others afresh, `fresh` starts any
            afresh, `keep` takes rows by index; `map` takes rows by label, as the configurations beside both models name
            them, `map:FILE` by one `target-row source-row` pair a line, rows or labels.
        source_labels: a file with the names of the sources' classes, one a line in the order of their rows; None takes
            those in the configuration beside their weights.
        target_labels: such a file for the target.
        seed: the seed of everything that is drawn.
        fit_minutes: about how many minutes of one core a fit may take; a GPU takes a fraction of them.
        top_k: how many about equally good sources are mixed for each target tensor.
        batchnorm: whether norm layers are injected.
        skip: the target's layers that are left as they start: their names, or those of modules around them, in which
            `*` stands for anything.
        pair: pairs of layers or modules, each `TARGET=SOURCE`, that hold whatever the matcher would find.
        dtype: the dtype of the result's floating tensors; None keeps the target's.
        device: where arithmetic is done.
        max_shard_size: the most bytes of one output file; None writes one file.
        force: whether existing output may be replaced.
        dry_run: whether to stop before anything is written.
        verify: whether to run both models and compare what they compute.
        strict: whether any tensor left over on either side is a gate failure.
        min_score: the least TLI score that is accepted.
        min_coverage: the least share of target elements fed from a source that is accepted.
        on_nonfinite: `error` or `keep`, for NaN and infinite values in a source.
        source_arch: a reference that gives a bare checkpoint its architecture.
        input_shape: the `(channels, height, width)` with which a user's own class is traced, or such a shape for each
            of the inputs that it takes, in order or by name; names that are no arguments of its `forward` are those of
            the one dictionary that it takes.
        source_input_shape: such shapes for the sources' classes, where they take another input than the target's.
        num_classes: the number of classes of the target, where its architecture has one.
        in_chans: the number of input channels of the target, where its architecture has one.
        ema: which averaged weights to take from a training checkpoint; None takes the plain ones.
        source_tokenizer: the file or directory of the sources' tokeniser; None takes the one beside their weights.
        target_tokenizer: the file or directory of the target's tokeniser; None takes the one beside what it names.
    """

    matcher: str = "dp"
    method: str = "auto"
    head: str = "auto"
    source_labels: str | None = None
    target_labels: str | None = None
    seed: int = 0
    fit_minutes: float = FIT_MINUTES
    top_k: int = 1
    batchnorm: bool = True
    skip: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    dtype: str | None = None
    device: str = "cpu"
    max_shard_size: int | None = None
    force: bool = False
    dry_run: bool = False
    verify: bool = False
    strict: bool = False
    min_score: float | None = None
    min_coverage: float | None = None
    on_nonfinite: str = "error"
    source_arch: str | None = None
    input_shape: InputShape | None = None
    source_input_shape: InputShape | None = None
    num_classes: int | None = None
    in_chans: int | None = None
    ema: str | None = None
    source_tokenizer: str | None = None
    target_tokenizer: str | None = None

    @property
    def shape_of_source(self) -> InputShape | None:
        """The input with which a source's class is traced."""
        return self.input_shape if self.source_input_shape is None else self.source_input_shape

    def __post_init__(self) -> None:
        """Raise `TliError` for numbers that nothing could be asked with: the command line checks its own."""
        found = {
            "min_score": ("a number from 0 to 1", _is_share(self.min_score)),
            "min_coverage": ("a number from 0 to 1", _is_share(self.min_coverage)),
            "skip": ("a tuple of names of layers", _are_names(self.skip)),
            "pair": ("a tuple of pairs such as 'head=fc'", _are_names(self.pair)),
            "seed": ("a whole number from 0 on", _is_count(self.seed, 0)),
            "fit_minutes": ("a number of minutes from 1 on", _is_time(self.fit_minutes)),
            "top_k": ("a whole number from 1 on", _is_count(self.top_k, 1)),
            "max_shard_size": (
                "a whole number of bytes",
                self.max_shard_size is None or _is_count(self.max_shard_size, 1),
            ),
            "num_classes": ("a whole number from 0 on", self.num_classes is None or _is_count(self.num_classes, 0)),
            "in_chans": ("a whole number from 1 on", self.in_chans is None or _is_count(self.in_chans, 1)),
            "input_shape": (SHAPES, self.input_shape is None or _are_shapes(self.input_shape)),
            "source_input_shape": (SHAPES, self.source_input_shape is None or _are_shapes(self.source_input_shape)),
            "dtype": (f"one of {', '.join(DTYPES)}", self.dtype is None or self.dtype in DTYPES),
            "on_nonfinite": ("error or keep", self.on_nonfinite in ("error", "keep")),
        }
        problems = [
            f"{name}: expected {wanted}, found {getattr(self, name)!r}"
            for name, (wanted, fits) in found.items()
            if not fits
        ]
        if problems:
            raise TliError(join_problems("options that cannot be followed:", problems))


def _are_names(value: object) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(name, str) and name for name in value)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < inf


def _is_share(value: Any) -> bool:
    try:
        return value is None or bool(0 <= value <= 1)
    except TypeError:
        return False


def _are_shapes(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_shape, value.values()))
    return _is_shape(value) or (isinstance(value, tuple) and all(isinstance(s, tuple) and _is_shape(s) for s in value))


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple | list) and all(_is_count(size, 1) for size in value)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and least <= value < 1 << 63  # a plan holds no more
