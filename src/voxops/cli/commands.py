"""What each command does, and how it prints: as text for a person, or as JSON for whatever reads it next.

JSON has plain values, times as ISO text in UTC, and everything else escaped.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import pandas as pd

from voxops._support.safe import below_all, printable
from voxops.api.reasons import NEED_NOBODY
from voxops.errors import AuthError, ConfigError, PlanError, VoxopsError
from voxops.frames.checks import plain_values
from voxops.model import OUTCOMES

if TYPE_CHECKING:
    from voxops.acts.plan import Plan
    from voxops.views.report import Report
    from voxops.workspace import Workspace


# Exit status of arguments, settings or an API key that must be changed first: trying again later does not help.
WRONG = 2
HALF = 0.5  # share of canaries that must succeed
ATTENTION = 3  # exit status of what found something for a person to do
_out: list[IO[str]] = []  # where JSON goes while everything else goes to the errors


def is_wrong_usage(error: VoxopsError) -> bool:
    """Whether a person must change something before the same command can succeed."""
    return isinstance(error, ConfigError | PlanError | AuthError)


def connected(options: argparse.Namespace) -> Workspace:
    """The workspace that the options name."""
    from voxops.connection import connect

    ledger, tz = getattr(options, "ledger", None), getattr(options, "tz", None)
    if ledger is not None and getattr(options, "needs_ledger", False) and not Path(ledger).exists():
        raise ConfigError(f"there is no ledger {ledger}")
    if options.sandbox and options.url:
        raise ConfigError("--sandbox uses the API on this machine, --url another: pass only one of them")
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
    """Keep standard output for JSON: anything else that is printed goes to standard error."""
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
    """Print a line immediately, also into a pipe."""
    print(printable(line), flush=True)


def print_frame(frame: pd.DataFrame, names: Sequence[str] | None = None) -> None:
    """Print a frame, by default the columns that matter, and the zone of its times; without markup or control characters of others."""
    from voxops.frames.times import shown_zone
    from voxops.views.table import shown_columns, table_of

    named = frame.reset_index() if any(name is not None for name in frame.index.names) else frame
    if frame.empty:
        print("nothing yet")
        return
    print(table_of(named, names).text())
    if any(isinstance(named[name].dtype, pd.DatetimeTZDtype) for name in names or shown_columns(named)):
        print(f"times in {shown_zone(named)}")


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
        """Collect text, and write whole lines."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            name, colon, facts = line.partition(": ")
            try:
                pairs = [word.partition("=") for word in shlex.split(facts)]
            except ValueError:  # an unpaired quotation mark, in words for people
                pairs = []
            if colon and name.isalpha() and pairs and all(sign for _, sign, _ in pairs):
                emit({"command": name, **{key: int(value) if value.isdecimal() else value for key, _, value in pairs}})
            else:
                print(line, file=sys.stderr)
        return len(text)

    def flush(self) -> None:
        """Do nothing: only unfinished lines are kept."""


def facts(options: argparse.Namespace) -> AbstractContextManager[object]:
    """Turn the lines of a command into JSON if ``--json`` is given."""
    return redirect_stdout(cast("IO[str]", Facts())) if options.json else nullcontext()


def run_demo(options: argparse.Namespace) -> int:
    """The main job."""
    from voxops.demo import demo

    with _files(), facts(options):
        return demo(state=options.state, ledger=options.ledger, out=options.out)


def run_sandbox(options: argparse.Namespace) -> int:
    """Serve the sandbox until it is stopped."""
    from voxburst_sandbox import Switches, serve

    with _files(), facts(options):
        serve(
            port=options.port, seed=options.seed, state=options.state, speed=options.speed, now=options.now, tls=options.tls,
            rate_limit=options.rate_limit or None, posts=options.posts, deliveries=options.deliveries,
            storage_port=options.storage_port, receiver_port=options.receiver_port,
            switches=Switches().changed(dict(options.switches)),
        )  # fmt: skip
    return 0


