"""The board of accounts, and what is about to go out on one that can't publish."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from voxops.analysis.risk import account_board, at_risk
from voxops.frames.columns import plain_values
from voxops.frames.spans import length
from voxops.loading.checkup import check_up, chosen_accounts
from voxops.loading.filters import Words
from voxops.loading.loader import Loader
from voxops.loading.risk import recent_targets, waiting_targets
from voxops.loading.settings import Settings

if TYPE_CHECKING:
    from voxops.client import AsyncClient

__all__ = ["BoardLoader"]


class BoardLoader(Loader):
    """Loads what is known of accounts beside what the API lists; see `Loader`."""

    def __init__(self, client: AsyncClient, source: str, settings: Settings | None = None) -> None:
        super().__init__(client, source, settings)
        self._checks: dict[str, dict[str, Any]] = {}  # the last check of each account

    async def check_accounts(self, accounts: pd.DataFrame | Words = None, *, refresh: bool = True) -> pd.DataFrame:
        """Try every account, after its token was renewed where that works (matrix rows 20 and 21); nothing is posted.

        The board remembers what came of it.

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
        chosen = chosen_accounts(await self.accounts(), accounts)
        found = await check_up(self._client, chosen, refresh=refresh)
        table = self._described(found, "account_check", {}, {})
        at = self._client.now()
        for account, works, message in zip(
            table["account_id"], plain_values(table, "works"), table["message"], strict=True
        ):
            self._checks[str(account)] = {"checked_at": at, "works": works, "message": message}
        return table

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
        >>> board.loc[board["status"] == "expired", "risk"].to_list()
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
            If `within` is not a duration.
        ApiError, TransportError, DecodeError
            If the API can't be read.

        Examples
        --------
        >>> risk = ws.at_risk(within="7D")
        >>> "expired" in set(risk["risk"])
        True
        """
        until = None if within is None else pd.Timestamp(self._client.now()) + length("within", within)
        board, waiting = await self._board(until)
        return self._described(at_risk(waiting, board), "at_risk", {}, {"within": within})

    async def _board(self, until: pd.Timestamp | None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The board, and the targets that are about to go out up to an instant."""
        accounts, now = await self.accounts(), self._client.now()
        waiting = await waiting_targets(self._client, until)
        return account_board(accounts, await recent_targets(self._client, now), waiting, self._checks), waiting
