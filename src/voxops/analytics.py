"""How published posts did: their figures read one by one, as one frame."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._core.arguments import list_of_text
from voxops.client import AsyncClient
from voxops.core import Core
from voxops.errors import NotFoundError
from voxops.frames.columns import need_frame
from voxops.frames.performance import performance
from voxops.frames.spans import When, window

__all__ = ["analytics"]

_OUT = ("published", "partial")
_AT_ONCE = 50  # posts whose figures are asked for before any is waited for; the client's pace bounds what really leaves


async def analytics(
    core: Core, posts: pd.DataFrame | str | list[str], since: When = None, until: When = None
) -> pd.DataFrame:
    """Load how posts did, by platform; one request per post.

    These reads lie outside the 39 rows of the matrix, and sources differ about their shape: they are read leniently.

    Parameters
    ----------
    posts : DataFrame, str or list of str
        Post ids, or a frame with ``post_id``; of one with ``status`` only what is published at least in part.
    since, until : Timestamp, str or timedelta, optional
        What was gained in this span, such as ``"7D"``; the API's own span by default, which is the last 30 days.

    Returns
    -------
    pandas.DataFrame
        One row per post and platform: ``post_id target_id platform platform_post_url`` (string), ``impressions reach engagements
        likes comments shares clicks saves video_views`` (Int64, counts), ``engagement_rate`` (Float64, engagements per impression),
        ``as_of`` (datetime64[us, UTC]). Posts without figures, and those that are gone, have no row.

    Raises
    ------
    PlanError
        If a frame has no ``post_id``.
    ConfigError
        If a time can't be read or has no offset.
    ApiError, TransportError, DecodeError
        If the API can't be read.
    """
    start, end = window(since, until, core.client.now())
    answers = [answer async for answer in _answers(core.client, _ids(posts), start, end)]
    return performance(answers)


def _ids(posts: pd.DataFrame | str | list[str]) -> list[str]:
    """The posts to ask about, each once."""
    if isinstance(posts, str | list):
        return list(dict.fromkeys(list_of_text("posts", posts)))
    need_frame(posts, ("post_id",), "ws.analytics() needs posts", "Use ws.posts(), or pass post ids.")
    wanted = posts["status"].isin(_OUT) if "status" in posts else pd.Series(data=True, index=posts.index)
    return [str(post) for post in posts.loc[wanted, "post_id"].dropna().unique()]


async def _answers(
    client: AsyncClient, post_ids: list[str], start: datetime | None, end: datetime | None
) -> AsyncIterator[tuple[str, Any]]:
    """The answer for each post that is still there."""

    async def one(post_id: str) -> tuple[str, Any] | None:
        try:
            return post_id, await client.analytics.post(post_id, start=start, end=end)
        except NotFoundError:
            return None

    for first in range(0, len(post_ids), _AT_ONCE):
        for answer in await asyncio.gather(*map(one, post_ids[first : first + _AT_ONCE])):
            if answer is not None:
                yield answer
