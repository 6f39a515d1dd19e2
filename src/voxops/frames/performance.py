"""Answers about how posts do -> one row per post and platform, whichever of the known shapes an answer has (contract: 8.7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from voxops.frames.typed import build

__all__ = ["performance"]


def performance(answers: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """Make a frame of the answers of ``GET /v1/analytics/posts/:id``.

    Parameters
    ----------
    answers : iterable of tuple
        Post id and answer. An answer holds a record per platform under ``data``, or is one record itself; figures stand in the
        record or under its ``metrics``. One that says ``dataAvailable: false`` makes no row.

    Returns
    -------
    pandas.DataFrame
        One row per post and platform: ``post_id target_id platform platform_post_url`` (string), ``impressions reach engagements
        likes comments shares clicks saves video_views`` (Int64, counts; NA where the answer has none), ``engagement_rate`` (Float64,
        engagements per impression), ``as_of`` (datetime64[us, UTC], when the figures were collected).
    """
    frame = build("performance", [record for post_id, answer in answers for record in _records(post_id, answer)])
    frame = frame[frame.select_dtypes("Int64").notna().any(axis=1)].reset_index(drop=True)
    seen = frame["impressions"].where(frame["impressions"] > 0)
    rate = (frame["engagements"] / seen).astype("Float64")
    frame.insert(list(frame.columns).index("likes"), "engagement_rate", rate)
    return frame


def _records(post_id: str, answer: Any) -> list[dict[str, Any]]:
    """The records of one answer, each with the post that it is about."""
    if isinstance(answer, Mapping) and isinstance(answer.get("data"), Mapping):
        answer = answer["data"]
    found = answer.get("data", [answer]) if isinstance(answer, Mapping) else answer
    if isinstance(answer, Mapping) and answer.get("dataAvailable") is False:
        return []
    return [
        {"postId": post_id, **record}
        for record in (found if isinstance(found, list) else [])
        if isinstance(record, Mapping)
    ]
