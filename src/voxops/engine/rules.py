"""May this request be sent, and may this call? `decide` and `fit`, each an ordered table; the first row that has something to say wins.

Both are pure. They apply when a plan is bound, when the loop looks for work, in the transaction that writes a call as sent, and
after a reading. `docs/explanation/exactly-once.md` is generated from the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from voxops.acts.act import Request
from voxops.api.limits import (
    CLEARED_FOR,
    CREATES_CLEARED_FOR,
    CREATES_FRESH_FOR,
    FRESH_FOR,
    PROOF_AFTER,
    RESEND_ANSWERED,
    RESEND_UNANSWERED,
    STUCK_AFTER,
    WATCH_FOR,
)
from voxops.api.reasons import Reason
from voxops.ledger.records import Call
from voxops.model import Outcome

What = Literal["subject", "list"]  # one post or delivery; what is new in the list
State = Literal["open", "unsent", "settled"]

PATIENCE = 5.0  # seconds until what waits for a reading is looked at again
RESENDS = 6  # tries of a row in one run without a usable answer, in whichever call; after them it waits for a resume


@dataclass(frozen=True, slots=True)
class Send:
    """It may be sent."""


@dataclass(frozen=True, slots=True)
class Read:
    """It must be read, by a reading that begins at this instant or later."""

    what: What
    since: float


@dataclass(frozen=True, slots=True)
class Wait:
    """It waits, until an instant where one is known; `holds` says that it moves without a person, so that ``run.wait()`` waits for it."""

    reason: Reason
    until: float | None = None
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """A person must change something first."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Settle:
    """Evidence settles it."""

    request: Request


@dataclass(frozen=True, slots=True)
class Release:
    """It is proved to have had no effect, and unsent again."""


Decision = Send | Read | Wait | Block | Settle | Release


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one request.

    Attributes
    ----------
    now : float
        Server time.
    call : Call or None
        The open call that answers for it.
    looked : float or None
        Seconds at the least from the end of its call's last try to the beginning of the reading; None where none began after it.
    became : Request or None
        What a reading makes of it: settled, blocked, or pending with what it moves as.
    absent : bool
        Whether a reading proves that it had no effect.
    doubtful : Reason or None
        Why nobody can tell whether it took effect: a post may be it, or its subject was changed since.
    resends : bool
        Whether its call may be sent again once it is due; see `fit`.
    stopped : Reason or None
        Why no run that wants it sends.
    create_in_doubt : bool
        Whether it is about a create in doubt.
    busy : Call or None
        An open call of another request on its subject.
    busy_moves, busy_read : bool
        Whether a run may send that call again; whether a reading has looked at it that could prove its end.
    taking : bool
        Whether this is the transaction that sends: readings may be a little older then.
    read, listed : float or None
        When the reading of its subject, or of the list, began.
    forbidden : Reason or None
        What its act says of the subject as it was read.
    done : Request or Reason or None
        What its act says exists already, or was done under this name.
    hidden : Reason or None
        Why its mark could not be found in lists, which hide metadata.
    first_tells : float or None
        Until when another create of this ledger may tell what lists show, by its post; None where none is awaited.
    judged : Request or Reason or None
        What posts that bear a mark of its row make of it, or why they forbid it.
    makes : bool
        Whether it makes what a reader sees: a create, or a change of text, time or accounts.
    alike : Reason or None
        Another post, or another row, that shows the same accounts, minute and text.
    run_acts : bool
        Whether other acts of its run may yet free it: a change, or a withdrawal, that is not settled.
    kept : bool or None
        Of the cancel of a duplicate, whether the post to keep was just read as live and as requested; None where it must be read.
    unusable : Reason or None
        Why an account is not known or can't publish, or a medium does not exist or is not ready.
    passed : bool
        Whether its time has passed.
    """

    now: float
    call: Call | None = None
    looked: float | None = None
    became: Request | None = None
    absent: bool = False
    doubtful: Reason | None = None
    resends: bool = False
    stopped: Reason | None = None
    create_in_doubt: bool = False
    busy: Call | None = None
    busy_moves: bool = True
    busy_read: bool = True
    taking: bool = False
    read: float | None = None
    listed: float | None = None
    forbidden: Reason | None = None
    done: Request | Reason | None = None
    hidden: Reason | None = None
    first_tells: float | None = None
    judged: Request | Reason | None = None
    makes: bool = False
    alike: Reason | None = None
    run_acts: bool = False
    kept: bool | None = True
    unusable: Reason | None = None
    passed: bool = False


Guard = Callable[[Request, Facts], Decision | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of `decide`.

    Attributes
    ----------
    numbers : str
        The rules that demand it.
    about : str
        ``all``, or what it is asked of: ``create``, ``post``, ``delivery``.
    state : str
        ``open`` (in a call that answers for it), ``unsent`` or ``settled``.
    name : str
        What must hold.
    guard : callable
        What it says; None where it has nothing to say.
    without : str
        The history that breaks without it.
    """

    numbers: str
    about: str
    state: State
    name: str
    guard: Guard
    without: str = ""


