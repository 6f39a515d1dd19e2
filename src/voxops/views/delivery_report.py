"""The report on webhook deliveries: what arrived and how fast, outages, losses, and who must do what."""

from __future__ import annotations

from functools import partial

import pandas as pd

from voxops import deliveries
from voxops._support import safe
from voxops._support.safe import short_address
from voxops.analysis.statistics import DELIVERED_BY, PERCENTS, deduplicate, delivery_state, need_both_results
from voxops.errors import PlanError
from voxops.frames.columns import need_frame
from voxops.frames.palette import OUTCOME, VERDICT
from voxops.frames.times import shown_zone
from voxops.model import Outcome
from voxops.views import plots
from voxops.views._protocols import RunLike
from voxops.views.report_file import Fact, Options, Report, about, outcomes, outcomes_in_words
from voxops.views.table import redacted

__all__ = ["delivery_report"]

# Kind of loss -> who acts, unless `report(owners=...)` says otherwise, and what to do.
_KINDS = {
    "down_now": (
        "whoever runs the receiver",
        "First attempts fail and have not recovered: look at the receiver before anything else.",
    ),
    "receiver_failed": ("operations: redeliver", "Make sure that the receiver works, then redeliver."),
    "no_answer": ("operations: redeliver", "Make sure that the receiver can be reached, then redeliver."),
    "rejected": (
        "the developers of the receiver",
        "The receiver refused these deliveries. Find out why before you redeliver: it would refuse them again.",
    ),
}
_NEEDED = (
    *("delivery_id", "webhook_id", "event_type", "url", "success", "status_code", "latency_ms", "retry_count"),
    *("error", "response_body", "created_at", "delivered_at"),
)


def delivery_report(log: pd.DataFrame, run: RunLike | None, options: Options) -> Report:
    """Make the report of a delivery history; see `voxops.report`."""
    what = "report() of deliveries needs a deliveries frame"
    log = need_frame(log, _NEEDED, what, "Use ws.deliveries(...).", times=["created_at", "delivered_at"])
    need_both_results(log, "report()")
    tz, attrs = shown_zone(log, options.tz), log.attrs
    log = deduplicate(log).reset_index(drop=True)
    log.attrs = {**attrs, "tz": tz}
    endpoints, breaks, lost = (
        deliveries.stats(log, by="endpoint"),
        deliveries.outages(log),
        deliveries.lost(log, now=options.now),
    )
    frames = {"endpoints": endpoints, "hours": deliveries.stats(log, by="hour", tz=tz), "outages": breaks}
    text = ""
    if run is not None:
        if getattr(getattr(getattr(run, "plan", None), "act", None), "about", "") != "delivery":
            raise PlanError(
                "report(run=) of deliveries needs the run of a redelivery; pass what ws.run(vx.plan_redeliver(log)) returned"
            )
        results = run.results()
        arriving = results["outcome"].isin([Outcome.SUCCEEDED, Outcome.PENDING])
        lost = lost[~lost["delivery_id"].isin(results.loc[arriving, "delivery_id"])]
        frames["redelivered"], text = results, f" {outcomes_in_words(results)}"
    frames |= {"duplicates": deliveries.duplicates(log, possible=False), "lost": lost}
    ended = (attrs.get("filters") or {}).get("until") is not None  # then nothing is known of the present
    down = breaks[breaks["recovered_at"].isna() & (not ended)]
    names = ["url", "deliveries", "succeeded", "failed", "success_rate", *DELIVERED_BY, "attempts_mean", *PERCENTS]
    return Report(
        subject="deliveries",
        title=safe.plain(options.title or "Webhook deliveries", 120),
        headline=_headline(endpoints, breaks, down, lost) + text,
        about=about(log, run, options),
        facts=_facts(log, breaks, lost),
        tables={
            "actions": _actions(down, lost, options),
            "endpoints": endpoints[names],
            "outcomes": outcomes(frames["redelivered"]) if run is not None else pd.DataFrame(),
            "outages": breaks,
            "duplicates": frames["duplicates"],
            "lost": lost.sort_values("created_at", ascending=False, kind="stable"),
        },
        frames={name: redacted(frame) for name, frame in frames.items()},
        tz=tz,
        _rows=options.rows,
        _figures={
            "volume": partial(plots.delivery_volume, log, tz=tz) if len(log) else None,
            "latency": partial(plots.latency_bands, log, tz=tz),
            "hours": partial(plots.endpoint_heatmap, log, tz=tz),
            "outages": partial(plots.outage_bands, breaks, log, tz=tz) if len(breaks) else None,
        },
    )


def _headline(endpoints: pd.DataFrame, breaks: pd.DataFrame, down: pd.DataFrame, lost: pd.DataFrame) -> str:
    """Summarise in a few words what happened and what to do."""
    arrived, failed, flying = (int(endpoints[name].sum()) for name in ("succeeded", "failed", "in_flight"))
    if not arrived + failed:
        return f"Nothing was delivered, and nothing failed; {flying:,} in flight."
    text = f"{arrived:,} of {arrived + failed:,} deliveries succeeded ({safe.percent(arrived / (arrived + failed))})."
    if len(lost):
        rejected = int((lost["reason_code"] == "rejected").sum())
        text += f" {len(lost):,} never arrived: {len(lost) - rejected:,} can be redelivered, {rejected:,} rejected by the receiver."
    if len(breaks):
        lengths = breaks["end"] - breaks["start"]
        where, length = (
            short_address(breaks["url"].iloc[lengths.argmax()]),
            safe.duration(lengths.max().total_seconds()),
        )
        text += f" {safe.many(len(breaks), 'outage')}; the longest took {length} at {where}."
    return text + (f" Not recovered: {', '.join(map(short_address, down['url']))}." if len(down) else "")


def _facts(log: pd.DataFrame, breaks: pd.DataFrame, lost: pd.DataFrame) -> tuple[Fact, ...]:
    """Return the numbers at the top."""
    state, rejected = delivery_state(log), int((lost["reason_code"] == "rejected").sum())
    good, bad, flying = (OUTCOME[name].colour for name in ("succeeded", "failed", "pending"))
    return (
        Fact(int((state == "failed").sum()), "failed", bad),
        Fact(len(lost) - rejected, "can be redelivered", VERDICT["retry"].colour),
        Fact(rejected, "rejected by the receiver", VERDICT["fix content"].colour),
        Fact(len(breaks), "outage" if len(breaks) == 1 else "outages", bad),
        Fact(int((state == "succeeded").sum()), "arrived", good),
        Fact(int((state == "in flight").sum()), "in flight", flying),
    )


def _actions(down: pd.DataFrame, lost: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Return one row per kind of loss: who acts, on how many deliveries, how, and where."""
    roles = options.roles({code: who for code, (who, _) in _KINDS.items()})
    places = {code: part["url"] for code, part in lost.groupby(lost["reason_code"].astype(object))}
    places["down_now"] = down["url"].repeat(down["failed_first"].to_list())  # counts deliveries, as the other kinds do
    found = []
    for code, (_, how) in _KINDS.items():
        urls = places.get(code, lost["url"].head(0)).map(short_address)
        where = ", ".join(f"{name} ({count:,})" for name, count in urls.value_counts().items())
        kind = code.replace("_", " ")
        found += (
            [{"kind": kind, "who": roles[code], "deliveries": len(urls), "how": how, "endpoints": where}]
            if len(urls)
            else []
        )
    return pd.DataFrame(found)
