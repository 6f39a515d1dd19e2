"""The acts, one line each; everything else about an act is in its own module."""

from __future__ import annotations

from voxops.acts.act import Act
from voxops.acts.cancel import CANCEL
from voxops.acts.create import CREATE, CREATE_ONE
from voxops.acts.redeliver import REDELIVER
from voxops.acts.retry import FIX, RETRY
from voxops.acts.sync import SYNC
from voxops.acts.update import UPDATE
from voxops.errors import LedgerError

ACTS: dict[str, Act] = {act.name: act for act in (RETRY, FIX, CANCEL, CREATE, CREATE_ONE, REDELIVER, UPDATE, SYNC)}


def act_named(name: str) -> Act:
    """The act of a stored request or run.

    Raises
    ------
    LedgerError
        If there is no such act: the ledger was changed by hand, or written by a version that knows more.
    """
    if name not in ACTS:
        raise LedgerError(f"the ledger has an unknown act, {name[:40]!r}; nothing of it is sent")
    return ACTS[name]
