"""Sending: one transaction decides again and writes the call, two clocks are asked at the wire, and how the try ended is written.

The only place where the ledger and sending meet (rules 7, 8, 12 and 15).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from voxops.acts import act_named, keys
from voxops.acts.act import Act, Request, settled
from voxops.api.evidence import Baseline, settable
from voxops.api.matrix import find, polled
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.engine.answers import Ending, Event, decoded, leaves_open, reduce, still_runs
from voxops.engine.bind import undo_unsent, write
from voxops.engine.facts import Permission, Unsent
from voxops.engine.read import Reads
from voxops.engine.rules import Block, Decision, Read, Send, Wait, decide, fit
from voxops.errors import TransportError
from voxops.frames.records import read_post
from voxops.ledger.records import Call, Seen
from voxops.model import Outcome

if TYPE_CHECKING:
    from voxops.client import AsyncClient
    from voxops.engine.facts import SharedState


_log = logging.getLogger("voxops.engine")

LEAVES_WITHIN = 15.0  # seconds from the commit to the wire; whoever slept since must not send (rule 7)
SET_BACK = 5.0  # seconds by which a clock may be set back in between


@dataclass(eq=False)
class Group:
    """Requests of one run that may share a call: those of a chunk, of a post, or one alone.

    Attributes
    ----------
    run : str
        The run.
    act : Act
        Their act.
    ids : list of int
        The requests, also those that are not unsent any more.
    refusals, throttled : int
        How often no connection was made, and how often a rate limit refused it, in this run.
    idle : bool
        Whether it was looked at last with nothing left to send, so that it is in no queue.
    alone : bool
        Whether a list took longer than a reading holds, so that its subject is read separately.
    """

    run: str
    act: Act
    ids: list[int]
    refusals: int = 0
    throttled: int = 0
    idle: bool = False
    alone: bool = False

    def unsent(self, requests: Mapping[int, Request]) -> list[Request]:
        """Its requests, of these, that are in no call; what a later plan asks as another act leaves with that plan."""
        return [
            request
            for number in self.ids
            if (request := requests.get(number)) is not None and request.is_unsent and request.item.act == self.act.name
        ]


@dataclass
class Sent:
    """What came of a try: the call it was, the requests that changed, and what the run must know."""

    call: Call | None = None
    ending: Ending | None = None
    changed: list[Request] = field(default_factory=list)
    error: TransportError | None = None
    decision: Decision | None = None  # why nothing was sent
    stops: Reason | None = None  # the answer for which the run stops


class Sender:
    """Sends requests of a ledger, one try at a time.

    Parameters
    ----------
    client : AsyncClient
        The one client of the workspace.
    known : SharedState
        What `decide` and `fit` ask.
    reads : Reads
        Where answers that show posts are remembered.
    commit, note : callable
        Do a piece of work in a transaction of the ledger, immediately or a moment later.
    people : mapping of str to str
        ``owner`` or ``campaign`` -> the metadata field under which it is sent.
    """

    def __init__(
        self, client: AsyncClient, shared: SharedState, reads: Reads, commit: Any, note: Any, people: Mapping[str, str]
    ) -> None:
        self._client = client
        self._shared = shared
        self._reads = reads
        self._ledger = shared.ledger
        self._commit = commit
        self._note = note
        self._people = people

    async def send(self, group: Group, gate: Callable[[], Permission]) -> Sent:
        """Wait for a permit, write the call of a group as sent, and send it once."""
        async with self._client._permit() as permit:
            clocks, taken = await self._commit(lambda: (self._clocks(), self.take(group, gate())))
            if not isinstance(taken, Call):
                return Sent(decision=taken)
            return await self._exchange(permit, taken, clocks)

    async def send_again(self, call: int, gate: Callable[[], Permission]) -> Sent:
        """Wait for a permit, and send a call once more under its key."""
        async with self._client._permit() as permit:
            clocks, taken = await self._commit(lambda: (self._clocks(), self.take_again(call, gate())))
            return Sent() if taken is None else await self._exchange(permit, taken, clocks)

    def _clocks(self) -> tuple[float, float]:
        """Elapsed seconds, and those of the wall's clock."""
        clock = self._client._clock
        return clock.monotonic(), clock.wall()

    def _may_leave(self, committed: tuple[float, float]) -> bool:
        """Whether both clocks say that the try was committed a moment ago (rule 7)."""
        passed = [now - then for now, then in zip(self._clocks(), committed, strict=True)]
        return all(-SET_BACK <= seconds <= LEAVES_WITHIN for seconds in passed)

    # The transaction.

    def take(self, group: Group, gate: Permission) -> Call | Decision | None:
        """Ask `decide` and `fit` again, and write the call; else the decision that keeps it back."""
        ledger, shared = self._ledger, self._shared
        unsent = group.unsent(ledger.requests.get(group.ids))
        requests, decisions = ask(Unsent(shared, unsent, gate, taking=True), unsent)
        write(ledger, decisions, shared.now)
        if not requests:
            kept = [kept for _, kept in decisions if isinstance(kept, Read | Wait)]
            return kept[0] if kept else None
        act = group.act
        if alone := [request for request in requests if request.alone]:  # a batch with it was refused (rule 12)
            requests = alone[:1]
        elif act.bulk and ledger.seen.lists_show_metadata is None:
            requests = requests[:1]
        if act.bulk:  # the order in which the form has them, because items are read by index
            requests = sorted(requests, key=lambda request: request.item.identity)
        verdict = fit(shared.new(group.act, requests))
        if isinstance(verdict, Wait):
            return verdict
        if isinstance(verdict, Block):
            write(ledger, [(request, verdict) for request in requests], shared.now)
            return verdict
        subject = requests[0].item.subject
        state, _ = shared.readings.of(subject)
        post = state if isinstance(state, PostState) else None
        form = act.form([request.item for request in requests], post, self._people)
        return ledger.calls.send(
            form, requests, run=group.run, baseline=_baseline(state), credential=shared.credential, now=shared.now
        )

    def take_again(self, number: int, gate: Permission) -> Call | None:
        """Ask `decide` and `fit` again, and write a further try; None if it must not be sent now."""
        ledger, shared = self._ledger, self._shared
        call = ledger.calls.get(number)
        if call.state not in {"unknown", "limited"} or gate.stopped is not None:
            return None
        requests = ledger.requests.of_call(number)
        facts, _ = shared.open(call, requests, resends=True)
        about = act_named(call.act).about
        if not all(isinstance(decide(request, about, facts[request.id]), Send) for request in requests):
            return None  # another sender has tried it since, or what was read is too old
        if isinstance(fit(shared.again(call, requests, facts)), Wait | Block):
            return None
        ledger.note_time(shared.now)
        return ledger.calls.send_again(call, now=shared.now)

    # The wire.

    async def _exchange(self, permit: Any, call: Call, committed: tuple[float, float]) -> Sent:
        """Send a call that is written, and write how that ended."""
        if call.tries > 1:
            _log.info("retry: call %d under its key, %s %s, try %d", call.id, call.method, call.path, call.tries)
        still = partial(self._may_leave, committed)  # asked when the connection stands, which may take long
        version = (call.baseline or {}).get("version") if call.method == "PATCH" else None
        token = {} if version is None else {"version": version}
        try:
            reply = await permit.send(call.method, call.path, body=call.body, key=call.key, may_go=still, **token)
        except TransportError as error:
            if not error.sent and not still():
                _log.warning("call %d is not sent: it was written more than %d s ago", call.id, LEAVES_WITHIN)
            event = Event(None, sent=error.sent, first=call.tries == 1)
            sent: Sent = await self._note(lambda: self.end(call, event))
            return replace(sent, error=error)
        except BaseException:
            await self._commit(lambda: self.end(call, Event(None, first=call.tries == 1)))
            raise
        return await self._answered(call, reply)

    async def _answered(self, call: Call, reply: Any) -> Sent:
        """Write what an answer proves."""
        act, data = act_named(call.act), None if reply.broken else decoded(reply.body)
        endpoint = find(call.method, call.path)

        def work() -> Sent:
            requests = self._ledger.requests.of_call(call.id)
            other = isinstance(data, Mapping) and act.is_of_another(requests, call.path, data)
            event = Event(
                reply.status,
                data,
                first=call.tries == 1,
                batch=act.bulk and call.size > 1,
                creates=act.creates,
                decodes=act.decodes(data) and not other and endpoint is not None,
                polled=endpoint is not None and polled(endpoint) is not None,
                page={request.page for request in requests} == {reply.status},
                asks_to_wait="retry-after" in reply.headers,
            )
            # What is queued may be about another job, whose name it bears: it was queued all the same.
            if other and event.polled and act.decodes(data):
                event = replace(event, decodes=True, data={})
            return self.end(call, event, reply.body)

        sent: Sent = await self._note(work)
        return sent

    def end(self, call: Call, event: Event, body: bytes | None = None) -> Sent:
        """Write how a try ended, and what it settles."""
        ledger, now = self._ledger, self._shared.now
        act, ending = act_named(call.act), reduce(event)
        stops = event.said if ending.stops else None
        requests = ledger.requests.of_call(call.id)
        if ending.state == "unsent":
            ledger.calls.unsend(call)
            undone = undo_unsent(ledger, [request.id for request in requests])
            return Sent(call, ending, list(undone.values()), stops=stops)
        if ending.state == "refused":
            return self._refused(call, act, event, requests)
        done: list[Request] = []
        if ending.state in {"accepted", "answered"} and event.data:
            done = [
                request
                for request in act.settle_answer(requests, event.data, first=event.first)
                if request.outcome.final
            ]
            done = [
                request
                for request in done
                if not (request.outcome is Outcome.FAILED and leaves_open(request.error_code))
            ]
        if act.creates and self._are_of_others(done):
            done, ending, body = [], Ending("unknown", Reason("answer_unreadable")), None
        state = "unknown" if ending.state == "answered" else ending.state
        answered = event.status is not None and (
            state == "limited" or ending.state in {"accepted", "answered"} or not still_runs(event)
        )
        last = ledger.calls.end(
            replace(
                call,
                state=state,
                ended=now,
                http_status=event.status,
                reply=body,
                answered=answered,
                refused=ending.never_again,
                reason=ending.reason,
            )
        )
        if not last and not act.creates:
            return Sent(call, ending, stops=stops)  # somebody else has taken it over: how it ended is known of that try
        if done:
            ledger.requests.settle(done, now)
            self._remember(act, done, now)
            ledger.calls.close(call.id)
        post = (
            read_post(event.data)
            if call.subject.kind == "post" and ending.state == "answered" and isinstance(event.data, Mapping)
            else None
        )
        if post is not None and post.status and post.post_id == call.subject.id:
            self._reads.note_answer(post)
        ledger.note_time(now)
        return Sent(call, ending, done, stops=stops)

    def _refused(self, call: Call, act: Act, event: Event, requests: Sequence[Request]) -> Sent:
        """Nothing happened. A batch is read by its items; without any, the row that it names has failed, and the others go one by one."""
        ledger, now = self._ledger, self._shared.now
        shown = act.settle_refusal(requests, event.data)
        decided = [request for request in shown if request.is_decided]
        decided = [
            request
            for request in decided
            if not (request.outcome is Outcome.FAILED and leaves_open(request.error_code))
        ]
        left = [request for request in requests if request.id not in {other.id for other in decided}]
        named = next((request for request in requests if request.position == event.row), None)
        failed = partial(
            settled,
            outcome=Outcome.FAILED,
            error_code=event.code or f"HTTP_{event.status}",
            error_message=event.message,
        )
        if decided or (shown and not event.page):
            kept = "unknown"  # rows that the items leave out, or say nothing readable of, are unknown
        elif call.size > 1 and act.bulk:
            kept, decided = "released", [failed(named)] if named else []
            left = [request for request in requests if request is not named]
        else:
            kept, decided, left = "released", list(map(failed, requests)), []
        last = ledger.calls.end(
            replace(
                call,
                state="unknown",
                ended=now,
                http_status=event.status,
                reply=None,
                answered=True,
                refused=kept == "unknown",
                reason=Reason("answer_without_row"),
            )
        )
        if not last:
            return Sent(call, Ending("refused"))
        held = [request for request in decided if not request.outcome.final]
        ledger.requests.release([request.id for request in decided if request.outcome is not Outcome.SUCCEEDED])
        ledger.requests.settle([request for request in decided if request.outcome.final], now)
        ledger.requests.say(held)
        if kept == "released":
            ledger.requests.release([request.id for request in left], alone=True)
            decided += undo_unsent(ledger, [request.id for request in left]).values()
        if act.creates:
            self._remember(act, [request for request in decided if request.outcome is Outcome.SUCCEEDED], now)
        ledger.calls.close(call.id)
        return Sent(call, Ending("refused"), decided)

    def _are_of_others(self, done: Sequence[Request]) -> bool:
        """Whether an answer names posts for rows that are known to be other rows', as where a proxy has mixed up two answers (rule 12)."""
        rows = {request.result_id: request.item for request in done if request.result_id is not None}
        return any(
            post.is_ours and post.row_mark != rows[name].row_mark and post.op_mark != rows[name].mark
            for name, post in self._ledger.seen.of_posts(filter(None, rows)).items()
        )

    def _remember(self, act: Act, done: Sequence[Request], now: float) -> None:
        """Remember the posts that creates have just made, so that they are known where lists show no marks (rules 17 and 19)."""
        if not act.creates:
            return
        created = datetime.fromtimestamp(now, UTC).isoformat()
        self._ledger.seen.learn(
            [
                Seen(
                    request.result_id, created, "scheduled", None, request.item.mark, request.item.row_mark, keys.campaign_mark(request.item.campaign),
                    request.item.asked_hash, request.item.shown_hash, now, "answer", now,
                )
                for request in done
                if request.result_id is not None and request.outcome is Outcome.SUCCEEDED
            ]
        )  # fmt: skip


def ask(unsent: Unsent, requests: Iterable[Request]) -> tuple[list[Request], list[tuple[Request, Decision]]]:
    """Decide about unsent requests one after the other; those that may be sent, and what is to be said of the others."""
    sends: list[Request] = []
    others: list[tuple[Request, Decision]] = []
    for request in requests:
        decision = decide(request, act_named(request.item.act).about, unsent.facts(request))
        if isinstance(decision, Send):
            unsent.take(request)
            sends.append(request)
        else:
            others.append((request, decision))
    waits = any(isinstance(decision, Read | Wait) for _, decision in others)
    if waits and not all(act_named(request.item.act).bulk for request in sends):
        sends = []  # rows of one post wait for each other: else the call would act on more than it carries (rule 3)
    return sends, others


def _baseline(state: Any) -> Mapping[str, Any] | None:
    """What the ledger keeps of a subject as it was before acting; None for what does not exist yet."""
    if isinstance(state, PostState):
        return Baseline.of(state).stored() | {"settable": settable(state)}
    return None if state is None else dict(state)
