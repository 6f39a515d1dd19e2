"""Following things that somebody else started: posts, media, backfills and deliveries, until each has ended; reads only."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from voxops._support import safe
from voxops.acts.plan import Plan
from voxops.api.timing import WATCH_FOR
from voxops.client import Ending, Handle, Kind, delivery_status, ending_of, ending_of_post, noted, outcome_of
from voxops.engine.job import notify, rest
from voxops.engine.lists import Reader, interval
from voxops.engine.progress import REFRESH, cells_of, fold, start
from voxops.errors import DecodeError, NotFoundError, PlanError, ServerError, TransportError, VoxopsError
from voxops.frames.records import build
from voxops.model import WAITING_STATUSES, WATCH, Event, Observer, Outcome, Snapshot, Transition

if TYPE_CHECKING:
    from voxops.client import AsyncClient


class Watch:
    """Follows things until each has ended; reads only.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    things : mapping
        Handle -> what it belongs to: the platform or group that the monitor counts it under.
    observer : Observer
        Who is notified of each new snapshot.
    deadline : float
        Seconds of server time after which what has not ended is left pending.
    rng : random.Random
        Source of jitter.
    """

    def __init__(
        self,
        client: AsyncClient,
        things: Mapping[Handle, str],
        observer: Observer,
        *,
        deadline: float = WATCH_FOR,
        rng: random.Random | None = None,
    ) -> None:
        self.id = f"watch_{secrets.token_hex(5)}"
        self._client = client
        self._observer = observer
        self._reader = Reader(client)
        self._handles = {handle.id: handle for handle in things}
        self._groups = {handle.id: group for handle, group in things.items()}
        self._deadline = deadline
        self._rng = rng or random.Random()
        self._endings: dict[str, Ending] = {}
        self._error: dict[str, str] = {}
        self._settled_at: dict[str, pd.Timestamp] = {}
        self._due: dict[str, datetime] = {}
        self._requests = client.requests
        title = f"watch {_counted(len(self._handles), {handle.kind for handle in self._handles.values()})}"
        begun = start(self.id, WATCH, at=client.now(), title=title, phase="watching")
        self.snapshot = fold(begun, self._planned(()))
        self._wake, self._notified = asyncio.Event(), set[str]()
        self._paused, self._halted = False, ""
        self.over = False

    async def pause(self, *, withdraw: bool = False) -> None:  # noqa: ARG002  nothing was sent
        """Look no more."""
        self.close()

    def resume(self, *, paused: bool = False) -> bool:  # noqa: ARG002  nothing is sent, so there is nothing to hold
        """Look again in this pass; True if it is over and another was made ready, which `go` works on."""
        self._paused, self._halted = False, ""
        again, self.over = self.over, False
        self._wake.set()
        return again

    def close(self) -> None:
        """End."""
        self._paused = True
        self._wake.set()

    async def allow(self, *, trust_lists: bool = False) -> None:
        """Nothing holds a watch."""

    def notify(self, subject: str) -> bool:
        """Look at a thing next; False if it has ended, or is not followed."""
        if subject not in self._left():
            return False
        self._notified.add(subject)
        self._wake.set()
        return True

    async def go(self) -> Snapshot:
        """Look until everything has ended or the deadline has passed; what a webhook names is looked at when it comes."""
        clock, looks = self._client.clock, 0
        began = self._client.now().timestamp()
        due = clock.monotonic()
        while (left := self._left()) and not (self._paused or self._halted):
            on_time, notified, self._notified = clock.monotonic() >= due, self._notified, set()
            try:
                moves = await self._look(left if on_time else left & notified)
            except (TransportError, ServerError, DecodeError) as error:
                moves = []  # an outage of minutes, or a proxy's page, is read through; only the deadline ends the wait
                self._show(Event("note", self._client.now(), text=f"{error}; reading goes on"))
            except VoxopsError as error:
                self._halt(str(error))
                break
            self._tell(moves)
            if not any(self._moves(item, began + self._deadline) for item in self._left()):
                self._say_why_waiting()
                break
            if self._client.now().timestamp() - began > self._deadline:
                self._halt(f"still pending after {self._deadline / 60:.0f} minutes; look at the dashboard")
                break
            if on_time:
                looks = 0 if moves else looks + 1
                due = clock.monotonic() + max(interval(looks, self._rng, self._reader.pages), REFRESH)
            await rest(clock, self._wake, due - clock.monotonic())
        self.over = True
        phase = "stopped" if self._halted else "paused" if self._paused and self._left() else "done"
        return self._show(Event("phase", self._client.now(), phase=phase, text=self._halted))

    def _halt(self, why: str) -> None:
        """Look no more; the first reason counts."""
        self._halted = self._halted or f"{why.removesuffix('.')}; run.resume() watches on"

    def _show(self, event: Event) -> Snapshot:
        """Fold an event into the snapshot, with the requests that were made since the last one, and notify the observer."""
        requests, self._requests = self._client.requests - self._requests, self._client.requests
        self.snapshot = fold(self.snapshot, replace(event, requests=requests))
        notify(self._observer, self.snapshot)
        return self.snapshot

    def _left(self) -> set[str]:
        """Things that have not ended."""
        return {item for item in self._handles if self._outcome(item) is Outcome.PENDING}

    def _moves(self, item: str, until: float) -> bool:
        """Whether a thing may end by itself before an instant of the server's: what waits for longer, or for a person, does not (rule 20)."""
        if self._status(item) != "scheduled" or item not in self._due:
            return self._status(item) not in WAITING_STATUSES
        return self._due[item].timestamp() <= until

    def _say_why_waiting(self) -> None:
        """Nothing of what is left may end soon: it has not ended, and there is a time at which to look again."""
        left = self._left()
        if not left:
            return
        due = min((self._due[item] for item in left if item in self._due), default=None)
        then = "" if due is None else f", the first until {safe.instant(due)}"
        self._halt(f"{safe.many(len(left), 'post waits for its', 'posts wait for their')} time or for somebody{then}")

    def _outcome(self, item: str) -> Outcome:
        """How it ended; pending as long as it has not."""
        return self._endings[item].outcome if item in self._endings else Outcome.PENDING

    def _status(self, item: str) -> str | None:
        """Its status as read last, None before."""
        return self._endings[item].status if item in self._endings else None

    async def _look(self, items: Collection[str]) -> list[Transition]:
        """Read these once; return what changed."""
        at = self._client.now()
        found = await self._read([self._handles[item] for item in sorted(items)]) if items else {}
        moves = []
        for item, ending in found.items():
            was = self._endings.get(item)
            self._endings[item] = ending
            if was is not None and (was.status, was.outcome) == (ending.status, ending.outcome):
                continue
            if ending.outcome is not Outcome.PENDING:
                self._settled_at[item] = pd.Timestamp(at)
            shown = "not read yet" if was is None else was.status
            moves.append(Transition(at, item, self._groups[item], shown, ending.status, self._error.get(item, "")))
        return moves

    async def _read(self, handles: Sequence[Handle]) -> dict[str, Ending]:
        """How far each is, by the read that its kind calls for."""
        by_kind: dict[str, list[Handle]] = {}
        for handle in handles:
            by_kind.setdefault(handle.kind, []).append(handle)
        found: dict[str, Ending] = {}
        for kind, group in by_kind.items():
            if kind == "post":
                found |= await self._read_posts(group)
            elif kind == "delivery":
                found |= await self._read_deliveries(group)
            else:
                for handle in group:
                    found[handle.id] = await self._read_one(handle)
        return found

    async def _read_posts(self, handles: Sequence[Handle]) -> dict[str, Ending]:
        """Posts, by the lists where they are likely to be."""
        seen = await self._reader.follow([handle.id for handle in handles])
        found = {}
        for handle in handles:
            state = seen.found.get(handle.id)
            if state is None and handle.id not in seen.missing:
                continue
            found[handle.id] = ending_of_post(handle, state, self._client.now())
            self._handles[handle.id] = noted(handle, state)
            self._due.pop(handle.id, None)
            if state is not None:
                if state.scheduled_for and state.status == "scheduled":
                    self._due[handle.id] = datetime.fromisoformat(state.scheduled_for)
                failed = (target.error_message or "" for target in state.targets if target.status == "failed")
                self._error[handle.id] = next(failed, "")
        return found

    async def _read_deliveries(self, handles: Sequence[Handle]) -> dict[str, Ending]:
        """Deliveries, by the histories of their webhooks."""
        by_webhook: dict[str, list[Handle]] = {}
        for handle in handles:
            by_webhook.setdefault(handle.webhook_id or "", []).append(handle)
        found = {}
        for webhook, group in by_webhook.items():
            states = await self._reader.deliveries(webhook, [handle.id for handle in group])
            for handle in group:
                now = states.get(handle.id)
                status = "gone" if now is None else delivery_status(handle, now)
                found[handle.id] = Ending(status, outcome_of(status), now or {})
                self._error[handle.id] = "" if now is None or now["success"] else str(now["error"] or "")
        return found

    async def _read_one(self, handle: Handle) -> Ending:
        """A media file, or an account's backfill."""
        try:
            record = await (self._client.media if handle.kind == "media" else self._client.accounts).get(handle.id)
        except NotFoundError:
            return ending_of(handle, None, self._client.now())
        issues = record.get("validationResults")
        first = issues[0] if isinstance(issues, list) and issues else None
        self._error[handle.id] = str(first.get("message") or "") if isinstance(first, Mapping) else ""
        return ending_of(handle, record, self._client.now())

    def _planned(self, moves: Sequence[Transition]) -> Event:
        """The state of everything, as an event."""
        cells = cells_of((group, str(self._outcome(item))) for item, group in self._groups.items())
        return Event("planned", self._client.now(), cells=cells, transitions=tuple(moves), pace=self._client.pace)

    def _tell(self, moves: Sequence[Transition]) -> None:
        """Notify the observer of what has changed and what still waits."""
        self.snapshot = fold(self.snapshot, self._planned(moves))
        waits = Counter(self._status(item) or "not read yet" for item in self._left())
        self._show(Event("waiting", self._client.now(), waits=waits))

    def results(self) -> pd.DataFrame:
        """One row per thing: ``id platform status outcome waiting_for error_message`` (string), ``settled_at`` (UTC).

        Where posts are watched, ``post_id`` (string) stands beside ``id``, so that the rows join with those of ``ws.posts()``.
        """
        items = list(self._groups)
        outcomes = [self._outcome(item) for item in items]
        waits = [
            self._status(item) or "not read yet" if out is Outcome.PENDING else None
            for item, out in zip(items, outcomes, strict=True)
        ]
        posts = [item if self._handles[item].kind == "post" else None for item in items]
        named = {"post_id": pd.array(posts, dtype="string")} if any(posts) else {}
        return pd.DataFrame(
            {
                "id": pd.array(items, dtype="string"),
                **named,
                "platform": pd.array([self._groups[item] for item in items], dtype="string"),
                "status": pd.array([self._status(item) for item in items], dtype="string"),
                "outcome": pd.array([str(out) for out in outcomes], dtype="string"),
                "waiting_for": pd.array(waits, dtype="string"),
                "error_message": pd.array([self._error.get(item) or None for item in items], dtype="string"),
                "settled_at": pd.DatetimeIndex(
                    [self._settled_at.get(item, pd.NaT) for item in items], dtype="datetime64[us, UTC]"
                ),
            }
        )

    async def made(self, *, copies: bool = False) -> pd.DataFrame:
        """Nothing was made."""
        if copies:
            return build("posts", [])
        raise PlanError("a watch makes no posts; pass a run of vx.plan_create")

    def failed(self, *, stuck: bool = False) -> pd.DataFrame:  # noqa: ARG002  nothing was sent that could hang
        """The things that ended badly."""
        table = self.results()
        return table[table["outcome"] == Outcome.FAILED]

    async def verify(self) -> pd.DataFrame:
        """Read everything once more; see `results`."""
        await self._look(set(self._handles))
        return self.results()

    @property
    def plan(self) -> None:
        """Nothing was planned."""

    def replan(self) -> Plan | None:
        """Nothing was planned."""
        return None


def _counted(number: int, kinds: set[Kind]) -> str:
    """So many things of these kinds, as a person says it."""
    noun = min(kinds) if len(kinds) == 1 else "thing"
    return safe.many(number, noun, {"media": "media", "delivery": "deliveries"}.get(noun, ""))
