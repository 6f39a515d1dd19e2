"""A run as the loop sees it: what it was asked to do, what of it waits, and why it has stopped."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field

from voxops.api.reasons import Reason
from voxops.engine.send import Group
from voxops.errors import TransportError, VoxopsError

_log = logging.getLogger("voxops.engine")


@dataclass(eq=False)
class RunState:
    """One pass of a run through the loop: what it was asked to do, what waits, and what it counts.

    Attributes
    ----------
    run : str
        The run.
    watching, paused, closed : bool
        Whether it only reads, as somebody else may send; whether nothing more is to be sent; whether it ends once nothing is under way.
    halted : Reason or None
        Why it has stopped although nobody asked it to.
    note : str
        Why it was paused before, for people.
    reading_failed : bool
        Whether a reading broke, so that it ends once nothing is under way.
    """

    run: str
    watching: bool = False
    paused: bool = False
    closed: bool = False
    halted: Reason | None = None
    note: str = ""
    reading_failed: bool = False
    acts: bool = False  # whether changes or withdrawals of it may yet free rows that look like a post (rule 17)
    limit: int | None = None
    ready: deque[Group] = field(default_factory=deque)
    sendable: deque[Group] = field(default_factory=deque)  # what may be sent, in order
    parked: list[Group] = field(default_factory=list)  # until the run sends, or what comes first has ended
    under_way: int = 0
    reading: int = 0
    readings: int = 0  # in a row upon which nothing was sent
    timed: int = 0  # groups that wait for an instant
    open: set[int] = field(default_factory=set)  # its open calls
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)  # something has happened that whoever looks on must see
    done: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    @property
    def sends(self) -> bool:
        """Whether new calls may leave."""
        return self.stopped is None

    @property
    def stopped(self) -> Reason | None:
        """Why nothing leaves; None if it may."""
        if self.halted is not None:
            return self.halted
        return Reason("paused") if self.watching or self.paused or self.closed else None

    def halt(self, why: Reason) -> None:
        """Send nothing more; the first reason counts."""
        if self.halted is None:
            _log.warning("run %s sends nothing more: %s", self.run, why.code)
        self.halted = self.halted or why
        self.news.set()

    def break_off(self, error: BaseException) -> None:
        """Send nothing more, because of an error; one that is a fault of voxops is raised to whoever waits."""
        if isinstance(error, VoxopsError):
            self.halt(of_error(error))
        else:
            self.halt(Reason("broke_down"))
            self.failure = error if isinstance(error, Exception) else None


def of_error(error: VoxopsError) -> Reason:
    """An error as the reason for which a run has stopped."""
    return Reason(
        "stopped_by_outage" if isinstance(error, TransportError) else "stopped_by_error",
        said=str(error).removesuffix("."),
    )
