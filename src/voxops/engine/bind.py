"""Binding a plan: each row finds its request, whatever run wanted it before, and one table says how (rules 1, 2 and 5).

One transaction decides for all rows and writes them; before it, the engine has read what the plan is about. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voxops._support.canonical import as_kept
from voxops.acts import act_named
from voxops.acts.act import Item, Request, Subject, blocked, settled
from voxops.acts.create import resolved
from voxops.acts.keys import texts_by_column
from voxops.acts.plan import Compared, Plan
from voxops.api.evidence import same_time
from voxops.api.limits import PROOF_AFTER, STUCK_AFTER
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.engine.facts import Permission, SharedState, Unsent, utc
from voxops.engine.rules import Block, Decision, Settle, decide
from voxops.frames.checks import store
from voxops.ledger.audit import acted_on
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Call, RunHead, RunRow, Seen
from voxops.model import IN_FLIGHT_STATUSES, Outcome

# Field of a request -> the column of a sheet that it comes from, where they differ.
_COLUMNS = {"accountIds": "accounts", "scheduledFor": "scheduled_for", "firstComment": "first_comment"}
_SHOWN = frozenset({"content", "accountIds", "scheduledFor"})  # fields that a post shows
_CHANGEABLE = frozenset({"content", "accountIds", "scheduledFor", "tags"})  # and those that plan_update can change


@dataclass(frozen=True, slots=True)
class Planned:
    """What the ledger knows of a row that is planned.

    Attributes
    ----------
    item : Item
        The row, as planned now.
    request : Request or None
        The latest attempt at it.
    call : Call or None
        The open call that answers for that.
    differs : tuple of str
        Fields in which it asks for something else than that attempt.
    anew : bool
        Whether the analyst means a next attempt.
    again : bool
        Whether a column ``again`` asks for it once more, and did not before.
    withdrawn : Seen or None
        Its post, where that was withdrawn or deleted since.
    live : bool
        Whether another post of the row is live.
    shown : bool
        Whether its post shows what is asked now: both were mended alike.
    old : bool
        Whether its call has been open for ten minutes without an end; of a create, whether a person was told that a post may be it.
    ended : bool
        Whether a later plan has ended a run that wants it, permanently.
    """

    item: Item
    request: Request | None = None
    call: Call | None = None
    differs: tuple[str, ...] = ()
    anew: bool = False
    again: bool = False
    withdrawn: Seen | None = None
    live: bool = False
    shown: bool = False
    old: bool = False
    ended: bool = False

    @property
    def creates(self) -> bool:
        """Whether it creates a post."""
        return self.item.creates

    @property
    def is_open(self) -> bool:
        """Whether an open call answers for it."""
        return self.call is not None

    @property
    def succeeded(self) -> bool:
        """Whether it has succeeded."""
        return self.request is not None and self.request.outcome is Outcome.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether it has failed."""
        return self.request is not None and self.request.outcome is Outcome.FAILED

    @property
    def undone(self) -> bool:
        """Whether a later plan has ended its run before it was sent, or its post does not exist: only a next attempt clears that."""
        request = self.request
        if request is None or self.is_open or request.outcome.final:
            return False
        return self.ended or (request.reason is not None and request.reason.code == "not_found")


@dataclass(frozen=True, slots=True)
class Join:
    """The row stands for the request that there is, as it is."""


@dataclass(frozen=True, slots=True)
class Renew:
    """The row stands for the request that there is, which was not sent yet and now asks what this plan does."""


@dataclass(frozen=True, slots=True)
class New:
    """The row is a new request, as this attempt; an attempt that never ended is abandoned for it."""

    attempt: int
    abandon: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """The row is blocked in this run."""

    reason: Reason


Verdict = Join | Renew | New | Refuse


@dataclass(frozen=True, slots=True)
class Binding:
    """A row of the table."""

    name: str
    holds: Callable[[Planned], bool]
    verdict: Callable[[Planned], Verdict]


