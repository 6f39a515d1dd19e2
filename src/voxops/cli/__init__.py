"""The command ``voxops``: the same job as in a notebook, for a terminal and for scheduled jobs."""

from __future__ import annotations

import argparse
import io
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from voxops._support.files import unwritable
from voxops._support.safe import below_all, many, printable
from voxops.cli._jobs import (
    ATTENTION,
    WRONG,
    add_jobs,
    add_zone,
    connected,
    emit,
    emit_or_print_frame,
    emit_or_say,
    for_programs,
    is_wrong_usage,
    print_frame,
    records,
    run_matrix,
)
from voxops.errors import ConfigError, VoxopsError

if TYPE_CHECKING:
    import pandas as pd

    from voxops.views.report import Report


_STATUSES = "Exit status: 0 nothing to do, 1 an error, 2 wrong usage, 3 somebody has to act. Nothing is sent."
_PIPE_CLOSED = 141  # as a shell says it of a program that the signal of a closed pipe has ended
_FASTEST = 1_000_000  # virtual seconds per second: a year in half a minute
_GROUPS = ("endpoint", "event", "webhook", "status", "hour", "day", "week", "month")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0 all well, 1 an error of ours, 2 wrong usage, 3 something needs attention, 130 interrupted, 141 nobody reads on.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that a terminal lacks is shown by its number
            stream.reconfigure(errors="backslashreplace")
    status = _PIPE_CLOSED
    try:
        options = _parser().parse_args(arguments)
    except BrokenPipeError:
        return _nobody_reads(status)
    try:
        with for_programs() if options.json else nullcontext():
            status = int(options.run_command(options))
        if sys.stdout is not None:  # closed by whoever started it
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        return _nobody_reads(status)
    except OSError as error:
        # Without a file it is what is printed, such as into a file on a disk that is full.
        where = "can't write" if error.filename is None else f"{error.filename} can't be used"
        print(f"voxops: {printable(where)}: {printable(error.strerror or error)}", file=sys.stderr)
        return 1
    except VoxopsError as error:
        print(f"voxops: {printable(error)}", file=sys.stderr)
        return WRONG if is_wrong_usage(error) else 1
    except KeyboardInterrupt:
        print("voxops: interrupted; what was sent is recorded", file=sys.stderr)
        return 130


