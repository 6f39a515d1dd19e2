"""Histories that several tests of the analysis count: a delivery log, and posts that failed."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from voxops.frames.records import build
from voxops.frames.schemas import STRING_DTYPE

URLS = ["https://hooks.example/a", "https://hooks.example/b", "https://ingest.example/c"]
EVENTS = ["post.published", "post.failed", "post.created"]
START = pd.Timestamp("2026-01-31T00:00Z")


@cache
def history(count: int, seed: int = 1, days: int = 30) -> pd.DataFrame:
    """A delivery log: mostly fast and at once, some retried, some lost, some in flight, latencies with a long tail."""
    rng = np.random.default_rng(seed)
    success = rng.random(count) < 0.93
    silent = ~success & (rng.random(count) < 0.5)
    created = START + pd.to_timedelta(np.sort(rng.integers(0, days * 86_400_000, count)), unit="ms").as_unit("us")
    hook = rng.integers(0, 3, count)
    latency = (40 + rng.exponential(120, count)).astype(np.int64)
    flight = rng.random(count) < 0.01
    frame = pd.DataFrame({
        "delivery_id": pd.array([f"del_{seed}_{number}" for number in range(count)], STRING_DTYPE),
        "webhook_id": pd.array([f"wh_{number}" for number in hook], STRING_DTYPE),
        "event_type": pd.array(rng.choice(EVENTS, count), STRING_DTYPE),
        "url": pd.array([URLS[number] for number in hook], STRING_DTYPE),
        "success": pd.arrays.BooleanArray(success & ~flight, flight),
        "status_code": pd.arrays.IntegerArray(np.where(success, 200, 503), silent | flight),
        "latency_ms": pd.arrays.IntegerArray(latency, silent | flight),
        "retry_count": pd.array(np.where(success, rng.geometric(0.9, count) - 1, rng.integers(0, 6, count)), "Int64"),
        "error": pd.array(np.where(success | flight, None, "receiver failed"), STRING_DTYPE),
        "response_body": pd.array([None] * count, STRING_DTYPE), "created_at": created,
    })  # fmt: skip
    return frame.assign(delivered_at=frame["created_at"].where(frame["success"].fillna(False).astype(bool)))


@cache
def failures(seed: int, count: int, states: tuple[str, ...] = ("failed", "published", "publishing")) -> pd.DataFrame:
    """Posts of March that failed in a few ways on a few accounts."""
    rng = random.Random(seed)

    def target(account: int) -> dict[str, Any]:
        code = rng.choice(["RATE_LIMITED", "TOKEN_EXPIRED", "E_4711", None])
        error = {"code": code, "message": f"try {rng.randrange(9)}"}
        named = {"platform": rng.choice(["twitter", "threads"]), "accountId": f"acc_{account}"}
        return {**named, "status": rng.choice(states), "error": error}

    return build("posts", [
        {"id": f"p{number}", "status": "partial", "updatedAt": f"2026-03-{1 + rng.randrange(28):02}T{rng.randrange(24):02}:00:00Z",
         "platforms": [target(account) for account in rng.sample(range(4), rng.randrange(4))]}
        for number in range(count)
    ])  # fmt: skip