def _next(planned: Planned) -> int:
    """The number of the next attempt: at least one more, and what the sheet says where it creates."""
    last = 0 if planned.request is None else planned.request.item.attempt
    return max(planned.item.attempt, last + 1) if planned.creates else last + 1


def _first(planned: Planned) -> Verdict:
    return New(planned.item.attempt if planned.creates else 1)


def _withdrawn(planned: Planned) -> Verdict:
    post = planned.withdrawn
    assert post is not None
    status = "a draft again" if post.status == "draft" else post.status
    return Refuse(Reason("withdrawn_since", post=post.post_id, status=status, attempt=_next(planned)))


def _fields(planned: Planned) -> str:
    return ", ".join(_COLUMNS.get(name, name) for name in planned.differs)


def _post(planned: Planned) -> str:
    return (planned.request and planned.request.result_id) or planned.item.label


CASES: tuple[Binding, ...] = (
    Binding("never wanted before", lambda k: k.request is None, _first),
    Binding("undone, or not there, and meant as a next attempt", lambda k: k.undone and k.anew, lambda k: New(_next(k))),
    Binding("undone, or not there", lambda k: k.undone, lambda _: Join()),
    Binding("open for ten minutes, and meant as a next attempt", lambda k: k.is_open and k.old and (k.anew or k.again),
         lambda k: New(_next(k), abandon=True)),
    Binding("open, and undone", lambda k: k.is_open and k.ended, lambda _: Refuse(Reason("undone"))),
    Binding("open, with another body", lambda k: k.is_open and bool(k.differs), lambda k: Refuse(Reason("open_otherwise", fields=_fields(k)))),
    Binding("open", lambda k: k.is_open, lambda _: Join()),
    Binding("succeeded, withdrawn since, and meant as a next attempt, which somebody may have created",
         lambda k: k.succeeded and k.withdrawn is not None and (k.anew or k.live), lambda k: New(_next(k))),
    Binding("succeeded, withdrawn since", lambda k: k.succeeded and k.withdrawn is not None, _withdrawn),
    Binding("succeeded, and meant once more", lambda k: k.succeeded and not k.creates and k.again, lambda k: New(_next(k))),
    Binding("succeeded, with the same body", lambda k: k.succeeded and not k.differs, lambda _: Join()),
    Binding("succeeded, and shown as requested now", lambda k: k.succeeded and k.shown, lambda _: Join()),
    Binding("succeeded, with another body", lambda k: k.succeeded and k.creates and not set(k.differs) <= _CHANGEABLE,
         lambda k: Refuse(Reason("created_otherwise", post=_post(k), fields=_fields(k)))),
    Binding("succeeded, with another body that plan_update changes", lambda k: k.succeeded and k.creates,
         lambda k: Refuse(Reason("created_otherwise_update", post=_post(k), fields=_fields(k)))),
    Binding("succeeded, with another value", lambda k: k.succeeded, lambda k: Refuse(Reason("done_otherwise", fields=_fields(k)))),
    Binding("failed, and meant as a next attempt", lambda k: k.failed and (k.anew or k.again), lambda k: New(_next(k))),
    Binding("failed, with the same body", lambda k: k.failed and not k.differs, lambda _: Join()),
    Binding("failed, with another body", lambda k: k.failed, lambda k: New(_next(k))),
    Binding("not sent yet", lambda _: True, lambda _: Renew()),
)  # fmt: skip


def place(planned: Planned) -> Verdict:
    """Return what a planned row becomes: the first case that holds."""
    return next(case.verdict(planned) for case in CASES if case.holds(planned))