def _nobody_reads(status: int) -> int:
    """End where who reads has enough, such as head; the interpreter's own last words must not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    said = "The same job as in a notebook, for a terminal and for scheduled jobs."
    parser = argparse.ArgumentParser(prog="voxops", description=said)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="the main job, against the embedded sandbox: no key, no network")
    demo.add_argument("--state", type=Path, help="keep the sandbox's state in this file")
    demo.add_argument("--ledger", type=Path, help="keep keys and outcomes in this file")
    demo.add_argument("--out", type=Path, default=Path("build/demo"), help="folder of the report (default: build/demo)")
    demo.set_defaults(run_command=_demo)

    sandbox = commands.add_parser("sandbox", help="serve the API on this machine")
    sandbox.add_argument("--port", type=_port, default=8765)
    sandbox.add_argument("--seed", type=int, default=7)
    sandbox.add_argument("--state", type=Path, help="keep the state in this file")
    sandbox.add_argument("--speed", type=_speed, default=1.0, help="virtual seconds per second (default: 1)")
    sandbox.add_argument("--now", action="store_true", help="this machine's clock instead of a virtual one")
    sandbox.add_argument(
        "--rate-limit", type=_count, default=500, help="requests a minute, 0 for no limit (default: 500)"
    )
    sandbox.add_argument("--posts", type=_count, default=500, help="size of the seeded campaign (default: 500)")
    sandbox.add_argument("--deliveries", type=_count, default=4500, help="webhook deliveries of it (default: 4500)")
    sandbox.add_argument("--storage-port", type=_port, default=0, help="port of the presigned storage")
    sandbox.add_argument("--receiver-port", type=_port, default=0, help="port of the webhook receiver")
    sandbox.add_argument(
        "--tls", type=Path, metavar="FOLDER", help="speak https, with a certificate kept in this folder"
    )
    sandbox.set_defaults(run_command=_sandbox)

    matrix = commands.add_parser("matrix", help="the endpoint capability matrix")
    matrix.add_argument("--check", action="store_true", help="try every row against a sandbox started for it")
    matrix.add_argument("--url", help="check the server at this address instead, by reads alone")
    matrix.add_argument(
        "--write", action="store_true", help="try everything there, too; only a sandbox on this machine is taken"
    )
    matrix.add_argument("--spec", type=Path, metavar="FILE", help="show where an OpenAPI file (JSON) differs")
    matrix.set_defaults(run_command=run_matrix)

    triage = commands.add_parser("triage", help="what failed, why, and who must do what", epilog=_STATUSES)
    _workspace_options(triage)
    triage.set_defaults(run_command=_triage)

    deliveries = commands.add_parser("deliveries", help="the webhook delivery history", epilog=_STATUSES)
    _workspace_options(deliveries)
    deliveries.add_argument(
        "--by", default="endpoint", choices=_GROUPS, help="what the printed table counts by (default: endpoint)"
    )
    deliveries.set_defaults(run_command=_deliveries)

    archive = commands.add_parser("archive", help="history on disk, for scheduled jobs")
    sync = archive.add_subparsers(required=True, metavar="what").add_parser(
        "sync", help="fetch what is new or still open"
    )
    sync.add_argument("path", type=Path, help="folder of the archive")
    sync.add_argument("--since", help="leave out deliveries before it: 90D or ISO text with an offset")
    sync.add_argument("--full", action="store_true", help="read everything again")
    sync.add_argument("--url", help="the API's address (default: VOXBURST_API_URL)")
    sync.add_argument("--sandbox", action="store_true", help="read the embedded sandbox")
    sync.set_defaults(run_command=_archive_sync)

    ledger = commands.add_parser("ledger", help="what was sent, when, why, and what became of it")
    ledger.add_argument("path", type=Path, help="the ledger's file")
    what = ledger.add_mutually_exclusive_group()
    what.add_argument("--runs", action="store_true", help="the runs instead of their rows")
    what.add_argument("--export", type=Path, metavar="CSV", help="write the whole trail as CSV")
    what.add_argument("--copy", type=Path, metavar="TO", help="copy the ledger whole, also while a kernel uses it")
    what.add_argument(
        "--prune", metavar="AGE", help="drop bytes and replies older than this, such as 90D; outcomes stay"
    )
    ledger.set_defaults(run_command=_ledger)
    jobs = add_jobs(commands)
    for each in (demo, sandbox, matrix, triage, deliveries, sync, ledger, *jobs):
        each.add_argument("--json", action="store_true", help="print JSON for another program, one value a line")
    return parser


class _Version(argparse.Action):
    """Print the version of the installed package, which is looked up only now, and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"voxops {version('voxops')}", flush=True)
        parser.exit()


def _workspace_options(parser: argparse.ArgumentParser) -> None:
    """Where to read from and where to write to."""
    parser.add_argument(
        "--since", default="7D", help="7D, 12h, today, yesterday or ISO text with an offset (default: 7D)"
    )
    parser.add_argument("--url", help="the API's address (default: VOXBURST_API_URL)")
    parser.add_argument("--sandbox", action="store_true", help="read the embedded sandbox")
    add_zone(parser)
    parser.add_argument("--html", type=Path, help="write a self-contained HTML file")
    parser.add_argument("--markdown", type=Path, help="write Markdown for a ticket")
    parser.add_argument("--csv", type=Path, metavar="FOLDER", help="write the tables as CSV")


def _demo(options: argparse.Namespace) -> int:
    """The main job."""
    from voxops.demo import demo

    with _files(), _facts(options):
        return demo(state=options.state, ledger=options.ledger, out=options.out)


def _sandbox(options: argparse.Namespace) -> int:
    """Serve the sandbox until it is stopped."""
    from voxburst_sandbox import serve

    with _files(), _facts(options):
        serve(
            port=options.port, seed=options.seed, state=options.state, speed=options.speed, now=options.now, tls=options.tls,
            rate_limit=options.rate_limit or None, posts=options.posts, deliveries=options.deliveries,
            storage_port=options.storage_port, receiver_port=options.receiver_port,
        )  # fmt: skip
    return 0


class _Facts:
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


@contextmanager
def _facts(options: argparse.Namespace) -> Iterator[None]:
    """Turn the lines of a command into JSON, if that is asked for."""
    if not options.json:
        yield
        return
    with redirect_stdout(cast("IO[str]", _Facts())):
        yield


