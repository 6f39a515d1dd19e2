"""The workspace on our own event loop: what `Workspace` offers blocking and ``ws.aio`` awaitable, written once."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops._core.arguments import texts
from voxops._core.eventloop import all_or_none
from voxops.acts.creates import split_list
from voxops.acts.plan import Plan
from voxops.api import assumptions, limits
from voxops.client import prefetch
from voxops.engine.checkup import check_up
from voxops.engine.engine import Engine
from voxops.engine.jobs import PlanJob
from voxops.engine.preflight import account_names
from voxops.engine.watching import WatchJob, things_of
from voxops.errors import ConfigError, LedgerError, PlanError, ValidationError
from voxops.frames import Columns, build
from voxops.frames.columns import need_columns, plain_values
from voxops.frames.spans import When, moment, window, within
from voxops.ledger import audit
from voxops.model import IN_FLIGHT_STATUSES, TERMINAL_STATUSES, WAITING_STATUSES
from voxops.run import Run

if TYPE_CHECKING:
    from voxops.client import AsyncClient, Handle

__all__ = ["Core"]

Words = str | Sequence[str] | None
_PLATFORMS = {"x": "twitter", "google business": "google_business"}  # what people call them


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the API says of one row on one platform."""

    row_id: str
    platform: str
    valid: bool
    errors: str = ""
    warnings: str = ""
    account_ids: tuple[str, ...] = ()


