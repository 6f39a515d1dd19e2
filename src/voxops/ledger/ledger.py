r"""The ledger: what was wanted, what was sent, and what was seen. It outlives kernels.

Four nouns, each a table. A **request** is one thing that an analyst wants once; ``(identity, attempt)`` is unique. A **run** is the rows of
a plan, pointing at requests. A **call** is one HTTP request for one or more requests, written in the transaction that marks it sent; what
has not been sent is in no call. **Seen** is what readings and answers have shown of posts::

      request:   unsent ──► in an open call ──► succeeded | failed        (final)
                   ▲              │
                   └── released ──┘   proved to have had no effect

      call:      sent ──► accepted | unknown | limited ──► closed         (it answers for no request any more)

*Blocked* is no outcome: the request has it in a column of its own, with its reason. *Pending* and *unknown* follow from the call. Every write goes
through `Ledger.atomic`.
"""

from __future__ import annotations

from pathlib import Path

from voxops.ledger.calls import Calls
from voxops.ledger.media import Media
from voxops.ledger.requests import Requests
from voxops.ledger.runs import Runs
from voxops.ledger.seen import SeenPosts
from voxops.ledger.store import Store


class Ledger(Store):
    """One file of requests.

    Parameters
    ----------
    path : Path
        SQLite file; created with mode 0600 where there is none.

    Attributes
    ----------
    requests, calls, runs, seen
        The four nouns, each with its own verbs.
    media
        The receipts of uploads.

    Raises
    ------
    LedgerError
        If the file can't be used; nothing has been sent then.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.requests: Requests = Requests(self)
        self.calls: Calls = Calls(self)
        self.runs: Runs = Runs(self)
        self.seen: SeenPosts = SeenPosts(self)
        self.media: Media = Media(self)

    def __repr__(self) -> str:
        return f"<Ledger {self.path}>"