# Evidence, of what is open.


def _settled_by_evidence(_: Request, facts: Facts) -> Decision | None:
    became = facts.became
    if became is not None and became.outcome.final:
        return Settle(became)
    return Block(became.reason) if became is not None and became.outcome is Outcome.BLOCKED and became.reason else None


def _proved_absent(_: Request, facts: Facts) -> Decision | None:
    return Release() if facts.absent else None


def _in_flight(_: Request, facts: Facts) -> Decision | None:
    call = facts.call
    if call is None or call.state != "sent":
        return None
    return Wait(Reason("being_sent"))


def _moving(_: Request, facts: Facts) -> Decision | None:
    call, became = facts.call, facts.became
    if call is None or became is None or became.reason is None:
        return None
    waits = became.reason.code == "post_waits"  # for a person or a later time (rule 14)
    late = facts.now - call.end > WATCH_FOR
    return Wait(became.reason if not late else Reason("never_ended"), holds=not (waits or late))


def _accepted(_: Request, facts: Facts) -> Decision | None:
    call = facts.call
    if call is None or call.state != "accepted":
        return None
    if facts.looked is not None and facts.looked >= PROOF_AFTER:
        return Wait(Reason("looks_as_before"), holds=False)
    return Wait(Reason("queued"))


def _unresolved(_: Request, facts: Facts) -> Decision | None:
    """What is unknown is read for, sent again when that is due, and left once a reading of rule 11 has decided nothing."""
    call = facts.call
    if call is None:
        return None
    looked = facts.looked if facts.looked is not None else -1.0
    due = resend_after(call)
    if facts.resends and looked >= due and _just_read(facts):
        return Send()
    if looked >= PROOF_AFTER and not facts.resends:
        return Wait(facts.doubtful or call.reason or Reason("unresolved"), holds=False)
    reason = call.reason or Reason("unresolved")
    return Wait(reason, call.end + (due if looked < due else PROOF_AFTER))


def _just_read(facts: Facts) -> bool:
    """Whether the reading that allows a resend is no older than one that allows a first send."""
    read, fresh = (facts.read, CLEARED_FOR) if facts.listed is None else (facts.listed, CREATES_CLEARED_FOR)
    return read is not None and 0 <= facts.now - read <= fresh


# Whose turn it is.


def _run_sends(_: Request, facts: Facts) -> Decision | None:
    return None if facts.stopped is None else Wait(facts.stopped, holds=False)


def _create_ended(_: Request, facts: Facts) -> Decision | None:
    """What withdraws what comes of a create waits for a person: once that has ended, the cell is run again (rule 16)."""
    return Wait(Reason("create_in_doubt"), holds=False) if facts.create_in_doubt else None


def _subject_free(_: Request, facts: Facts) -> Decision | None:
    busy = facts.busy
    if busy is None:
        return None
    stuck = busy.end + STUCK_AFTER.total_seconds()
    if facts.now <= stuck:
        return Wait(Reason("subject_busy"), stuck + 1)
    if not facts.busy_read:  # as after a night
        return Wait(Reason("subject_busy"), facts.now + 1)
    return Wait(Reason("subject_busy")) if facts.busy_moves else Block(Reason("subject_unknown"))


# Reading.


def _list_read(_: Request, facts: Facts) -> Decision | None:
    if not facts.makes:
        return None
    fresh = CREATES_CLEARED_FOR if facts.taking else CREATES_FRESH_FOR
    if facts.listed is not None and 0 <= facts.now - facts.listed <= fresh:
        return None
    return Read("list", facts.now)


def _subject_read(_: Request, facts: Facts) -> Decision | None:
    fresh = CLEARED_FOR if facts.taking else FRESH_FOR
    if facts.read is not None and 0 <= facts.now - facts.read <= fresh:
        return None
    return Read("subject", facts.now)


# What exists already.


def _said(verdict: Request | Reason | None) -> Decision | None:
    if verdict is None:
        return None
    return Block(verdict) if isinstance(verdict, Reason) else Settle(verdict)


def _marks_are_shown(_: Request, facts: Facts) -> Decision | None:
    if facts.hidden is not None:
        return Block(facts.hidden)
    if facts.first_tells is None:
        return None
    # What is still in doubt then may stay so, and the cell ends.
    return Wait(Reason("first_create_tells"), facts.now + PATIENCE if facts.now < facts.first_tells else None)


def _row_is_there(_: Request, facts: Facts) -> Decision | None:
    return _said(facts.judged)


