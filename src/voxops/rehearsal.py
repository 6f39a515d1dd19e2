"""Rehearse a plan in a sandbox with the workspace's past failure rates and delays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from voxops._support import eventloop, safe
from voxops._support.arguments import whole_number
from voxops.acts.plan import DEFAULT_RATE, Plan
from voxops.client import AsyncClient, SteppedClock
from voxops.connection import open_workspace
from voxops.engine.execution import Execution
from voxops.errors import PlanError
from voxops.frames.columns import need_columns
from voxops.frames.records import latest_targets, targets
from voxops.frames.times import absolute
from voxops.workspace import Resources, Workspace

if TYPE_CHECKING:
    from voxops.archive import Archive


# Quantiles of ordinary delays: the fastest and slowest twentieth (outages, wrong clocks) are left out.
_COMMON = (0.05, 0.95)
_LONGEST = 3600.0  # seconds: a slower target waited for a person
_FEW = 20  # the least publications of a platform for its own delays


@dataclass(frozen=True, repr=False)
class Rehearsal:
    """The expected result of a plan.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per ``platform`` and ``error_code`` (string) that would fail: ``publications`` (Int64, on that platform),
        ``failed`` (Float64, expected), ``low high`` (Int64: the range of 19 of 20 runs).
    rows, refused, publications : int
        Rows that would be created, rows that the API or the plan would refuse, and publications of the created ones.
    failed, low, high : float, int, int
        Publications that would fail: expected, and the range of 19 of 20 runs. On a platform without a past failure, up to three in as
        many publications as in the history may fail; on one without a history, all.
    unknown : tuple of str
        Platforms of the plan without a publication in the history.
    sent_by, ends : pandas.Timestamp
        When the last row would be created, and when the last publication would end.
    requests, reads : int
        Requests in all, and reads among them.
    seeds : int
        Number of rehearsals.
    """

    frame: pd.DataFrame
    rows: int
    refused: int
    publications: int
    failed: float
    low: int
    high: int
    sent_by: pd.Timestamp
    ends: pd.Timestamp
    requests: int
    reads: int
    seeds: int
    unknown: tuple[str, ...]

    def __repr__(self) -> str:
        refused = f", {safe.many(self.refused, 'row')} refused" if self.refused else ""
        return (
            f"{safe.many(self.rows, 'row')} created by {safe.instant(self.sent_by)} with"
            f" {safe.many(self.requests, 'request')}{refused}; {safe.many(self.publications, 'publication')} ended by"
            f" {safe.instant(self.ends)}, {self.failed:.0f} of them failed ({self.low} to {self.high})"
            + (f"; the history has no publication on {safe.plain(', '.join(self.unknown))}" if self.unknown else "")
        )


def rehearse(
    plan: Plan,
    archive: Archive | pd.DataFrame,
    *,
    seeds: int = 5,
    rate_limit: int | None = None,
    now: datetime | pd.Timestamp | None = None,
) -> Rehearsal:
    """Rehearse a plan of creates in a sandbox on this machine: its end, its failures and its cost.

    The sandbox has the accounts of the plan, and the failure rates (by platform and error code) and delays of the history. Nothing is
    sent anywhere else, and the ledger of the workspace is not used.

    Parameters
    ----------
    plan : Plan
        From ``vx.plan_create``.
    archive : Archive or DataFrame
        The history: ``ws.archive(path)`` after a sync, or a frame of ``ws.posts()`` or ``vx.targets()``.
    seeds : int
        Number of rehearsals with different random seeds; more narrow the range of failures.
    rate_limit : int, optional
        Allowed requests a minute; by default the last limit of the archive's connection, else 500.
    now : datetime or Timestamp, optional
        The start of the run, with an offset; by default the server's time for an archive, or the time of a frame's load.

    Returns
    -------
    Rehearsal

    Raises
    ------
    PlanError
        If `plan` is not a plan of creates, `archive` is not a history, the history has no publication, or `seeds` or `rate_limit` is
        not a whole number from 1.
    ConfigError
        If `now` is not a time, or has no offset.

    Examples
    --------
    >>> plan = vx.plan_create(sheet, key="row_id", campaign="spring")
    >>> vx.rehearse(plan, ws.posts(), seeds=1, now="2027-01-01T09:00Z").__class__.__name__
    'Rehearsal'
    """
    if not isinstance(plan, Plan):
        raise PlanError(f"rehearse() takes a plan, not {type(plan).__name__}: use vx.plan_create(…)")
    if not isinstance(archive, pd.DataFrame) and not callable(getattr(archive, "targets", None)):
        raise PlanError(
            f"rehearse() takes the history, not {type(archive).__name__}: an archive after archive.sync(), or ws.posts()"
        )
    if plan.act.about != "create" or not plan.items:
        raise PlanError("rehearse() takes a plan of creates with eligible rows: use vx.plan_create(…)")
    seeds = whole_number(seeds, PlanError(f"seeds={seeds!r} must be a whole number, 1 or more"))
    if rate_limit is not None:
        rate_limit = whole_number(rate_limit, PlanError(f"rate_limit={rate_limit!r} must be a whole number, 1 or more"))
    if isinstance(archive, pd.DataFrame):
        known, client, present = _read(archive), None, archive.attrs.get("fetched_at")
    else:
        known, client = _read(archive.targets()), archive.client
        present = None if client is None else client.now()
    if now is not None:
        present = absolute(now)
    begins = pd.Timestamp.now("UTC") if present is None else pd.Timestamp(present)
    limit = rate_limit or (client and client.pace.limit) or DEFAULT_RATE
    tries = [_one(plan, known, seed, limit, begins) for seed in range(1, seeds + 1)]
    return _summed(plan, known, tries)


@dataclass(frozen=True)
class _Known:
    """The figures of the history.

    Attributes
    ----------
    accounts : mapping
        Account id -> its platform.
    rates : mapping
        Platform -> error code -> share of publications that fail with it.
    sent : mapping
        Platform -> number of publications.
    counts : mapping
        Platform and error code -> number of failures behind that share.
    delays : mapping
        Platform -> the range of ordinary delays in seconds, for platforms with enough posts.
    delay : tuple of float
        The same over all platforms, for the others.
    """

    accounts: Mapping[str, str]
    rates: Mapping[str, Mapping[str, float]]
    sent: Mapping[str, int]
    counts: Mapping[tuple[str, str], int]
    delays: Mapping[str, tuple[float, float]]
    delay: tuple[float, float]


def _read(frame: pd.DataFrame) -> _Known:
    """Read accounts, failure rates and delays from the history."""
    if "targets" in frame.columns:
        frame = targets(frame)
    need_columns(frame, ("platform", "account_id", "status", "error_code"), "use vx.targets(posts)")
    frame = latest_targets(frame)
    over = frame[frame["status"].isin(["published", "failed"])]
    if over.empty:
        raise PlanError("the history has no publication: sync the archive, or load more posts")
    failed = over[over["status"] == "failed"]
    codes = failed["error_code"].astype("string").fillna("UNKNOWN")
    sent = Counter(over["platform"].astype(str))
    counts = Counter(zip(failed["platform"].astype(str), codes.astype(str), strict=True))
    rates: dict[str, dict[str, float]] = {platform: {} for platform in sent}
    for (platform, code), number in counts.items():
        rates[platform][code] = number / sent[platform]
    people = frame.dropna(subset=["account_id"]).drop_duplicates("account_id")
    accounts = dict(zip(people["account_id"].astype(str), people["platform"].astype(str), strict=True))
    took = _delays(over)
    by = {str(name): _span(part) for name, part in took.groupby(over.loc[took.index, "platform"].astype("string")) if len(part) >= _FEW}  # fmt: skip
    return _Known(
        accounts,
        rates,
        sent,
        counts,
        by,
        _span(took) if len(took) else (5.0, 60.0),
    )


def _delays(over: pd.DataFrame) -> pd.Series[float]:
    """Return the seconds from the planned time to the publication."""
    if not {"published_at", "scheduled_for"} <= set(over.columns):
        return pd.Series(dtype="float64")
    seconds = (over["published_at"] - over["scheduled_for"]).dt.total_seconds()
    return seconds[seconds.between(0, _LONGEST)]


def _span(seconds: pd.Series[float]) -> tuple[float, float]:
    """Return the range of ordinary delays."""
    low, high = (float(value) for value in seconds.quantile(list(_COMMON)))
    return max(0.1, low), max(0.2, high)


@dataclass(frozen=True)
class _Try:
    """The counts of one rehearsal."""

    failures: Counter[tuple[str, str]]
    publications: Counter[str]
    created: int
    sent_by: pd.Timestamp
    ends: pd.Timestamp
    requests: int
    reads: int


def _one(plan: Plan, known: _Known, seed: int, limit: int, begins: pd.Timestamp) -> _Try:
    """Run the plan once in a new sandbox."""
    from voxburst_sandbox import FixtureAccount, FixtureWorld, Sandbox, Switches  # most programs never rehearse

    switches = Switches(
        failure_rates=known.rates, publish_seconds_by=known.delays, publish_seconds=known.delay, silent_webhooks=True
    )
    accounts = [FixtureAccount(*each) for each in _accounts(plan, known)]
    fixture = FixtureWorld(begins.to_pydatetime(), accounts, _named(plan, "media"))
    with Sandbox(seed=seed, fixture=fixture, switches=switches, rate_limit=limit) as sandbox:
        resources = Resources()
        client = AsyncClient(sandbox.api_key, url=sandbox.url, clock=SteppedClock(sandbox.advance), max_wait=math.inf)
        ledger = resources.temporary_ledger()
        with eventloop.run(open_workspace(client, ledger=ledger, resources=resources)) as workspace:
            eventloop.run(_execute(workspace, plan))
        # Every publication ends; counted is what happened at the server.
        requests, created = sandbox.requests(), sandbox.effects("post.create")
        times = [pd.Timestamp(effect["scheduled_for"]) for effect in created if effect["scheduled_for"]]
        now = pd.Timestamp(sandbox.now())
        sandbox.advance(max([0.0, *((time - now).total_seconds() for time in times)]) + 2 * _LONGEST)
        failed = sandbox.effects("target.fail")
        over = [*sandbox.effects("target.publish"), *failed]
        return _Try(
            failures=Counter((effect["platform"], effect["code"]) for effect in failed),
            publications=Counter(effect["platform"] for effect in over),
            created=len(created),
            sent_by=max((pd.Timestamp(effect["at"]) for effect in created), default=now),
            ends=max((pd.Timestamp(effect["at"]) for effect in over), default=now),
            requests=len(requests),
            reads=sum(not entry["acting"] for entry in requests),
        )


async def _execute(workspace: Workspace, plan: Plan) -> None:
    """Run the plan until its rows are created, without a monitor.

    The minute of reads after a run is left out, since the number of reads before its end is random.
    """
    session = workspace._session
    run = await session.engine.bind(plan, "rehearsal")
    await session._started(partial(Execution, session.engine, run)).begin()


def _accounts(plan: Plan, known: _Known) -> Sequence[tuple[str, str, str]]:
    """Return id, platform and name of every account of the plan; an id without a history is left out."""
    found = []
    for number, name in enumerate(_named(plan, "accountIds")):
        platform, colon, handle = name.partition(":")
        if colon:
            found.append((f"acc_rehearsed{number}", platform.lower(), handle.removeprefix("@")))
        elif name in known.accounts:
            found.append((name, known.accounts[name], name))
    return found


def _named(plan: Plan, field: str) -> list[str]:
    """Return the distinct values in a field of the plan's rows."""
    return list(dict.fromkeys(str(name) for item in plan.items for name in (item.body or {}).get(field) or ()))


