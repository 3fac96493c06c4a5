"""Commands that check plain values themselves: typer checks every value by pydantic, which takes longer to import than
the rest of the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from tli_cli.cli.parsers import none_of
from tli_cli.cli.streams import others_aside


class _Plain:
    """A command whose texts, paths, choices and defaults are taken as they are, and everything else as typer does."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` among them."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            usual = getattr(param, "get_runtime_param", None)  # not before typer 0.29, which needs no pydantic
            if usual is not None and not isinstance(getattr(usual, "__self__", None), _Values):
                param.get_runtime_param = _Values(param, usual).itself
            _name_plainly(param, params)
        return params


def _name_plainly(param: Any, params: Sequence[Any]) -> None:
    """Have help say of a parameter what it is called, and of a flag no type; and have what is said of several arguments
    of which one is missing name them all: which one was given is not known."""
    is_argument = param.param_type_name == "argument"
    if hasattr(param, "display_type_rich") and (is_argument or getattr(param, "is_flag", False)):
        param.display_type_rich = lambda ctx: None  # not before typer 0.29, which shows types
    arguments = [other.metavar for other in params if other.param_type_name == "argument"]
    if is_argument and param.required and len(arguments) > 1:
        param.get_error_hint = lambda *_: f"'{'... '.join(arguments)}'"


class PlainCommand(_Plain, TyperCommand):
    """One of the commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what code of others prints meanwhile goes to standard error, beside the data."""
        with others_aside():
            return super().invoke(ctx)


class PlainGroup(_Plain, TyperGroup):
    """All commands."""


class _Values:
    """The values of one parameter: typer asks for this object, and then has it `coerce` what was given."""

    def __init__(self, param: Any, usual: Callable[[], Any]) -> None:
        self._usual = usual
        self._default = param.default
        self._type = param.type_descriptor.annotation
        self._is_parsed = param.type_descriptor.parameter_info.parser is not None

    def itself(self) -> _Values:
        """Return this object."""
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return `value` as the parameter's type; raise a usage error if it is none of it."""
        if value is None and self._type != list[str]:
            return None
        plain = self._plain(value)
        return plain if plain is not None else self._usual().coerce(value, param=param, ctx=ctx)

    def _plain(self, value: Any) -> Any:
        """Return a value that needs no check; None for any other."""
        if self._is_parsed:
            return value if value == self._default else None
        if isinstance(value, tuple | list) and self._type == list[str]:
            return list(value)
        if not isinstance(self._type, type):
            return None
        if isinstance(value, str) and issubclass(self._type, Enum):
            return _choice(self._type, value)
        if isinstance(value, str) and issubclass(self._type, Path):
            return self._type(value)
        return value if isinstance(value, self._type) else None


def _choice(choices: type[Enum], value: str) -> Enum:
    if value in choices.__members__:
        return choices[value]
    raise none_of(value, [choice.value for choice in choices])
