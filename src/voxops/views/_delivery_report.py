"""The report on webhook deliveries: what arrived and how fast, outages, losses, and who must do what."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from voxops import deliveries
from voxops._support import safe
from voxops._support.safe import short_address
from voxops.analysis.statistics import DELIVERED_BY, deduplicate, delivery_state, need_both_results, ranked
from voxops.deliveries import event_arrived
from voxops.errors import PlanError
from voxops.frames.checks import need
from voxops.frames.palette import OUTCOME, VERDICT
from voxops.frames.table import shown_columns, without_addresses
from voxops.frames.times import shown_zone
from voxops.model import OUTCOMES
from voxops.views import _report_sections, plots
from voxops.views._protocols import RunLike
from voxops.views._report import Report, most_rows, roles
from voxops.views._report_sections import ACTIONS, ALL_ROWS, Fact, Figure, Section

__all__ = ["DELIVERY_OWNERS", "delivery_report"]

# Who acts on what kind of loss, unless `report(owners=...)` says otherwise.
DELIVERY_OWNERS: Mapping[str, str] = {
    "down_now": "whoever runs the receiver",
    "receiver_failed": "operations: redeliver",
    "no_answer": "operations: redeliver",
    "rejected": "the developers of the receiver",
}
_REMEDIES = {
    "down_now": "First attempts fail and have not recovered: look at the receiver before anything else.",
    "receiver_failed": "Make sure that the receiver works, then redeliver.",
    "no_answer": "Make sure that the receiver can be reached, then redeliver.",
    "rejected": "The receiver refused these deliveries. Find out why before you redeliver: it would refuse them again.",
}
_CAME, _YOUNG = "came by another delivery", "may still be retried by the API"
# Outcome of a redelivery after the log was loaded -> why such deliveries need no further redelivery.
_SINCE = {"succeeded": "came by the redelivery since", "pending": "are being redelivered"}
_NEEDED = (
    *("delivery_id", "webhook_id", "event_type", "url", "success", "status_code", "latency_ms", "retry_count"),
    *("error", "response_body", "created_at", "delivered_at"),
)
_TEXTS = ("error", "response_body")  # may contain the webhook's address
_COLUMNS = 8  # of lost deliveries


def delivery_report(
    log: pd.DataFrame,
    *,
    run: RunLike | None,
    title: str | None,
    tz: str | None,
    now: datetime | None,
    owners: Mapping[str, str] | None,
    rows: int,
) -> Report:
    """Make the report of a delivery history; see `voxops.report`."""
    tz, rows = shown_zone(log, tz), most_rows(rows)
    what = "report() of deliveries needs a deliveries frame"
    log = need(log, _NEEDED, what, "Use ws.deliveries(...).", times=["created_at", "delivered_at"])
    need_both_results(log, "report()")
    log = deduplicate(without_addresses(log, _TEXTS)).reset_index(drop=True)
    log.attrs = {**log.attrs, "tz": tz}
    endpoints = deliveries.stats(log, by="endpoint")
    breaks, copies = deliveries.outages(log), deliveries.duplicates(log, possible=False)
    lost = deliveries.lost(log, now=now)
    frames = {
        "endpoints": endpoints,
        "hours": deliveries.stats(log, by="hour", tz=tz),
        "outages": breaks,
        "duplicates": copies,
        "lost": lost,
    }
    again, rest = None if run is None else _results(run), _not_lost(log, lost)
    if again is not None:
        brought = {
            why: lost["delivery_id"].isin(again.loc[again["outcome"] == of, "delivery_id"])
            for of, why in _SINCE.items()
        }
        rest |= {why: int(which.sum()) for why, which in brought.items() if which.any()}
        lost = lost[~pd.concat(brought, axis=1).any(axis=1)]
        frames |= {"lost": lost, "redelivered": again}
    owners = {**DELIVERY_OWNERS, **roles(DELIVERY_OWNERS if owners is None else owners, DELIVERY_OWNERS)}
    parts = [
        Section(ACTIONS, "", _actions(_down(log, breaks), lost, owners)),
        _volume(log, endpoints, tz),
        *([] if again is None else [_redelivered(again)]),
        _outages(log, breaks, tz),
        _copies(copies),
        _evidence(lost, rows),
    ]
    return Report(
        title=safe.plain("Webhook deliveries" if title is None else title, 120),
        headline=_headline(endpoints, breaks, _down(log, breaks), lost, rest),
        about=tuple(line for line in _report_sections.about(log, None, None) if not line.startswith("webhook ")),
        facts=_facts(log, breaks, copies, lost, rest),
        sections=tuple(part for part in parts if part.text or len(part.table)),
        tz=tz,
        frames={name: without_addresses(frame, ["url"]) for name, frame in frames.items()},
    )


def _not_lost(log: pd.DataFrame, lost: pd.DataFrame) -> dict[str, int]:
    """Count failures that are not lost, by reason: the event came by another delivery, or the API may still retry."""
    failed = (delivery_state(log) == "failed").to_numpy(bool)
    came = event_arrived(log)
    known = log.index.isin(lost.index)
    counts = {_CAME: int((failed & came).sum()), _YOUNG: int((failed & ~came & ~known).sum())}
    return {why: count for why, count in counts.items() if count}


def _down(log: pd.DataFrame, breaks: pd.DataFrame) -> pd.DataFrame:
    """Return the outages that go on; none if the log ends before it was loaded, since the present is then unknown."""
    ended = (log.attrs.get("filters") or {}).get("until") is not None
    return breaks[breaks["recovered_at"].isna() & (not ended)]


def _headline(
    endpoints: pd.DataFrame, breaks: pd.DataFrame, down: pd.DataFrame, lost: pd.DataFrame, rest: Mapping[str, int]
) -> str:
    """Summarise in a few words what happened and what to do."""
    settled, arrived = int((endpoints["succeeded"] + endpoints["failed"]).sum()), int(endpoints["succeeded"].sum())
    if not settled:
        flying = int(endpoints["in_flight"].sum())
        under_way = f": {safe.many(flying, 'delivery is', 'deliveries are')} in flight" if flying else ""
        return f"Nothing was delivered, and nothing failed{under_way}."
    text = (
        f"{arrived:,} of {safe.many(settled, 'delivery', 'deliveries')} succeeded ({safe.percent(arrived / settled)})."
    )
    if len(lost):
        again = int((lost["reason_code"] != "rejected").sum())
        text += f" {len(lost):,} never arrived: {again:,} can be redelivered, {len(lost) - again:,} rejected by the receiver."
    text += "".join(f" {count:,} failed and {why}." for why, count in rest.items())
    if len(breaks):
        longest = breaks.iloc[int((breaks["end"] - breaks["start"]).argmax())]
        length = safe.duration((longest["end"] - longest["start"]).total_seconds())
        text += f" {safe.many(len(breaks), 'outage')}; the longest took {length} at {short_address(longest['url'])}"
        text += (
            f" and lost {longest['lost']:,}." if longest["lost"] else "; all of it arrived after retries or redelivery."
        )
    if len(down):
        text += f" Not recovered: {', '.join(map(short_address, down['url']))}."
    return text


def _facts(
    log: pd.DataFrame, breaks: pd.DataFrame, copies: pd.DataFrame, lost: pd.DataFrame, rest: Mapping[str, int]
) -> tuple[Fact, ...]:
    """Return the numbers at the top."""
    state = delivery_state(log)
    arrived = state == "succeeded"
    retried = arrived & (log["retry_count"].fillna(0) > 0)
    rejected = int((lost["reason_code"] == "rejected").sum())
    good, bad, open_ = OUTCOME["succeeded"].colour, OUTCOME["failed"].colour, OUTCOME["pending"].colour
    found = (
        Fact(int((state == "failed").sum()), "failed", bad),
        Fact(len(lost) - rejected, "can be redelivered", VERDICT["retry"].colour),
        Fact(rejected, "rejected by the receiver", VERDICT["fix content"].colour),
        Fact(len(breaks), "outage" if len(breaks) == 1 else "outages", bad),
        Fact(int((arrived & ~retried).sum()), "arrived at once", good),
        Fact(int(retried.sum()), "arrived after retries or redelivery", good),
        *(Fact(count, f"failed, {why}", open_) for why, count in rest.items()),
        Fact(int((state == "in flight").sum()), "in flight", open_),
        Fact(len(copies), f"event{'' if len(copies) == 1 else 's'} sent twice for certain", VERDICT["wait"].colour),
    )
    return tuple(fact for fact in found if fact.count)


def _actions(down: pd.DataFrame, lost: pd.DataFrame, owners: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per kind of loss: who acts, on how many deliveries, how, and where."""
    missed = down["failed_first"].to_list()  # counts deliveries, as the other kinds do
    kinds = {"down_now": (sum(missed), down["url"].repeat(missed))} if len(down) else {}
    for code, part in lost.groupby(lost["reason_code"].astype(object), sort=False):
        kinds[str(code)] = (len(part), part["url"])
    found = []
    for code in filter(kinds.__contains__, DELIVERY_OWNERS):
        count, urls = kinds[code]
        who, how = owners[code], _REMEDIES[code]
        found.append(
            {"kind": code.replace("_", " "), "who": who, "deliveries": count, "how": how, "endpoints": _places(urls)}
        )
    return pd.DataFrame(found)