def _summed(plan: Plan, known: _Known, tries: Sequence[_Try]) -> Rehearsal:
    """Sum up the rehearsals."""
    publications: Counter[str] = Counter()
    for each in tries:
        publications |= each.publications
    causes = sorted({cause for each in tries for cause in each.failures})
    rows = []
    for platform, code in causes:
        seen = [each.failures[platform, code] for each in tries]
        rows.append((platform, code, publications[platform], *_range(seen, known.counts.get((platform, code), 0))))
    kinds = {"platform": "string", "error_code": "string", "publications": "Int64", "failed": "Float64", "low": "Int64", "high": "Int64"}  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(kinds)).astype(kinds)
    frame = frame.sort_values(["failed", "platform", "error_code"], ascending=[False, True, True], ignore_index=True)
    used = sum(known.counts.get(cause, 0) for cause in causes)
    mean, low, high = _range([each.failures.total() for each in tries], used)
    high = min(high + _unseen(publications, known), publications.total())
    middle = sorted(tries, key=lambda each: each.ends)[len(tries) // 2]
    return Rehearsal(
        frame, rows=middle.created, refused=len(plan.frame) - middle.created, publications=middle.publications.total(),
        failed=mean, low=low, high=high, sent_by=middle.sent_by, ends=middle.ends, requests=middle.requests, reads=middle.reads,
        seeds=len(tries), unknown=tuple(sorted(set(publications) - set(known.sent))),
    )  # fmt: skip


def _unseen(publications: Mapping[str, int], known: _Known) -> int:
    """Return how many may fail without a past failure: after n successes, up to 3 / n at 95 % confidence (rule of three)."""
    failed = {platform for platform, _ in known.counts}
    return sum(
        math.ceil(number * min(1, 3 / known.sent.get(platform, 1)))
        for platform, number in publications.items()
        if platform not in failed
    )


def _range(seen: Sequence[int], rests_on: int) -> tuple[float, int, int]:
    """Return the mean, and the range of 19 of 20 runs.

    Three variances add up: of the run (a count, whose variance is its mean), of the rehearsals (the same over their number), and of the
    history, whose failures have the relative error of a count.
    """
    mean = sum(seen) / len(seen)
    known = max(1, rests_on)
    spread = 2 * math.sqrt(mean * (1 + 1 / len(seen)) + mean**2 / known)
    return mean, max(0, math.floor(mean - spread)), math.ceil(mean + spread)