@contextmanager
def _files() -> Iterator[None]:
    """Say in a line which port or file can't be used."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ConfigError(f"{where}{error.strerror or error}") from error


def _triage(options: argparse.Namespace) -> int:
    """Print who must do what, and write the report."""
    from voxops.analysis.triage import triage
    from voxops.frames.records import targets
    from voxops.model import ASKS_NOBODY
    from voxops.views.report import report

    with connected(options) as ws:
        triaged = triage(targets(ws.posts(status=["failed", "partial", "publishing"], since=options.since)))
    _print_and_write(report(triaged), options)
    failed = triaged[triaged["cause"].notna()]
    return 0 if failed["verdict"].isin(list(ASKS_NOBODY)).all() else ATTENTION


def _deliveries(options: argparse.Namespace) -> int:
    """Print who must do what and the statistics, and write the report."""
    from voxops._support.safe import short_address
    from voxops.analysis.statistics import DELIVERED_BY, delivery_stats
    from voxops.views.delivery_report import delivery_report

    with connected(options) as ws:
        log, tz = ws.deliveries(since=options.since), ws.settings.tz
    made = delivery_report(log, tz=tz)
    stats = delivery_stats(log, by=options.by, tz=tz).round({"attempts_mean": 2})
    for name in ("success_rate", *DELIVERED_BY):
        stats[name] = stats[name].map(lambda share: below_all(share, 4), na_action="ignore")
    _print_and_write(made, options, {"stats": stats})
    if not options.json:
        print_frame(stats.assign(url=stats["url"].map(short_address)) if "url" in stats else stats)
    down = made.frames["outages"]["recovered_at"].isna().any()
    return ATTENTION if down or len(made.frames["lost"]) else 0


def _archive_sync(options: argparse.Namespace) -> int:
    """Bring an archive up to date."""
    with connected(options) as ws:
        done = ws.archive(options.path).sync(options.since, full=options.full)
        emit_or_say(options, asdict(done), str(done))
    return 0


def _print_and_write(made: Report, options: argparse.Namespace, more: Mapping[str, pd.DataFrame] | None = None) -> None:
    """Write a report wherever the options ask for it, and print its summary, or its tables as JSON: who reads may have enough early."""
    wanted = ((options.html, made.to_html), (options.markdown, made.to_markdown), (options.csv, made.to_csv))
    asked = [(path, write) for path, write in wanted if path is not None]
    for path, write in asked:
        write(path)
    if options.json:
        frames = {**made.frames, **(more or {})}
        emit({"headline": made.headline, **{name: records(frame) for name, frame in frames.items()}})
    else:
        print(printable(made))
    for path, _ in asked:
        print(f"written: {path}")


def _port(text: str) -> int:
    """The number of a port; 0 takes a free one."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid port: 0 to 65535, 0 for a free one")
    return int(text)


def _count(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid count: a whole number, 0 or more")
    return int(text)


def _speed(text: str) -> float:
    """Virtual seconds per second; 0 stands still."""
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 <= speed <= _FASTEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid speed: a number from 0 to {_FASTEST:,}, such as 20")
    return speed


def _ledger(options: argparse.Namespace) -> int:
    """Print, export, copy or prune a ledger."""
    import pandas as pd

    from voxops.frames.times import length
    from voxops.ledger import Ledger, audit

    if not options.path.exists() or not options.path.stat().st_size:
        raise ConfigError(f"there is no ledger {options.path}")
    age = None if options.prune is None else length("--prune", options.prune)
    with closing(Ledger(options.path)) as book:
        if age is not None:
            before = pd.Timestamp.now("UTC") - age
            pruned = audit.prune(book, before.to_pydatetime())
            emit_or_say(options, {"pruned": pruned}, f"dropped bytes and replies of {many(pruned, 'request')}")
        elif target := options.export or options.copy:
            try:
                path = audit.export(book, target) if options.export else book.copy_to(target)
            except OSError as error:
                raise unwritable(target, error) from error
            emit_or_say(options, {"exported" if options.export else "copied": str(path)}, str(path))
        else:
            emit_or_print_frame(options, audit.runs(book) if options.runs else audit.history(book))
    return 0
