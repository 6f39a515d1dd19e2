"""What is known of requests and calls: readings in memory, the ledger, and what acts make of them. Gathers; decides nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from voxops.acts import act_named
from voxops.acts.act import Act, Item, Request, Subject, blocked, settled
from voxops.acts.keys import shown_hash
from voxops.api.assumptions import KEY_EARLY
from voxops.api.evidence import (
    Attempted,
    Baseline,
    delivery_ended,
    delivery_untouched,
    is_newer,
    next_try,
    promised_counts,
    sighted,
    was_edited_since,
)
from voxops.api.limits import COUNT_SETTLES_AFTER, CREATED_WITHIN, PROOF_AFTER, SKEW
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.engine import match
from voxops.engine.answers import decoded
from voxops.engine.rules import CallFacts, Facts
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Call, Seen
from voxops.loading.accounts import AccountNames, why_not_attached
from voxops.model import IN_FLIGHT_STATUSES, WAITING_STATUSES, Outcome

COUNTS_RISE_EARLY = "counts_rise_early"
_SHOWN = frozenset({"content", "accountIds", "scheduledFor"})  # fields that a post shows


@dataclass(frozen=True, slots=True)
class Moment:
    """When a reading began: in server time, and in the seconds that this kernel counts."""

    at: float
    elapsed: float


@dataclass
class Readings:
    """What this kernel has read; forgotten with it, so that another one reads again.

    Attributes
    ----------
    subjects : dict
        Subject -> its state, None for one that does not exist, and when that reading began.
    listed, walked : Moment or None
        When the last reading of the list began: of its top, and of all of it back to `since`.
    window : dict
        Posts that the last walk has shown, and those on top of it since.
    foreign_mark : str
        Where lists hide metadata: a post with a mark that this ledger does not know, as its single read shows; ``""`` for none.
    read_singly : bool
        Whether the newest posts were read by themselves, where lists hide metadata.
    """

    subjects: dict[str, tuple[Any, Moment]] = field(default_factory=dict)
    listed: Moment | None = None
    walked: Moment | None = None
    since: float = 0.0
    window: dict[str, PostState] = field(default_factory=dict)
    foreign_mark: str = ""
    read_singly: bool = False
    _over: dict[tuple[int, float], float] = field(default_factory=dict)

    def of(self, subject: Subject | str) -> tuple[Any, Moment | None]:
        """What was read of a subject, and when that reading began; None and None before the first."""
        return self.subjects.get(str(subject), (None, None))

    def looked(self, call: Call, moment: Moment | None) -> float | None:
        """Seconds at the least from the end of a call's last try to the beginning of a reading; None for none after it.

        Two times that the server names may be of two clocks, which differ by `SKEW` at most. The time since this kernel itself saw the
        try end is certain (rules 9 and 11).
        """
        if moment is None:
            return None
        named = moment.at - call.end
        over = self._over.setdefault((call.id, call.last_sent), moment.elapsed)
        seen = moment.elapsed - over
        if named < 0 and seen <= 0:
            return None
        return seen if named < 0 else max(min(named, seen), named - SKEW)


@dataclass
class Permission:
    """Whether rows of one run may be sent: `stopped` says why not, `acts` that its changes or withdrawals may yet free others."""

    stopped: Reason | None = None
    acts: bool = False


class SharedState:
    """What the runs of a workspace share: the ledger, readings and accounts, out of which it gathers what `decide` and `fit` ask.

    Parameters
    ----------
    ledger : Ledger
        The workspace's ledger.
    readings : Readings
        What was read.
    now : callable
        Server time.
    credential : str
        Fingerprint of the API key in use.
    retention : float
        Seconds for which the server is taken to remember a key.
    alone : bool
        Whether a person says that only this ledger creates posts here.
    """

    def __init__(
        self,
        ledger: Ledger,
        readings: Readings,
        now: Callable[[], datetime],
        *,
        credential: str,
        retention: float,
        alone: bool = False,
    ) -> None:
        self.ledger: Ledger = ledger
        self.readings = readings
        self.clock = now
        self.credential = credential
        self.retention: float = retention - KEY_EARLY
        self.alone = alone
        self.accounts: AccountNames = AccountNames()
        self.checks: Mapping[str, Mapping[str, Any]] = {}  # account id -> its last check in this kernel
        self.accounts_read = False  # since this kernel began, or a run was resumed
        self.media: dict[str, str | None] = {}  # id -> status as it was read; None for one that does not exist
        self.sending: Callable[[], Iterable[str]] = lambda: ()  # the runs that this kernel sends
        # Request -> tries without a usable answer, after its run was begun or resumed.
        self.tries: Counter[int] = Counter()

    @property
    def now(self) -> float:
        """Server time."""
        return self.clock().timestamp()

    def why_unusable(self, item: Item) -> Reason | None:
        """Why a create can't go out, as ``ws.check`` says it: by an account, or by a medium that is missing, or not ready."""
        media = [why_not_attached(medium_id, self.media.get(medium_id, "")) for medium_id in item.media_ids]
        if not media and "instagram" in self._platforms(item):
            media = [Reason("media_required")]
        return self._why_no_account(item) or next(filter(None, media), None)

    def _platforms(self, item: Item) -> list[str]:
        """The platforms of the accounts of a create, ``""`` for those of an unknown one."""
        return list(map(self.accounts.platform, item.requested.get("accountIds", ())))

    def _why_no_account(self, item: Item) -> Reason | None:
        """Why a create can't go out on one of its accounts: it is unknown, or can't publish; a column ``force`` sends ids anyway.

        Or a text is for a platform on which it has none.
        """
        named, ids = item.named_accounts, item.requested.get("accountIds", ())
        platforms = self._platforms(item)
        texts = [name.lower() for name in item.requested.get("platformOverrides", ())]
        for nowhere in (name for name in texts if all(platforms) and name not in platforms):
            return Reason("text_without_account", platform=nowhere)
        if not named and item.seen.get("force"):
            return None
        if unknown := named or self.accounts.lacking(ids):
            return Reason("account_unknown", said=self.accounts.unknown(unknown))
        return next(filter(None, map(self.accounts.why_not, ids)), None)

    def dated(self, call: Call) -> Call:
        """The call; where its try is said to end later than now, it ended when this kernel first saw it over, at the latest."""
        if call.end <= self.now:
            return call
        _, moment = self.readings.of(call.subject)
        return replace(call, ended=self.now - (self.readings.looked(call, moment) or 0.0))

    def tried(self, requests: Sequence[Request]) -> int:
        """How often one of these requests was tried without a usable answer, in whichever call."""
        return max((self.tries[request.id] for request in requests), default=0)

    # What is open.

    def open(self, call: Call, requests: Sequence[Request], *, resends: bool) -> tuple[dict[int, Facts], Call]:
        """Facts of the requests that an open call answers for, and the call with what the reading has shown of it."""
        act = act_named(call.act)
        if act.creates:
            return self._open_creates(call, requests, resends=resends)
        state, moment = self.readings.of(call.subject)
        looked = self.readings.looked(call, moment)
        base = Facts(
            now=self.now, call=call, looked=looked, resends=resends, read=None if moment is None else moment.at
        )
        if looked is None or moment is None:
            return {request.id: base for request in requests}, call
        if state is None:
            changed = [blocked(request, act.gone) for request in requests] if looked >= PROOF_AFTER else []
            return self._with(base, requests, changed), call
        if act.about == "delivery":
            return self._open_delivery(act, call, requests, state, base), call
        return self._open_post(act, call, requests, state, base)

    def _with(
        self, base: Facts, requests: Sequence[Request], changed: Iterable[Request], *, absent: bool = False
    ) -> dict[int, Facts]:
        by_id = {request.id: replace(base, became=request) for request in changed}
        others = replace(base, absent=True) if absent else base
        return {request.id: by_id.get(request.id, others) for request in requests}

    def _open_post(
        self, act: Act, call: Call, requests: Sequence[Request], state: PostState, base: Facts
    ) -> tuple[dict[int, Facts], Call]:
        """What the present state of a post makes of an act on it."""
        baseline, looked = Baseline.read(call.baseline), base.looked or 0.0
        unknown = call.state != "accepted"
        if unknown and act.shows_nothing(requests, state, baseline):
            return self._with(base, requests, (), absent=act.reverts and looked >= PROOF_AFTER), call
        reply = None if unknown else decoded(call.reply)
        moves = act.sends and sighted(baseline, state)
        promised = promised_counts(reply)
        by_count = self._counts_tell(call, state, baseline, reply, promised, looked)
        tried = Attempted(baseline, looked, moves or call.sighted is not None, promised, by_count=by_count)
        changed = act.settle_reading(requests, state, tried, reply)
        proved = any(request.is_decided for request in changed)
        if unknown and not moves and not proved:  # the act has changed it, or a person
            return self._with(replace(base, doubtful=Reason("changed_in_doubt")), requests, ()), call
        if unknown:  # it did: one that is blocked or settled answers for itself, the others go on as accepted
            call = replace(call, state="accepted")
        if moves and call.sighted is None:
            call = replace(call, sighted=self.now)
        if call is not base.call:
            base = replace(base, call=call)
        if state.status in WAITING_STATUSES:
            waits = Reason("post_waits", status=state.status)
            changed = [request if request.is_decided else replace(request, reason=waits) for request in changed]
        return self._with(base, requests, changed), call

    def _counts_tell(
        self,
        call: Call,
        state: PostState,
        baseline: Baseline | None,
        reply: Any,
        promised: Mapping[tuple[str, str], int],
        looked: float,
    ) -> bool:
        """Whether a retry count that has reached the promised one tells of the end of this try (rule 13).

        Never where this workspace has shown a target in flight, or its old status, with the promised count: counts rise there when a try
        is queued.
        """
        reached = [
            target
            for target in state.targets
            if target.retry_count is not None
            and target.retry_count >= promised.get(target.place, target.retry_count + 1)
        ]
        if not reached:
            return False
        old = not is_newer(state, baseline)
        if old or any(target.status in IN_FLIGHT_STATUSES for target in reached):
            if self.ledger.meta(COUNTS_RISE_EARLY) is None:
                self.ledger.set_meta(COUNTS_RISE_EARLY, "1")
            return False
        due = next_try(reply)
        since = looked if due is None else min(looked, looked + call.end - due.timestamp())
        edited = was_edited_since((call.baseline or {}).get("settable"), state)
        return since >= COUNT_SETTLES_AFTER and not edited and self.ledger.meta(COUNTS_RISE_EARLY) is None

    def _open_delivery(
        self, act: Act, call: Call, requests: Sequence[Request], state: Mapping[str, Any], base: Facts
    ) -> dict[int, Facts]:
        """What the present record of a delivery makes of an act on it (rule 13)."""
        baseline = call.baseline or {}
        touched = not delivery_untouched(baseline, state)
        # After long a count that rose alone is the same result again.
        same_again = touched and call.state == "accepted" and (base.looked or 0.0) >= PROOF_AFTER
        if delivery_ended(baseline, state) or same_again:
            return self._with(base, requests, act.settle_reading(requests, state, Attempted(None, base.looked or 0.0)))
        if call.state == "unknown" and touched:
            base = replace(base, doubtful=Reason("changed_in_doubt"))
        return {request.id: base for request in requests}

    def _open_creates(self, call: Call, requests: Sequence[Request], *, resends: bool) -> tuple[dict[int, Facts], Call]:
        """What the list makes of creates in doubt (rules 10, 11 and 12)."""
        readings = self.readings
        whole = readings.walked if readings.walked is not None and readings.since <= call.first_sent - SKEW else None
        looked = readings.looked(call, whole)
        base = Facts(
            now=self.now, call=call, looked=looked, resends=resends, listed=None if whole is None else whole.at
        )
        if call.state == "sent" or (looked is None and readings.listed is None):
            return {request.id: base for request in requests}, call
        posts = match.posts_for(requests, readings.window.values())
        left = [request for request in requests if request.id not in posts]
        doubts = self._strangers(call, left)
        proved = looked is not None and looked >= PROOF_AFTER
        facts = {}
        for request in requests:
            post = posts.get(request.id)
            done = None if post is None else settled(request, Outcome.SUCCEEDED, result_id=post, confirmed=True)
            doubtful = None
            if request.id in doubts:
                doubtful = Reason("unmarked_post", post=doubts[request.id], attempt=request.item.attempt + 1)
            facts[request.id] = replace(
                base, became=done, doubtful=doubtful, absent=proved and not doubtful and done is None
            )
        undecided = proved and bool(doubts)  # also of what a limit has interrupted
        became = "unknown" if undecided else call.state
        return facts, replace(call, state=became)

    def _strangers(self, call: Call, requests: Sequence[Request]) -> dict[int, str]:
        """Posts in the window without a mark that may be rows of a create call."""
        window = self.readings.window
        bare = [post for post, state in window.items() if state.mark is None] if requests else []
        if not bare:
            return {}
        seen = self.ledger.seen.of_posts(bare)
        claimed = {post for post, shown in seen.items() if shown.is_ours}
        claimed |= {
            create.result_id for create in self.ledger.requests.bearing((), bare) if create.result_id is not None
        }
        span = call.first_sent - SKEW, call.end + CREATED_WITHIN
        shows = self.ledger.seen.lists_show_marks
        return match.strangers(requests, [window[post] for post in bare], claimed, span, shows_metadata=shows)

    # Calls.

    def new(self, act: Act, requests: Sequence[Request]) -> CallFacts:
        """What is known of a call that is sent for the first time."""
        tries = self.tried(requests)
        strange = not all(
            act.is_own(request.item.method, request.item.path, request.item.subject) for request in requests
        )
        if act.creates:
            return CallFacts(kind="create", tries=tries, strange=strange)
        state, _ = self.readings.of(requests[0].item.subject)
        covers = act.covers([request.item for request in requests], state)
        return CallFacts(kind="retry", covers=covers, tries=tries, strange=strange)

    def again(self, call: Call, requests: Sequence[Request], facts: Mapping[int, Facts]) -> CallFacts:
        """What is known of a call that is to be sent once more."""
        act = act_named(call.act)
        now = self.clock()
        latest = self.ledger.meta("latest_server", float) or 0.0
        stands = act.creates and any(judged or alike for judged, alike in self.verdicts(requests).values())
        return CallFacts(
            kind="resend",
            left=len(requests) < call.size,
            seen=any(of_request.became is not None for of_request in facts.values()),
            doubtful=next((of_request.doubtful for of_request in facts.values() if of_request.doubtful), None),
            unwanted=not self.are_wanted(requests),
            passed=any(act.has_passed(request.item, now) for request in requests),
            forgotten=self.now > call.first_sent + self.retention or self.now < latest - 5.0,
            other_key=call.credential != self.credential,
            refused=call.refused,
            stands=stands,
            tries=self.tried(requests),
            strange=not act.is_own(call.method, call.path, call.subject),
        )

    def are_wanted(self, requests: Sequence[Request]) -> bool:
        """Whether each is named by a run that this kernel has bound or resumed, and that is neither paused nor undone (rule 9)."""
        wanted = self.ledger.runs.wanted((request.id for request in requests), self.sending())
        return all(request.id in wanted for request in requests)

    def will_show(self, item: Item) -> str | None:
        """Hash of what its post will show; None for what changes none of text, time and accounts, or where that is not known."""
        body = item.requested
        if item.creates:
            return item.shown_hash
        state, _ = self.readings.of(item.subject)
        if not isinstance(state, PostState) or not _SHOWN & body.keys():
            return None
        content, when = body.get("content", state.content), body.get("scheduledFor", state.scheduled_for)
        accounts = body.get("accountIds") or state.accounts
        return shown_hash(content, accounts, when) if content and when and accounts else None

    def named(self, alike: Reason | None) -> Reason | None:
        """Why a row would go out twice, with the row and campaign of the other post, where this ledger created it."""
        if alike is None or alike.code != "looks_like_row":
            return alike
        made = self.ledger.requests.bearing((), [str(dict(alike.params)["post"])])
        return alike.having(
            of=f", row {made[-1].item.label} of campaign {made[-1].item.campaign_as_written!r}" if made else ""
        )

    def verdicts(self, requests: Sequence[Request]) -> dict[int, tuple[Request | Reason | None, Reason | None]]:
        """What the posts that are there make of rows, and what looks like them, by request."""
        seen = self.ledger.seen
        shown = {request.id: request.item.shown_hash for request in requests}
        rows: dict[str | None, list[Seen]] = {}
        by_op: dict[str | None, list[Seen]] = {}
        for post in seen.of_rows(
            [request.item.row_mark for request in requests], [request.item.mark for request in requests]
        ):
            rows.setdefault(post.row_mark, []).append(post)
            by_op.setdefault(post.op_mark, []).append(post)
        alike = seen.alike(shown.values())
        verdicts: dict[int, tuple[Request | Reason | None, Reason | None]] = {}
        for request in requests:
            posts = rows.get(request.item.row_mark, [])
            posts += [post for post in by_op.get(request.item.mark, ()) if post not in posts]
            same = [post for post in alike if post.shown == shown[request.id]]
            verdicts[request.id] = match.judge(request, posts), match.looks_like(request, same, ())
        return verdicts


