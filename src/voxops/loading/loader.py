"""Load the API's lists as filtered frames; and a workspace's settings."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support.arguments import empties, list_of_text, true_or_false, whole_number
from voxops.api.limits import PAGE_RECORDS
from voxops.api.states import platform_spelling
from voxops.client import AsyncClient, Listing, prefetch
from voxops.errors import ConfigError
from voxops.frames.records import Columns, build, targets, with_rows, with_tries
from voxops.frames.times import When, moment, window, within, zone
from voxops.loading.check import check
from voxops.loading.filters import (
    HERE,
    Search,
    Words,
    account_ids,
    asked_for,
    plain_filters,
    refuse_accounts,
    refuse_events,
    refuse_platforms,
    statuses,
    warn_of_nothing,
    words,
)
from voxops.loading.names import account_names
from voxops.loading.people import PEOPLE, metadata_field, with_people
from voxops.sheets.collisions import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a workspace; frames store those of their load in ``attrs``.

    Attributes
    ----------
    tz : str
        Time zone in which times are shown, and in which ``since="today"`` and ``"yesterday"`` begin. Data stay in UTC.
    people : mapping of str to str
        ``owner``, ``campaign`` and ``tags`` -> its field in the posts' metadata.
    """

    tz: str = "UTC"
    people: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, values: Mapping[str, str | None]) -> Settings:
        """Return the settings from ``tz owner_field campaign_field tags_field``; None or an empty text for one that is not set.

        Raises
        ------
        ConfigError
            If a zone or a field is invalid, or a field is another one's or within it.
        """
        given = {name: values.get(f"{name}_field") for name in PEOPLE}
        fields = {name: metadata_field(f"{name}_field", value) for name, value in given.items() if value}
        for (name, outer), (other, inner) in permutations(fields.items(), 2):
            if f"{inner}.".startswith(f"{outer}."):
                raise ConfigError(f"{other}_field={inner!r} is the field of {name}, or within it; name another")
        return cls(zone(values.get("tz") or "UTC"), fields)

    def attrs(self) -> dict[Hashable, Any]:
        """Return the settings for the ``attrs`` of frames, without defaults."""
        attrs: dict[Hashable, Any] = {"tz": self.tz} if self.tz != "UTC" else {}
        return attrs | ({"people": dict(self.people)} if self.people else {})

    def arguments(self) -> dict[str, str]:
        """Return the arguments of ``vx.connect`` for these settings."""
        fields = {f"{name}_field": field.removeprefix("metadata.") for name, field in self.people.items()}
        return ({"tz": self.tz} if self.tz != "UTC" else {}) | fields


def first_of_each(ids: pd.Series) -> pd.Series:
    """Return which rows are the first of their id, since a list may repeat a record; rows without an id are all different."""
    return ~ids.duplicated() | ids.isna()


