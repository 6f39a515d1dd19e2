"""Frozen values and open vocabularies that two or more modules exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Outcome(StrEnum):
    """Outcome of one planned row. The five sum to the eligible rows, always (rule 20).

    Pending is what moves by itself or by ``run.resume()``; blocked is what was eligible when planned, and a person must change
    first.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"

    @property
    def final(self) -> bool:
        """Whether nothing can change it any more."""
        return self in {Outcome.SUCCEEDED, Outcome.FAILED}


OUTCOMES: tuple[str, ...] = tuple(str(outcome) for outcome in Outcome)


class Verdict(StrEnum):
    """What a failure calls for."""

    RETRY = "retry"
    WAIT = "wait"
    FIX_CONTENT = "fix content"
    FIX_MEDIA = "fix media"
    RECONNECT = "reconnect account"
    UPGRADE = "upgrade plan"
    SUPPORT = "ask support"
    NOTHING = "nothing to do"


ASKS_NOBODY = frozenset({Verdict.WAIT, Verdict.NOTHING})  # verdicts that need no action

WATCH = "watch"  # what a run does that only follows; other runs do an act
WENT_THROUGH = frozenset({"done", "cancelled", "blocked"})  # phases of runs that have nothing to go on with

# Post statuses at which a poller may stop (contract 8.3). An unknown status is never terminal.
TERMINAL_STATUSES = frozenset({"published", "partial", "failed", "cancelled", "unpublished", "archived"})
# Posts that were withdrawn: a create that shows one of them is not sent again (rule 30). A deleted post shows none.
WITHDRAWN_STATUSES = frozenset({"cancelled", "unpublished", "archived"})
# Post statuses that move by themselves within minutes.
IN_FLIGHT_STATUSES = frozenset({"publishing", "pending"})
# Post statuses that only a person or a later time moves; they don't hold a wait (rule 20).
WAITING_STATUSES = frozenset({"draft", "pending_approval", "approved", "scheduled"})

# Kinds of posts (contract: 8.1).
CONTENT_TYPES = frozenset({"TEXT", "IMAGE", "VIDEO", "CAROUSEL", "THREAD", "STORY", "REEL"})

# All that are known. The API may come to have others.
POST_STATUSES = TERMINAL_STATUSES | IN_FLIGHT_STATUSES | WAITING_STATUSES


class Clock(Protocol):
    """Time as the engine sees it: the only source of elapsed seconds and the only way to sleep."""

    def monotonic(self) -> float:
        """Seconds since some fixed instant; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


@dataclass(frozen=True, slots=True)
class PaceInfo:
    """The rate limit as the server stated it last.

    `limit` and `remaining` count requests of the present window, None while no answer has had them; `resets_in` and
    `paused_for` are seconds from now, None where there is no window or no pause.
    """

    limit: int | None = None
    remaining: int | None = None
    resets_in: float | None = None
    paused_for: float | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """How many items share one platform and one outcome; the unit that monitors draw."""

    platform: str
    outcome: Outcome
    count: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One item's change of state, for the "last transitions" of a monitor.

    `at` is the server's time; `item` is what a person calls the item (post id, row id, delivery id); `platform` may be
    empty; `was` and `now` are outcomes or statuses in lower case; `detail` is untrusted text.
    """

    at: datetime
    item: str
    platform: str
    was: str
    now: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run; `progress.fold` turns a Snapshot and an Event into the next Snapshot.

    `kind` is one of ``planned`` (cells hold all items), ``changed`` (cells hold what was taken away as negative and added
    as positive counts), ``phase``, ``waiting`` (`waits` replaces the Snapshot's) and ``note``.
    """

    kind: str
    at: datetime
    cells: tuple[Cell, ...] = ()
    transitions: tuple[Transition, ...] = ()
    phase: str = ""
    waits: Mapping[str, int] = field(default_factory=dict)
    pace: PaceInfo | None = None
    requests: int = 0
    acts: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a monitor shows of a run, at one instant; pure data, drawn as widget, HTML or text.

    Attributes
    ----------
    run_id, action, title : str
        Whose progress this is.
    phase : str
        ``sending``, ``watching``, ``paused``, ``stopped``, ``done``, ``cancelled`` (it has ended, and some rows were never sent) or
        ``blocked`` (it has ended, and somebody must look at the blocked rows).
    cells : tuple of Cell
        Items by platform and outcome; counts sum to the eligible rows.
    total, held : int
        Eligible rows, and rows of the plan that were never eligible.
    waits : mapping
        Why pending items wait -> how many.
    recent : tuple of Transition
        The last transitions, newest first, at most 8.
    started_at, updated_at : datetime
        Server time.
    requests, acts : int
        Calls made so far, and how many of them were acts.
    pace : PaceInfo
        The rate limit.
    note : str
        One sentence to the reader: why the run stopped, when to come back, how to attach.
    """

    run_id: str
    action: str
    title: str
    phase: str
    cells: tuple[Cell, ...]
    total: int
    held: int
    waits: Mapping[str, int]
    recent: tuple[Transition, ...]
    started_at: datetime
    updated_at: datetime
    requests: int = 0
    acts: int = 0
    pace: PaceInfo = PaceInfo()
    note: str = ""

    def count(self, outcome: str) -> int:
        """Items with this outcome, over all platforms."""
        return sum(cell.count for cell in self.cells if cell.outcome == outcome)

    @property
    def settled(self) -> int:
        """Items that need no more waiting: succeeded, failed, or blocked until a person changes something."""
        return self.count(Outcome.SUCCEEDED) + self.count(Outcome.FAILED) + self.count(Outcome.BLOCKED)


class Observer(Protocol):
    """What follows a run: a log, a widget, a test. Called on the engine's loop; must return at once."""

    def notice(self, snapshot: Snapshot) -> Any:
        """Take note of a run's newest state."""
