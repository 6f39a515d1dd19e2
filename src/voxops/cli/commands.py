"""What the commands do, but for the digest: each takes the options, and returns its exit status."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from voxops._support.files import unwritable
from voxops._support.safe import below_all, many, printable
from voxops.api.matrix import MATRIX, matrix, polled
from voxops.cli.output import (
    ATTENTION,
    connected,
    emit,
    emit_or_print_frame,
    emit_or_say,
    facts,
    print_frame,
    records,
    say,
)
from voxops.errors import ConfigError
from voxops.model import OUTCOMES

if TYPE_CHECKING:
    import pandas as pd

    from voxops.views.report import Report


def run_demo(options: argparse.Namespace) -> int:
    """The main job."""
    from voxops.demo import demo

    with _files(), facts(options):
        return demo(state=options.state, ledger=options.ledger, out=options.out)


def run_sandbox(options: argparse.Namespace) -> int:
    """Serve the sandbox until it is stopped."""
    from voxburst_sandbox import serve

    with _files(), facts(options):
        serve(
            port=options.port, seed=options.seed, state=options.state, speed=options.speed, now=options.now, tls=options.tls,
            rate_limit=options.rate_limit or None, posts=options.posts, deliveries=options.deliveries,
            storage_port=options.storage_port, receiver_port=options.receiver_port,
        )  # fmt: skip
    return 0


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


def run_matrix(options: argparse.Namespace) -> int:
    """Compare the matrix with a description, try it, or print it."""
    if options.spec:
        from voxops.conformance.laws import compare_spec

        found = compare_spec(options.spec)
        emit_or_say(options, {"differences": found}, "\n".join([*found, f"matrix: differences={len(found)}"]))
        return ATTENTION if found else 0
    if options.check:
        from voxops.conformance.laws import check

        lines: list[str] = []
        holds = check(options.url, write=options.write, report=lines.append if options.json else say)
        if options.json:
            emit({"holds": holds, "lines": lines})
        return 0 if holds else ATTENTION
    if options.url or options.write:
        raise ConfigError("--url and --write belong to: voxops matrix --check")
    if options.json:
        emit(records(matrix()))
    else:
        _print_matrix()
    return 0


def _print_matrix() -> None:
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


def run_triage(options: argparse.Namespace) -> int:
    """Print who must do what, and write the report."""
    from voxops.analysis.triage import triage
    from voxops.model import ASKS_NOBODY
    from voxops.views.report import report

    with connected(options) as ws:
        triaged = triage(ws.posts(status=["failed", "partial", "publishing"], since=options.since))
    _print_and_write(report(triaged), options)
    failed = triaged[triaged["cause"].notna()]
    return 0 if failed["verdict"].isin(list(ASKS_NOBODY)).all() else ATTENTION


def run_deliveries(options: argparse.Namespace) -> int:
    """Print who must do what and the statistics, and write the report."""
    from voxops import deliveries
    from voxops._support.safe import short_address
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
        print_frame(stats.assign(url=stats["url"].map(short_address)) if "url" in stats else stats)
    down = made.frames["outages"]["recovered_at"].isna().any()
    return ATTENTION if down or len(made.frames["lost"]) else 0


def run_archive_sync(options: argparse.Namespace) -> int:
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


def run_runs(options: argparse.Namespace) -> int:
    """Print the runs."""
    with connected(options) as ws:
        runs = ws.runs()
    emit_or_print_frame(options, runs)
    return 0


def run_resume(options: argparse.Namespace) -> int:
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


def run_ledger(options: argparse.Namespace) -> int:
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
