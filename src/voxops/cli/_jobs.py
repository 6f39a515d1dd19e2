"""Commands for schedules: the runs of a ledger, going on with one of them, and the digest of what needs somebody."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._core import safe
from voxops._core.files import make_folder, unwritable, write_file
from voxops._core.safe import many
from voxops.cli._common import ATTENTION, add_zone, connected, emit, emit_or_print_frame, print_frame, say
from voxops.cli._json import records, written
from voxops.errors import ConfigError
from voxops.model import OUTCOMES

if TYPE_CHECKING:
    from voxops.analysis.digest import Concern
    from voxops.workspace import Workspace

__all__ = ["add_jobs"]

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
    from voxops.analysis import compare_weeks, never_delivered, outages, triage
    from voxops.analysis.digest import concerns
    from voxops.frames import targets
    from voxops.frames.spans import length, moment, window, within

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