def newest_first(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Sort rows by ``created_at``, the newest first, then by id, so that the order does not depend on the source."""
    if not frame["created_at"].is_unique:
        frame = frame.sort_values(key, kind="stable")
    return frame.sort_values("created_at", ascending=False, kind="stable", ignore_index=True)


async def read_list(
    columns: Columns,
    listing: Listing,
    *,
    enough: int | None = None,
    counts: Callable[[pd.DataFrame], pd.Series] | None = None,
    oldest: pd.Timestamp | None = None,
    from_oldest: bool = False,
    **fill: Any,
) -> bool:
    """Read a list into columns, page by page, until there are enough matching rows or the oldest instant is reached.

    Where the list itself begins at that instant, `from_oldest`, it is read to its end. Return True if there were enough before its end.
    """
    taken, pages = 0, listing.pages()
    early = enough is not None or (oldest is not None and not from_oldest)  # avoid the request for one page too many
    async for page in pages if early else prefetch(pages):
        columns.extend(page.records, **fill)
        if enough is not None:
            taken += len(page.records) if counts is None else int(counts(build("posts", page.records)).sum())
            if taken >= enough:
                # A full page that does not say whether more follow may have cut the list.
                return page.cursor is not None or (
                    not page.says_more and len(page.records) >= min(enough, PAGE_RECORDS)
                )
        if oldest is not None and page.records:
            times = build("deliveries", page.records)["created_at"].dropna()
            if len(times) and times.is_monotonic_decreasing and times.iloc[-1] < min(oldest, times.iloc[0]):
                return False
    return False


def _only(values: Sequence[str]) -> str | None:
    return values[0] if len(values) == 1 else None


WAITING = ("scheduled", "approved")  # statuses of posts that will go out at their time


async def load_targets(
    client: AsyncClient,
    wanted: Sequence[str],
    column: str,
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
    *,
    oldest: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Load targets of posts with one of these statuses and with `column` in a span; lists are read back to `oldest`."""
    columns = Columns("posts")
    for status in wanted:
        await read_list(columns, client.posts.list(status=status), oldest=oldest)
    posts = columns.frame()
    return targets(posts[within(posts[column], since, until) & first_of_each(posts["post_id"])])


class Loader:
    """Loads the API's lists as frames.

    Parameters
    ----------
    client : AsyncClient
        The one client.
    source : str
        The origin in ``df.attrs``.
    settings : Settings
        The time zone, and the metadata fields of owner, campaign and tags.
    """

    def __init__(self, client: AsyncClient, source: str, settings: Settings) -> None:
        self.client = client
        self._source = source
        self.settings = settings
        self._checks: dict[str, dict[str, Any]] = {}  # the last check of each account, by its id

    async def posts(
        self,
        status: Words = None,
        *,
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
            archived`` or ``all``; platform (``twitter linkedin …``), and account id or ``platform:@name``, of one target. One value
            or a list; an empty one, such as a selection without rows, matches no post.
        since, until : Timestamp, str or timedelta, optional
            ISO text, an offset before now such as ``"7D"``, by the server's clock, or ``"today"`` or ``"yesterday"``, from midnight in
            the workspace's zone (``vx.connect(tz=)``). Text needs an offset if the workspace has no zone. They apply to the latest of
            scheduled, published, updated and created. ``"+3D"`` and ``"tomorrow"`` are in the future.
        limit : int, optional
            Maximum number of rows.
        text : str or list of str, optional
            Part of the content, in any case; a match of one of several is enough.
        campaign, owner, tag : str or list of str, optional
            Whole words, in any case, of the posts' metadata (``metadata.campaign`` and ``metadata.owner``, or the workspace's fields)
            and tags; `campaign` also finds posts of ``vx.plan_create(campaign=)``. The API has no such filters, nor one for `text`:
            all posts that match the other filters are read and filtered here, and ``attrs["filtered_here"]`` names the filters.

        Returns
        -------
        pandas.DataFrame
            One row per post: ``post_id status content content_type`` (string), ``scheduled_for published_at created_at
            updated_at`` (datetime64[us, UTC]), ``targets`` (list of targets, for ``vx.targets``), ``failed_targets`` (Int64), ``tags
            metadata`` (object), ``workspace_id`` (string); and ``owner campaign`` (string) if the workspace has a setting for them
            (``vx.connect(owner_field="owner")``), which targets then have, too. If this ledger has retried targets of them, ``tried``
            (list of dict: ``platform account_id last_outcome last_code last_tried_at tried``), which become columns of targets. With
            `campaign`, ``row`` (string: the row that this ledger created it for) and ``sync_withdrew_at`` (datetime64[us, UTC]: when
            ``vx.plan_sync`` of this ledger withdrew it), if it knows of any, and account
            names in ``attrs``. ``attrs`` record the time, source and filters of the load and whether it is complete.

        Raises
        ------
        ConfigError
            If a time can't be read, or has no offset where the workspace has no zone. If a status, platform, account, campaign, owner or
            tag is likely a typo, which must not return an empty frame. An unknown status without posts gives a warning, and so does a
            past `until` with scheduled posts.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> posts = ws.posts(status="scheduled", platform="twitter", text="coffee", limit=5)
        >>> posts.attrs["filtered_here"]
        ['text']
        """
        wanted, platforms = statuses(status), [platform_spelling(name) for name in words("platform", platform)]
        accounts = await account_ids(self.client, list_of_text("account", account))
        await refuse_platforms(self.client, platforms)
        people = self.settings.people
        search = Search.read(people, text=text, campaign=campaign, owner=owner, tag=tag)
        if limit is not None:
            limit = whole_number(
                limit, ConfigError(f"limit={limit!r} must be a whole number of rows, 0 or more"), least=0
            )
        nothing = empties(
            status=status, platform=platform, account=account, text=text, campaign=campaign, owner=owner, tag=tag
        )
        enough = limit if since is None and until is None else None
        fits = partial(asked_for, statuses=wanted, platforms=platforms, accounts=accounts, search=search)
        columns = Columns("posts")
        # Where posts are filtered here, small pages would be many requests.
        here = any(search.filters().values()) or len(platforms) > 1 or len(accounts) > 1
        page_size = PAGE_RECORDS if enough is None or here else max(1, min(enough, PAGE_RECORDS))
        cut = False
        for one in () if nothing else wanted or ["all"]:
            # A single value is sent as a filter, and also filtered here, since a server may ignore it.
            listing = self.client.posts.list(
                status=one, platform=_only(platforms), account=_only(accounts), page_size=page_size
            )
            cut |= await read_list(columns, listing, enough=enough, counts=fits)
        read = columns.frame()
        frame = read[first_of_each(read["post_id"])]
        span = window(since, until, self.client.now(), self.settings.tz)
        keep = within(moment(frame), *span) & fits(frame) & (not nothing)
        found = with_people(newest_first(frame[keep], "post_id"), people)
        if not len(found):
            warn_of_nothing(wanted, until, span[1], self.client.now())
            search.refuse_typos(frame)
            await refuse_accounts(self.client, accounts)
        filters: dict[str, Any] = {"status": wanted, "platform": platforms, "account": accounts, "since": since}
        filters |= {"until": until, "limit": limit, **search.filters()}
        shown = found if limit is None else found.head(limit)
        cut |= limit is not None and len(found) > limit
        described = self._described(shown, "posts", read.attrs, filters | nothing, cut=cut)
        ids = described["post_id"].dropna().to_list()
        if campaign is not None and ids:
            described.attrs["accounts"] = dict(await account_names(self.client))
            described = with_rows(described, self._rows(ids))
            described.attrs["campaigns"] = self._campaigns()
        self._note_campaigns(described)
        return with_tries(described, self._tries(ids))

    def _rows(self, posts: Sequence[str]) -> Mapping[str, tuple[str | None, datetime | None]]:  # noqa: ARG002
        """Return which rows posts are, and when a sync has withdrawn them, as this ledger knows; without one, nothing."""
        return {}

    def _campaigns(self) -> list[str]:
        """Return the names of the campaigns that this ledger or earlier loads know; without a ledger, none."""
        return []

    def _note_campaigns(self, posts: pd.DataFrame) -> None:
        """Remember which campaigns posts name."""

    def _tries(self, posts: Sequence[str]) -> Mapping[tuple[str, str, str], Mapping[str, Any]]:  # noqa: ARG002
        """Return what is known of earlier tries at the targets of posts; without a ledger, nothing."""
        return {}

    async def deliveries(
        self,
        webhook: Words = None,
        *,
        since: When = None,
        until: When = None,
        success: bool | None = None,
        event_type: Words = None,
    ) -> pd.DataFrame:
        """Load the webhook delivery history, newest first.

        Parameters
        ----------
        webhook : str or list of str, optional
            Webhook ids; by default all webhooks of the workspace.
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
            delivered_at`` (datetime64[us, UTC]). ``attrs`` as for `posts`.

        Raises
        ------
        ConfigError
            If a time can't be read, or has no offset where the workspace has no zone. If `success` is not True, False or None, or the
            event is likely a typo.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> ws.deliveries(since="7D", success=False)["success"].any()
        np.False_
        """
        if success is not None:
            true_or_false("success", success)
        nothing = empties(webhook=webhook, event_type=event_type)
        every = () if webhook is not None or nothing else (await self.webhooks())["webhook_id"]
        webhooks, events = [*list_of_text("webhook", webhook), *map(str, every)], words("event_type", event_type)
        start, end = window(since, until, self.client.now(), self.settings.tz)
        columns = Columns("deliveries")
        until_sent = None if end is None else end.ceil("ms")  # the API's times have milliseconds
        for one in webhooks:
            listing = self.client.webhooks.deliveries(
                one, since=start, until=until_sent, success=success, event_type=_only(events)
            )
            await read_list(columns, listing, oldest=start, from_oldest=True, webhookId=one)
        read = columns.frame()
        frame = read[first_of_each(read["delivery_id"])]
        keep = within(frame["created_at"], start, end)
        if success is not None:
            keep &= frame["success"].fillna(False) == success
        if events:
            keep &= frame["event_type"].str.lower().isin(events)
        found = newest_first(frame[keep], "delivery_id")
        if not len(found):
            refuse_events(events)
        filters = {"webhook": webhooks, "since": since, "until": until, "success": success, "event_type": events}
        return self._described(found, "deliveries", read.attrs, filters | nothing)

    async def listed_accounts(self) -> pd.DataFrame:
        """Load the accounts of the API, also disconnected ones; ``attrs["whole"]`` tells whether it said that these are all."""
        columns, whole = Columns("accounts"), False
        async for page in self.client.accounts.list(status="all").pages():
            columns.extend(page.records)
            whole = page.says_more
        frame = columns.frame()
        frame.attrs["whole"] = whole
        return frame

    async def webhooks(self) -> pd.DataFrame:
        """Load the webhooks; a secret is never among the columns.

        Returns
        -------
        pandas.DataFrame
            One row per webhook: ``webhook_id url`` (string), ``events`` (list), ``enabled`` (boolean), ``failure_count``
            (Int64), ``last_delivery_at created_at`` (datetime64[us, UTC]).

        Raises
        ------
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> ws.webhooks()["enabled"].all()
        np.True_
        """
        columns = Columns("webhooks")
        await read_list(columns, self.client.webhooks.list())
        frame = columns.frame()
        return self._described(frame, "webhooks", frame.attrs, {})

    async def check(
        self,
        sheet: pd.DataFrame,
        ask: bool = True,
        *,
        gap: str | timedelta | None = "10min",
        most_a_day: int | None = None,
        blackout: str | Sequence[str] | None = None,
        night: str | None = None,
        folder: str | Path | None = None,
    ) -> pd.DataFrame:
        """Return everything that would fail or collide, row by row and platform by platform, before anything is created.

        ``vx.plan_create`` applies the same rules. A plan has no clock: a row whose time has passed is blocked when the plan runs.

        Parameters
        ----------
        sheet : pandas.DataFrame
            From ``vx.read_campaign``; it is not changed.
        ask : bool
            False sends nothing and applies only the sheet rules. True also reads the accounts and the media that the sheet names, and
            finds collisions with posts that are scheduled already. The API then checks each row on its platforms, one request per media,
            row and text (matrix row 13, read-only).
        gap : str or timedelta, optional
            Warn of two posts of an account that are less apart, such as ``"30min"``; None for no such warning. The same text on an
            account within a day is a warning in any case.
        most_a_day : int, optional
            Warn of more posts of an account on a day of the workspace's zone.
        blackout : str or list of str, optional
            Days and spans in which nothing should go out, such as ``"2026-12-24"`` or ``"2026-12-31T18:00/2027-01-01"``, in the
            workspace's zone; a last day is included.
        night : str, optional
            Hours of the workspace's zone in which nothing should go out, such as ``"22:00-06:00"``.
        folder : str or Path, optional
            Where the files are that the column ``media`` names; by default where this process has read the sheet.

        Returns
        -------
        pandas.DataFrame
            One row per finding, in the order of the sheet: ``row`` (Int64, position from 0), ``row_id`` (string), ``sheet_row`` (Int64,
            the spreadsheet's number), ``cell`` (string, such as ``D7``; both NA for a frame without a sheet), ``platform`` (string, NA
            for a finding about all of them), ``column`` (string, NA if the API does not name one), ``level`` (string: ``error``, it
            can't be sent; ``warning``, check it), ``code`` (string, the API's own if it has one) and ``message`` (string).

        Raises
        ------
        PlanError
            If a column is missing.
        ConfigError
            If a limit can't be read.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> ws.check(sheet)["message"].to_list()
        ['0 minutes from row a on ...; the least is 10.']
        """
        accounts = self.listed_accounts if true_or_false("ask", ask) else None
        limits = Limits.read(self.settings.tz, gap, most_a_day, blackout, night)
        waiting = partial(load_targets, self.client, WAITING, "scheduled_for", pd.Timestamp(self.client.now()))
        return await check(self.client, sheet, accounts, self._checks, limits, waiting, self.settings.people, folder)

    def _described(
        self,
        frame: pd.DataFrame,
        kind: str,
        read: dict[Any, Any],
        filters: dict[str, Any],
        *,
        cut: bool = False,
    ) -> pd.DataFrame:
        """Return the frame with its ``attrs``."""
        here = [name for name in HERE if filters.get(name)]  # the filters applied here, after everything was read
        frame.attrs = {
            "kind": kind,
            "source": self._source,
            "fetched_at": self.client.now().isoformat(),
            "filters": plain_filters(filters),
            "complete": not cut,
            "rows": len(frame),  # a filter in pandas keeps attrs, so this alone tells that rows are missing
            "rate_limit": self.client.pace.limit,
            "unread": read.get("unread", {}),
            **self.settings.attrs(),
            **({"filtered_here": here} if here else {}),
        }
        return frame
