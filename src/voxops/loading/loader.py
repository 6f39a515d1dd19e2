"""Load the API's lists as filtered frames; and a workspace's settings."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd

from voxops._support.arguments import Words, empties, list_of_text, true_or_false, whole_number
from voxops.api.limits import PAGE_RECORDS
from voxops.client import AsyncClient, Listing, prefetch
from voxops.errors import ConfigError
from voxops.frames.records import Columns, build, targets
from voxops.frames.times import When, moment, window, within, zone
from voxops.loading.accounts import CHECKED, AccountNames, account_board, check_up, chosen_accounts, list_accounts
from voxops.loading.check import check as check_sheet
from voxops.loading.filters import (
    HERE,
    PEOPLE,
    PostFilters,
    explain_no_delivery,
    metadata_field,
    plain_filters,
    with_people,
    words,
)
from voxops.model import PostStatus
from voxops.sheets.rules import Limits


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


def distinct(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the first row of each id, because a list may repeat a record, newest first, then by id; rows without an id are all different."""
    rows = frame[~frame[key].duplicated() | frame[key].isna()]
    return rows.sort_values(["created_at", key], ascending=[False, True], ignore_index=True)


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
    """Read a list into columns, page by page, until enough rows match, or `oldest` is reached.

    A list that begins at that instant itself, `from_oldest`, is read to its end. Return True if enough rows matched before its end.
    """
    taken, pages = 0, listing.pages()
    early = enough is not None or (oldest is not None and not from_oldest)  # avoid the request for one page too many
    async for page in pages if early else prefetch(pages):
        columns.extend(page.records, **fill)
        if enough is not None and counts is not None:
            taken += int(counts(build("posts", page.records)).sum())
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


RECENT = timedelta(days=7)  # the period in which failures of an account are counted
_CREATED = timedelta(days=30)  # older posts are not searched for: lists are in order of creation
WAITING = ("scheduled", "approved")  # statuses of posts that will go out at their time


