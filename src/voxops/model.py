"""Immutable values and open vocabularies that several modules share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, get_args

# What may be passed as a status of posts, an outcome or a verdict. The API may add statuses.
PostStatus = Literal[
    "draft", "pending_approval", "approved", "scheduled", "pending", "publishing", "published", "partial", "failed", "cancelled",
    "unpublished", "archived", "all",
]  # fmt: skip
ArchivedStatus = Literal[PostStatus, "deleted"]
OutcomeName = Literal["succeeded", "failed", "pending", "unknown", "blocked"]
VerdictName = Literal[
    "retry", "wait", "fix content", "fix media", "reconnect account", "upgrade plan", "ask support", "nothing to do"
]


class Outcome(StrEnum):
    """Outcome of one planned row. The five sum to the eligible rows, always (rule 14).

    A pending row continues automatically or by ``run.resume()``; a blocked row was eligible when planned, and a person must change it first.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"

    @property
    def final(self) -> bool:
        """Whether it can't change any more."""
        return self in {Outcome.SUCCEEDED, Outcome.FAILED}


OUTCOMES: tuple[OutcomeName, ...] = get_args(OutcomeName)


class Verdict(StrEnum):
    """The action that a failure needs."""

    RETRY = "retry"
    WAIT = "wait"
    FIX_CONTENT = "fix content"
    FIX_MEDIA = "fix media"
    RECONNECT = "reconnect account"
    UPGRADE = "upgrade plan"
    SUPPORT = "ask support"
    NOTHING = "nothing to do"


ASKS_NOBODY = frozenset({Verdict.WAIT, Verdict.NOTHING})  # verdicts that need no action

WATCH = "watch"  # the action of a run that only polls; other runs have an act
MOVES = frozenset({"sending", "watching"})  # phases in which rows may settle by themselves
WENT_THROUGH = frozenset({"done", "cancelled", "blocked"})  # phases of runs that can't be resumed

# Post statuses at which a poller may stop (contract 8.3). An unknown status is never terminal.
TERMINAL_STATUSES = frozenset({"published", "partial", "failed", "cancelled", "unpublished", "archived"})
# Statuses of withdrawn posts: a create with one of them is not sent again (rule 14). A deleted post has none.
WITHDRAWN_STATUSES = frozenset({"cancelled", "unpublished", "archived"})
# Statuses of posts that nobody sees, and nobody will as they are (rule 19).
NEVER_OUT = frozenset({"draft", "failed", "", "deleted"}) | WITHDRAWN_STATUSES
# Post statuses that change by themselves within minutes.
IN_FLIGHT_STATUSES = frozenset({"publishing", "pending"})
# Post statuses that only a person or a later time changes; a wait does not wait for them (rule 14).
WAITING_STATUSES = frozenset({"draft", "pending_approval", "approved", "scheduled"})

# Documented platforms (contract: section 2). New ones are accepted if an account has them.
PLATFORMS = (
    "twitter", "linkedin", "instagram", "facebook", "bluesky", "threads", "pinterest", "reddit", "tiktok", "youtube", "snapchat",
    "telegram", "google_business", "mastodon", "whatsapp",
)  # fmt: skip

# Kinds of posts (contract: 8.1).
CONTENT_TYPES = frozenset({"TEXT", "IMAGE", "VIDEO", "CAROUSEL", "THREAD", "STORY", "REEL"})

# All documented statuses.
POST_STATUSES: frozenset[str] = frozenset(get_args(PostStatus)) - {"all"}


class Clock(Protocol):
    """The engine's only source of elapsed seconds and its only way to sleep."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant, also those that the machine sleeps; never goes back."""

    def wall(self) -> float:
        """Seconds of the calendar clock. Read together with `monotonic`, because either may stand still while a machine sleeps."""

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


