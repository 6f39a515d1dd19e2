"""The command ``voxops``: the same job as in a notebook, for a terminal and for scheduled jobs."""

from __future__ import annotations

import argparse
import difflib
import io
import logging
import math
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from voxops.errors import VoxopsError

_REPORT_STATUS = "Exit status: 0 nothing to do, 1 an error, 2 wrong usage, 3 somebody has to act. Nothing is sent."
_RUN_STATUS = "Exit status: 0 every row has succeeded, 1 an error, 2 wrong usage, 3 somebody has to look at the rest."
_SYNC_STATUS = "Exit status: 0 the campaign shows its sheet, 1 an error, 2 wrong usage, 3 it does not: something is to be sent, or somebody has to act."
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
    logging.basicConfig(format="voxops: %(message)s")  # warnings, such as of a run that has not settled
    status = _PIPE_CLOSED
    options = argparse.Namespace()
    try:
        _parser().parse_args(arguments, options)
        from voxops._support.safe import printable
        from voxops.cli import commands as do  # loads pandas, for which neither --version nor a typo need wait

        with do.for_programs() if options.json else nullcontext():
            status = int(getattr(do, f"run_{options.run_command}")(options))
        if sys.stdout is not None:  # closed by whoever started it
            sys.stdout.flush()
        return 0 if status == do.ATTENTION and getattr(options, "exit_zero", False) else status
    except BrokenPipeError:
        # The reader, such as head, has closed the pipe; the interpreter's own last output must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return status
    except OSError as error:
        from voxops._support.safe import printable

        # Without a file it is what is printed, such as into a file on a disk that is full.
        where = "can't write" if error.filename is None else f"{error.filename} can't be used"
        print(f"voxops: {printable(where)}: {printable(error.strerror or error)}", file=sys.stderr)
        return 1
    except VoxopsError as error:
        print(f"voxops: {printable(error)}", file=sys.stderr)
        return do.WRONG if do.is_wrong_usage(error) else 1
    except KeyboardInterrupt:
        print("voxops: interrupted; what was sent is recorded", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors suggest the nearest word for a typo."""

    options: ClassVar[set[str]] = set()  # of all commands

    def add_argument(self, *names: Any, **details: Any) -> argparse.Action:
        """Note the name of each option."""
        self.options.update(names)
        return super().add_argument(*names, **details)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and exit with 2."""
        if wrong := re.search(r"unrecognized arguments: (--[\w-]+)", message):
            near = difflib.get_close_matches(wrong[1], self.options, 1)
            message += f"; did you mean {near[0]}?" if near else ""
        if wrong := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(wrong[1], re.findall(r"[\w-]+", wrong[2]), 1)
            message += f"; did you mean {near[0]!r}?" if near else ""
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    said = "The same job as in a notebook, for a terminal and for scheduled jobs."
    parser = _Parser(prog="voxops", description=said)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = commands.add_parser("demo", help="the main job, against the embedded sandbox: no key, no network")
    demo.add_argument("--state", type=Path, help="keep the sandbox's state in this file")
    demo.add_argument("--ledger", type=Path, help="keep keys and outcomes in this file")
    demo.add_argument("--out", type=Path, default=Path("build/demo"), help="folder of the report (default: build/demo)")
    demo.set_defaults(run_command="demo")

    sandbox = commands.add_parser("sandbox", help="serve the API on this machine")
    sandbox.add_argument("--port", type=_port, default=8765, help="port of the API, 0 for a free one (default: 8765)")
    sandbox.add_argument(
        "--seed", type=int, default=7, help="number of a campaign; the same one gives the same campaign (default: 7)"
    )
    sandbox.add_argument("--state", type=Path, help="keep the state in this file")
    sandbox.add_argument("--speed", type=_speed, default=1.0, help="virtual seconds per second (default: 1)")
    sandbox.add_argument("--now", action="store_true", help="this machine's clock instead of a virtual one")
    sandbox.add_argument(
        "--rate-limit", type=_count, default=500, help="requests a minute, 0 for no limit (default: 500)"
    )
    sandbox.add_argument("--posts", type=_count, default=500, help="size of the seeded campaign (default: 500)")
    sandbox.add_argument("--deliveries", type=_count, default=4500, help="number of deliveries in it (default: 4500)")
    sandbox.add_argument(
        "--switch", type=_switch, action="append", default=[], metavar="NAME=VALUE", dest="switches",
        help="change how the sandbox behaves, such as list_lag_seconds=20; may be repeated",
    )  # fmt: skip
    sandbox.add_argument("--storage-port", type=_port, default=0, help="port of the presigned storage")
    sandbox.add_argument("--receiver-port", type=_port, default=0, help="port of the webhook receiver")
    sandbox.add_argument(
        "--tls", type=Path, metavar="FOLDER", help="speak https, with a certificate kept in this folder"
    )
    sandbox.set_defaults(run_command="sandbox")

    posts = commands.add_parser("posts", help="the posts of this workspace, newest first")
    posts.add_argument("--status", action="append", help="only posts in this status; may be repeated")
    posts.add_argument("--campaign", help="only posts of this campaign")
    posts.set_defaults(run_command="posts")

    triage = commands.add_parser("triage", help="what failed, why, and who must do what", epilog=_REPORT_STATUS)
    triage.set_defaults(run_command="triage")

    retry = commands.add_parser("retry", help="try again what failed and can succeed", epilog=_RUN_STATUS)
    retry.add_argument(
        "--canary", type=_count, metavar="N",
        help="send the first N rows of each cause, and the rest only if at least half of these succeed; needs --yes",
    )  # fmt: skip
    retry.set_defaults(run_command="retry")

    deliveries = commands.add_parser("deliveries", help="the webhook delivery history", epilog=_REPORT_STATUS)
    deliveries.add_argument(
        "--by", default="endpoint", choices=_GROUPS, help="what the printed table counts by (default: endpoint)"
    )
    deliveries.set_defaults(run_command="deliveries")
    for each in (posts, triage, retry, deliveries):
        each.add_argument(
            "--since", default="7D", help="7D, 12h, today, yesterday or ISO text with an offset (default: 7D)"
        )
        said = "time zone of days, times and figures, such as Europe/Berlin (default: VOXOPS_TZ, then UTC)"
        each.add_argument("--tz", type=_zone, help=said)
    for each in (triage, deliveries):
        each.add_argument("--html", type=Path, help="write a self-contained HTML file")
        each.add_argument("--csv", type=Path, metavar="FOLDER", help="write the tables as CSV")

    archive = commands.add_parser("archive", help="history on disk, for scheduled jobs")
    sync = archive.add_subparsers(required=True, metavar="what").add_parser(
        "sync", help="fetch what is new or still open"
    )
    sync.add_argument("path", type=Path, help="folder of the archive")
    sync.add_argument("--since", help="leave out deliveries before this time: 90D or ISO text with an offset")
    sync.add_argument("--full", action="store_true", help="read everything again")
    sync.set_defaults(run_command="archive_sync")

    runs = commands.add_parser("runs", help="the runs of this workspace, newest first")
    runs.set_defaults(run_command="runs")

    resume = commands.add_parser("resume", help="continue a run: send what was never sent", epilog=_RUN_STATUS)
    resume.add_argument("run", metavar="RUN", help="id of the run, as voxops runs shows it")
    resume.add_argument("--look", action="store_true", help="only read and settle what was sent; send nothing")
    resume.add_argument("--timeout", type=float, metavar="SECONDS", help="stop waiting after so many seconds")
    resume.set_defaults(run_command="resume")

    campaign = commands.add_parser(
        "sync", help="what a campaign needs so that it shows its sheet: create, change, withdraw", epilog=_SYNC_STATUS
    )
    campaign.add_argument("path", metavar="PATH", type=Path, help="the whole sheet, CSV or Excel")
    campaign.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook that has several")
    campaign.add_argument(
        "--header", type=_count, metavar="N", help="number of the row with the column headers, from 1"
    )
    campaign.add_argument("--dayfirst", action="store_true", default=None, help="read 3/4/2026 as 3 April")
    campaign.add_argument("--folder", type=Path, help="folder of the media that the sheet names (default: its own)")
    campaign.add_argument("--key", required=True, help="the column with each row's permanent id")
    campaign.add_argument("--campaign", required=True, help="name of the campaign")
    campaign.add_argument(
        "--withdraw", action="store_true", help="withdraw the posts of rows that the sheet does not have"
    )
    for each in (retry, campaign):
        each.add_argument(
            "--yes", action="store_true", help="do it; without this the plan is shown and nothing is sent"
        )
        each.add_argument("--reason", help="reason for the audit trail; needs --yes")
    campaign.set_defaults(run_command="sync")

    campaign.add_argument(
        "--tz", type=_zone, help="time zone of the sheet's times that name none, and of what is shown"
    )
    for each in (triage, retry, deliveries, resume, campaign):
        each.add_argument("--exit-zero", action="store_true", help="exit with 0 also where somebody has to act")
    for each in (posts, triage, retry, deliveries, sync, runs, resume, campaign):
        each.add_argument("--url", help="the API's address (default: VOXBURST_API_URL)")
        each.add_argument("--sandbox", action="store_true", help="use the embedded sandbox")
    for each in (retry, runs, resume, campaign):
        each.add_argument("--ledger", type=Path, help="the ledger's file (default: the workspace's own)")
        # a mistyped path would show the runs of a new and empty ledger; the others need none that exists
        each.set_defaults(needs_ledger=each in (runs, resume))
    for each in (demo, sandbox, posts, triage, retry, deliveries, sync, runs, resume, campaign):
        each.add_argument("--json", action="store_true", help="print JSON for another program, one value a line")
    return parser


class _Version(argparse.Action):
    """Print the version of the installed package and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"voxops {version('voxops')}", flush=True)
        parser.exit()


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


def _switch(text: str) -> tuple[str, object]:
    """The name and value of a switch of the sandbox."""
    from voxburst_sandbox import Switches

    try:
        return Switches.setting(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _zone(name: str) -> str:
    """A time zone's name, if there is such a zone."""
    from zoneinfo import ZoneInfo

    try:
        return str(ZoneInfo(name))
    except (KeyError, ValueError, OSError) as error:
        raise argparse.ArgumentTypeError(f"{name!r} is not a time zone: write it like Europe/Berlin") from error
