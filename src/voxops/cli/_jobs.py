"""What a command found as JSON, for whatever reads it next: plain values, times as ISO text in UTC, everything else escaped."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pandas as pd

from voxops._support import safe
from voxops._support.files import make_folder, unwritable, write_file
from voxops._support.safe import many, plain, printable
from voxops.api.matrix import MATRIX, matrix, polled
from voxops.errors import AuthError, ConfigError, PlanError, VoxopsError
from voxops.frames.columns import plain_values
from voxops.model import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voxops.analysis.digest import Concern
    from voxops.workspace import Workspace


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
    from voxops.conformance.laws import compare_spec

    found = compare_spec(options.spec)
    if options.json:
        emit({"differences": found})
    else:
        for line in (*found, f"matrix: differences={len(found)}"):
            say(line)
    return ATTENTION if found else 0


def _check(options: argparse.Namespace) -> int:
    """Check that client and server do what the matrix says."""
    from voxops.conformance.laws import check

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

    from voxops._support.safe import Terminal

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


_RUN_STATUS = "Exit status: 0 every row has succeeded, 1 an error, 2 wrong usage, 3 somebody has to look at the rest."
_DIGEST_STATUS = (
    "Exit status: 0 nothing (new or worse), 1 an error (what was found will be in the next digest), 2 wrong usage, 3 somebody has to act. "
    "Nothing is sent to the API; a report goes only to the address of --post, without the API key."
)

_LINES = 50  # of findings, and of what is gone, in the text of a digest: what a chat shows of one message


def add_jobs(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> list[argparse.ArgumentParser]:
    """Add the commands to those of a parser, and return their own parsers."""
    runs = commands.add_parser("runs", help="the runs of this workspace, newest first")
    resume = commands.add_parser("resume", help="go on with a run: send what was never sent", epilog=_RUN_STATUS)
    resume.add_argument("run", metavar="RUN", help="id of the run, as voxops runs shows it")
    resume.add_argument("--look", action="store_true", help="only read and settle what was sent; send nothing")
    resume.add_argument("--timeout", type=float, metavar="SECONDS", help="stop waiting after so many seconds")
    digest = commands.add_parser(
        "digest", help="what needs somebody, as plain JSON for a chat or a job", epilog=_DIGEST_STATUS
    )
    digest.add_argument(
        "--since", default="7D", help="7D, 12h, today, yesterday or ISO text with an offset (default: 7D)"
    )
    add_zone(digest)
    digest.add_argument(
        "--since-last",
        action="store_true",
        help="only what is new, worse or back since the last digest, and what is gone",
    )
    digest.add_argument("--post", metavar="URL", help="send the digest there, if it holds anything")
    digest.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where --since-last remembers the last digest (default: beside the ledger)",
    )
    for parser, work in ((runs, _runs), (resume, _resume), (digest, _digest)):
        parser.add_argument("--url", help="the API's address (default: VOXBURST_API_URL)")
        parser.add_argument("--sandbox", action="store_true", help="use the embedded sandbox")
        parser.add_argument("--ledger", type=Path, help="the ledger's file (default: the workspace's own)")
        # a mistyped path would show the runs of a new and empty ledger; a digest needs none that exists
        parser.set_defaults(run_command=work, needs_ledger=parser is not digest)
    return [runs, resume, digest]


def _runs(options: argparse.Namespace) -> int:
    """Print the runs."""
    with connected(options) as ws:
        runs = ws.runs()
    emit_or_print_frame(options, runs)
    return 0


def _resume(options: argparse.Namespace) -> int:
    """Take a run up, send what was never sent, wait, and say what became of it."""
    if options.timeout is not None and not options.timeout >= 0:
        raise ConfigError(f"--timeout {options.timeout} must be a number of seconds, 0 or more")
    with connected(options) as ws:
        if options.run not in ws.runs().index:  # a name that was mistyped is none an hour later
            raise ConfigError(f"no run {options.run} in the ledger of this workspace; voxops runs lists them")
        run = ws.attach(options.run)
        if not options.look:
            run.resume()
        results = run.wait(options.timeout).results()
    counts = {name: int((results["outcome"] == name).sum()) for name in OUTCOMES}
    left = results[results["outcome"] != "succeeded"]
    if options.json:
        emit({"run": options.run, "rows": len(results), **counts, "left": records(_in_brief(left))})
    else:
        say(f"{options.run}: rows={len(results)} " + " ".join(f"{name}={count}" for name, count in counts.items()))
        if len(left):
            print_frame(_in_brief(left))
    return 0 if not len(left) else ATTENTION


def _in_brief(rows: pd.DataFrame) -> pd.DataFrame:
    """What a reader needs to know of rows that are not done."""
    names = ("post_id", "row_id", "delivery_id", "platform", "outcome", "waiting_for", "error_code", "error_message")
    return rows[[name for name in names if name in rows.columns]]


def _digest(options: argparse.Namespace) -> int:
    """Say what needs somebody, send it where it was asked to go, and only then remember it."""
    from voxops.analysis.digest import digest
    from voxops.client.outgoing import checked_address, post_json

    address = None if options.post is None else checked_address("--post", options.post)
    with connected(options) as ws:
        place = _place(options, ws)
        memory = _memory(place, ws.id) if options.since_last else None
        first = options.since_last and memory is None
        concerned, weeks = _concerns(ws, options.since)
        found, kept = digest(concerned, {} if first else memory)
        at = ws.client.now().isoformat()
        report = {
            "voxops": "digest",
            "workspace": {"id": ws.id, "name": ws.name},
            "made_at": at,
            "window": options.since,
            "since_last": None if memory is None else memory.get("made_at"),
            **found,
            "weeks": weeks,
        }
        report["text"] = _in_words(report, safe.plain)
        if address is not None and (report["attention"] or report["gone"]):
            report["posted"] = post_json(address, written({**report, "text": _in_words(report, safe.chat)}).encode())
        if options.json or sys.stdout is None or not sys.stdout.isatty():
            emit(report)
        else:
            say(str(report["text"]))
        if options.since_last and place is not None:  # last: what could not be said must be in the next digest
            _remember(place, {**kept, "workspace": ws.id, "made_at": at})
    return ATTENTION if report["attention"] else 0


def _concerns(ws: Workspace, since: str) -> tuple[list[Concern], list[dict[str, Any]] | None]:
    """What needs somebody in a workspace, and its causes against those of the span before; None where `since` is no span."""
    from voxops.analysis.causes import compare_weeks
    from voxops.analysis.digest import concerns
    from voxops.analysis.incidents import never_delivered, outages
    from voxops.analysis.triage import triage
    from voxops.frames.records import targets
    from voxops.frames.times import length, moment, window, within

    now = ws.client.now()
    start, _ = window(since, None, now, ws.settings.tz)
    try:
        span = length("--since", since)
    except ConfigError:
        span = None
    # The lists of what failed are read whole in any case; what lies before tells what came back from what is new.
    # As an instant: lengths of centuries are more than their own text can be read back as.
    read = since if span is None else pd.Timestamp(now) - 4 * span
    posts = ws.posts(status=["failed", "partial", "publishing"], since=read)
    triaged = triage(targets(posts[within(moment(posts), start, None)]))
    weeks = None if span is None else compare_weeks(triage(targets(posts)), now=now, span=span)
    log = ws.deliveries(since=since)
    runs = ws.runs()
    recent = runs if start is None else runs[runs["created_at"] >= start]
    found = concerns(triaged, never_delivered(log), outages(log), recent, ws.at_risk())
    return found, None if weeks is None else records(weeks[weeks["change"] != "recurring"])


def _in_words(report: dict[str, Any], show: Callable[[object], str]) -> str:
    """The digest as text, for a terminal or for a chat that shows nothing else; `show` makes what strangers wrote harmless there."""
    where = show(report["workspace"]["name"] or report["workspace"]["id"])
    lines = [f"{where}: {many(len(report['findings']), 'thing')} for somebody to look at"]
    for one in report["findings"][:_LINES]:
        more = f", {one['more']} of them new" if one["change"] == "worse" else ""
        remedy = f": {show(one['remedy'])}" if one.get("remedy") else ""
        lines.append(f"{one['change']}: {one['kind']} {show(one['what'])} ({many(one['rows'], 'row')}{more}){remedy}")
    lines += _more(one["kind"] for one in report["findings"][_LINES:])
    lines += [f"gone: {show(name)}" for name in report["gone"][:_LINES]]
    lines += _more("gone" for _ in report["gone"][_LINES:])
    return "\n".join(lines)


def _more(kinds: Iterable[str]) -> list[str]:
    """A line for what a text has no room for: nobody must take it for all there is."""
    counts = Counter(kinds)
    left = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    return [f"and {counts.total():,} more ({left}), in the JSON of this digest"] if counts else []


def _place(options: argparse.Namespace, ws: Workspace) -> Path | None:
    """The file that remembers the last digest."""
    if not options.since_last:
        if options.state is not None:
            raise ConfigError(
                "--state names where --since-last remembers the last digest; add --since-last, or leave it out"
            )
        return None
    if options.state is not None:
        return Path(options.state)
    ledger = ws._ledger
    if ledger is None:
        raise ConfigError(
            "the workspace has no ledger beside which the last digest could be remembered; name a file with --state"
        )
    return Path(ledger.path).with_suffix(".digest.json")


def _memory(place: Path | None, workspace: str) -> dict[str, Any] | None:
    """What the last digest left; None before the first."""
    if place is None or not place.exists():
        return None
    try:
        memory = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{place} can't be read as the memory of a digest ({error}); delete it to begin anew"
        ) from None
    if not isinstance(memory, dict) or not isinstance(memory.get("items"), dict):
        raise ConfigError(f"{place} is not the memory of a digest; name another file with --state")
    if memory.get("workspace") != workspace:
        raise ConfigError(f"{place} remembers the digests of another workspace; name another file with --state")
    return memory


def _remember(place: Path, memory: dict[str, Any]) -> None:
    """Keep what this digest has found, for the next one."""
    try:
        make_folder(place.parent)
        write_file(place, written(memory))
    except OSError as error:
        raise unwritable(place, error) from error
