"""``voxops digest``: what needs somebody, as text or JSON, and what the last digest has reported already."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._support import safe
from voxops._support.files import make_folder, unwritable, write_file
from voxops._support.safe import many
from voxops.cli.output import ATTENTION, connected, emit, records, say, written
from voxops.errors import ConfigError

if TYPE_CHECKING:
    from voxops.analysis.digest import Concern
    from voxops.workspace import Workspace

_LINES = 50  # of findings, and of what is gone, in the text of a digest: what a chat shows of one message


def run_digest(options: argparse.Namespace) -> int:
    """Say what needs somebody, send it where it was asked to go, and only then remember it."""
    from voxops.analysis.digest import digest
    from voxops.client.outgoing import checked_address, post_json

    address = None if options.post is None else checked_address("--post", options.post)
    with connected(options) as ws:
        place = _place(options, ws)
        memory = _memory(place, ws.id)
        concerned, weeks = _concerns(ws, options.since)
        found, kept = digest(concerned, {} if place is not None and memory is None else memory)
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
        if place is not None:  # last: what could not be reported must be in the next digest
            try:
                make_folder(place.parent)
                write_file(place, written({**kept, "workspace": ws.id, "made_at": at}))
            except OSError as error:
                raise unwritable(place, error) from error
    return ATTENTION if report["attention"] else 0


def _concerns(ws: Workspace, since: str) -> tuple[list[Concern], list[dict[str, Any]] | None]:
    """What needs somebody in a workspace, and its causes against those of the span before; None where `since` is no span."""
    from voxops import deliveries
    from voxops.analysis.causes import causes
    from voxops.analysis.digest import concerns
    from voxops.analysis.triage import triage
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
    triaged = triage(posts[within(moment(posts), start, None)])
    weeks = None if span is None else causes(triage(posts), against=span, now=now)
    log = ws.deliveries(since=since)
    runs = ws.runs()
    recent = runs if start is None else runs[runs["created_at"] >= start]
    found = concerns(triaged, deliveries.lost(log), deliveries.outages(log), recent, ws.at_risk())
    return found, None if weeks is None else records(weeks[weeks["change"] != "recurring"])


def _in_words(report: dict[str, Any], show: Callable[[object], str]) -> str:
    """The digest as text, for a terminal or for a chat that shows nothing else; `show` makes untrusted text harmless there."""
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
    """A line for what the text has no room for: it must not be taken for all there is."""
    counts = Counter(kinds)
    left = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    return [f"and {counts.total():,} more ({left}), in the JSON of this digest"] if counts else []


def _place(options: argparse.Namespace, ws: Workspace) -> Path | None:
    """The file that remembers the last digest; None where none is wanted."""
    if options.state is not None and not options.since_last:
        raise ConfigError(
            "--state names where --since-last remembers the last digest; add --since-last, or leave it out"
        )
    if options.state is not None or not options.since_last:
        return options.state  # type: ignore[no-any-return]
    if ws._ledger is None:
        raise ConfigError(
            "the workspace has no ledger beside which the last digest could be remembered; name a file with --state"
        )
    return Path(ws._ledger.path).with_suffix(".digest.json")


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