class Binder:
    """Binds one plan; the caller holds the ledger's transaction.

    Parameters
    ----------
    known : SharedState
        What was read, and the ledger.
    plan : Plan
        The plan.
    """

    def __init__(self, shared: SharedState, plan: Plan) -> None:
        self._shared = shared
        self._ledger: Ledger = shared.ledger
        self._plan = plan
        self._now = shared.now

    def bind(self, head: RunHead, reason: str | None) -> None:
        """Write the run and everything that it needs."""
        ledger, plan = self._ledger, self._plan
        items = [resolved(item, self._shared.accounts) if item.creates else item for item in plan.items]
        chunks = [(number, [item.row for item in chunk_items]) for number, chunk_items in plan.chunks()]
        if plan.undo:
            self._undo(plan.undo)
        rows: dict[int, int | None] = {}
        reasons: dict[int, Reason] = {}
        stale = self._stale(plan.compared) if plan.compared else {}
        for planned in self._lookup(items):
            why = stale.pop(planned.item.row, None)
            if why is None:
                self._abandon_others(planned)
            verdict = place(planned)
            if why is not None and not isinstance(verdict, Join):
                verdict = Refuse(why)
            rows[planned.item.row], refusal = self._write(planned, verdict)
            if refusal is not None:
                reasons[planned.item.row] = refusal
        where = {row: number for number, chunk_items in chunks for row in chunk_items}
        run_rows = [RunRow(item.row, rows[item.row], reasons.get(item.row), where[item.row]) for item in items]
        run_rows += [RunRow(row, None, why, 0) for row, why in stale.items()]  # of rows that need no act
        ledger.runs.start(head, run_rows, reason=reason, frame=store(plan._stored_table()))
        self._decide(request for row, request in rows.items() if request is not None and row not in reasons)

    # Looking rows up.

    def _lookup(self, items: Sequence[Item]) -> list[Planned]:
        """What the ledger knows of each row."""
        ledger = self._ledger
        latest = ledger.requests.latest(item.identity for item in items)
        numbers = {before.call for before in latest.values() if before.call is not None}
        calls = {call.id: call for call in ledger.calls.some(numbers)}
        marks = [item.row_mark for item in items if item.creates]
        posts: dict[str | None, list[Seen]] = {}
        for post in ledger.seen.of_rows(marks) if marks else ():
            posts.setdefault(post.row_mark, []).append(post)
        undone = ledger.runs.undone(before.id for before in latest.values())
        named = ledger.seen.of_posts(before.result_id for before in latest.values() if before.result_id is not None)
        planned = []
        for item in items:
            request = latest.get(item.identity)
            if request is None:
                planned.append(Planned(item))
                continue
            own = posts.get(item.row_mark, []) if item.creates else []
            if (seen_post := named.get(request.result_id or "")) is not None and seen_post not in own:
                own = [*own, seen_post]
            known_as = self._known_as(item, request, calls.get(request.call or 0), own)
            planned.append(replace(known_as, ended=request.id in undone))
        return planned

    def _known_as(self, item: Item, request: Request, call: Call | None, posts: Sequence[Seen]) -> Planned:
        creates = item.creates
        differs = tuple(differing(request.item.body or {}, item.body or {}))
        withdrawn = shown = None
        if creates and request.outcome is Outcome.SUCCEEDED:
            own = next((post for post in posts if post.post_id == request.result_id), None)
            withdrawn = own if own is not None and (own.withdrawn or own.status == "draft") else None
            shown = own is not None and bool(differs) and self._shows(own, item, differs)
        if not creates and item.seen.get("by") and request.outcome is Outcome.SUCCEEDED:
            differs = ()  # under a used name it is done, whatever the value
        stuck = (
            call is not None
            and call.state in {"accepted", "unknown"}
            and self._now - self._shared.dated(call).end > STUCK_AFTER.total_seconds()
        )
        if creates and call is not None:  # a person was told that a post may be it, and has looked
            stuck = request.reason is not None and request.reason.code == "unmarked_post"
        hangs = not creates and self._hangs(item)
        return Planned(
            item,
            request,
            call,
            differs,
            item.attempt > max(request.item.attempt if creates else 0, request.asked) or (hangs and call is not None),
            bool(item.seen.get("again")) and not request.item.seen.get("again"),
            withdrawn,
            any(post.is_live for post in posts),
            bool(shown),
            stuck,
        )

    def _shows(self, post: Seen, item: Item, differs: Sequence[str]) -> bool:
        """Whether a post shows what the sheet asks for now, after it was changed in these fields."""
        if post.asked == item.asked_hash:
            return True
        if set(differs) <= _SHOWN:
            return post.shown == item.shown_hash
        if not set(differs) <= _SHOWN | {"tags"}:
            return False
        tags = [
            change
            for change in self._ledger.requests.past(Subject("post", post.post_id))
            if change.outcome is Outcome.SUCCEEDED
        ]
        ours = [change.item.requested["tags"] for change in tags if "tags" in change.item.requested]
        shows = not _SHOWN & set(differs) or post.shown in {None, item.shown_hash}
        return shows and bool(ours) and sorted(ours[-1]) == sorted(item.requested.get("tags") or ())

    def _stale(self, compared: Compared) -> dict[int, Reason]:
        """Rows of a sync that were compared with what is no longer so: "load the posts again" (rule 18).

        The ledger knows what was just read, and what answers have shown since the frame was loaded.
        """
        marks = {mark for mark, _ in compared.rows.values() if mark}
        shown = {post for _, posts in compared.rows.values() for post in posts}
        seen, of_row = self._ledger.seen.of_posts(shown), dict[str | None, list[Seen]]()
        for post in self._ledger.seen.of_rows(marks):
            of_row.setdefault(post.row_mark, []).append(post)
        open_on = {str(call.subject) for call in self._ledger.calls.on(f"post::{post}" for post in shown)}
        acted = acted_on(self._ledger, utc(self._now - PROOF_AFTER))
        acts = {item.row for item in self._plan.items}
        creates = {item.row for item in self._plan.items if item.creates}
        stale: dict[int, Reason] = {}
        for row, (mark, posts) in compared.rows.items():
            others = [post for post in of_row.get(mark, ()) if post.post_id not in posts]
            if row in creates:  # a live one is this row, or forbids it (rule 10); a deleted one no list shows
                others = [post for post in others if not post.is_live and post.status != "deleted"]
            else:
                others = [post for post in others if post.is_live]
            changed = [post for post, was in posts.items() if not _is_as_shown(seen.get(post), *was)]
            changed += [post.post_id for post in others if not post.is_clone]
            in_doubt = [] if row in acts else [name for name in posts if f"post::{name}" in open_on]
            if changed:
                soon = " in a minute" if changed[0] in acted else ""  # lists may lag behind what this ledger did
                stale[row] = Reason("sync_stale", post=changed[0], soon=soon)
            elif in_doubt:
                stale[row] = Reason("sync_open", post=in_doubt[0])
        return stale

    # Writing them.

    def _write(self, planned: Planned, verdict: Verdict) -> tuple[int | None, Reason | None]:
        """Write what a row becomes; its request, and why it is blocked in this run."""
        ledger, item, request = self._ledger, planned.item, planned.request
        match verdict:
            case Refuse(reason):
                return (None if request is None else request.id), reason
            case New(attempt, abandon):
                if abandon and request is not None:
                    self._abandon([request])
                numbered = replace(item, attempt=attempt)
                return ledger.requests.add(
                    numbered, asked=item.attempt, alike=self._shared.will_show(item), now=self._now
                ), None
            case Renew():
                assert request is not None
                attempt = max(request.item.attempt, item.attempt) if planned.creates else request.item.attempt
                numbered = replace(item, attempt=attempt)
                ledger.requests.replace(
                    request.id, numbered, asked=max(item.attempt, request.asked), alike=self._shared.will_show(item)
                )
        return (None if request is None else request.id), None

    def _abandon_others(self, planned: Planned) -> None:
        """End acts that never ended, whatever their episode, where the row is meant as a next attempt (rule 13).

        They are those on the same target, and on one that the post does not list any more.
        """
        item = planned.item
        if planned.creates:
            return
        hangs = self._hangs(item)
        state, _ = self._shared.readings.of(item.subject)
        for call in self._ledger.calls.on([str(item.subject)]):
            age = self._now - self._shared.dated(call).end
            if call.state not in {"accepted", "unknown"} or age <= STUCK_AFTER.total_seconds():
                continue
            requests = self._ledger.requests.of_call(call.id)
            here = [
                request
                for request in requests
                if not item.platform
                or not request.item.platform
                or (request.item.platform, request.item.account) == (item.platform, item.account)
                or (isinstance(state, PostState) and state.target(request.item.platform, request.item.account) is None)
            ]
            meant = [request for request in here if hangs or item.attempt > request.asked or item.seen.get("again")]
            self._abandon([request for request in meant if request.item.identity != item.identity])

    def _hangs(self, item: Item) -> bool:
        """Whether a target was loaded in flight and nothing forbids that it is tried anew: by that alone its old act is abandoned."""
        if item.seen.get("status") not in IN_FLIGHT_STATUSES:
            return False
        state, moment = self._shared.readings.of(item.subject)
        past = self._ledger.requests.past(item.subject)
        return moment is None or act_named(item.act).forbids(item, state, past) is None

    def _abandon(self, requests: Sequence[Request]) -> None:
        """Close acts that never ended."""
        done = [
            settled(request, Outcome.FAILED, error_code="STUCK", error_message="never ended; tried anew")
            for request in requests
        ]
        self._ledger.requests.settle(done, self._now)
        for call in {request.call for request in requests if request.call is not None}:
            self._ledger.calls.close(call)

    # Undo.

    def _undo(self, run: str) -> None:
        """The run ends permanently, in every kernel: its rows go out in no run, except as a next attempt (rule 16)."""
        ledger = self._ledger
        ledger.runs.note(run, undone=True, paused=True)
        undo_unsent(ledger, [row.request for row in ledger.runs.rows(run) if row.request is not None])

    # Rows that will not go are reported immediately.

    def _decide(self, ids: Iterable[int]) -> None:
        """Ask of every unsent request whether it may go, so that the cell says immediately which rows will not."""
        requests = [request for request in self._ledger.requests.get(ids).values() if request.is_unsent]
        if not requests:
            return
        acts = any(not request.item.creates for request in requests) and len(requests) > 1
        unsent = Unsent(self._shared, requests, Permission(acts=acts), binding=True)
        decisions = [
            (request, decide(request, act_named(request.item.act).about, unsent.facts(request))) for request in requests
        ]
        write(self._ledger, decisions, self._now)


