"""How a command reads its workspace, and how it prints: as text for a person, or as JSON for whatever reads it next.

JSON has plain values, times as ISO text in UTC, and everything else escaped.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pandas as pd

from voxops._support.safe import plain, printable
from voxops.errors import AuthError, ConfigError, PlanError, VoxopsError
from voxops.frames.columns import plain_values

if TYPE_CHECKING:
    from voxops.workspace import Workspace

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


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, its named index among the columns; missing values are null."""
    named = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    names = [str(name) for name in named.columns]
    columns = [plain_values(named, name) for name in named.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def written(value: Any) -> str:
    """JSON in plain ASCII on one line: no terminal and no log takes anything in it for a command."""
    return json.dumps(_plain(value), ensure_ascii=True, allow_nan=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, pd.Timedelta):
        return value.total_seconds()
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)


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


class Facts:
    """Standard output of a command that says its facts in lines such as ``demo: posts=3``: those as JSON, the rest among the errors."""

    def __init__(self) -> None:
        self._rest = ""

    def write(self, text: str) -> int:
        """Take text; whole lines go out."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            name, colon, facts = line.partition(": ")
            try:
                pairs = [word.partition("=") for word in shlex.split(facts)]
            except ValueError:  # a quotation mark by itself, in words for people
                pairs = []
            if colon and name.isalpha() and pairs and all(sign for _, sign, _ in pairs):
                emit({"command": name, **{key: int(value) if value.isdecimal() else value for key, _, value in pairs}})
            else:
                print(line, file=sys.stderr)
        return len(text)

    def flush(self) -> None:
        """Nothing waits but the end of a line."""


def facts(options: argparse.Namespace) -> AbstractContextManager[object]:
    """Turn the lines of a command into JSON, if that is asked for."""
    return redirect_stdout(cast("IO[str]", Facts())) if options.json else nullcontext()
