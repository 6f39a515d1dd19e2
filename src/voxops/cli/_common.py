"""What commands share: the workspace that the options name, and printing for people and for programs."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from voxops._core.safe import plain, printable
from voxops.cli._json import records, written
from voxops.errors import AuthError, ConfigError, PlanError, VoxopsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from voxops.workspace import Workspace

__all__ = [
    "ATTENTION",
    "WRONG",
    "add_zone",
    "connected",
    "emit",
    "emit_or_print_frame",
    "emit_or_say",
    "for_programs",
    "is_wrong_usage",
    "print_frame",
    "say",
]

# Exit status of arguments, settings or an API key that must be changed first: trying again later does not help.
WRONG = 2
ATTENTION = 3  # exit status of what found something for a person to do
_out: list[IO[str]] = []  # where JSON goes while everything else goes to the errors


def is_wrong_usage(error: VoxopsError) -> bool:
    """Whether a person must change something before the same command can do better."""
    return isinstance(error, ConfigError | PlanError | AuthError) and not error.again_later


def connected(options: argparse.Namespace) -> Workspace:
    """The workspace that the options name."""
    from voxops.connection import connect

    ledger, tz = getattr(options, "ledger", None), getattr(options, "tz", None)
    if ledger is not None and getattr(options, "needs_ledger", False) and not Path(ledger).exists():
        raise ConfigError(f"there is no ledger {ledger}")
    if options.sandbox and options.url:
        raise ConfigError("--sandbox is the API on this machine, and --url another one: give one of them")
    if options.sandbox:
        return connect(sandbox=True, ledger=ledger, tz=tz)
    if not os.environ.get("VOXBURST_API_KEY"):
        raise ConfigError("no API key: set the environment variable VOXBURST_API_KEY; --sandbox needs none")
    return connect(url=options.url, ledger=ledger, tz=tz)


def add_zone(parser: argparse.ArgumentParser) -> None:
    """The option --tz."""
    said = "time zone of days, times and figures, such as Europe/Berlin (default: VOXOPS_TZ, then UTC)"
    parser.add_argument("--tz", type=_zone, help=said)


def _zone(name: str) -> str:
    """A time zone's name, if there is such a zone."""
    from zoneinfo import ZoneInfo

    try:
        return str(ZoneInfo(name))
    except (KeyError, ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(f"{name!r} is not a time zone: write it like Europe/Berlin") from error


@contextmanager
def for_programs() -> Iterator[None]:
    """Keep standard output for JSON: what else is printed meanwhile goes to the errors."""
    _out.append(sys.stdout)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = _out.pop()


def emit(value: Any) -> None:
    """Print a value as a line of JSON."""
    print(written(value), file=_out[-1] if _out else sys.stdout, flush=True)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(printable(line), flush=True)


def print_frame(frame: pd.DataFrame) -> None:
    """Print a frame whole, without markup or control characters of others."""
    shown = frame.map(lambda value: plain(value, 60))
    print(printable(shown.to_string()) if len(shown) else "nothing yet")


def emit_or_say(options: argparse.Namespace, value: Any, line: str) -> None:
    """Print a value as JSON for a program, or a line for a person."""
    if options.json:
        emit(value)
    else:
        say(line)


def emit_or_print_frame(options: argparse.Namespace, frame: pd.DataFrame) -> None:
    """Print a frame as JSON for a program, or as a table for a person."""
    if options.json:
        emit(records(frame))
    else:
        print_frame(frame)
