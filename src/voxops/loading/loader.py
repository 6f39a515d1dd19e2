"""Lists of the API as frames: posts, deliveries, accounts, webhooks, each with where it came from and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._core.arguments import list_of_text
from voxops.api.assumptions import deliveries_path
from voxops.api.limits import PAGE_RECORDS
from voxops.client import prefetch
from voxops.errors import ConfigError, PlanError
from voxops.frames import Columns, build, moment, window, within
from voxops.frames.columns import need_columns, plain_values
from voxops.frames.spans import When
from voxops.loading.analytics import analytics
from voxops.loading.checkup import check_up
from voxops.loading.filters import Search, Words, asked_for, here, said, stamp, statuses, words
from voxops.loading.slips import account_ids, refuse_accounts, refuse_platforms
from voxops.loading.validation import validate

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["Loader"]

_PLATFORMS = {"x": "twitter", "google business": "google_business"}  # what people call them


class Loader:
    """Loads what the API lists as frames.

    Parameters
    ----------
    client : AsyncClient
        The one client.
    source : str
        What ``df.attrs`` names as the origin.
    """

    def __init__(self, client: AsyncClient, source: str) -> None:
        self._client = client
        self._source = source

    async def posts(
        self,
        status: Words = None,
        platform: Words = None,
        account: Words = None,
        since: When = None,
        until: When = None,
        limit: int | None = None,
        text: Words = None,
        campaign: Words = None,
        owner: Words = None,
        tag: Words = None,
    ) -> pd.DataFrame:
        """Load posts, newest created first.

        Parameters
        ----------
        status, platform, account : str or list of str, optional
            Post status: ``draft pending_approval approved scheduled pending publishing published partial failed cancelled unpublished
            archived`` or ``all``; platform (``twitter linkedin …``), and account id or ``platform:@name``, of one target. One value or a list.
        since, until : Timestamp, str or timedelta, optional
            ISO text with an offset, or an offset before now such as ``"7D"``, measured by the server's clock. They apply to the
            latest of scheduled, published, updated and created.
        limit : int, optional
            Rows at the most.
        text : str or list of str, optional
            Part of the content, in any case; one of several is enough.
        campaign, owner, tag : str or list of str, optional
            Whole words, in any case, of the posts' metadata (``metadata.campaign`` and ``metadata.owner``, or the fields that the workspace
            is set to) and tags. The API is not known to filter by these four, so all posts that the other filters leave are read, and
            filtered here; ``attrs["filtered_here"]`` says so.

        Returns
        -------
        pandas.DataFrame
            One row per post: ``post_id status content content_type`` (string), ``scheduled_for published_at created_at
            updated_at`` (datetime64[us, UTC]), ``targets`` (list of targets, for ``vx.targets``), ``failed_targets`` (Int64), ``tags
            metadata`` (object), ``workspace_id`` (string). ``attrs`` says when, from where and with which filters it was loaded,
            and whether it is complete.

        Raises
        ------
        ConfigError
            If a time can't be read or has no offset, or a status, platform, account, campaign, owner or tag is not known and another
            one is near: a slip of the pen gives no empty frame.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> posts = ws.posts(status="scheduled", platform="twitter", text="coffee", limit=5)
        >>> posts.attrs["filtered_here"]
        ['text']
        """
        wanted, platforms = statuses(status), [_PLATFORMS.get(name, name) for name in words("platform", platform)]
        accounts = await account_ids(self._client, list_of_text("account", account))
        await refuse_platforms(self._client, platforms)
        people = getattr(getattr(self, "settings", None), "people", None) or {}
        search = Search.read(people, text=text, campaign=campaign, owner=owner, tag=tag)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise ConfigError(f"limit={limit!r} must be a whole number of rows")
        columns = Columns("posts")
        enough = limit if since is None and until is None else None
        fits = partial(asked_for, statuses=wanted, platforms=platforms, accounts=accounts, search=search)
        cut = False
        for one in wanted or ["all"]:
            query: dict[str, Any] = {"status": one, "limit": PAGE_RECORDS}
            # One value is left to the server to find; it is filtered here all the same, since servers may not know the filter.
            if len(platforms) == 1:
                query["platform"] = platforms[0]
            if len(accounts) == 1:
                query["accountId"] = accounts[0]
            cut |= await self._take(columns, "/v1/posts", query, enough=enough, counts=fits)
        frame = columns.frame()
        span = window(since, until, self._client.now())
        keep = within(moment(frame), *span) & ~frame["post_id"].duplicated() & fits(frame)
        found = frame[keep].sort_values("created_at", ascending=False, kind="stable", ignore_index=True)
        if not len(found):
            search.refuse_slips(frame)
            await refuse_accounts(self._client, accounts)
        filters = {
            "status": wanted,
            "platform": platforms,
            "account": accounts,
            "since": since,
            "until": until,
            "limit": limit,
            **search.filters(),
        }
        return self._described(
            found if limit is None else found.head(limit),
            "posts",
            frame.attrs,
            filters,
            cut=cut or (limit is not None and len(found) > limit),
        )

    async def deliveries(
        self,
        webhook: Words = None,
        since: When = None,
        until: When = None,
        success: bool | None = None,
        event_type: Words = None,
    ) -> pd.DataFrame:
        """Load the webhook delivery history, newest first.

        Parameters
        ----------
        webhook : str or list of str, optional
            Webhook ids; all webhooks of the workspace if left out.
        since, until : Timestamp, str or timedelta, optional
            As for `posts`; they apply to ``created_at``.
        success : bool, optional
            Only delivered, or only failed ones.
        event_type : str or list of str, optional
            Such as ``post.failed``.

        Returns
        -------
        pandas.DataFrame
            One row per delivery: ``delivery_id webhook_id event_type url`` (string), ``success`` (boolean), ``status_code
            latency_ms retry_count`` (Int64; latency in milliseconds), ``error response_body`` (string), ``created_at
            delivered_at`` (datetime64[us, UTC]).

        Raises
        ------
        ConfigError
            If a time can't be read or has no offset.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> ws.deliveries(since="7D", success=False)["success"].any()
        np.False_
        """
        if success is not None and not isinstance(success, bool):
            raise ConfigError(f"success={success!r} must be True, False or None for both")
        webhooks = list_of_text("webhook", webhook) or [str(each) for each in (await self.webhooks())["webhook_id"]]
        events = words("event_type", event_type)
        start, end = window(since, until, self._client.now())
        columns = Columns("deliveries")
        query: dict[str, Any] = {"limit": PAGE_RECORDS}
        query |= {} if start is None else {"from": stamp(start)}
        query |= {} if end is None else {"to": stamp(end)}
        query |= {} if success is None else {"success": "true" if success else "false"}
        query |= {"eventType": events[0]} if len(events) == 1 else {}
        for one in webhooks:
            await self._take(columns, deliveries_path(one), query, oldest=start, webhookId=one)
        frame = columns.frame()
        keep = within(frame["created_at"], start, end) & ~frame["delivery_id"].duplicated()
        if success is not None:
            keep &= frame["success"].fillna(False) == success
        if events:
            keep &= frame["event_type"].str.lower().isin(events)
        found = frame[keep].sort_values("created_at", ascending=False, kind="stable", ignore_index=True)
        filters = {"webhook": webhooks, "since": since, "until": until, "success": success, "event_type": events}
        return self._described(found, "deliveries", frame.attrs, filters)

    async def accounts(self) -> pd.DataFrame:
        """Load the connected accounts.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username display_name account_type status`` and more (string),
            ``followers`` (Int64), ``connected_at`` (datetime64[us, UTC]).

        Examples
        --------
        >>> ws.accounts()[["platform", "status"]].head(2)
           platform  status
        0   twitter  active
        1  linkedin  active
        """
        columns = Columns("accounts")
        await self._take(columns, "/v1/accounts", {"limit": PAGE_RECORDS, "status": "all"})
        frame = columns.frame()
        return self._described(frame, "accounts", frame.attrs, {})

    async def check_accounts(self, accounts: pd.DataFrame | Words = None, *, refresh: bool = True) -> pd.DataFrame:
        """Try every account, after its token was renewed where that works (matrix rows 20 and 21); nothing is posted.

        Parameters
        ----------
        accounts : DataFrame, str or list of str, optional
            Which accounts: ids, or a frame with ``account_id``, such as triaged rows whose verdict is to reconnect. By default
            all that are connected.
        refresh : bool
            False only tries them.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username status`` (string; the status before), ``refreshed works``
            (boolean, NA if it could not be asked), ``message`` (string, the API's), ``verdict remedy`` (string; ``nothing to do``,
            ``reconnect account`` or ``ask support``).

        Raises
        ------
        PlanError
            If the frame has no account ids, or an id is none of this workspace's.
        AuthError
            If the key may not do this.

        Examples
        --------
        >>> ws.check_accounts(refresh=False)["verdict"].value_counts().to_dict()
        {'nothing to do': 11, 'reconnect account': 1}
        """
        known = await self.accounts()
        if accounts is None:
            chosen = known[known["status"] != "disconnected"]
        else:
            if isinstance(accounts, pd.DataFrame):
                need_columns(accounts, ["account_id"], "use ws.accounts() or vx.targets(posts)")
                wanted = [str(value) for value in plain_values(accounts, "account_id") if value is not None]
            else:
                wanted = list_of_text("accounts", accounts)
            strangers = sorted(set(wanted) - set(known["account_id"]))
            if strangers:
                raise PlanError(f"no account {', '.join(strangers[:3])} in this workspace; ws.accounts() lists them")
            chosen = known[known["account_id"].isin(wanted)]
        return self._described(await check_up(self._client, chosen, refresh=refresh), "account_check", {}, {})

    async def webhooks(self) -> pd.DataFrame:
        """Load the webhooks; a secret is never among the columns.

        Returns
        -------
        pandas.DataFrame
            One row per webhook: ``webhook_id url`` (string), ``events`` (list), ``enabled`` (boolean), ``failure_count``
            (Int64), ``last_delivery_at created_at`` (datetime64[us, UTC]).

        Examples
        --------
        >>> ws.webhooks()["enabled"].all()
        np.True_
        """
        columns = Columns("webhooks")
        await self._take(columns, "/v1/webhooks", {"limit": PAGE_RECORDS})
        frame = columns.frame()
        return self._described(frame, "webhooks", frame.attrs, {})

    async def validate(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Let the API check a campaign before anything is created (matrix row 13, read-only).

        Parameters
        ----------
        frame : pandas.DataFrame
            From ``vx.read_campaign``; it stays as it is.

        Returns
        -------
        pandas.DataFrame
            One row per row and platform of the input, in its order: ``row_id platform`` (string), ``valid`` (boolean), ``errors
            warnings`` (string, empty where there is none), ``account_ids`` (tuple: what names such as ``twitter:@brand`` stand
            for on that platform).

        Raises
        ------
        PlanError
            If a column is missing.

        Examples
        --------
        >>> ws.validate(sheet)["valid"].all()
        np.True_
        """
        return await validate(self._client, frame)

    async def analytics(
        self, posts: pd.DataFrame | str | list[str], since: When = None, until: When = None
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

        Examples
        --------
        >>> ws.analytics(ws.posts(status="published", limit=1)).columns.to_list()[:3]
        ['post_id', 'target_id', 'platform']
        """
        return await analytics(self._client, posts, since, until)

    async def _take(
        self,
        columns: Columns,
        path: str,
        query: dict[str, Any],
        *,
        enough: int | None = None,
        counts: Callable[[pd.DataFrame], pd.Series] | None = None,
        oldest: pd.Timestamp | None = None,
        **fill: Any,
    ) -> bool:
        """Read a list into columns, page by page, until enough rows that count or the oldest instant are reached.

        True if there were enough before the list has ended.
        """
        taken, pages = 0, self._client.pages(path, query)
        async for page in pages if enough is not None else prefetch(pages):
            columns.extend(page.records, **fill)
            if enough is not None:
                taken += len(page.records) if counts is None else int(counts(build("posts", page.records)).sum())
                if taken >= enough:
                    return page.cursor is not None
            if oldest is not None and page.records:
                last = build("deliveries", page.records[-1:])["created_at"].iloc[0]
                if last is not pd.NaT and last < oldest:
                    return False
        return False

    def _described(
        self, frame: pd.DataFrame, kind: str, read: dict[Any, Any], filters: dict[str, Any], *, cut: bool = False
    ) -> pd.DataFrame:
        """The frame with what it should say of itself."""
        frame.attrs = {
            "kind": kind,
            "source": self._source,
            "fetched_at": self._client.now().isoformat(),
            "filters": {name: said(value) for name, value in filters.items() if value not in (None, [])},
            "complete": not cut,
            "rows": len(frame),  # a filter in pandas keeps attrs, so this alone tells that rows are missing
            "rate_limit": self._client.pace.limit,
            "unread": read.get("unread", {}),
            **here(filters),
        }
        return frame