@dataclass(frozen=True, slots=True)
class PaceInfo:
    """The rate limit as last reported by the server.

    `limit` and `remaining` count requests of the current window, None until a response has them; `resets_in` and `paused_for` are
    seconds from now, None without a window or pause.
    """

    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None
    paused_for: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """The number of items with one platform and one outcome; monitors draw it."""

    platform: str
    outcome: Outcome
    count: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One item's change of state, for the "last transitions" of a monitor.

    `at` is the server's time; `item` is the visible id: of the post, row or delivery. `was` and `now` are outcomes or
    statuses in lower case; `platform` and `was` may be empty. `detail` is untrusted text.
    """

    at: datetime
    item: str
    platform: str
    was: str
    now: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a run at one instant, for monitors; plain data, drawn as widget, HTML or text.

    Attributes
    ----------
    run_id, action, title : str
        The run.
    phase : str
        ``sending``, ``watching``, ``paused``, ``stopped``, ``done``, ``cancelled`` (ended with rows that were never sent) or
        ``blocked`` (ended with blocked rows, which need a person).
    started_at, updated_at : datetime
        Server time.
    cells : tuple of Cell
        Items by platform and outcome; counts sum to the eligible rows.
    not_eligible : int
        Rows of the plan that are not eligible.
    waits : mapping
        Why items are not settled, one sentence for each kind -> their number.
    recent : tuple of Transition
        The last transitions, newest first, at most 8.
    acts : int
        How many acts were sent, by whichever process; one that is proved not to have been sent does not count.
    pace : PaceInfo
        The rate limit.
    note : str
        One sentence for the reader: why the run stopped, when to resume, how to attach.
    reason, who : str
        Why it was started, and by whom; ``""`` for a watch.
    withdrawn, at_rest : int
        Items whose posts were withdrawn or deleted since; blocked items that need nobody, being withdrawn or abandoned.
    sends : bool
        Whether this process sends; an attached run is only watched until it is resumed here.
    in_flight : tuple of str
        The rows of a paused run whose requests are in flight; their outcomes are recorded when they end.
    seconds_left : float or None
        When all has settled, at the present rate; None if unknown.
    """

    run_id: str
    action: str
    title: str
    phase: str
    started_at: datetime
    updated_at: datetime
    cells: tuple[Cell, ...] = ()
    not_eligible: int = 0
    waits: Mapping[str, int] = field(default_factory=dict)
    recent: tuple[Transition, ...] = ()
    acts: int = 0
    pace: PaceInfo = PaceInfo()
    note: str = ""
    reason: str = ""
    who: str = ""
    withdrawn: int = 0
    at_rest: int = 0
    sends: bool = True
    in_flight: tuple[str, ...] = ()
    seconds_left: float | None = None

    def count(self, outcome: Outcome | OutcomeName) -> int:
        """Items with this outcome, over all platforms."""
        return sum(cell.count for cell in self.cells if cell.outcome == outcome)

    @property
    def total(self) -> int:
        """Eligible rows."""
        return sum(cell.count for cell in self.cells)

    @property
    def settled(self) -> int:
        """Items that no longer wait, because they have succeeded, failed, or are blocked until a person changes something."""
        return self.done + self.count(Outcome.BLOCKED)

    @property
    def done(self) -> int:
        """Items with a final outcome."""
        return self.count(Outcome.SUCCEEDED) + self.count(Outcome.FAILED)

    @property
    def needs_you(self) -> int:
        """Items that a person must look at, which are blocked or unknown, and not at rest."""
        return self.count(Outcome.BLOCKED) + self.count(Outcome.UNKNOWN) - self.at_rest


class Observer(Protocol):
    """An observer of a run, such as a log, a widget or a test. Called on the engine's loop; must return immediately."""

    def notice(self, snapshot: Snapshot) -> Any:
        """Receive a run's newest state."""


def paused(run: str) -> str:
    """Return the effect of an interrupt on a run, and how to continue."""
    how = f"ws.attach({run!r}).resume()" if run.startswith("run_") else "its resume()"
    return f"{run} is paused, and nothing more is sent; {how} goes on"


class Displayed:
    """Base of what a notebook cell shows as ``vx.view`` does: by the views, which are loaded at the first display."""

    _view: ClassVar[staticmethod[[Any], Any]]  # set by the package

    def _repr_html_(self) -> str:
        return str(self._view(self)._repr_html_())
