"""What the board of accounts and the posts at risk are made of, read with as few requests as possible."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from voxops.api.limits import PAGE_RECORDS
from voxops.frames import Columns, moment, targets, within
from voxops.frames.states import read_posts
from voxops.loading.disk import first_of_each

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["RECENT", "recent_targets", "waiting_targets"]

RECENT = timedelta(days=7)  # over which failures of an account are counted
_CREATED = timedelta(days=30)  # posts that were created before are not looked for: lists stand in that order
_WAITING = ("scheduled", "approved")


async def recent_targets(client: AsyncClient, now: datetime) -> pd.DataFrame:
    """Targets of posts that ended within the last seven days, of those created within the last thirty."""
    columns = Columns("posts")
    for status in ("published", "partial", "failed"):
        async for page in client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            columns.extend(page.records)
            created = [state.created_at for state in read_posts(page.records).values() if state.created_at]
            if created and datetime.fromisoformat(max(created)) < now - _CREATED:
                break
    posts = columns.frame()
    recent = within(posts["updated_at"], pd.Timestamp(now - RECENT), None)
    return targets(posts[recent & first_of_each(posts["post_id"])])


async def waiting_targets(client: AsyncClient, until: pd.Timestamp | None) -> pd.DataFrame:
    """Targets of posts that are about to go out, up to an instant."""
    columns = Columns("posts")
    for status in _WAITING:
        async for page in client.pages("/v1/posts", {"status": status, "limit": PAGE_RECORDS}):
            columns.extend(page.records)
    posts = columns.frame()
    keep = within(moment(posts[["scheduled_for"]]), None, until)
    return targets(posts[keep & first_of_each(posts["post_id"])])
