"""What an analyst wants once (`Item`, `Request`), and the acts: an act has everything in which two requests differ.

A new act is one module with a planner and a subclass, and one line in `table`; the engine names no act. Nothing here reads or sends:
states, answers and evidence are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias

from voxops._support.canonical import canonical
from voxops.acts import keys
from voxops.api.error_bodies import bears_error
from voxops.api.evidence import Attempted, Baseline, same_text, same_time, untouched
from voxops.api.reasons import Reason
from voxops.api.states import PostState
from voxops.model import Outcome

BULK = "/v1/posts/bulk"  # the one call whose rows are those of a chunk


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: a ``post``, a ``delivery`` with its webhook as parent, or a ``row``, whose post does not exist yet."""

    kind: str
    id: str
    parent: str = ""

    @classmethod
    def parse(cls, text: str) -> Subject:
        """The subject that a ledger stores as `text`."""
        kind, parent, name = text.split(":", 2)
        return cls(kind, name, parent)

    def __str__(self) -> str:
        return f"{self.kind}:{self.parent}:{self.id}"


@dataclass(frozen=True, slots=True)
class Item:
    """One eligible row of a plan.

    Attributes
    ----------
    row : int
        Position in ``plan.frame``.
    act : str
        Name of the act; a plan may hold several.
    identity : str
        What the row is. It never changes: the same failure, or the same row of the same campaign, has the same identity.
    attempt : int
        Number of the deliberate attempt, from 1.
    subject : Subject
        What the act changes.
    path, method : str
        The call. A fix names its target as ``platform~account``, because lists show no target ids.
    seen : mapping
        The state as the frame showed it, JSON values only: the episode of a failure (rule 4), or what a create is.
    body : mapping or None
        What is requested, without marks. For a create: content, accountIds, scheduledFor and so on.
    platform, account : str
        For finding the target again; ``""`` where it does not apply.
    cause : str
        Group for canaries.
    """

    row: int
    act: str
    identity: str
    attempt: int
    subject: Subject
    path: str
    seen: Mapping[str, Any]
    body: Mapping[str, Any] | None = None
    method: str = "POST"
    platform: str = ""
    account: str = ""
    cause: str = ""

    @property
    def label(self) -> str:
        """Its name for people: the row of a create, else the subject's id."""
        return str(self.seen.get("row", self.subject.id))

    @property
    def group(self) -> str:
        """Items of a chunk with the same group share a call."""
        return BULK if self.path == BULK else f"{self.subject} {self.path}"

    @property
    def requested(self) -> Mapping[str, Any]:
        """What is requested, by field; empty for an act without a body."""
        return self.body or {}

    @property
    def campaign(self) -> str:
        """The campaign of a create; ``""`` for other acts."""
        return str(self.seen.get("campaign", ""))

    @property
    def campaign_as_written(self) -> str:
        """The campaign of a create as its sheet names it."""
        written = str((self.seen.get("people") or {}).get("campaign", self.campaign))
        return written if keys.campaign_name(written) == self.campaign else self.campaign

    @property
    def creates(self) -> bool:
        """Whether it creates a post."""
        return "campaign" in self.seen

    @property
    def named_accounts(self) -> list[str]:
        """The accounts of a create that are named, as ``platform:@name``, and not by their ids."""
        return [name for name in self.requested.get("accountIds", ()) if ":" in name]

    @property
    def media_ids(self) -> list[str]:
        """The media of a create by their ids; a request names uploaded ones by hash or address, because laptops differ in the ids."""
        ids = self.seen.get("media") or {}
        return [ids.get(name, name) for name in self.requested.get("media", ())]

    @property
    def row_mark(self) -> str:
        """The mark of any attempt at this create."""
        return keys.row_mark(self.campaign, self.label)

    @property
    def asked_hash(self) -> str:
        """Fingerprint of all that this create requests."""
        return keys.asked_hash(self.requested)

    @property
    def shown_hash(self) -> str:
        """Fingerprint of what the post of this create shows."""
        return keys.shown_of_body(self.requested)

    @property
    def mark(self) -> str:
        """The mark of this attempt at this create."""
        return keys.mark(self.campaign, self.label, self.attempt)


