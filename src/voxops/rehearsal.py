"""Rehearse a plan in a sandbox with the workspace's past failure rates and delays."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import pandas as pd

from voxops._support import eventloop, safe
from voxops._support.arguments import whole_number
from voxops.acts.act import Item
from voxops.acts.create import CREATE
from voxops.acts.plan import DEFAULT_RATE, Plan
from voxops.api.reasons import Reason
from voxops.client import AsyncClient, SteppedClock
from voxops.connection import open_workspace
from voxops.engine.execution import Execution
from voxops.errors import PlanError
from voxops.frames.columns import need_columns, plain_values, table_of
from voxops.frames.records import latest_targets, targets
from voxops.frames.times import absolute, say_zone, shown_zone
from voxops.loading.names import UNKNOWN, account_names
from voxops.model import Outcome
from voxops.workspace import Resources, Workspace

if TYPE_CHECKING:
    from voxops.archive import Archive
    from voxops.run import Run


# Quantiles of ordinary delays: the fastest and slowest twentieth (outages, wrong clocks) are left out.
_COMMON = (0.05, 0.95)
_LONGEST = 3600.0  # seconds: a slower target waited for a person
_FEW = 20  # the least publications of a platform for its own delays
_FAILURES = {"platform": "string", "error_code": "string", "publications": "Int64", "failed": "Float64", "low": "Int64", "high": "Int64"}  # fmt: skip
_BY_ROW = {
    "row": "Int64", "row_id": "string", "platform": "string", "error_code": "string", "certain": "boolean", "failure_share": "Float64",
    "low": "Float64", "high": "Float64", "why": "string",
}  # fmt: skip
_FIGURES = {
    **dict.fromkeys(("rows", "refused", "publications"), "Int64"), "failed": "Float64", **dict.fromkeys(("low", "high"), "Int64"),
    **dict.fromkeys(("sent_by", "sent_by_low", "sent_by_high", "ends", "ends_low", "ends_high"), ""),
    **dict.fromkeys(("requests", "requests_low", "requests_high", "reads"), "Int64"), "causes": "string",
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Rehearsal:
    """The expected result of a plan.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per ``platform`` and ``error_code`` (string) that would fail: ``publications`` (Int64, on that platform),
        ``failed`` (Float64, expected), ``low high`` (Int64: the range of 19 of 20 runs).
    by_row : pandas.DataFrame
        The same by row, those that fail with certainty first: ``row`` (Int64, position in ``plan.frame``), ``row_id`` (string, its
        key), ``platform`` (string; NA for a row that is not created), ``error_code`` (string: of the plan, the run or the API),
        ``certain`` (boolean), ``failure_share low high`` (Float64, 0 to 1: how likely, and the range of 19 of 20 histories; NA on a platform
        without a history) and ``why`` (string). Rows without a known risk are left out.
    rows, refused, publications : int
        Rows that would be created, rows that the API or the plan would refuse, and publications of the created ones.
    failed, low, high : float, int, int
        Publications that would fail: expected, and the range of 19 of 20 runs. On a platform without a past failure, up to three in as
        many publications as in the history may fail; on one without a history, all.
    unknown : tuple of str
        Platforms of the plan without a publication in the history.
    sent_by, ends : pandas.Timestamp
        When the last row would be created, and when the last publication would end, in the history's zone, else the plan's.
    requests, reads : int
        Requests in all, and reads among them.
    sent_by_low, sent_by_high, ends_low, ends_high, requests_low, requests_high
        The least and the most of the rehearsals.
    seeds : int
        Number of rehearsals.
    notes : tuple of str
        What was left out or assumed.
    """

    frame: pd.DataFrame
    by_row: pd.DataFrame
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
    sent_by_low: pd.Timestamp
    sent_by_high: pd.Timestamp
    ends_low: pd.Timestamp
    ends_high: pd.Timestamp
    requests_low: int
    requests_high: int
    notes: tuple[str, ...]

    @property
    def causes(self) -> str:
        """The causes in one line, of rows that are refused, then of publications that fail, most first."""
        certain = Counter(self.by_row.loc[self.by_row["certain"], "error_code"].dropna())
        said = [f"{safe.many(count, 'row')} refused: {code}" for code, count in certain.most_common()]
        failures = self.frame[["platform", "error_code", "failed", "low", "high"]].itertuples(index=False)
        said += [
            f"{failed:.0f} ({low} to {high}) on {platform}: {code}" for platform, code, failed, low, high in failures
        ]
        return "; ".join(said)

    def __repr__(self) -> str:
        refused = f", {safe.many(self.refused, 'row')} refused" if self.refused else ""
        return (
            f"{safe.many(self.rows, 'row')} created by {safe.instant(self.sent_by, tz=self.sent_by.tz or UTC)} with"
            f" {safe.many(self.requests, 'request')}{refused}; {safe.many(self.publications, 'publication')} ended by"
            f" {safe.instant(self.ends, tz=self.ends.tz or UTC)}, {self.failed:.0f} of them failed ({self.low} to {self.high})"
            + (f"; the history has no publication on {safe.plain(', '.join(self.unknown))}" if self.unknown else "")
            + "".join(f"; {note}" for note in self.notes)
        )


_Plans = Sequence[Plan] | Mapping[str, Plan]


@overload
def rehearse(
    plan: Plan, archive: Archive | pd.DataFrame, *, accounts: pd.DataFrame | None = None, seeds: int = 5,
    rate_limit: int | None = None, now: datetime | pd.Timestamp | None = None,
) -> Rehearsal: ...  # fmt: skip


@overload
def rehearse(
    plan: _Plans, archive: Archive | pd.DataFrame, *, accounts: pd.DataFrame | None = None, seeds: int = 5,
    rate_limit: int | None = None, now: datetime | pd.Timestamp | None = None,
) -> pd.DataFrame: ...  # fmt: skip


def rehearse(
    plan: Plan | _Plans,
    archive: Archive | pd.DataFrame,
    *,
    accounts: pd.DataFrame | None = None,
    seeds: int = 5,
    rate_limit: int | None = None,
    now: datetime | pd.Timestamp | None = None,
) -> Rehearsal | pd.DataFrame:
    """Rehearse a plan of creates in a sandbox on this machine, or compare several: end, failures and cost.

    The sandbox has the accounts of the workspace, and the failure rates (by platform and error code) and delays of the history. Nothing
    is sent anywhere else, and the ledger of the workspace is not used; so rows that it has sent before count again. All media are taken
    as ready.

    Parameters
    ----------
    plan : Plan, or list or dict of them
        From ``vx.plan_create``; of ``vx.plan_sync`` only what it creates.
    archive : Archive or DataFrame
        The history: ``ws.archive(path)`` after a sync, or a frame of ``ws.posts()`` or ``vx.targets()``.
    accounts : DataFrame, optional
        From ``ws.accounts()``: a row on one that is unknown, not active, or failed its last check is refused. By default an archive of a
        workspace reads them; with a frame all accounts are taken as active.
    seeds : int
        Number of rehearsals with different random seeds; more narrow the range of failures.
    rate_limit : int, optional
        Allowed requests a minute; by default the last limit of the archive's connection, else 500.
    now : datetime or Timestamp, optional
        The start of the run, with an offset; by default the server's time for an archive, or the time of a frame's load.

    Returns
    -------
    Rehearsal or DataFrame
        For several plans, a frame with one row per plan, indexed by ``plan``: 1, 2 and so on, or the names of the dict. Its columns
        are as in `Rehearsal`: ``rows refused publications`` (Int64), ``failed`` (Float64), ``low high`` (Int64), ``sent_by ends``
        (times), ``requests`` (Int64), ``reads`` (Int64) and ``causes`` (string). Those of times and requests also have ``_low`` and
        ``_high``.

    Raises
    ------
    PlanError
        If `plan` is not a plan of creates, `archive` is not a history, the history has no publication, `accounts` lacks columns, or `seeds`
        or `rate_limit` is not a whole number from 1.
    ConfigError
        If `now` is not a time, or has no offset.

    Examples
    --------
    >>> plan = vx.plan_create(sheet, key="row_id", campaign="spring")
    >>> vx.rehearse(plan, ws.posts(), seeds=1, now="2027-01-01T09:00Z").__class__.__name__
    'Rehearsal'
    """
    several: Any = plan if isinstance(plan, Mapping | list | tuple) else [plan]
    plans = dict(several if isinstance(several, Mapping) else enumerate(several, 1))
    for each in plans.values():
        if not isinstance(each, Plan):
            raise PlanError(f"rehearse() takes a plan, not {type(each).__name__}: use vx.plan_create(…)")
    if not isinstance(archive, pd.DataFrame) and not callable(getattr(archive, "targets", None)):
        raise PlanError(
            f"rehearse() takes the history, not {type(archive).__name__}: an archive after archive.sync(), or ws.posts()"
        )
    parts = {name: _creates(each) for name, each in plans.items()}
    if not parts or not all(part.items for part, *_ in parts.values()):
        raise PlanError("rehearse() takes a plan of creates with eligible rows: use vx.plan_create(…)")
    seeds = whole_number(seeds, PlanError(f"seeds={seeds!r} must be a whole number, 1 or more"))
    if rate_limit is not None:
        rate_limit = whole_number(rate_limit, PlanError(f"rate_limit={rate_limit!r} must be a whole number, 1 or more"))
    if isinstance(archive, pd.DataFrame):
        history, client, present = archive, None, archive.attrs.get("fetched_at")
    else:
        history, client = archive.targets(), archive.client
        present = None if client is None else client.now()
    known = _read(history)
    if accounts is not None:
        known = replace(known, listed=_listed(accounts))
    elif client is not None:
        names = eventloop.run(account_names(client))
        known = replace(known, listed=[(account, *about) for account, about in names.listed.items()])
    if now is not None:
        present = absolute(now)
    begins = pd.Timestamp.now("UTC") if present is None else pd.Timestamp(present)
    limit = rate_limit or (client and client.pace.limit) or DEFAULT_RATE
    zone, found = history.attrs.get("tz") or shown_zone(next(iter(plans.values())).table), {}
    for name, (part, rows, left) in parts.items():
        tries = [_one(_with_planted_media(part), known, seed, limit, begins) for seed in range(1, seeds + 1)]
        found[name] = _summed(part, rows, known, [each.at(zone) for each in tries], left)
    return _choices(found, zone) if several is plan else found[1]


def _choices(found: Mapping[Any, Rehearsal], zone: str) -> pd.DataFrame:
    """Return the figures of several rehearsals, a row each."""
    rows = [{name: getattr(each, name) for name in _FIGURES} for each in found.values()]
    frame = pd.DataFrame(rows, index=pd.Index(found, name="plan")).astype(
        {name: kind for name, kind in _FIGURES.items() if kind}
    )
    return say_zone(frame, zone)


def _creates(plan: Plan) -> tuple[Plan, list[int], list[str]]:
    """Return the creates of a plan, the rows that should come to be posts, and what is left out."""
    if not plan.act.parts:
        part = plan if plan.act.about == "create" else replace(plan, items=())
        return part, [*range(len(plan.table))], []
    table, items = plan.table, [item for item in plan.items if item.act == CREATE.name]
    others = Counter(table.loc[table["eligible"] & (table["act"] != "create"), "act"])
    left = [f"{safe.many(count, act)} left out" for act, count in sorted(others.items())]
    # What has to be withdrawn first is not there.
    items = [replace(item, seen={**item.seen, "replaces": []}) for item in items]
    rows = [row for row, post in enumerate(plain_values(table, "post_id")) if post is None]
    return replace(plan, act=CREATE, items=tuple(items)), rows, left


def _listed(accounts: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Return id, platform, name and status of accounts; one whose last check has failed is not active."""
    wanted = ("account_id", "platform", "username", "status")
    need_columns(accounts, wanted, "use ws.accounts()")
    cells = [[str(value or "") for value in plain_values(accounts, name)] for name in wanted]
    failed = [works is False for works in plain_values(accounts, "works")]
    return [
        (account, platform, name, "failing its check" if fails and status in {"", "active"} else status)
        for account, platform, name, status, fails in zip(*cells, failed, strict=True)
    ]


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
    listed : list or None
        Id, platform, name and status of the workspace's accounts, if they are known.
    """

    accounts: Mapping[str, str]
    rates: Mapping[str, Mapping[str, float]]
    sent: Mapping[str, int]
    counts: Mapping[tuple[str, str], int]
    delays: Mapping[str, tuple[float, float]]
    delay: tuple[float, float]
    listed: Sequence[tuple[str, str, str, str]] | None = None


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
    results: pd.DataFrame

    def at(self, zone: str) -> _Try:
        """The same, with its times in a zone."""
        return replace(self, sent_by=self.sent_by.tz_convert(zone), ends=self.ends.tz_convert(zone))


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
            results = eventloop.run(_execute(workspace, plan)).results()
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
            results=results,
        )


async def _execute(workspace: Workspace, plan: Plan) -> Run:
    """Run the plan until its rows are created, without a monitor.

    The minute of reads after a run is left out, since the number of reads before its end is random.
    """
    session = workspace._session
    run = await session.engine.bind(plan, "rehearsal")
    return await session._started(partial(Execution, session.engine, run)).begin()


def _with_planted_media(plan: Plan) -> Plan:
    """Return the plan with ids in place of files and addresses, since nothing is uploaded: the sandbox has media of these ids."""
    planted = {source: f"media_rehearsed{number}" for number, source in enumerate(_named(plan, "media"))}

    def item_of(item: Item) -> Item:
        names = [planted[name] if name in item.sources else name for name in item.requested["media"]]
        return replace(item, body={**item.requested, "media": names})

    return replace(plan, items=tuple(item_of(item) if item.sources else item for item in plan.items))


def _accounts(plan: Plan, known: _Known) -> Sequence[tuple[str, str, str, str]]:
    """Return id, platform, name and status of the accounts: the workspace's, else those of the plan, but for ids without a history."""
    if known.listed is not None:
        unsaid = {"", UNKNOWN}  # a status that nobody knows forbids nothing
        return [(*about[:3], "active" if about[3] in unsaid else about[3]) for about in known.listed]
    found = []
    for number, name in enumerate(_named(plan, "accountIds")):
        platform, colon, handle = name.partition(":")
        if colon:
            found.append((f"acc_rehearsed{number}", platform.lower(), handle.removeprefix("@"), "active"))
        elif name in known.accounts:
            found.append((name, known.accounts[name], name, "active"))
    return found