def _looks_like(_: Request, facts: Facts) -> Decision | None:
    if facts.alike is None:
        return None
    # A text that moves through thirty days meets the post of the next day, until that one has moved.
    waits = facts.alike.code == "alike_in_flight" or facts.run_acts
    return Wait(facts.alike) if waits else Block(facts.alike)


def _done_already(_: Request, facts: Facts) -> Decision | None:
    return _said(facts.done)


# What forbids it.


def _unchanged(_: Request, facts: Facts) -> Decision | None:
    return None if facts.forbidden is None else Block(facts.forbidden)


def _kept_is_live(_: Request, facts: Facts) -> Decision | None:
    if facts.kept is None:
        return Read("subject", facts.now)
    return None if facts.kept else Block(Reason("kept_is_gone"))


def _usable(_: Request, facts: Facts) -> Decision | None:
    return None if facts.unusable is None else Block(facts.unusable)


def _time_ahead(_: Request, facts: Facts) -> Decision | None:
    return Block(Reason("time_passed")) if facts.passed else None


# What is settled.


def _final(request: Request, _: Facts) -> Decision:
    return Settle(request)


RULES: tuple[Rule, ...] = (
    Rule("14", "all", "settled", "its outcome is final", _final, "a deliberate withdrawal turns succeeded rows into blocked ones"),
    Rule("11, 13", "all", "open", "a reading settles it", _settled_by_evidence,
         "a failed retry stays pending, or an existing post is created again"),
    Rule("11", "all", "open", "a reading proves that it had no effect", _proved_absent, "30 of 50 were created, and the other 20 are lost"),
    Rule("15", "all", "open", "this kernel waits for its answer", _in_flight, "a call is sent again while its answer is on the way"),
    Rule("13", "all", "open", "its subject is in flight", _moving, "a post that needs approval is waited for endlessly"),
    Rule("13", "all", "open", "it was accepted", _accepted, "a status from before the try is taken for its result"),
    Rule("9, 11", "all", "open", "nothing else is known of it", _unresolved, "a blind resend creates 30 copies"),
    Rule("16", "all", "unsent", "its run is not paused, stopped or undone", _run_sends, "resuming all open runs also resumes one that was undone: 900 posts withdrawn, yet 550 live"),
    Rule("16", "post", "unsent", "it does not withdraw the post of a create that is still in doubt", _create_ended, "voxops tries to withdraw a post that may not exist"),
    Rule("2", "all", "unsent", "no open call of another request is on its subject", _subject_free, "after a tag was edited, the same failure is retried under a second key"),
    Rule("10, 17", "all", "unsent", "the list was read within 10 s (15 s as it is sent), if it creates a post or changes text, time or accounts", _list_read, "a colleague's minute-old post is created again"),
    Rule("1", "post", "unsent", "its subject was read within 60 s (120 s as it is sent)", _subject_read, "after an hour's rate limit, a person's edit is overwritten"),
    Rule("1", "delivery", "unsent", "its subject was read within 60 s (120 s as it is sent)", _subject_read, "a delivery that arrived since is sent again"),
    Rule("11", "create", "unsent", "lists show the metadata of posts, or this is the first create, which shows whether they do", _marks_are_shown,
         "two ledgers, a night apart, lists without marks: posted twice, unreported"),
    Rule("10", "create", "unsent", "no live or withdrawn post has the mark of this row", _row_is_there, "two laptops with the same sheet: each row twice"),
    Rule("5", "all", "unsent", "its subject is not already as requested, and the name of the change (change=) was not used before", _done_already, "Run All moves each post twice"),
    Rule("2", "all", "unsent", "its post or delivery is unchanged since it was loaded", _unchanged, "a stale frame overwrites a person's edit"),
    Rule("17", "all", "unsent", "no other live post or open call has the same accounts, minute and text", _looks_like, "a misspelt campaign posts everything again"),
    Rule("19", "post", "unsent", "the post to keep is live and as requested, if this withdraws a duplicate", _kept_is_live, "the kept post was deleted: 0 of 3 live"),
    Rule("5", "create", "unsent", "its accounts can publish, and its media are ready", _usable, "a misspelt account makes the API refuse the whole batch"),
    Rule("6", "all", "unsent", "its time lies ahead", _time_ahead, "yesterday's post goes out immediately"),
)  # fmt: skip


def _by_place(rules: Sequence[Rule]) -> dict[tuple[str, State], tuple[Rule, ...]]:
    """The rows of the table that are asked of each act's subject and state."""
    states: tuple[State, ...] = ("open", "unsent", "settled")
    return {
        (about, state): tuple(rule for rule in rules if rule.state == state and rule.about in {"all", about})
        for about in ("create", "post", "delivery")
        for state in states
    }


_PLACES = _by_place(RULES)


