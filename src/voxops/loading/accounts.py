"""Accounts: which there are, whether they work, and what is about to go out on one that doesn't."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from voxops._core.arguments import list_of_text
from voxops.analysis.risk import account_board, at_risk
from voxops.api.limits import PAGE_RECORDS
from voxops.errors import PlanError
from voxops.frames import Columns
from voxops.frames.columns import need_columns, plain_values
from voxops.frames.spans import length
from voxops.loading.checkup import check_up
from voxops.loading.filters import Words
from voxops.loading.lists import Lists
from voxops.loading.risk import recent_targets, waiting_targets

__all__ = ["AccountLoader"]


class AccountLoader(Lists):
    """Loads accounts; see `Lists`."""

    async def accounts(self) -> pd.DataFrame:
        """Load the connected accounts.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username display_name account_type status`` and more (string),
            ``followers`` (Int64), ``connected_at`` (datetime64[us, UTC]).
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
        table = await check_up(self._client, chosen, refresh=refresh)
        at = self._client.now()
        for account, works, message in zip(
            table["account_id"], plain_values(table, "works"), table["message"], strict=True
        ):
            self._checks[str(account)] = {"checked_at": at, "works": works, "message": message}
        return self._described(table, "account_check", {}, {})

    async def account_board(self) -> pd.DataFrame:
        """Load what is known of each account: its status, its last check, and its share of failures of the last seven days.

        Returns
        -------
        pandas.DataFrame
            One row per account: ``account_id platform username status scope_status scope_message`` (string), ``checked_at``
            (datetime64[us, UTC]), ``works`` (boolean) and ``check_message`` (string) of the last ``ws.check_accounts()`` of this
            workspace, missing before it; ``tried failed`` (Int64, targets that ended within seven days, of posts created within thirty),
            ``failure_share`` (Float64, 0 to 1), ``commonest_cause`` (string), ``last_failed_at``, ``scheduled`` (Int64, targets that are about
            to go out), ``next_at``, and ``risk why remedy`` (string, as in `at_risk`; missing where nothing is wrong).

        Raises
        ------
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> board = ws.account_board()
        >>> board.loc[board["risk"].notna(), "risk"].unique().tolist()
        ['expired']
        """
        board, _ = await self._board(None)
        return self._described(board, "account_board", {}, {})

    async def at_risk(self, within: str | timedelta | None = None) -> pd.DataFrame:
        """Load what is about to go out on an account that is not active, degraded, or failing: before it fails.

        Parameters
        ----------
        within : str or timedelta, optional
            Only what goes out within so long, such as ``"48h"``.

        Returns
        -------
        pandas.DataFrame
            One row per post and platform, the next one first: ``post_id platform account_id account_name`` (string), ``scheduled_for``
            (datetime64[us, UTC]), ``risk`` (string: the account's status where it is not ``active``, such as ``expired``; ``degraded``, it lacks
            permissions; ``failing``, its last check failed, or half of at least three targets of the last seven days did, for no fault of
            the post; ``not listed``), ``why remedy account_status`` (string), ``failure_share`` (Float64), ``content post_status`` (string),
            ``updated_at``. ``vx.plan_reschedule`` and ``vx.plan_cancel`` take ``ws.posts`` of these ids.

        Raises
        ------
        ConfigError
            If `within` is no length of time.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> risk = ws.at_risk(within="7D")
        >>> risk["risk"].unique().tolist()
        ['expired']
        """
        until = None if within is None else pd.Timestamp(self._client.now()) + length("within", within)
        board, waiting = await self._board(until)
        return self._described(at_risk(waiting, board), "at_risk", {}, {"within": within})

    async def _board(self, until: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The board, and the targets that are about to go out up to an instant."""
        accounts, now = await self.accounts(), self._client.now()
        waiting = await waiting_targets(self._client, until)
        return account_board(accounts, await recent_targets(self._client, now), waiting, self._checks), waiting
