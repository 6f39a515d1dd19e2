"""Delivery logs that several tests count."""

from __future__ import annotations

import random

import pandas as pd

from voxops.frames.records import build

OK = {}
BAD = {"success": False, "statusCode": 503, "error": "receiver answered 503"}
FLIGHT = {"success": False, "statusCode": None, "latencyMs": None, "error": None}


def log_of(*rows):
    """A log of a few wire records; ``at`` is minutes after noon."""
    records = []
    for number, row in enumerate(rows):
        at = pd.Timestamp("2026-03-01T12:00Z") + pd.Timedelta(minutes=row.get("at", number))
        records.append({
            "id": f"d{number}", "webhookId": "wh", "url": "https://a.example", "eventType": "post.published",
            "createdAt": at.isoformat(), "success": True, "retryCount": 0, "statusCode": 200, "latencyMs": 10, **row,
        })  # fmt: skip
    return build("deliveries", records, fetched_at="2026-03-03T12:00:00Z")


def gappy():
    """Twelve days of deliveries, some in flight, without a latency or with a negative one, and without a receiver, a retry count or a time."""
    draw = random.Random(1)
    log = log_of(*(
        {
            "latencyMs": int(40 + draw.expovariate(1 / 120)), "retryCount": draw.randrange(6), "at": number * 2.88,
            "url": f"https://hooks.example/{draw.randrange(3)}",
            **draw.choices([OK, BAD, {**BAD, "statusCode": None, "latencyMs": None}, FLIGHT, {**FLIGHT, "success": None}], [92, 3, 3, 1, 1])[0],
        }
        for number in range(6_000)
    ))  # fmt: skip
    log["latency_ms"] -= 60
    log.loc[log.index % 7 == 0, "url"] = pd.NA
    log.loc[log.index % 11 == 0, "retry_count"] = pd.NA
    log.loc[log.index % 2000 == 1999, "created_at"] = pd.NaT
    return log