@dataclass(frozen=True, slots=True)
class Form:
    """One HTTP request for one or more items: its bytes, and the key that they give."""

    method: str
    path: str
    body: bytes | None
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that an analyst wants once, as the ledger keeps it, whatever run wanted it.

    `outcome` is pending until evidence settles it as succeeded or failed, which is final; unknown where its call's end is. `reason` says why
    it is blocked. `seen` is the state that settled it, `position` its place in its call, `asked` the attempt in the analyst's frame.
    `confirmed`: a reading has shown the mark on the post of a create. `alike` is the hash of what a post would show. `alone`: it goes in
    a call of its own, because a batch with it was refused. `page` is the status under which a proxy's page refused it.
    """

    id: int
    item: Item
    outcome: Outcome = Outcome.PENDING
    reason: Reason | None = None
    error_code: str | None = None
    error_message: str | None = None
    result_id: str | None = None
    seen: Mapping[str, Any] | None = None
    settled_at: float | None = None
    asked: int = 1
    position: int = 0
    call: int | None = None
    confirmed: bool = False
    alike: str | None = None
    alone: bool = False
    page: int | None = None

    @property
    def is_decided(self) -> bool:
        """Whether it is settled, or blocked until a person has looked at it."""
        return self.outcome.final or self.outcome is Outcome.BLOCKED

    @property
    def is_unsent(self) -> bool:
        """Whether it waits to be sent, and no call answers for it."""
        return self.call is None and self.outcome is Outcome.PENDING


def settled(request: Request, outcome: Outcome, **result: Any) -> Request:
    """The request with its final outcome."""
    return replace(request, outcome=outcome, reason=None, **result)


def blocked(request: Request, reason: Reason) -> Request:
    """The request, which a person must look at."""
    return replace(request, outcome=Outcome.BLOCKED, reason=reason)


About: TypeAlias = Literal["post", "delivery", "create"]
Requests: TypeAlias = Sequence[Request]
Row: TypeAlias = Mapping[str, Any]  # of a frame, as plain values
Judged: TypeAlias = tuple[Reason, Item | None]  # why a row of a frame is sent, and its item; or why it is not

TIMES = frozenset({"updated_at", "delivered_at", "scheduled_for"})  # lists may cut them to the second
MESSAGES = frozenset({"error_message", "error"})  # lists may cut them to any length
# Messages that a CSV file loses (rule 5).
_MISSING = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "none", "null"})


class Act:
    """One kind of act.

    Attributes
    ----------
    name, verb : str
        As plans, runs and ledgers call it, and as people do.
    about : str
        How its subject is read: ``post``, ``delivery``, or ``create`` for what does not exist yet.
    place : str
        Method and path of its calls, with what the subject puts in place; ``*`` stands for a target.
    alone : bool
        Whether its subject is read separately just before it is sent.
    sends : bool
        Whether it makes a post go out, so that a post in flight is a sign of it.
    reverts : bool
        Whether a reading begun 300 s after a try that shows nothing done proves that nothing was.
    bulk : bool
        Whether the rows of a chunk share a call.
    answers : frozenset of str
        Fields of which a decoded 2xx has one.
    gone : Reason
        Why it is blocked where its subject does not exist.
    keeps_old_errors : bool
        Whether a failed row keeps the error that it was planned by, where the attempt brought none of the API's own.
    creates : bool
        Whether it makes posts that do not exist yet.
    parts : tuple of str
        Of a plan of several acts, the values of its column ``act`` in the order in which they are shown; empty for others.
    """

    name: ClassVar[str]
    verb: ClassVar[str]
    about: ClassVar[About] = "post"
    place: ClassVar[str]
    alone: ClassVar[bool] = False
    sends: ClassVar[bool] = True
    reverts: ClassVar[bool] = False
    bulk: ClassVar[bool] = False
    answers: ClassVar[frozenset[str]] = frozenset({"id", "status", "success"})
    keeps_old_errors: ClassVar[bool] = False
    parts: ClassVar[tuple[str, ...]] = ()
    creates: ClassVar[bool] = False
    gone: ClassVar[Reason] = Reason("post_gone")

    def item(self, row: Row, subject: Subject, identity: str, seen: Row, **details: Any) -> Item:
        """The item of a row of a frame, as `plan.plain_rows` reads it."""
        target = f"{row.get('platform')}~{row.get('account_id')}"
        method, path = self.place.replace("*", "{1}").format(subject, target).split(" ", 1)
        return Item(row["number"], self.name, identity, row["attempt"], subject, path, seen, method=method, **details)

    def form(self, items: Sequence[Item], state: PostState | None = None, people: Row | None = None) -> Form:  # noqa: ARG002
        """The call of these items; `state` is the post as just read, None while planning.

        `people` is the metadata field of ``owner`` or ``campaign``; no key and no mark has it, because laptops may differ in it.
        """
        first = items[0]
        return Form(first.method, first.path, None if first.body is None else canonical(first.body), key_of(items))

    # Before it is sent.

    def is_own(self, method: str, path: str, subject: Subject) -> bool:
        """Whether a call is one of this act on a subject: a ledger that was changed by hand is no licence for others."""
        place = re.escape(self.place.format(subject)).replace(r"\*", "[^/]+")
        return re.fullmatch(place, f"{method} {path}") is not None

    def forbids(self, item: Item, state: Any, past: Requests) -> Reason | None:
        """Why the present state of its subject forbids the act (rule 2); `state` is None for one that does not exist.

        `past` are requests of this ledger on the subject that may have left, the oldest first; also in `done_before`.
        """
        return self.gone if state is None else self.why_not(item, state, past)

    def why_not(self, item: Item, state: Any, past: Requests) -> Reason | None:  # noqa: ARG002
        """Why the state of a subject that exists forbids the act."""
        return None

    def done_before(self, request: Request, state: Any, past: Requests) -> Request | Reason | None:  # noqa: ARG002
        """The request settled, where its subject is as requested or it is too late, or why it must not be done once more (rule 5)."""
        return None

    def covers(self, items: Sequence[Item], state: Any) -> Reason | None:  # noqa: ARG002
        """Why a call would act on more than these items; None if it would not (rule 3)."""
        return None

    def has_passed(self, item: Item, now: datetime) -> bool:
        """Whether the requested time has passed, so that the post would go out immediately (rule 6)."""
        when = item.requested.get("scheduledFor")
        return when is not None and datetime.fromisoformat(when) <= now

    # Its answer.

    def decodes(self, data: Any) -> bool:
        """Whether a 2xx has the shape of its row; one that has not proves nothing (rule 12)."""
        return isinstance(data, Mapping) and bool(self.answers & data.keys())

    def is_of_another(self, requests: Requests, path: str, data: Row) -> bool:  # noqa: ARG002
        """Whether an answer names another subject, as where a proxy has mixed up two answers."""
        return False

    def settle_answer(self, requests: Requests, data: Any, *, first: bool) -> list[Request]:  # noqa: ARG002
        """Requests that a 2xx settles without a reading; `first` says that no earlier try can have had an effect."""
        return []

    def settle_refusal(self, requests: Requests, data: Any) -> list[Request]:  # noqa: ARG002
        """Requests that a refusal settles or blocks one by one; none where it refuses all alike."""
        return []

    # What a reading shows of it.

    def shows_nothing(self, requests: Requests, state: Any, baseline: Baseline | None) -> bool:  # noqa: ARG002
        """Whether a subject shows no sign at all of the act: only this lets an unknown one be sent again (rule 9)."""
        return untouched(state, baseline)

    def settle_reading(self, requests: Requests, state: Any, tried: Attempted, reply: Any = None) -> list[Request]:  # noqa: ARG002
        """Requests that the present state of the subject settles or blocks, or that are pending for a reason.

        `reply` is the answer to an accepted try.
        """
        return []

    # Afterwards.

    def failed_rows(self, rows: Any, stuck: Sequence[bool]) -> Any:  # noqa: ARG002
        """The failed rows of a run as the frame that its planner takes; `stuck` says which have never ended."""
        return rows

    def replan(self, failed: Any, *, key: str, campaign: str) -> Any:  # noqa: ARG002
        """A plan of the next attempt at failed rows; None where there is none."""
        return None


class PostAct(Act):
    """An act on a post that exists."""

    def decodes(self, data: Any) -> bool:
        """The post, or what is queued of it; a 2xx that bears an error is neither."""
        return super().decodes(data) and not bears_error(data)

    def why_not(self, item: Item, state: PostState, past: Requests) -> Reason | None:  # noqa: ARG002
        """Block what has changed since the frame was loaded."""
        return changed_since_loaded(item.seen, state)

    def is_of_another(self, requests: Requests, path: str, data: Row) -> bool:  # noqa: ARG002
        """The post is named in the path."""
        return data.get("id") not in (None, path.split("/")[3])

    def settle_reading(
        self,
        requests: Requests,
        state: PostState,
        tried: Attempted,
        reply: Any = None,  # noqa: ARG002
    ) -> list[Request]:
        """Each request separately."""
        return list(filter(None, (self.became(request, state, tried) for request in requests)))

    def became(self, request: Request, state: PostState, tried: Attempted) -> Request | None:
        """The request as the present state of the post settles or blocks it, or with why it waits; None where the state proves nothing."""
        raise NotImplementedError


def key_of(items: Sequence[Item]) -> str:
    """The key of one call for these items: what is requested, identities and attempts, in the order of identities (rule 8)."""
    rows = sorted(items, key=lambda item: item.identity)
    names = [[item.identity, item.attempt] for item in rows]
    return keys.stable_key(rows[0].method, rows[0].path, [item.body for item in rows], names)


def changed_since_loaded(seen: Row, state: PostState, *ignored: str) -> Reason | None:
    """Why a row is blocked whose post or target differs from what the frame showed; None if it does not."""
    names = ("updated_at", "scheduled_for", "content")
    now = {"post_status": state.status} | {name: getattr(state, name) for name in names}
    if "platform" in seen:
        target = state.target(seen["platform"], seen["account_id"])
        if target is None:
            return Reason("changed_since_loaded", fields="target")
        now |= {name: getattr(target, name) for name in ("status", "error_code", "error_message")}
    return differing({name: value for name, value in seen.items() if name not in ignored}, now)


def differing(seen: Row, now: Row) -> Reason | None:
    """Why a row is blocked if a field differs from what the frame showed; None if none does."""
    names = sorted(name for name, value in now.items() if name in seen and not _same(name, seen[name], value))
    return Reason("changed_since_loaded", fields=", ".join(names)) if names else None


def _same(name: str, seen: Any, now: Any) -> bool:
    """Whether a field is as it was seen: lists and files may cut times and messages, and lose a message that reads like none."""
    if name in TIMES:
        return same_time(seen, now)
    if name == "content":
        return seen is None or same_text(seen, now)
    if name in MESSAGES:
        return same_text(_message(seen), _message(now))
    return bool(seen == now)


def _message(text: str | None) -> str | None:
    """A message, None for one that reads like a missing value."""
    return None if text is None or text.strip().lower() in _MISSING else text
