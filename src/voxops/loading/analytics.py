"""How published posts did: their figures read one by one, as one frame."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._core import safe
from voxops._core.arguments import list_of_text
from voxops._core.eventloop import all_or_none
from voxops.client import AsyncClient
from voxops.errors import NotFoundError
from voxops.frames import need_frame
from voxops.frames.performance import performance
from voxops.frames.spans import When, window

__all__ = ["analytics"]

_OUT = ("published", "partial")
_AT_ONCE = 50  # posts whose figures are asked for before any is waited for; the client's pace bounds what really leaves


async def analytics(
    client: AsyncClient,
    posts: pd.DataFrame | pd.Series | str | list[str],
    since: When = None,
    until: When = None,
    tz: str = "UTC",
) -> pd.DataFrame:
    """Load how posts did, by platform; see ``ws.analytics``."""
    start, end = window(since, until, client.now(), tz)
    wanted = _ids(posts)
    answers = [answer async for answer in _answers(client, wanted, start, end)]
    found = {post for post, _ in answers}
    if gone := [post for post in wanted if post not in found]:
        some = ", ".join(safe.plain(post, 40) for post in gone[:3]) + (" …" if len(gone) > 3 else "")
        said = f"the API knows no figures of {safe.many(len(gone), 'post')}, which may have been deleted: {some}"
        warnings.warn(said, stacklevel=2)
    return performance(answers)


def _ids(posts: pd.DataFrame | pd.Series | str | list[str]) -> list[str]:
    """The posts to ask about, each once."""
    if isinstance(posts, pd.Series):
        posts = posts.dropna().to_list()
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
        for answer in await all_or_none(map(one, post_ids[first : first + _AT_ONCE])):
            if answer is not None:
                yield answer