async def load_targets(
    client: AsyncClient,
    wanted: Sequence[str],
    column: str,
    since: pd.Timestamp | None,
    oldest: pd.Timestamp | None = None,
    people: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Load targets of posts with one of these statuses and with `column` since an instant; lists are read back to `oldest`."""
    columns = Columns("posts")
    for status in wanted:
        await read_list(columns, client.posts.list(status=status), oldest=oldest)
    posts = with_people(distinct(columns.frame(), "post_id"), people or {})
    return targets(posts[within(posts[column], since, None)])


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
        status: PostStatus | Iterable[PostStatus] | None = None,
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
        client, people = self.client, self.settings.people
        filters = await PostFilters.read(
            client, people, status=status, platform=platform, account=account, text=text, campaign=campaign, owner=owner, tag=tag
        )  # fmt: skip
        if limit is not None:
            refusal = ConfigError(f"limit={limit!r} must be a whole number of rows, 0 or more")
            limit = whole_number(limit, refusal, least=0)
        start, end = window(since, until, client.now(), self.settings.tz)
        enough = limit if since is None and until is None else None
        columns, cut = Columns("posts"), False
        # Where posts are filtered here, small pages would be many requests.
        size = PAGE_RECORDS if enough is None or filters.reads_more else max(1, min(enough, PAGE_RECORDS))
        for query in filters.queries():
            listing = client.posts.list(**query, page_size=size)
            cut |= await read_list(columns, listing, enough=enough, counts=filters.mask)
        read = columns.frame()
        posts = distinct(read, "post_id")
        found = posts[within(moment(posts), start, end) & filters.mask(posts)].reset_index(drop=True)
        if found.empty:
            await filters.explain_nothing(client, posts, until, end)
        shown = with_people(found[:limit], people)
        described = self._described(
            shown, "posts", read.attrs, {**filters.words, "since": since, "until": until, "limit": limit},
            cut=cut or len(shown) < len(found),
        )  # fmt: skip
        if campaign is not None and len(shown):
            described.attrs["accounts"] = dict(AccountNames(await list_accounts(client)))
        return self._with_ledger(described, is_campaign=campaign is not None)

    def _with_ledger(self, posts: pd.DataFrame, *, is_campaign: bool) -> pd.DataFrame:  # noqa: ARG002
        """Return posts with what the ledger knows of them; without one, as they are."""
        return posts

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
        events, nothing = words("event_type", event_type), empties(webhook=webhook, event_type=event_type)
        start, end = window(since, until, self.client.now(), self.settings.tz)
        webhooks = list_of_text("webhook", webhook)
        if not webhooks and not nothing:
            webhooks = list((await self.webhooks())["webhook_id"])
        columns = Columns("deliveries")
        until_sent = None if end is None else end.ceil("ms")  # the API's times have milliseconds
        for webhook_id in () if nothing else webhooks:
            listing = self.client.webhooks.deliveries(
                webhook_id, since=start, until=until_sent, success=success, event_type=events[0] if len(events) == 1 else None
            )  # fmt: skip
            await read_list(columns, listing, oldest=start, from_oldest=True, webhookId=webhook_id)
        read = columns.frame()
        log = distinct(read, "delivery_id")
        keep = within(log["created_at"], start, end)
        if success is not None:
            keep &= log["success"].fillna(False) == success
        if events:
            keep &= log["event_type"].str.lower().isin(events)
        if not keep.any():
            explain_no_delivery(events)
        filters: dict[str, Any] = {"webhook": webhooks or None, "event_type": events or None, **nothing}
        filters |= {"since": since, "until": until, "success": success}
        return self._described(log[keep].reset_index(drop=True), "deliveries", read.attrs, filters)

    async def accounts(
        self, account: pd.DataFrame | Words = None, *, check: bool = False, refresh: bool = True
    ) -> pd.DataFrame:
        """Load the accounts, also disconnected ones, with their status, last check and failures.

        At least six requests: one for every 100 accounts, and for every 100 posts that are ``scheduled`` or ``approved``, or that
        were created within thirty days and are ``published``, ``partial`` or ``failed``.

        Parameters
        ----------
        account : DataFrame, str or list of str, optional
            Which accounts: ids, or a frame with ``account_id``, such as triaged rows whose verdict is to reconnect. By default all.
        check : bool
            True first tries each account, after its token was renewed (matrix rows 20 and 21): **these are writes**, two requests per
            account, though nothing is posted. By default only connected accounts are tried. Later boards of this
            workspace include the outcome.
        refresh : bool
            False tries accounts without renewing their tokens.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username status scope_status scope_message`` (string), ``checked_at``
            (datetime64[us, UTC]), ``works`` (boolean, NA if it could not be tried) and ``check_message`` (string, the API's) of the last
            check, missing before it; ``tried failed`` (Int64, targets that ended within seven days, of posts created within
            thirty), ``failure_share`` (Float64, 0 to 1), ``commonest_cause`` (string), ``last_failed_at``, ``scheduled`` (Int64,
            waiting targets), ``next_at``, ``owners campaigns`` (string, of the waiting posts, where ``vx.connect(owner_field=…,
            campaign_field=…)`` says which metadata name them), and ``risk why remedy`` (string; missing without a risk): ``risk`` is the status of an account
            that is not ``active``, such as ``expired``; ``degraded`` (it lacks permissions); or ``failing`` (its last check failed, or
            half of at least three targets of the last seven days did, for reasons other than the post). With `check` also ``refreshed`` (boolean) and ``verdict`` (string: ``nothing to do``, ``reconnect account`` or ``ask support``).

        Raises
        ------
        PlanError
            If the frame has no account ids, or an id is not in this workspace.
        AuthError
            If the key may not do this.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> accounts = ws.accounts()
        >>> accounts.loc[accounts["status"] == "expired", "risk"].to_list()
        ['expired']
        >>> ws.accounts(check=True, refresh=False)["verdict"].value_counts().to_dict()
        {'nothing to do': 11, 'reconnect account': 1}
        """
        client = self.client
        listed = await list_accounts(client)
        chosen = chosen_accounts(listed, account)
        ids = chosen["account_id"]
        if true_or_false("check", check):
            tried = ids if account is not None else ids[chosen["status"] != "disconnected"]
            self._checks |= await check_up(client, list(tried), refresh=refresh)
            listed = await list_accounts(client)  # a renewed token may have changed a status
        now = pd.Timestamp(client.now())
        waiting = await load_targets(client, WAITING, "scheduled_for", None, people=self.settings.people)
        ended = await load_targets(
            client, ("published", "partial", "failed"), "updated_at", now - RECENT, now - _CREATED
        )
        board = account_board(listed[listed["account_id"].isin(ids)], ended, waiting, self._checks)
        filters = {"account": None if account is None else ids}
        return self._described(board if check else board.drop(columns=CHECKED), "accounts", listed.attrs, filters)

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
            One row per finding, in the order of the sheet. An expired account, like whatever is the same for several rows, is one
            finding: ``rows`` (list of int, positions from 0), ``row_id`` (string) and ``sheet_row`` (Int64, the spreadsheet's number)
            of the first one, ``cell`` (string, such as ``D7`` or ``C3:C97``; both NA for a frame without a sheet), ``platform``
            (string, NA for a finding about all of them), ``column`` (string, NA if the API does not name one), ``level`` (string:
            ``error``, it can't be sent; ``warning``, check it), ``code`` (string, the API's own if it has one) and ``message`` (string).

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
        ['This row is 0 minutes from row a on ...; the minimum is 10.']
        """
        lists = None
        if true_or_false("ask", ask):
            soon = pd.Timestamp(self.client.now())
            lists = (
                partial(list_accounts, self.client),
                partial(load_targets, self.client, WAITING, "scheduled_for", soon),
            )
        limits = Limits.read(self.settings.tz, gap, most_a_day, blackout, night)
        return await check_sheet(self.client, sheet, lists, self._checks, limits, self.settings.people, folder)

    def _described(
        self, frame: pd.DataFrame, kind: str, read: Mapping[Any, Any], filters: Mapping[str, Any], *, cut: bool = False
    ) -> pd.DataFrame:
        """Return the frame with its ``attrs``; `read` are those of all that was read."""
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
