"""``voxops matrix``: the capability matrix printed, checked, or compared with a published description."""

from __future__ import annotations

import argparse

from voxops.api.matrix import MATRIX, matrix, polled
from voxops.cli._common import ATTENTION, emit, say
from voxops.cli._json import records
from voxops.errors import ConfigError

__all__ = ["run_matrix"]


def run_matrix(options: argparse.Namespace) -> int:
    """Do what the options ask for, and return the exit status."""
    if options.spec:
        return _compare(options)
    if options.check:
        return _check(options)
    if options.url or options.write:
        raise ConfigError("--url and --write belong to: voxops matrix --check")
    return _print_matrix(options)


def _compare(options: argparse.Namespace) -> int:
    """Print where a published description differs from the matrix."""
    from voxops.conformance import compare_spec

    found = compare_spec(options.spec)
    if options.json:
        emit({"differences": found})
    else:
        for line in (*found, f"matrix: differences={len(found)}"):
            say(line)
    return ATTENTION if found else 0


def _check(options: argparse.Namespace) -> int:
    """Check that client and server do what the matrix says."""
    from voxops.conformance import check

    lines: list[str] = []
    holds = check(options.url, write=options.write, report=lines.append if options.json else say)
    if options.json:
        emit({"holds": holds, "lines": lines})
    return 0 if holds else ATTENTION


def _print_matrix(options: argparse.Namespace) -> int:
    """Print the matrix."""
    if options.json:
        emit(records(matrix()))
        return 0
    from rich.table import Table

    from voxops._core.terminal import Terminal

    heads = ("row", "call", "idempotent", "2xx is", "again", "items", "events")
    table = Table(*heads, title="Endpoint capability matrix; * inferred")
    for row in MATRIX:
        mark = dict.fromkeys(row.inferred, "*")
        table.add_row(
            str(row.row),
            str(row),
            ("yes" if row.idempotent else "no") + mark.get("idempotent", ""),
            f"queued, poll the {polled(row)}" if row.is_async else "an outcome",
            row.resend + mark.get("retry_safe", ""),
            "read each" if row.partial else "",
            ", ".join(row.emits) + mark.get("emits", ""),
        )
    console = Terminal()
    if not console.is_terminal:
        console = Terminal(width=160)
    console.print(table)
    return 0
