"""`tli version`: the versions that a report should name."""

from __future__ import annotations

from tli_cli.cli import options as given
from tli_cli.cli import render
from tli_cli.version import __version__

PACKAGES = ("torch", "safetensors", "typer", "rich", "numpy", "timm", "torchvision", "transformers")


def version(as_json: given.Json = False) -> None:
    """Show the versions of tli, Python and the libraries that tli uses."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    found = {"tli": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = installed(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if as_json:
        render.as_json({"versions": found})
    else:
        render.plain(found.items())
