"""Webhook deliveries: statistics, outages, copies and losses."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from voxops._support.arguments import whole_number
from voxops.analysis.statistics import (
    deduplicate,
    delivery_attempts,
    delivery_state,
    need_both_results,
    need_log,
    stats,
)
from voxops.api.assumptions import MAY_PASS
from voxops.api.reasons import Reason
from voxops.errors import ConfigError
from voxops.frames.checks import booleans, plain_values, table_of, unnamed_index
from voxops.frames.schemas import STRING_DTYPE
from voxops.frames.times import TIME_DTYPE, length, present_of, say_zone

__all__ = ["duplicates", "lost", "outages", "stats"]


def __dir__() -> list[str]:
    return __all__


_OUTAGE: dict[str, Any] = {
    "url": STRING_DTYPE,
    "start": TIME_DTYPE,
    "end": TIME_DTYPE,
    "recovered_at": TIME_DTYPE,
    "deliveries": "Int64",
    "failed_first": "Int64",
    "lost": "Int64",
    "failure_rate": "Float64",
    "symptom": STRING_DTYPE,
}
_DUPLICATE: dict[str, Any] = {
    "webhook_id": STRING_DTYPE,
    "url": STRING_DTYPE,
    "event_type": STRING_DTYPE,
    "first_at": TIME_DTYPE,
    "last_at": TIME_DTYPE,
    "copies": "Int64",
    "delivered": "Int64",
    "evidence": STRING_DTYPE,
    "delivery_ids": object,
}
# An id has digits; a receiver's own word, such as evt_received, is not an id.
_EVENT_ID = r"(evt_(?=\w{0,64}\d)\w+)"


def outages(log: pd.DataFrame, *, at_least: int = 5, gap: str | timedelta = "6h") -> pd.DataFrame:
    """Find the outages in which an endpoint did not accept deliveries.

    Deliveries of an endpoint are sorted by ``created_at``. One with a failed *first attempt* counts +1, one that succeeded at its first attempt
    −1; those in flight are left out. An outage is a stretch of maximal sum (Ruzzo and Tompa): failures outnumber successes from
    either end, and no extension has a larger sum. Stretches with a sum below `at_least` are noise. So a single success does not
    split an outage, and a steady rate of single failures is not one. A pause longer than `gap` ends a stretch.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    at_least : int
        The least excess of failures over successes.
    gap : str or timedelta
        Longest pause between two deliveries of one outage.

    Returns
    -------
    pandas.DataFrame
        One row per outage, by ``start``: ``url`` (string), ``start end`` (UTC, the first and the last delivery whose first attempt
        failed), ``recovered_at`` (UTC, the next that succeeded at its first attempt; NaT while none has), ``deliveries failed_first lost``
        (Int64; lost: still failed), ``failure_rate`` (Float64, failed_first / deliveries), ``symptom`` (string, its most frequent
        error; ``delivered by retries`` if all were delivered in the end).

    Raises
    ------
    PlanError
        If a column is missing, or the log was loaded with ``success=``.
    ConfigError
        If `gap` is not a length of time, or `at_least` not a whole number from 1.

    Examples
    --------
    >>> vx.deliveries.outages(log)[["url", "deliveries", "lost"]]
                                              url  deliveries  lost
    0  https://hooks.aldercoffee.example/voxburst           5     0
    """
    log = need_log(log, "outages()", ["url"])
    need_both_results(log, "outages()")
    at_least = whole_number(
        at_least, ConfigError(f"at_least={at_least!r} must be a whole number of failures, 1 or more.")
    )
    longest = length("gap", gap)
    log = deduplicate(unnamed_index(log))
    state = delivery_state(log)
    failed_first = (state == "failed") | (delivery_attempts(log, state) > 1)
    rows = log[["url"]].assign(at=log["created_at"], bad=failed_first.astype(bool), error=_symptom(log))
    rows["lost"] = state == "failed"
    rows = rows[(state != "in flight") & rows["url"].notna() & rows["at"].notna()]
    rows = rows.sort_values(["url", "at"], kind="stable")
    # For a failure, the time of the next success.
    rows["recovered_at"] = rows["at"].where(~rows["bad"]).groupby(rows["url"], observed=True).bfill()
    rows["piece"] = (rows["at"].groupby(rows["url"], observed=True).diff() > longest).cumsum()
    keys = ["url", "piece"]
    pieces = rows[rows.groupby(keys, observed=True)["bad"].transform("sum") >= at_least].groupby(keys, observed=True)
    found = [
        _outage(piece.iloc[first : last + 1])
        for _, piece in pieces
        for first, last, score in _maximal(np.where(piece["bad"], 1, -1).tolist())
        if score >= at_least
    ]
    return say_zone(table_of(found, _OUTAGE).sort_values(["start", "url"], ignore_index=True), log.attrs.get("tz"))


def _outage(part: pd.DataFrame) -> dict[str, Any]:
    """Return the row of an outage from its deliveries, which begin and end with a failure."""
    return {
        "url": part["url"].iloc[0],
        "start": part["at"].iloc[0],
        "end": part["at"].iloc[-1],
        "recovered_at": part["recovered_at"].iloc[-1],
        "deliveries": len(part),
        "failed_first": int(part["bad"].sum()),
        "lost": int(part["lost"].sum()),
        "failure_rate": float(part["bad"].mean()),
        "symptom": _main_error(part),
    }


def _main_error(part: pd.DataFrame) -> str:
    """Return the most frequent error of an outage, else a substitute."""
    errors = part.loc[part["bad"], "error"].dropna()
    if len(errors):
        return str(sorted(errors.mode())[0])
    return "no answer" if part["lost"].any() else "delivered by retries"


def _maximal(scores: list[int]) -> list[tuple[int, int, int]]:
    """Return all maximal scoring stretches in linear time: first, last, score (Ruzzo and Tompa 1999).

    A candidate is ``(first, last, sum before it, sum up to its end, link)``. Its link is the nearest earlier candidate with a smaller
    sum before it, so that the search for a merge skips all others.
    """
    kept: list[tuple[int, int, int, int, int]] = []
    total = 0
    for at, score in enumerate(scores):
        before, total = total, total + score
        first = at
        while score > 0:
            link = len(kept) - 1
            while link >= 0 and kept[link][2] >= before:
                link = kept[link][4]
            if link < 0 or kept[link][3] >= total:
                kept.append((first, at, before, total, link))
                break
            first, before = kept[link][0], kept[link][2]
            del kept[link:]
    return [(first, last, upto - before) for first, last, before, upto, _ in kept]


def duplicates(log: pd.DataFrame, *, possible: bool = True) -> pd.DataFrame:
    """Find events that were sent to one webhook more than once.

    A delivery record does not name its event, so each row names its evidence:

    - ``same delivery``: the log has a delivery id twice (a page was listed twice, or two logs were joined),
    - ``same event``: the column ``event_id``, if the log has one, or the receiver's response names the same ``evt_…`` (with digits: an id),
    - ``same instant``: same webhook, event type and ``created_at`` to the microsecond, and no event ids that differ.
      Posts of one create request share an instant, too; `possible` = False leaves this kind out.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    possible : bool
        Whether to report merely possible duplicates.

    Returns
    -------
    pandas.DataFrame
        One row per group of copies, by ``first_at``: ``webhook_id url event_type`` (string), ``first_at last_at`` (UTC), ``copies
        delivered`` (Int64; delivered: how many the receiver accepted), ``evidence`` (string), ``delivery_ids`` (tuple of str).

    Raises
    ------
    PlanError
        If a column is missing.

    Examples
    --------
    >>> vx.deliveries.duplicates(log)["copies"].tolist()
    [2, 2, 2]
    """
    log = need_log(log, "duplicates()", ("delivery_id", "webhook_id", "event_type", "url", "response_body"))
    rows = unnamed_index(log).assign(_event=_event_ids(log), _ok=booleans(log, "success").fillna(False))
    same_id = rows[rows["delivery_id"].notna() & rows.duplicated("delivery_id", keep=False)]
    found = _copies(same_id, ["delivery_id"], "same delivery")
    rows = rows[~rows.duplicated("delivery_id") | rows["delivery_id"].isna()]
    named = rows[rows["_event"].notna()]
    found += _copies(named, ["webhook_id", "_event"], "same event")
    if possible:  # duplicates by instant: groups that name at most one event, and not in all copies
        keys = ["webhook_id", "event_type", "created_at"]
        timed = rows.dropna(subset=keys)
        groups = timed.groupby(keys)["_event"]
        odd = (groups.transform("nunique") <= 1) & (groups.transform("count") < groups.transform("size"))
        found += _copies(timed[odd], keys, "same instant")
    copies = table_of(found, _DUPLICATE).sort_values(["first_at", "webhook_id", "evidence"], ignore_index=True)
    return say_zone(copies, log.attrs.get("tz"))


def _copies(rows: pd.DataFrame, keys: list[str], evidence: str) -> list[dict[str, Any]]:
    """Return one entry per group of at least two rows."""
    many = rows[rows.duplicated(keys, keep=False)]
    many = many.assign(_group=many.groupby(keys, dropna=False).ngroup()).sort_values("_group", kind="stable")
    groups = many.groupby("_group")
    heads = many[~many.duplicated("_group")]
    ids: list[list[str]] = [[] for _ in range(len(heads))]
    for group, delivery in zip(many["_group"], plain_values(many, "delivery_id"), strict=True):
        ids[group] += [] if delivery is None else [delivery]
    found = {
        **{name: heads[name] for name in ("webhook_id", "url", "event_type")},
        "first_at": groups["created_at"].min(),
        "last_at": groups["created_at"].max(),
        "copies": groups.size(),
        "delivered": groups["_ok"].sum(),
        "evidence": [evidence] * len(heads),
        "delivery_ids": tuple(ids),
    }
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def lost(log: pd.DataFrame, *, now: datetime | None = None, older_than: str | timedelta = "24h") -> pd.DataFrame:
    """Return the failed deliveries that the API will not retry, for redelivery.

    Deliveries younger than `older_than` are left out, because the API may still retry them (its schedule is not published). So are
    those whose event reached the same webhook by another delivery.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``.
    now : datetime, optional
        The server's time; by default the time of the load, else the latest ``created_at``.
    older_than : str or timedelta
        Age from which a failure counts as final.

    Returns
    -------
    pandas.DataFrame
        Rows of `log` with their index and all columns, the oldest first, ``why`` (string) and its code, ``reason_code`` (string):
        ``rejected`` (a 4xx of the receiver other than 408, 425, 429, so a redelivery will not help), ``no_answer`` (no status code) or
        ``receiver_failed`` (any other).

    Raises
    ------
    PlanError
        If a column is missing.
    ConfigError
        If `older_than` is not a length of time, or `now` has no offset.

    Examples
    --------
    >>> vx.deliveries.lost(log)["reason_code"].value_counts().to_dict()
    {'rejected': 3}
    """
    log = need_log(log, "lost()", ("delivery_id", "webhook_id", "response_body"))
    age = length("older_than", older_than)
    present = present_of(log, now, log["created_at"])
    log = deduplicate(unnamed_index(log))
    old = (log["created_at"] <= present - age).to_numpy(bool)
    lost = log[(delivery_state(log) == "failed").to_numpy(bool) & old & ~event_arrived(log)]
    code = lost["status_code"].astype("Int64")
    rejected = code.between(400, 499).fillna(False) & ~code.isin(MAY_PASS)
    no_answer = code.isna().to_numpy(bool)
    why = [
        Reason("rejected") if bad else Reason("no_answer") if silent else Reason("receiver_failed")
        for bad, silent in zip(rejected, no_answer, strict=True)
    ]
    table: pd.DataFrame = lost.assign(
        why=pd.array([str(each) for each in why], dtype=STRING_DTYPE),
        reason_code=pd.array([each.code for each in why], dtype=STRING_DTYPE),
    )
    return table.sort_values("created_at", kind="stable")


def event_arrived(log: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return whether each delivery's event has reached its webhook, by this or another delivery; bool per row of `log`."""
    events = _event_ids(log)
    ok = booleans(log, "success").fillna(False)
    reached = set(zip(log.loc[ok, "webhook_id"], events[ok], strict=True))
    reached_ids = set(log.loc[ok, "delivery_id"].dropna())
    pairs = zip(log["webhook_id"], events, log["delivery_id"], strict=True)
    return np.array(
        [(pd.notna(event) and (hook, event) in reached) or key in reached_ids for hook, event, key in pairs], bool
    )


def _symptom(log: pd.DataFrame) -> pd.Series[Any]:
    """Return the status code of a delivery's last failed attempt, or its error text."""
    code = log["status_code"].astype("Int64")
    said = ("HTTP " + code.astype(STRING_DTYPE)).where(code.notna(), log["error"])
    return said.where(~booleans(log, "success").fillna(False))


def _event_ids(log: pd.DataFrame) -> pd.Series[Any]:
    """Return the event of a delivery from the log or the receiver's response, else NA."""
    answered = log["response_body"].astype(STRING_DTYPE).str.extract(_EVENT_ID, expand=False)
    return log["event_id"].astype(STRING_DTYPE).fillna(answered) if "event_id" in log.columns else answered