@contextmanager
def _files() -> Iterator[None]:
    """Turn an OSError into one line that names the port or file."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ConfigError(f"{where}{error.strerror or error}") from error


def run_posts(options: argparse.Namespace) -> int:
    """Print posts."""
    with connected(options) as ws:
        posts = ws.posts(status=options.status, campaign=options.campaign, since=options.since)
    if posts.empty and not options.json:
        say("no post matches these options")
        return 0
    emit_or_print_frame(options, posts)
    return 0


def _say_whose(options: argparse.Namespace, ws: Workspace, following: str = "") -> None:
    """Say for a person which workspace this is about, or which command follows."""
    if not options.json:
        say(f"next: voxops {following}" if following else f"workspace {ws.name or ws.id} at {ws.client.url}")


def run_triage(options: argparse.Namespace) -> int:
    """Print who must do what, and write the report."""
    from voxops.analysis.triage import triage
    from voxops.model import ASKS_NOBODY
    from voxops.views.report import report

    with connected(options) as ws:
        triaged = triage(ws.posts(status=["failed", "partial", "publishing"], since=options.since))
    _say_whose(options, ws)
    _print_and_write(report(triaged), options)
    failed = triaged[triaged["cause"].notna()]
    if failed["retryable"].any():
        _say_whose(options, ws, f"retry --since {shlex.quote(options.since)}")
    return 0 if failed["verdict"].isin(list(ASKS_NOBODY)).all() else ATTENTION


def run_deliveries(options: argparse.Namespace) -> int:
    """Print who must do what and the statistics, and write the report."""
    from voxops import deliveries
    from voxops.analysis.statistics import DELIVERED_BY
    from voxops.views.report import report

    with connected(options) as ws:
        log, tz = ws.deliveries(since=options.since), ws.settings.tz
    made = report(log, tz=tz)
    stats = deliveries.stats(log, by=options.by, tz=tz).round({"attempts_mean": 2})
    for name in ("success_rate", *DELIVERED_BY):
        stats[name] = stats[name].map(lambda share: below_all(share, 4), na_action="ignore")
    _print_and_write(made, options, {"stats": stats})
    if not options.json:
        print_frame(stats, list(map(str, stats.columns)))
    down = made.frames["outages"]["recovered_at"].isna().any()
    return ATTENTION if down or len(made.frames["lost"]) else 0


def run_archive_sync(options: argparse.Namespace) -> int:
    """Bring an archive up to date."""
    with connected(options) as ws:
        done = ws.archive(options.path).sync(options.since, full=options.full)
        emit_or_say(options, asdict(done), str(done))
    return 0


def _print_and_write(made: Report, options: argparse.Namespace, more: Mapping[str, pd.DataFrame] | None = None) -> None:
    """Write a report wherever the options ask for it, and print its summary, or its tables as JSON."""
    wanted = ((options.html, made.to_html), (options.csv, made.to_csv))
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


def run_runs(options: argparse.Namespace) -> int:
    """Print the runs."""
    with connected(options) as ws:
        runs = ws.runs()
    _say_whose(options, ws)
    emit_or_print_frame(options, runs)
    if len(left := runs[runs["state"].isin(["open", "paused", "stopped"])]):
        _say_whose(options, ws, f"resume {left.index[0]}")
    return 0


def run_resume(options: argparse.Namespace) -> int:
    """Resume a run, wait, and report its outcome."""
    if options.timeout is not None and not options.timeout >= 0:
        raise ConfigError(f"--timeout {options.timeout} must be a number of seconds, 0 or more")
    with connected(options) as ws:
        if options.run not in ws.runs().index:  # a name that was mistyped is none an hour later
            raise ConfigError(f"no run {options.run} in the ledger of this workspace; voxops runs lists them")
        run = ws.attach(options.run)
        if not options.look:
            run.resume()
        results = run.wait(options.timeout).results()
    return _say_results(options, options.run, results)


def _say_results(options: argparse.Namespace, run: str, results: pd.DataFrame) -> int:
    """Report the outcome of a run; return the exit status."""
    counts = {name: int((results["outcome"] == name).sum()) for name in OUTCOMES}
    left = results[results["outcome"] != "succeeded"]
    if options.json:
        emit({"run": run, "rows": len(results), **counts, "left": records(_in_brief(left))})
    else:
        say(f"{run}: rows={len(results)} " + " ".join(f"{name}={count}" for name, count in counts.items()))
        if len(left):
            print_frame(left)
    return 0 if not len(left) else ATTENTION


def _refuse_without_run(options: argparse.Namespace, *names: str) -> None:
    """Refuse options about sending if nothing is sent."""
    for name in names:
        if getattr(options, name) is not None and not options.yes:
            raise ConfigError(f"--{name} does nothing without --yes: add --yes, or leave it out")


def _show(options: argparse.Namespace, plan: Plan) -> None:
    """Show a plan: as JSON only if it is not run, because its results follow."""
    if not options.json:
        print(printable(plan), flush=True)
        if plan.eligible and not options.yes:
            say("to send it, add --yes")
    elif not options.yes:
        emit(records(plan.frame))


def run_retry(options: argparse.Namespace) -> int:
    """Show which failures would be retried; with ``--yes``, retry the canaries, and the rest if half of these succeed."""
    from voxops.acts.retry import plan_retry
    from voxops.analysis.triage import triage

    _refuse_without_run(options, "reason", "canary")
    with connected(options) as ws:
        plan = plan_retry(triage(ws.posts(status=["failed", "partial"], since=options.since)))
        _show(options, plan)
        if not options.yes:
            return ATTENTION if plan.eligible else 0
        for part in (*([plan.canary(options.canary)] if options.canary is not None else []), plan):
            run = ws.run(part, reason=options.reason)
            results = run.wait().results()
            if (results["outcome"] == "succeeded").mean() < HALF:
                break
    return _say_results(options, run.id, results)


def run_sync(options: argparse.Namespace) -> int:
    """Show what differs between a campaign and its sheet; with ``--yes``, change it."""
    from voxops.acts.sync import plan_sync
    from voxops.sheets.campaign import read_campaign

    _refuse_without_run(options, "reason")
    sheet = read_campaign(
        options.path,
        sheet=options.sheet,
        tz=options.tz,
        dayfirst=options.dayfirst,
        header=options.header,
        folder=options.folder,
    )
    with connected(options) as ws:
        posts = ws.posts(campaign=options.campaign)
        sheet = ws.upload(sheet) if options.yes else sheet
        plan = plan_sync(sheet, posts, key=options.key, campaign=options.campaign, withdraw=options.withdraw)
        blocked = plan.frame[~plan.frame["eligible"] & ~plan.frame["reason_code"].isin(NEED_NOBODY)]
        _show(options, plan)
        if not options.yes:
            return ATTENTION if plan.eligible or len(blocked) else 0
        run = ws.run(plan, reason=options.reason)
        results = run.wait().results()
    return _say_results(options, run.id, results) or (ATTENTION if len(blocked) else 0)


def _in_brief(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that are not done, in brief."""
    names = ("post_id", "row_id", "delivery_id", "platform", "outcome", "waiting_for", "error_code", "error_message")
    return rows[[name for name in names if name in rows.columns]]