def _volume(log: pd.DataFrame, endpoints: pd.DataFrame, tz: str) -> Section:
    """Show how much arrived, when, and how fast."""
    table = pd.DataFrame(
        {
            "endpoint": endpoints["url"].map(short_address),
            **{name: endpoints[name] for name in ("deliveries", "succeeded", "failed")},
            "succeeded (%)": _percents(endpoints["success_rate"], 2),
            **{f"by attempt {most} (%)": _percents(endpoints[name], 2) for name, most in DELIVERED_BY.items()},
            "attempts (mean)": endpoints["attempts_mean"].round(3),
            **{f"{name.removesuffix('_ms')} (ms)": endpoints[name] for name in ("p50_ms", "p95_ms", "p99_ms")},
        }
    )
    figures = (
        Figure("Deliveries over time", 3.2, lambda ax: plots.delivery_volume(log, ax, tz=tz)),
        Figure("Latency of the last attempt", 3.2, lambda ax: plots.latency_bands(log, ax, tz=tz)),
        Figure(
            "Failures by endpoint and hour of the day",
            1.5 + 0.34 * min(max(len(table), 2), 15),
            lambda ax: plots.endpoint_heatmap(log, ax, tz=tz),
        ),
    )
    return Section("Volume, success and latency", "", table, figures if len(table) else ())


