"""The options that commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tli_cli.cli.choices import Matcher, Method, OnNonfinite
from tli_cli.cli.parsers import a_number, complete_dtype, complete_reference, parse_dtype, parse_head, parse_size
from tli_cli.options import DTYPES

REFERENCES = "References"
MATCHING = "Matching and injection"
OUTPUT = "Output"
GATES = "Gates (exit code 3 where one is not met)"

NAMED_BY = "A file, a directory, a name such as resnet50, or your own class, path/to/net.py:Net."


def references(metavar: str, said: str) -> Any:
    """Return an argument that takes references, which are completed, with `said` as its help."""
    return typer.Argument(metavar=metavar, help=said, autocompletion=complete_reference)


def shape(said: str) -> Any:
    """Return an option that takes the shape of an input, with `said` as its help."""
    return typer.Option(metavar="C,H,W", help=said, rich_help_panel=REFERENCES)


def least(name: str, said: str) -> Any:
    """Return an option, a gate, that takes a number from 0 to 1."""
    return typer.Option(name, min=0, max=1, help=said, rich_help_panel=GATES, callback=a_number)


Sources = Annotated[list[str], references("SOURCE", f"The models that give weights. {NAMED_BY}")]
Checkpoints = Annotated[
    list[str], references("SOURCE", "The checkpoints that give weights: files, directories or index files.")
]
Target = Annotated[str, references("TARGET", "The model that receives weights, named in the same ways.")]
TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        metavar="REFERENCE",
        help=f"The model that receives weights. {NAMED_BY}",
        autocompletion=complete_reference,
    ),
]

FromFile = Annotated[
    str | None,
    typer.Option(metavar="NAMES.txt", help="Take the models in this file too, one a line; - is stdin."),
]
SourceArch = Annotated[
    str | None,
    typer.Option(
        metavar="REFERENCE",
        help="The architecture of a source checkpoint that does not tell it.",
        rich_help_panel=REFERENCES,
        autocompletion=complete_reference,
    ),
]
InputShape = Annotated[
    str | None,
    shape(
        "The input that your own class is traced with, such as 3,32,32; of several inputs as '3,32,32;10' or "
        "'x=3,32,32;ids=10'."
    ),
]
SourceInputShape = Annotated[
    str | None, shape("The input of the source's own class, where it takes another one than the target's.")
]
NumClasses = Annotated[
    int | None, typer.Option(min=0, help="The number of classes of the target.", rich_help_panel=REFERENCES)
]
InChans = Annotated[
    int | None, typer.Option(min=1, help="The number of input channels of the target.", rich_help_panel=REFERENCES)
]
Ema = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Take these averaged weights of a training checkpoint instead of the plain ones.",
        rich_help_panel=REFERENCES,
    ),
]
SourceTokenizer = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="The source's tokeniser, a file or a directory; left out, the one beside its weights.",
        rich_help_panel=REFERENCES,
    ),
]
TargetTokenizer = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="The target's tokeniser, a file or a directory; left out, the one beside what it names.",
        rich_help_panel=REFERENCES,
    ),
]

MatcherOption = Annotated[
    Matcher,
    typer.Option("--matcher", help="How layers are paired; path is the first paper's way.", rich_help_panel=MATCHING),
]
MethodOption = Annotated[
    Method,
    typer.Option(
        "--method",
        help="How tensors of another shape are made: auto takes maps (seconds), or fit (minutes) where that starts "
        "better; the others are published ways to compare with.",
        rich_help_panel=MATCHING,
    ),
]
Head = Annotated[
    str,
    typer.Option(
        parser=parse_head,
        metavar="auto|fresh|keep|map|map:FILE",
        help="The classifier: auto takes one of as many classes as it is and starts others afresh; start any afresh; "
        "keep rows by index; take rows by label, or as FILE lists them.",
        rich_help_panel=MATCHING,
    ),
]
SourceLabels = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The names of the source's classes, one a line, where the configuration beside it does not tell them.",
        rich_help_panel=REFERENCES,
    ),
]
TargetLabels = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="The names of the target's classes, one a line.", rich_help_panel=REFERENCES),
]
Seed = Annotated[int, typer.Option(min=0, help="The seed of all that is drawn at random.", rich_help_panel=MATCHING)]
TopK = Annotated[
    int, typer.Option(min=1, help="Mix up to this many about equally good sources.", rich_help_panel=MATCHING)
]
NoBatchnorm = Annotated[
    bool, typer.Option("--no-batchnorm", help="Leave norm layers as they start.", rich_help_panel=MATCHING)
]
Skip = Annotated[
    list[str],
    typer.Option(
        metavar="LAYER",
        help="Leave this layer or module of the target as it starts, such as head or 'blocks.1*'; may be given again.",
        rich_help_panel=MATCHING,
    ),
]
Device = Annotated[
    str,
    typer.Option(metavar="NAME", help="Where arithmetic is done: cpu, cuda, cuda:1, mps.", rich_help_panel=MATCHING),
]
OnNonfiniteOption = Annotated[
    OnNonfinite,
    typer.Option(
        "--on-nonfinite", help="NaN and infinite source values: stop at one, or keep them.", rich_help_panel=MATCHING
    ),
]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="What to write: a .safetensors, .pt, .pth or .bin file, a .dcp directory, or, with no ending, a directory "
        "for from_pretrained: weights, config.json, tokeniser.",
        rich_help_panel=OUTPUT,
    ),
]
PlanOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PLAN.json", help="Write the plan to this file.", rich_help_panel=OUTPUT),
]
DtypeOption = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        parser=parse_dtype,
        metavar="|".join(DTYPES),
        help="Cast floating tensors to this.",
        rich_help_panel=OUTPUT,
        autocompletion=complete_dtype,
    ),
]
MaxShardSize = Annotated[
    int | None,
    typer.Option(
        parser=parse_size,
        metavar="SIZE",
        help="Write shards of at most this size, and an index: 5GB, 500MiB.",
        rich_help_panel=OUTPUT,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.", rich_help_panel=OUTPUT)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.", rich_help_panel=OUTPUT)]
All = Annotated[bool, typer.Option("--all", help="List every tensor, not one row a layer.", rich_help_panel=OUTPUT)]

Strict = Annotated[
    bool,
    typer.Option("--strict", help="Fail if any tensor is left over on either side.", rich_help_panel=GATES),
]
MinScore = Annotated[float | None, least("--min-score", "The least TLI score.")]
MinCoverage = Annotated[
    float | None,
    least("--min-coverage", "The least share of target elements fed from a source."),
]