class Unsent:
    """Facts of requests that are in no call; what is taken counts as in flight for those that follow.

    Parameters
    ----------
    shared : SharedState
        Where they are looked up.
    requests : sequence of Request
        The requests of one run.
    gate : Permission
        What holds the run.
    taking : bool
        Whether this is the transaction that sends.
    binding : bool
        Whether a plan is bound: what lists show is enough then.
    """

    def __init__(
        self,
        shared: SharedState,
        requests: Sequence[Request],
        gate: Permission,
        *,
        taking: bool = False,
        binding: bool = False,
    ) -> None:
        self._shared = shared
        self._binding = binding
        self._now = shared.clock()
        self._base = Facts(now=self._now.timestamp(), taking=taking, stopped=gate.stopped, run_acts=gate.acts)
        self._taken: dict[str, Request] = {}
        ledger = shared.ledger
        creates = [request for request in requests if request.item.creates]
        others = {request.item.subject for request in requests if not request.item.creates}
        self._verdicts = shared.verdicts(creates) if creates else {}
        self._shown = {request.id: shown for request in requests if (shown := shared.will_show(request.item))}
        changes = [request for request in requests if request.id in self._shown and request.id not in self._verdicts]
        posts = ledger.seen.alike(self._shown[request.id] for request in changes) if changes else []
        self._alike = {
            request.id: [post for post in posts if post.shown == self._shown[request.id]] for request in changes
        }
        self._in_flight: dict[str | None, list[Request]] = {}  # by identity, and by what a post would show
        rows = [request.item.identity for request in creates]
        for request in ledger.requests.in_flight(rows, self._shown.values()) if self._shown else ():
            for name in (request.item.identity, request.alike):
                self._in_flight.setdefault(name, []).append(request)
        self._calls: dict[str, list[Call]] = {}
        for call in ledger.calls.on(map(str, others)) if others else ():
            self._calls.setdefault(str(call.subject), []).append(call)
        self._past: dict[Subject, list[Request]] = {}
        for request in ledger.requests.past(*others) if others else ():
            self._past.setdefault(request.item.subject, []).append(request)

    def take(self, request: Request) -> None:
        """It goes into the call that is written now."""
        if request.id in self._shown:
            self._taken.setdefault(self._shown[request.id], request)

    def facts(self, request: Request) -> Facts:
        """What is known of one of them."""
        act = act_named(request.item.act)
        values = self._of_create(request) if act.creates else self._of_subject(act, request)
        passed = act.has_passed(request.item, self._now)
        return replace(self._base, passed=passed, **values)

    def _of_create(self, request: Request) -> dict[str, Any]:
        judged, alike = self._verdicts[request.id]
        shown = self._shown[request.id]
        others = [*self._in_flight.get(request.item.identity, ()), *self._in_flight.get(shown, ())]
        if shown in self._taken:
            others.append(self._taken[shown])
        if alike is None and others:
            own = [other for other in others if other.item.identity == request.item.identity and other.id != request.id]
            alike = (
                Reason("alike_in_flight", row=request.item.label[:40]) if own else match.looks_like(request, (), others)
            )
        shared = self._shared
        listed = shared.readings.listed if shared.accounts_read else None
        hidden, first = self._hidden()
        return {
            "hidden": hidden,
            "first_tells": first,
            "makes": True,
            "listed": None if listed is None else listed.at,
            "judged": judged,
            "alike": shared.named(alike),
            "unusable": shared.why_unusable(request.item),
        }

    def _hidden(self) -> tuple[Reason | None, float | None]:
        """Why marks can't be found in lists, and until when a first create may tell, before others are sent (rule 11)."""
        seen = self._shared.ledger.seen
        match seen.lists_show_metadata:
            case None:
                tells = self._shared.ledger.requests.first_created(2 * PROOF_AFTER)
                return None, math.inf if tells is None and self._taken else tells
            case False if self._shared.readings.foreign_mark:
                return Reason("marks_of_another_ledger", post=self._shared.readings.foreign_mark), None
            case False if not self._shared.alone:
                return Reason("lists_hide_metadata"), None
        return None, None

    def _of_subject(self, act: Act, request: Request) -> dict[str, Any]:
        if request.item.subject.kind == "row":
            return {"create_in_doubt": True}
        shared, subject = self._shared, str(request.item.subject)
        calls = [call for call in self._calls.get(subject, ()) if call.id != request.call]
        busy = shared.dated(calls[0]) if calls else None
        moves = busy is None or busy.state == "sent" or (busy.state != "accepted" and self._may_go_again(busy))
        state, moment = shared.readings.of(subject)
        looked = None if busy is None else shared.readings.looked(busy, moment)
        values: dict[str, Any] = {
            "busy": busy,
            "busy_moves": moves,
            "busy_read": looked is not None and looked >= PROOF_AFTER,
        }
        if (shown := self._shown.get(request.id)) is not None:
            others = [*self._in_flight.get(shown, ()), *filter(None, [self._taken.get(shown)])]
            listed = shared.readings.listed
            values |= {
                "makes": True,
                "listed": None if listed is None else listed.at,
                "alike": shared.named(match.looks_like(request, self._alike[request.id], others)),
            }
        if act.alone and not self._binding and isinstance(state, PostState) and state.source != "single":
            moment = None  # what lists leave out decides, too
        if moment is None:
            return values
        past = self._past.get(request.item.subject, [])
        done = act.done_before(request, state, past) if state is not None else None
        forbidden = act.forbids(request.item, state, past)
        return values | {"read": moment.at, "done": done, "forbidden": forbidden, "kept": self._kept(request)}

    def _may_go_again(self, call: Call) -> bool:
        """Whether a run may still send a call again that is on the subject."""
        requests = self._shared.ledger.requests.of_call(call.id)
        return self._shared.are_wanted(requests) and self._base.now <= call.first_sent + self._shared.retention

    def _kept(self, request: Request) -> bool | None:
        """Whether the post to keep was just read as live and as requested; True for what is no duplicate's cancel (rule 19)."""
        keep = request.item.seen.get("keep")
        if not keep:
            return True
        state, moment = self._shared.readings.of(Subject("post", str(keep)))
        if moment is None or not 0 <= self._base.now - moment.at <= 10.0:
            return None
        if state is None or not (seen := match.seen_of(state, moment.at)).is_live:
            return False
        creates = self._shared.ledger.requests.bearing(filter(None, [seen.op_mark]), [str(keep)])
        wanted = {create.item.shown_hash for create in creates}
        return seen.shown is None or not wanted or seen.shown in wanted


def utc(at: float) -> datetime:
    """Seconds since the epoch as a time."""
    return datetime.fromtimestamp(at, UTC)
