"""What commands share: the workspace that the options name, and printing for people and for programs."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from voxops._core.safe import plain, printable
from voxops.cli._json import written

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from voxops.workspace import Workspace

__all__ = ["ATTENTION", "connected", "emit", "for_programs", "print_frame", "say"]

ATTENTION = 3  # exit status of what found something for a person to do
_out: list[IO[str]] = []  # where JSON goes while everything else goes to the errors


def connected(options: argparse.Namespace) -> Workspace:
    """The workspace that the options name."""
    from voxops.connection import connect

    ledger = getattr(options, "ledger", None)
    return connect(sandbox=True, ledger=ledger) if options.sandbox else connect(url=options.url, ledger=ledger)


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
