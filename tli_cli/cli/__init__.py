"""The command line: parse, one library call, render."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import NoReturn

from tli_cli.errors import GateError, TliError

__all__ = ["main"]

_COLLECT_AFTER = 100_000
"""New objects after which garbage is looked for: nearly all that is read stays, and looking through it takes longer."""

DONE, FAULT, GATE, INTERRUPTED, SIGNALLED = 0, 1, 3, 130, 128


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `tli` with `arguments` (those of the process if None), and exit."""
    gc.set_threshold(_COLLECT_AFTER)
    if "WORLD_SIZE" not in os.environ:  # torch, waiting for other processes, hears of no signal
        _exchange(signal.SIG_DFL, _end)
    code = run(arguments)
    _give_up_stdout()
    _exchange(_end, signal.SIG_DFL)
    if "torch.distributed" in sys.modules and "WORLD_SIZE" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # threads that torch leaves behind may abort a process of several as it ends
    gc.freeze()  # the interpreter looks for garbage once more as it ends, which took longer than reading two headers
    sys.exit(code)


def _exchange(old: object, new: Callable[[int, object], NoReturn] | signal.Handlers) -> None:
    """Let `new` in place of `old` hear that this process is asked to end, or that its terminal has gone."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is old:
            signal.signal(number, new)


def _end(number: int, _: object) -> NoReturn:
    """Leave, so that what was begun is undone on the way."""
    signal.signal(number, signal.SIG_DFL)  # asked once more, it ends at once
    sys.exit(SIGNALLED + number)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `tli` and return its exit code: 0 done, 1 the input is at fault, 2 wrong usage, 3 a gate was not met."""
    _open_streams()
    try:
        from tli_cli.cli.app import app
        from tli_cli.cli.render import fail
        from tli_cli.cli.streams import standard_output

        code = _exit_code(lambda: app(args=arguments, prog_name="tli"))
        with standard_output():
            sys.stdout.flush()
    except TliError as error:
        fail(str(error))
        return GATE if isinstance(error, GateError) else FAULT
    except BrokenPipeError:
        return FAULT
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return FAULT
    except MemoryError:
        fail("out of memory; nothing was written: free some, or work on a larger machine")
        return FAULT
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _open_streams() -> None:
    """Have something to read and write where the caller closed a standard stream, and write escapes for what the
    encoding of one has no character for."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _exit_code(call: Callable[[], object]) -> int:
    try:
        call()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else DONE
    return DONE


def _give_up_stdout() -> None:
    """See to it that the interpreter's own flush at exit does not fail where one has: it would change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