def write(ledger: Ledger, decisions: Sequence[tuple[Request, Decision]], now: float) -> list[tuple[Request, Request]]:
    """Write what requests are settled or blocked as; return these, before and after."""
    done = [(request, decision.request) for request, decision in decisions if isinstance(decision, Settle)]
    held = [
        (request, blocked(request, decision.reason)) for request, decision in decisions if isinstance(decision, Block)
    ]
    if done:
        ledger.requests.settle([after for _, after in done], now)
    if held:
        ledger.requests.detach(request.id for request, _ in held if request.call is not None)
        ledger.requests.say([after for _, after in held])
    return [*done, *held]


def undo_unsent(ledger: Ledger, ids: Sequence[int]) -> dict[int, Request]:
    """Block those of these requests that are unsent, and stand in a run that a later plan has ended (rule 16)."""
    held = [
        blocked(request, Reason("undone"))
        for request in ledger.requests.get(ledger.runs.undone(ids)).values()
        if request.is_unsent
    ]
    ledger.requests.say(held)
    return {request.id: request for request in held}


def _is_as_shown(post: Seen | None, status: str, updated: str | None) -> bool:
    """Whether a post is known as a frame showed it; stamps may be cut to the second."""
    return post is not None and post.status == status and same_time(post.updated, updated)


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Names of the fields in which two bodies differ; line ends, and the order of accounts and tags, make no other post."""
    before, after = ({**body, **texts_by_column(body)} for body in (before, after))
    # A content type follows from the media where nobody has named it.
    names = {*before, *after} - {"metadata", "contentType", "platformOverrides"}
    return sorted(name for name in names if _compared(name, before.get(name)) != _compared(name, after.get(name)))


def _compared(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return as_kept(value)
    return sorted(value) if name in {"accountIds", "tags"} and isinstance(value, list) else value