class Core:
    """Loads, runs and watches, all on one loop.

    Parameters
    ----------
    client : AsyncClient
        The one client.
    engine : Engine or None
        None where the workspace's identity could not be read: then planning works and running refuses (rule 23).
    source : str
        What ``df.attrs`` names as the origin.
    """

    def __init__(self, client: AsyncClient, engine: Engine | None, source: str) -> None:
        self.client = client
        self._engine = engine
        self._source = source
        self._closed = False
        self._enrol: Callable[[], Awaitable[Engine | None]] | None = None
        self._enrolling = asyncio.Lock()
        self._runs: weakref.WeakSet[Run] = weakref.WeakSet()

    def opened(self) -> Core:
        """Return itself, while it is open."""
        if self._closed:
            raise ConfigError("this workspace is closed; call vx.connect() again")
        return self

    @property
    def engine(self) -> Engine:
        """The engine, or the reason why there is none."""
        if self._engine is None:
            raise LedgerError(
                "the workspace's identity could not be read (GET /v1/auth/me), so it is not known which ledger is its own; "
                "nothing is sent. Check the address and the API key's scopes"
            )
        return self._engine

    def enrol_by(self, enrol: Callable[[], Awaitable[Engine | None]]) -> None:
        """Let an identity that could not be read be read again before something is run."""
        self._enrol = enrol

    async def _acting(self) -> Engine:
        """The engine, which may be had by now."""
        async with self._enrolling:
            if self._engine is None and self._enrol is not None:
                self._engine = await self._enrol()
        return self.engine

    async def posts(
        self,
        status: Words = None,
        platform: Words = None,
        account: Words = None,
        since: When = None,
        until: When = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Load posts, newest created first.

        Parameters
        ----------
        status, platform, account : str or list of str, optional
            Post status; platform or account id of at least one target. One value or a list.
        since, until : Timestamp, str or timedelta, optional
            ISO text with an offset, or an offset before now such as ``"7D"``, measured by the server's clock. They apply to the
            latest of scheduled, published, updated and created.
        limit : int, optional
            Rows at the most.

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
            If a time can't be read or has no offset.
        ApiError, TransportError, DecodeError
            If the API can't be read.
        """
        statuses, platforms = _statuses(status), [_PLATFORMS.get(name, name) for name in _words("platform", platform)]
        accounts = await self._account_ids(texts("account", account))
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
            raise ConfigError(f"limit={limit!r} must be a whole number of rows")
        columns = Columns("posts")
        enough = limit if since is None and until is None else None
        asked_for = partial(_asked_for, statuses=statuses, platforms=platforms, accounts=accounts)
        cut = False
        for one in statuses or ["all"]:
            query: dict[str, Any] = {"status": one, "limit": limits.PAGE_RECORDS}
            # One value is left to the server to find; it is filtered here all the same, since servers may not know the filter.
            if len(platforms) == 1:
                query["platform"] = platforms[0]
            if len(accounts) == 1:
                query["accountId"] = accounts[0]
            cut |= await self._take(columns, "/v1/posts", query, enough=enough, counts=asked_for)
        frame = columns.frame()
        span = window(since, until, self.client.now())
        keep = within(moment(frame), *span) & ~frame["post_id"].duplicated() & asked_for(frame)
        found = frame[keep].sort_values("created_at", ascending=False, kind="stable", ignore_index=True)
        filters = {
            "status": statuses,
            "platform": platforms,
            "account": accounts,
            "since": since,
            "until": until,
            "limit": limit,
        }
        return self._told(
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
        """
        if success is not None and not isinstance(success, bool):
            raise ConfigError(f"success={success!r} must be True, False or None for both")
        webhooks = texts("webhook", webhook) or [str(each) for each in (await self.webhooks())["webhook_id"]]
        events = _words("event_type", event_type)
        start, end = window(since, until, self.client.now())
        columns = Columns("deliveries")
        query: dict[str, Any] = {"limit": limits.PAGE_RECORDS}
        query |= {} if start is None else {"from": _stamp(start)}
        query |= {} if end is None else {"to": _stamp(end)}
        query |= {} if success is None else {"success": "true" if success else "false"}
        query |= {"eventType": events[0]} if len(events) == 1 else {}
        for one in webhooks:
            await self._take(columns, assumptions.deliveries_path(one), query, oldest=start, webhookId=one)
        frame = columns.frame()
        keep = within(frame["created_at"], start, end) & ~frame["delivery_id"].duplicated()
        if success is not None:
            keep &= frame["success"].fillna(False) == success
        if events:
            keep &= frame["event_type"].str.lower().isin(events)
        found = frame[keep].sort_values("created_at", ascending=False, kind="stable", ignore_index=True)
        filters = {"webhook": webhooks, "since": since, "until": until, "success": success, "event_type": events}
        return self._told(found, "deliveries", frame.attrs, filters)

    async def accounts(self) -> pd.DataFrame:
        """Load the connected accounts.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username display_name account_type status`` and more (string),
            ``followers`` (Int64), ``connected_at`` (datetime64[us, UTC]).
        """
        columns = Columns("accounts")
        await self._take(columns, "/v1/accounts", {"limit": limits.PAGE_RECORDS, "status": "all"})
        frame = columns.frame()
        return self._told(frame, "accounts", frame.attrs, {})

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
        """
        known = await self.accounts()
        if accounts is None:
            chosen = known[known["status"] != "disconnected"]
        else:
            if isinstance(accounts, pd.DataFrame):
                need_columns(accounts, ["account_id"], "use ws.accounts() or vx.targets(posts)")
                wanted = [str(value) for value in plain_values(accounts, "account_id") if value is not None]
            else:
                wanted = texts("accounts", accounts)
            strangers = sorted(set(wanted) - set(known["account_id"]))
            if strangers:
                raise PlanError(f"no account {', '.join(strangers[:3])} in this workspace; ws.accounts() lists them")
            chosen = known[known["account_id"].isin(wanted)]
        return self._told(await check_up(self.client, chosen, refresh=refresh), "account_check", {}, {})

    async def webhooks(self) -> pd.DataFrame:
        """Load the webhooks; a secret is never among the columns.

        Returns
        -------
        pandas.DataFrame
            One row per webhook: ``webhook_id url`` (string), ``events`` (list), ``enabled`` (boolean), ``failure_count``
            (Int64), ``last_delivery_at created_at`` (datetime64[us, UTC]).
        """
        columns = Columns("webhooks")
        await self._take(columns, "/v1/webhooks", {"limit": limits.PAGE_RECORDS})
        frame = columns.frame()
        return self._told(frame, "webhooks", frame.attrs, {})

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
        """
        need_columns(frame, ("content", "accounts"), "use vx.read_campaign(path)")
        names = await account_names(self.client)
        platforms = {account: name.partition(":")[0] for name, account in names.items()}
        accounts = [[names.get(part, part) for part in split_list(value)] for value in plain_values(frame, "accounts")]
        labels = [str(label) for label in (frame["row_id"] if "row_id" in frame.columns else frame.index)]
        rows = list(zip(labels, accounts, plain_values(frame, "content"), plain_values(frame, "media"), strict=True))
        answers = await all_or_none(self._validate_row(*row, platforms) for row in rows)
        table = [line for answer in answers for line in answer]
        return pd.DataFrame(
            {
                "row_id": pd.array([line.row_id for line in table], dtype="string"),
                "platform": pd.array([line.platform for line in table], dtype="string"),
                "valid": pd.array([line.valid for line in table], dtype="boolean"),
                "errors": pd.array([line.errors for line in table], dtype="string"),
                "warnings": pd.array([line.warnings for line in table], dtype="string"),
                "account_ids": pd.Series([line.account_ids for line in table], dtype=object),
            }
        )

    async def _validate_row(
        self, label: str, accounts: list[str], content: Any, media: Any, platforms: Mapping[str, str]
    ) -> list[_Checked]:
        """One row's answers, one per platform; a name that is no account is an error of its own."""
        checked = [
            _Checked(label, name.partition(":")[0].lower(), False, f"no account {name} in this workspace")
            for name in accounts
            if name not in platforms
        ]
        ids: dict[str, tuple[str, ...]] = {}
        for account in accounts:
            if account in platforms:
                ids[platforms[account]] = (*ids.get(platforms[account], ()), account)
        if not ids:
            return checked or [_Checked(label, "", False, "no account")]
        try:
            answer = await self.client.posts.validate(
                content=str(content or ""),
                platforms=[name.upper() for name in sorted(ids)],
                media_ids=split_list(media) or None,
            )
        except ValidationError as error:
            return [
                *checked,
                *(_Checked(label, name, False, str(error), account_ids=ids[name]) for name in sorted(ids)),
            ]
        said = {str(name).lower(): result for name, result in (answer.get("platforms") or {}).items()}
        for name in sorted(ids):
            result = said.get(name) or {}
            valid = bool(result.get("valid", answer.get("valid", False)))
            errors, warnings = _messages(result.get("errors")), _messages(result.get("warnings"))
            checked.append(_Checked(label, name, valid, errors, warnings, ids[name]))
        return checked

    async def run(self, plan: Plan, reason: str | None = None, stop_after_failures: int | None = None) -> Run:
        """Bind a plan to the ledger and start to carry it out.

        Parameters
        ----------
        plan : Plan
            From ``vx.plan_retry`` and its like.
        reason : str, optional
            Why, for the audit trail.
        stop_after_failures : int, optional
            Send nothing more after so many failed rows. Failures of asynchronous acts come some time after they were sent; to risk
            only a few rows, use ``plan.canary``.

        Returns
        -------
        Run
            At once; the work goes on beside the notebook. Rows that were sent before join what became of them, so running a plan
            twice sends nothing twice.

        Raises
        ------
        LedgerError
            If the ledger can't be used; nothing has been sent then.
        """
        if not isinstance(plan, Plan):
            raise PlanError(f"ws.run takes a plan, such as vx.plan_retry(triaged), not {type(plan).__name__}")
        limit = stop_after_failures
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ConfigError(f"stop_after_failures={limit!r} must be a whole number from 1")
        engine = await self._acting()
        run = await engine.bind(plan, reason)
        return self._kept(Run(PlanJob(engine, run), stop_after_failures=stop_after_failures))

    async def attach(self, run_id: str) -> Run:
        """Take a run up again, in any kernel: reads, settles and watches; only ``run.resume()`` sends what was never sent."""
        return self._kept(Run(PlanJob(await self._acting(), run_id), paused=True))

    async def watch(
        self, frame_or_ids: pd.DataFrame | Iterable[str | Handle] | str | Handle, kind: str = "post"
    ) -> Run:
        """Follow things until each is terminal; reads only.

        Parameters
        ----------
        frame_or_ids : DataFrame, Handle, str or iterable
            A posts, targets or deliveries frame, what an asynchronous call of ``ws.client`` returned, or ids.
        kind : str
            What the ids are, or which ids of the frame: ``post``, ``media``, ``account`` (its backfill) or ``delivery``. A handle
            knows its own kind.

        Returns
        -------
        Run
            At once; the cell shows it live.
        """
        return self._kept(Run(WatchJob(self.client, things_of(frame_or_ids, kind))))

    def _kept(self, run: Run) -> Run:
        """Remember a run, so that closing ends it."""
        self._runs.add(run)
        return run

    async def close(self) -> list[str]:
        """End all runs, each when nothing of it is under way, and close; return how to go on with those that aren't done."""
        self._closed = True
        try:
            # all at once: none goes on sending while the last request of another is waited for (rule 22)
            lines = [left for left in await asyncio.gather(*(run.end() for run in list(self._runs))) if left]
        finally:
            if self._engine is not None:
                self._engine.close()
            await self.client.aclose()
        return lines

    async def reconcile(self) -> pd.DataFrame:
        """Settle from the server's state what this ledger does not know; nothing is sent.

        Returns
        -------
        pandas.DataFrame
            What is still open, as in ``ws.ledger()``.
        """
        engine = await self._acting()
        await engine.reconcile()
        table = audit.history(engine.ledger)
        return table[table["outcome"].isin(["pending", "unknown"]) & (table["state"] != "withdrawn")]

    async def _account_ids(self, accounts: list[str]) -> list[str]:
        """Account ids for ids and names such as ``twitter:@brand``."""
        if not any(":" in name or name.startswith("@") for name in accounts):
            return accounts
        names = await account_names(self.client)
        unknown = [name for name in accounts if (":" in name or name.startswith("@")) and name not in names]
        if unknown:
            raise ConfigError(
                f"no account {', '.join(unknown)} in this workspace; write platform:@name, or an id of ws.accounts()"
            )
        return [names.get(name, name) for name in accounts]

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
        taken, pages = 0, self.client.pages(path, query)
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

    def _told(
        self, frame: pd.DataFrame, kind: str, read: dict[Any, Any], filters: dict[str, Any], *, cut: bool = False
    ) -> pd.DataFrame:
        """The frame with what it should say of itself."""
        frame.attrs = {
            "kind": kind,
            "source": self._source,
            "fetched_at": self.client.now().isoformat(),
            "filters": {name: _said(value) for name, value in filters.items() if value not in (None, [])},
            "complete": not cut,
            "rows": len(frame),  # a filter in pandas keeps attrs, so this alone tells that rows are missing
            "rate_limit": self.client.pace.limit,
            "unread": read.get("unread", {}),
        }
        return frame


def _words(name: str, value: Words) -> list[str]:
    """One word or several, in lower case."""
    return [text.lower() for text in texts(name, value)]


def _statuses(value: Words) -> list[str]:
    """Post statuses; ``all`` is every one, and a slip of the pen is not taken for a status that the API has invented since."""
    known = [*TERMINAL_STATUSES, *IN_FLIGHT_STATUSES, *WAITING_STATUSES]
    found = _words("status", value)
    for status in found:
        from difflib import get_close_matches  # only a mistake needs it

        near = get_close_matches(status, known, n=1, cutoff=0.8)
        if status not in known and near:
            raise ConfigError(f"status={status!r}: did you mean {near[0]!r}?")
    return [] if "all" in found else found


def _stamp(when: datetime) -> str:
    """A time as the API takes it."""
    return when.isoformat().replace("+00:00", "Z")


def _said(value: Any) -> Any:
    """A filter as JSON."""
    return value if isinstance(value, str | int | list | bool) else str(value)


def _asked_for(
    posts: pd.DataFrame, statuses: Sequence[str], platforms: Sequence[str], accounts: Sequence[str]
) -> pd.Series:
    """Which posts have one of these statuses, platforms and accounts; none given is any."""
    fits = pd.Series(data=True, index=posts.index)
    if statuses:
        fits &= posts["status"].isin(statuses)
    if platforms:
        fits &= _any_target(posts["targets"], "platform", platforms)
    if accounts:
        fits &= _any_target(posts["targets"], "account_id", accounts)
    return fits


def _any_target(cells: pd.Series, field: str, wanted: Sequence[str]) -> pd.Series:
    """Which posts have a target with one of these values."""
    names = set(wanted)
    return pd.Series(
        [any(getattr(target, field) in names for target in cell or ()) for cell in cells], index=cells.index, dtype=bool
    )


def _messages(entries: Any) -> str:
    """Errors or warnings as one line of text."""
    said = [
        f"{entry.get('code', '')}: {entry.get('message', '')}".strip(": ")
        for entry in entries or ()
        if isinstance(entry, dict)
    ]
    return "; ".join(said)
