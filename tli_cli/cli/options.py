"""What commands take that is no field of `Options`: models, places, forms of output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tli_cli.cli.parsers import a_share, complete_reference

REFERENCES = "References"
MATCHING = "Matching and injection"
OUTPUT = "Output"
GATES = "Gates (exit code 3 where one is not met)"

NAMED_BY = "A file, a directory, a name such as resnet50, or your own class, path/to/net.py:Net."

COMPLETED: dict[str, Any] = {"autocompletion": complete_reference}


def references(metavar: str, said: str) -> Any:
    """Return an argument that takes references, which are completed, with `said` as its help."""
    return typer.Argument(metavar=metavar, help=said, **COMPLETED)


def option(panel: str | None, said: str, *names: str, **more: Any) -> Any:
    """Return an option that stands in `panel` of the help, with `said` as its own."""
    return typer.Option(*names, help=said, rich_help_panel=panel, **more)


def least(name: str, said: str) -> Any:
    """Return an option, a gate, that takes a number from 0 to 1."""
    return option(GATES, said, name, callback=a_share, metavar="0..1")


Sources = Annotated[list[str], references("SOURCE", f"The models that give weights. {NAMED_BY}")]
Checkpoints = Annotated[
    list[str], references("SOURCE", "The checkpoints that give weights: files, directories or index files.")
]
Target = Annotated[str, references("TARGET", "The model that receives weights, named in the same ways.")]
TargetOption = Annotated[
    str,
    option(None, f"The model that receives weights. {NAMED_BY}", "--target", "-t", metavar="REFERENCE", **COMPLETED),
]
FromFile = Annotated[
    str | None, option(None, "Take the models in this file too, one a line; - is stdin.", metavar="NAMES.txt")
]
Output = Annotated[
    Path | None,
    option(
        OUTPUT,
        "What to write: a .safetensors, .pt, .pth or .bin file, a .dcp directory, or, with no ending, a directory for "
        "from_pretrained: weights, config.json, tokeniser.",
        "--output",
        "-o",
        metavar="PATH",
    ),
]
PlanOutput = Annotated[
    Path | None, option(OUTPUT, "Write the plan to this file.", "--output", "-o", metavar="PLAN.json")
]
Json = Annotated[bool, option(OUTPUT, "Print JSON.", "--json")]
Csv = Annotated[bool, option(OUTPUT, "Print CSV.", "--csv")]
All = Annotated[bool, option(OUTPUT, "List every tensor, not one row a layer.", "--all")]