def _named(plan: Plan, field: str) -> list[str]:
    """Return the distinct values in a field of the plan's rows."""
    return list(dict.fromkeys(str(name) for item in plan.items for name in (item.body or {}).get(field) or ()))


def _by_row(plan: Plan, rows: Sequence[int], known: _Known, results: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield why each row fails with certainty, else how likely its publications fail."""
    items = {item.row: item for item in plan.items}
    ended = dict(zip(sorted(items), results.to_dict("records"), strict=True))
    of_account = {account: platform for account, platform, *_ in _accounts(plan, known)}
    labels = plain_values(plan.table, plan.key)
    for row in rows:
        line, why, end = (
            {"row": row, "row_id": labels[row] and str(labels[row]), "certain": False},
            plan.why[row],
            ended.get(row),
        )
        if end is None or end["outcome"] != Outcome.SUCCEEDED:
            said = (why.code, str(why)) if end is None else (end["reason_code"], end["waiting_for"])
            if end is not None and end["outcome"] == Outcome.FAILED:
                said = end["error_code"], end["error_message"]
            yield line | dict(zip(_SURE, (True, *said, 1.0, 1.0, 1.0), strict=True))
            continue
        named = {of_account.get(name) or name.partition(":")[0].lower() for name in items[row].requested["accountIds"]}
        for platform in sorted(named):
            sent = known.sent.get(platform, 0)
            if not sent:
                yield line | {"platform": platform, "why": str(Reason("no_history", platform=platform))}
            for code, share in known.rates.get(platform, {}).items():
                count = known.counts[platform, code]
                spread = 2 * math.sqrt(count) / sent
                yield line | {
                    "platform": platform, "error_code": code, "failure_share": share, "low": max(0.0, share - spread),
                    "high": min(1.0, share + spread), "why": str(Reason("failed_before", failed=count, tried=sent, platform=platform)),
                }  # fmt: skip


_SURE = ("certain", "error_code", "why", "failure_share", "low", "high")


def _summed(plan: Plan, rows: Sequence[int], known: _Known, tries: Sequence[_Try], left: Sequence[str]) -> Rehearsal:
    """Sum up the rehearsals."""
    publications: Counter[str] = Counter()
    for each in tries:
        publications |= each.publications
    causes = sorted({cause for each in tries for cause in each.failures})
    lines = []
    for platform, code in causes:
        seen = [each.failures[platform, code] for each in tries]
        lines.append((platform, code, publications[platform], *_range(seen, known.counts.get((platform, code), 0))))
    frame = pd.DataFrame(lines, columns=list(_FAILURES)).astype(_FAILURES)
    frame = frame.sort_values(["failed", "platform", "error_code"], ascending=[False, True, True], ignore_index=True)
    used = sum(count for (platform, _), count in known.counts.items() if platform in publications)
    mean, low, high = _range([each.failures.total() for each in tries], used)
    high = min(high + _unseen(publications, known), publications.total())
    middle = sorted(tries, key=lambda each: each.ends)[len(tries) // 2]
    by_row = table_of([*_by_row(plan, rows, known, middle.results)], _BY_ROW)
    by_row = by_row.sort_values(["certain", "failure_share"], ascending=False, kind="stable", ignore_index=True)
    spans: dict[str, Any] = {}
    for name in ("sent_by", "ends", "requests"):
        values = sorted(getattr(each, name) for each in tries)
        spans |= {f"{name}_low": values[0], f"{name}_high": values[-1]}
    assumed = [] if known.listed is not None else ["all accounts are taken as active (accounts=ws.accounts() tells)"]
    return Rehearsal(
        frame, by_row, rows=middle.created, refused=len(rows) - middle.created, publications=middle.publications.total(),
        failed=mean, low=low, high=high, sent_by=middle.sent_by, ends=middle.ends, requests=middle.requests, reads=middle.reads,
        seeds=len(tries), unknown=tuple(sorted(set(publications) - set(known.sent))), notes=(*left, *assumed), **spans,
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

    Three variances add up. That of the run, a count, is its mean; that of the rehearsals is the same over their number. The third is of
    the history, whose failures have the relative error of a count.
    """
    mean = sum(seen) / len(seen)
    if (
        rests_on and not mean
    ):  # it has failed in the history, and in none of n rehearsals: up to 3 / n, by the rule of three
        return 0.0, 0, math.ceil(3 / len(seen))
    known = max(1, rests_on)
    spread = 2 * math.sqrt(mean * (1 + 1 / len(seen)) + mean**2 / known)
    return mean, max(0, math.floor(mean - spread)), math.ceil(mean + spread)
