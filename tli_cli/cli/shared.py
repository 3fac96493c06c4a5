"""The options that are fields of `Options`, each declared once, and how commands come to have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import wraps
from inspect import Parameter, Signature, signature
from types import MappingProxyType
from typing import Annotated, Any

from tli_cli.cli.options import COMPLETED, GATES, MATCHING, OUTPUT, REFERENCES, least, option
from tli_cli.cli.parsers import parse_head, parse_shape, parse_size
from tli_cli.options import DTYPES, Options

_METHODS = (
    "auto", "fit", "maps", "net2net", "even", "combo", "crop", "resize", "select", "tile", "magnitude", "fna", "dpiat",
)  # fmt: skip


_SHORT_DTYPES = {
    "fp64": "float64", "double": "float64", "fp32": "float32", "float": "float32",
    "fp16": "float16", "half": "float16", "bf16": "bfloat16",
}  # fmt: skip


def _choices(name: str, values: Iterable[str], also: Mapping[str, str] = MappingProxyType({})) -> type[Enum]:
    """Return an enumeration of `values`, in which other names, which no list shows, are `also` taken for some."""
    return Enum(name, {value: value for value in values} | dict(also), type=str)  # type: ignore[return-value]


Matcher = _choices("Matcher", ("dp", "path"))
Method = _choices("Method", _METHODS)
OnNonfinite = _choices("OnNonfinite", ("error", "keep"))
Dtype = _choices("Dtype", DTYPES, _SHORT_DTYPES)

_Text = str | None
_Number = int | None
_SHAPE: dict[str, Any] = {"parser": parse_shape, "metavar": "C,H,W"}


def _read(kind: Any, said: str, **more: Any) -> Any:
    return Annotated[kind, option(REFERENCES, said, **more)]


def _made(kind: Any, said: str, **more: Any) -> Any:
    return Annotated[kind, option(MATCHING, said, **more)]


_SHARED: dict[str, Any] = {
    "source_arch": _read(
        _Text, "The architecture of a source checkpoint that does not tell it.", metavar="REFERENCE", **COMPLETED
    ),
    "input_shape": _read(
        Any,
        "The input that your own class is traced with, such as 3,32,32; of several inputs as '3,32,32;10' or "
        "'x=3,32,32;ids=10'.",
        **_SHAPE,
    ),
    "source_input_shape": _read(
        Any, "The input of the source's own class, where it takes another one than the target's.", **_SHAPE
    ),
    "num_classes": _read(_Number, "The number of classes of the target.", min=0),
    "in_chans": _read(_Number, "The number of input channels of the target.", min=1),
    "ema": _read(
        _Text, "Take these averaged weights of a training checkpoint instead of the plain ones.", metavar="NAME"
    ),
    "source_tokenizer": _read(
        _Text, "The source's tokeniser, a file or a directory; left out, the one beside its weights.", metavar="PATH"
    ),
    "target_tokenizer": _read(
        _Text, "The target's tokeniser, a file or a directory; left out, the one beside what it names.", metavar="PATH"
    ),
    "source_labels": _read(
        _Text,
        "The names of the source's classes, one a line, where the configuration beside it does not tell them.",
        metavar="FILE",
    ),
    "target_labels": _read(_Text, "The names of the target's classes, one a line.", metavar="FILE"),
    "matcher": _made(Matcher, "How layers are paired; path is the first paper's way."),
    "method": _made(
        Method,
        "How tensors of another shape are made: auto takes maps (seconds), or fit (minutes) where that starts better; "
        "the others are published ways to compare with.",
    ),
    "head": _made(
        str,
        "The classifier: auto takes one of as many classes as it is and starts others afresh; start any afresh; keep "
        "rows by index; take rows by label, or as FILE lists them.",
        parser=parse_head,
        metavar="auto|fresh|keep|map|map:FILE",
    ),
    "seed": _made(int, "The seed of all that is drawn at random.", min=0),
    "fit_minutes": _made(
        float, "How long a fit may take one core, by estimate; a GPU takes a fraction of it.", min=1, metavar="MINUTES"
    ),
    "top_k": _made(int, "Mix up to this many about equally good sources.", min=1),
    "skip": _made(
        list[str],
        "Leave this layer or module of the target as it starts, such as head or 'blocks.1*'; may be given again.",
        metavar="LAYER",
    ),
    "pair": _made(
        list[str],
        "Feed this layer or module from that one of the source, such as head=fc; may be given again.",
        metavar="TARGET=SOURCE",
    ),
    "batchnorm": Annotated[
        bool, option(MATCHING, "Leave norm layers as they start.", "--no-batchnorm", callback=lambda left: not left)
    ],
    "device": _made(str, "Where arithmetic is done: cpu, cuda, cuda:1, mps.", metavar="NAME"),
    "on_nonfinite": _made(OnNonfinite, "NaN and infinite source values: stop at one, or keep them."),
    "dtype": Annotated[Dtype | None, option(OUTPUT, "Cast floating tensors to this; bf16 and fp16 will do.")],
    "max_shard_size": Annotated[
        _Number,
        option(
            OUTPUT, "Write shards of at most this size, and an index: 5GB, 500MiB.", parser=parse_size, metavar="SIZE"
        ),
    ],
    "force": Annotated[bool, option(OUTPUT, "Replace existing output.", "--force")],
    "dry_run": Annotated[bool, option(None, "Show what would be done; write nothing.", "--dry-run")],
    "verify": Annotated[
        bool, option(None, "Run both models in float64 on random input and report the difference.", "--verify")
    ],
    "strict": Annotated[bool, option(GATES, "Fail if any tensor is left over on either side.", "--strict")],
    "min_score": Annotated[float | None, least("--min-score", "The least TLI score.")],
    "min_coverage": Annotated[
        float | None, least("--min-coverage", "The least share of target elements fed from a source.")
    ],
}
"""The options by the names of their fields."""

OF_ONE = ("input_shape", "num_classes", "in_chans", "ema")
"""How one reference is read."""
OF_TWO = ("source_arch", "input_shape", "source_input_shape", "num_classes", "in_chans", "ema")
"""How a source and a target are read."""
DECIDING = ("matcher", "method", "head", "seed", "fit_minutes", "top_k", "skip", "pair", "batchnorm")
"""What a plan decides."""
OF_PLANS = (*OF_TWO, "source_tokenizer", "target_tokenizer", "source_labels", "target_labels", *DECIDING)
GATED = ("strict", "min_score", "min_coverage")

_PANELS = (None, "Many models", REFERENCES, MATCHING, OUTPUT, GATES)


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the shared options called `names`, which it gets as one value, its argument `options`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        usual = {name: getattr(Options(), name) for name in names if name != "batchnorm"}  # its option says no to it
        shared = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=usual.get(name, False), annotation=_SHARED[name])
            for name in names
        ]
        own = [p for name, p in signature(command, eval_str=True).parameters.items() if name != "options"]
        every = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*own, *shared)]

        @wraps(command)
        def called(**given: Any) -> None:
            asked = {name: _plain(given.pop(name)) for name in names}
            command(**given, options=Options(**asked))

        called.__signature__ = Signature(sorted(every, key=_panel))  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in every}
        return called

    return decorate


def _panel(parameter: Parameter) -> int:
    return _PANELS.index(getattr(parameter.annotation.__metadata__[0], "rich_help_panel", None))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else tuple(value) if isinstance(value, list) else value