def _percents(shares: pd.Series[Any], digits: int) -> pd.Series[Any]:
    """Shares in percent; 100 means all."""
    return shares.map(lambda share: round(100 * safe.below_all(share, digits + 2), digits), na_action="ignore")


def _outages(log: pd.DataFrame, breaks: pd.DataFrame, tz: str) -> Section:
    """Show when which endpoint was down."""
    if breaks.empty:
        return Section("Outages", "No endpoint was down for long enough to be called an outage.")
    table = breaks.assign(endpoint=breaks["url"].map(short_address))
    table["failed first (%)"] = (100 * table["failure_rate"]).round(1)
    names = ["endpoint", "start", "end", "recovered_at", "deliveries", "failed first (%)", "lost", "symptom"]
    height = 1.3 + 0.42 * max(log["url"].nunique(), 2)
    figure = Figure("Outages", height, lambda ax: plots.outage_bands(breaks, log, ax, tz=tz))
    return Section(
        "Outages",
        "Periods in which first attempts failed; deliveries that are not lost arrived after retries or redelivery.",
        table[names],
        (figure,),
    )


def _results(run: Any) -> pd.DataFrame:
    """Return the results of a run, which must be a redelivery."""
    act = getattr(getattr(run, "plan", None), "act", None)
    if getattr(act, "about", "") != "delivery" or not callable(getattr(run, "results", None)):
        raise PlanError(
            "report(run=) of deliveries needs the run of a redelivery; pass what ws.run(vx.plan_redeliver(log)) returned"
        )
    return without_addresses(run.results())


def _redelivered(results: pd.DataFrame) -> Section:
    """Show what a redelivery did, by endpoint."""
    outcomes = results["outcome"].astype(object)
    counts = {name: int((outcomes == name).sum()) for name in OUTCOMES}
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing was sent"
    by = pd.crosstab(results["url"].astype(object).map(short_address), outcomes)
    table = by.reindex(columns=[name for name in OUTCOMES if counts[name]]).rename_axis("endpoint").reset_index()
    table.columns.name = None
    return Section("What the redelivery did", f"{safe.many(len(results), 'row')}: {said}.", table)


def _copies(copies: pd.DataFrame) -> Section:
    """Show certain duplicates."""
    if copies.empty:
        return Section("Sent twice")
    table = copies.groupby(["url", "event_type", "evidence"], as_index=False).agg(
        groups=("copies", "size"), copies=("copies", "sum"), delivered=("delivered", "sum")
    )
    table.insert(0, "endpoint", table.pop("url").map(short_address))
    return Section("Sent twice", "The API delivers at least once; a receiver has to expect copies.", table)


def _evidence(lost: pd.DataFrame, rows: int) -> Section:
    """Show the deliveries that never arrived, the newest first."""
    shown = lost.sort_values("created_at", ascending=False, kind="stable")
    more = len(shown) - rows
    text = f"{safe.many(rows, 'row')}; {more:,} more: {ALL_ROWS}." if more > 0 else ""
    return Section("Lost deliveries", text, shown[shown_columns(shown, most=_COLUMNS)].head(rows))


def _places(urls: pd.Series[Any]) -> str:
    """Name the endpoints, those hit most first."""
    hit = ranked(urls.map(short_address))
    named = ", ".join(f"{safe.plain(name, 60)} ({count:,})" for name, count in hit.head(4).items())
    return named + (f" and {len(hit) - 4} more" if len(hit) > 4 else "")