def decide(request: Request, about: str, facts: Facts) -> Decision:
    """Return what may be done about a request: the first row of the table that has something to say, else `Send`."""
    state: State = "settled" if request.outcome.final else "unsent" if facts.call is None else "open"
    for rule in _PLACES[about, state]:
        decision = rule.guard(request, facts)
        if decision is not None:
            return decision
    return Send()


def resend_after(call: Call) -> float:
    """Seconds from the end of a try after which a reading allows a resend (rule 9)."""
    return RESEND_ANSWERED if call.answered else RESEND_UNANSWERED


# `fit`: may these requests go as one call?


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call that is to be sent.

    Attributes
    ----------
    kind : str
        ``create``, ``retry`` (one call for several targets), ``other`` or ``resend``.
    covers : Reason or None
        Why it would act on more, or less, than was chosen.
    doubtful : Reason or None
        Of a resend: why nobody can tell whether it took effect.
    left, seen, unwanted, passed, forgotten, other_key, refused, stands : bool
        Of a resend, in this order: whether a row has left it, a row was seen, no run of this kernel wants a row, or a time has passed.
        Then whether the server may have forgotten its key, another API key sent it first, its key was refused, or a row has a
        post.
    tries : int
        How often one of its rows was tried in this run without a usable answer, in whichever call.
    strange : bool
        Whether its path is none of its act on its subject, as somebody has changed the ledger by hand.
    """

    kind: str
    covers: Reason | None = None
    doubtful: Reason | None = None
    left: bool = False
    seen: bool = False
    unwanted: bool = False
    passed: bool = False
    forgotten: bool = False
    other_key: bool = False
    refused: bool = False
    stands: bool = False
    tries: int = 0
    strange: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """A row of `fit`: the rule, which calls it is asked of, what must hold, and what it says where that fails."""

    numbers: str
    of: str
    name: str
    guard: Callable[[CallFacts], Wait | Block | None]
    without: str = ""


def _is_own(facts: CallFacts) -> Wait | Block | None:
    return Block(Reason("ledger_changed_by_hand")) if facts.strange else None


def _covers(facts: CallFacts) -> Wait | Block | None:
    return None if facts.covers is None else Block(facts.covers)


def _certain(facts: CallFacts) -> Wait | Block | None:
    return None if facts.doubtful is None else Wait(facts.doubtful, holds=False)


def _never(name: str, why: Reason) -> Callable[[CallFacts], Wait | Block | None]:
    return lambda facts: Wait(why, holds=False) if getattr(facts, name) else None


FITS: tuple[Fit, ...] = (
    Fit("15", "all", "its path belongs to its act and its subject", _is_own, "a ledger that was changed by hand deletes an account"),
    Fit("3", "retry", "it acts on exactly what was chosen", _covers, "filter to one platform, retry the post: the others go out, too"),
    Fit("9", "resend", "all its rows are still in it", _never("left", Reason("resend_partly_done")), "30 of 50 were created: a blind resend creates 30 copies"),
    Fit("9", "resend", "no reading has found one of its rows", _never("seen", Reason("resend_partly_done")), "the server has forgotten the key: rows that a reading has seen are created again"),
    Fit("9", "resend", "no post without a mark could be one of its rows, and its subject is unchanged since the try", _certain,
        "lists without marks, and an edited post: sent twice"),
    Fit("9", "resend", "every row is wanted by a run that this kernel sends", _never("unwanted", Reason("resend_unwanted")), "a row deleted from the sheet goes out"),
    Fit("6", "resend", "none of its scheduled times has passed", _never("passed", Reason("resend_time_passed")), "yesterday's post goes out immediately"),
    Fit("9", "resend", "the server remembers its key", _never("forgotten", Reason("resend_key_forgotten")), "a day later, the same bytes make a second post"),
    Fit("9", "resend", "the API key is the one that sent it first", _never("other_key", Reason("resend_other_key")), "if the server keeps keys per API key, the call acts twice"),
    Fit("12", "resend", "its key was not refused", _never("refused", Reason("resend_refused")), "a request that is always refused is sent endlessly"),
    Fit("17", "resend", "no other post has the mark of one of its rows, or looks like one", _never("stands", Reason("resend_stands")), "a colleague has created the row since: it goes out twice"),
    Fit("9", "all", "it was not tried too often", lambda facts: Wait(Reason("tried_often", times=facts.tries), holds=False) if facts.tries >= RESENDS else None,
        "a server that always fails is sent the same rows endlessly"),
)  # fmt: skip


def fit(facts: CallFacts) -> Send | Wait | Block:
    """Return whether these requests may go as one call now: the first row of the table that has something to say, else `Send`."""
    for row in FITS:
        if row.of in {"all", facts.kind}:
            decision = row.guard(facts)
            if decision is not None:
                return decision
    return Send()
