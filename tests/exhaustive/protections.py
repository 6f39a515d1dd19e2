"""Protections of the new core, each removed alone: the search must find a history that breaks the promise, or it proves nothing.

A protection is a row of a table (`rules.RULES`, `rules.FITS`, `answers.CASES`, `bind.CASES`) or one fact. ``python -m
tests.exhaustive.protections [NAME …]`` says what is found without each, and that nothing is found with it.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock
from uuid import uuid4

from tests.exhaustive import model
from tests.exhaustive.model import IGNORED, LAG, LAG_FORGET, QUEUED, Case, Reading
from tests.exhaustive.search import in_events, in_words, judged, search

from voxops.acts import create, retry, update
from voxops.api.evidence import Fate
from voxops.engine import answers, bind, facts, match, polling, read, rules, send
from voxops.ledger import seen as seen_module
from voxops.ledger.calls import Calls
from voxops.ledger.ledger import Ledger
from voxops.ledger.records import Seen

Patch = Callable[[], AbstractContextManager[Any]]


# Patches of one row, and of one fact.


def constant(place, name, value):
    """A patch of one name."""
    return lambda: mock.patch.object(place, name, value)


def all_of(*patches):
    """Several patches at once."""

    @contextmanager
    def together():
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch())
            yield

    return together


def rule(name):
    """`decide` without the rows that demand this."""
    left = tuple(row for row in rules.RULES if name not in row.name)
    assert len(left) < len(rules.RULES), name
    return constant(rules, "_PLACES", rules._by_place(left))


def fit(name):
    """`fit` without the row that demands this."""
    left = tuple(row for row in rules.FITS if name not in row.name)
    assert len(left) < len(rules.FITS), name
    return constant(rules, "FITS", left)


def ending(*names):
    """`reduce` without these cases."""
    left = tuple(row for row in answers.CASES if row.name not in names)
    assert len(left) == len(answers.CASES) - len(names), names
    return constant(answers, "CASES", left)


def verdict(name, instead=None):
    """`place` without this case, or with another verdict of it."""
    assert any(row.name == name for row in bind.CASES), name
    changed = [replace(row, verdict=instead) if instead and row.name == name else row for row in bind.CASES]
    return constant(bind, "CASES", tuple(row for row in changed if instead or row.name != name))


def nothing(*_, **__):
    """Nothing is done."""


# What stands in the place of a ledger.


class _KeySavedAfterTheSend(Calls):
    """Nothing is on disk while the request is under way, and the key is made when it leaves."""

    def send(self, form, *args, **options):
        call = super().send(replace(form, key=str(uuid4())), *args, **options)
        self._set(call, "closed", None)
        return call

    def end(self, call, *args, **options):
        self._set(call, "sent", call.id)
        return super().end(call, *args, **options)

    def unsend(self, call):
        self._set(call, "sent", call.id)
        super().unsend(call)

    def _set(self, call, state, named):
        with self._store.atomic() as db:
            db.execute("UPDATE calls SET state = ? WHERE id = ?", (state, call.id))
            db.execute(
                "UPDATE requests SET call = ? WHERE outcome = '' AND id IN (SELECT request FROM call_rows WHERE call = ?)",
                (named, call.id),
            )


class KeySavedAfterTheSend(Ledger):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.calls = _KeySavedAfterTheSend(self)


def anybody(self, group, gate):
    """Whoever has decided to send sends, whatever has happened since."""
    requests = sorted(self._ledger.requests.get(group.ids).values(), key=lambda one: one.item.identity)
    subject = requests[0].item.subject
    state, _ = self._shared.readings.subjects.get(str(subject), (None, None))
    form = group.act.form([one.item for one in requests], state)
    return self._ledger.calls.send(
        form, requests, run=group.run, baseline=send._baseline(state),
        credential=self._shared.credential, now=self._shared.now,
    )  # fmt: skip


@contextmanager
def decided_before():
    """The transaction that sends does not decide again."""
    with mock.patch.object(send.Sender, "take", anybody):
        yield


@contextmanager
def any_page_speaks():
    """A page that stands in the place of an answer is taken for the API's own."""
    with (
        mock.patch.object(answers.Event, "spoken", True),
        ending("a quota or a scope, by a page", "a rate limit, by a page")(),
    ):
        yield


@contextmanager
def nothing_shown():
    """Lists show no create, and their silence proves nothing."""
    with (
        mock.patch.object(match, "posts_for", lambda *_, **__: {}),
        mock.patch.object(match, "judge", lambda *_: None),
        mock.patch.object(match, "looks_like", lambda *_: None),
        mock.patch.object(facts, "PROOF_AFTER", 1e12),
    ):
        yield


def status_trusted(target, *_):
    """A terminal status settles before the post has moved."""
    return {"failed": Fate.FAILED, "published": Fate.SUCCEEDED}.get(target.status, Fate.MOVING)


def own_calls_only(self, calls, subjects=()):
    """The open calls that a run of this kernel may send again, and no others'."""
    self._take_of_all([call for call in calls if self._sends(call.id)], subjects)


@contextmanager
def others_calls_unread():
    with (
        mock.patch.object(polling.OpenCalls, "_take_of_all", polling.OpenCalls.take, create=True),
        mock.patch.object(polling.OpenCalls, "take", own_calls_only),
    ):
        yield


def metadata_unchecked(item, state):
    """The metadata that a named change writes, whether or not the reading shows every mark whole."""
    shown = dict(state.metadata or {})
    if not item.seen.get("change") or not shown:
        return None
    before = shown.get("voxopsChanges", {})
    marks = {
        update.keys.change_mark(item.seen["change"], name, state.post_id): update.keys.value_mark(value)
        for name, value in (item.body or {}).items()
    }
    return {**shown, "voxopsChanges": {**before, **marks}}


def fit_for_everybody(frame, names, meant):
    """Rows that look like each other are let into one plan."""
    rows = create.sheet_rows(frame)
    judged = create.errors_of_all(rows, names, [True] * len(rows))
    return [(row, errors[0].reason if errors else None) for row, errors in zip(rows, judged, strict=True)]


@dataclass(frozen=True)
class Removal:
    """A protection, and the universe in which its absence shows.

    `shortest` is the shortest history that breaks the promise, from its opening; where there is none, tests of its own guard it.
    `standing` is what else is taken away, with the protection in place too: a second line of defence shows only without the first.
    `unsettled` says that what is told wrongly, or left open, counts as well.
    """

    name: str
    shortest: str
    case: Case
    depth: int
    patch: Patch = nullcontext
    standing: Patch = nullcontext
    unsettled: bool = True


def calm(act, **how):
    """A case in which everything is well, and nobody does anything else."""
    return Case(act, people=False, **{"fates": ("ok",), **how})


slept = constant(send, "LEAVES_WITHIN", 1e9)
AT_ONCE = all_of(constant(rules, "resend_after", lambda _: 0.0), constant(polling, "resend_after", lambda _: 0.0))
ONE, TWO = Case("create"), Case("create", rows=2, people=False)
RETRY = Case("retry")
FEW = ("ok", "lost", "500 before")

REMOVALS = (
    # Those of the first core that still have a counterpart.
    Removal("an open row is joined", "run 0; run 0",
        ONE, 2, verdict("open", lambda known: bind.New(bind._next(known))), rule("no other live post")),
    Removal("one open call per post", "run 0; edit; run 0", RETRY, 3, rule("no open call of another request")),
    Removal("key and “sent” are on disk before the send", "run 0; run 0", RETRY, 3, constant(model, "Ledger", KeySavedAfterTheSend)),
    Removal("the transaction that sends decides again", "hold 0; run 0; restart",
        calm("retry", kernels=2, reading=IGNORED, opening="hold 0", runs=1), 4, decided_before),
    Removal("a resend waits for 75 s, or 135 s", "run 0; meet 0 slow",
        Case("retry", reading=IGNORED), 3, AT_ONCE),
    Removal("a resend waits until lists show", "run 0; meet 0 500 after",
        Case("create", reading=LAG_FORGET), 2, AT_ONCE),
    Removal("retention, where lists show nothing", "run 0; night",
        ONE, 2, fit("remembers its key"), nothing_shown, unsettled=False),
    Removal("the mark: what is there is read before creates are sent", "run 0; meet 0 ok; other ledger; run 1",
        calm("create", ledgers=2, reading=IGNORED, at_once=False, fates=FEW, runs=1), 4, rule("no live or withdrawn post")),
    Removal("the mark's body", "run 0; meet 0 ok; other ledger; run 1 changed",
        Case("create", ledgers=2, fates=FEW, runs=1), 4, constant(Seen, "is_as_requested", lambda *_: True)),
    Removal("absence is proof only after five minutes", "run 0; meet 0 500 after",
        Case("create", reading=LAG_FORGET), 2,
        all_of(constant(facts, "PROOF_AFTER", 0.0), constant(rules, "PROOF_AFTER", 0.0))),
    Removal("only the API's own word says that nothing happened", "run 0; meet 0 page",
        Case("retry", reading=IGNORED), 2, any_page_speaks),
    Removal("the baseline: a status counts only as evidence of this try", "run 0; edit; run 0",
        Case("retry", reading=Reading(linger=30.0), fates=("ok",)), 5, constant(retry, "fate_of", status_trusted)),
    Removal("whoever slept does not send", "doze 0; run 0; restart; doze 1; wait 320.0",
        calm("retry", kernels=2, reading=IGNORED, opening="doze 0", fates=("ok", "lost"), runs=1), 4, slept),
    # Rows of `decide`.
    Removal("a reading settles what it shows", "run 0; kill 0", ONE, 2, rule("a reading settles it")),
    Removal("a reading proves that there was no effect", "run 0; meet 0 partial",
        replace(TWO, reading=LAG), 2, rule("a reading proves that it had no effect")),
    Removal("what is open is not sent anew", "run 0; meet 0 lost; night",
        Case("retry", reading=IGNORED), 3, rule("nothing else is known of it")),
    Removal("a paused run sends nothing", "hold 0; run 0; pause 0; let go 0",
        calm("create", more=("pause",), opening="hold 0", runs=1), 4, rule("its run is not paused")),
    Removal("the list was read just before", "hold 0; run 0; other ledger; run 1; meet 0 ok; wait 100.0; let go 0",
        calm("create", ledgers=2, reading=IGNORED, runs=0, begin="let go 0",
             opening="hold 0; run 0; other ledger; run 1; meet 0 ok; wait 100.0"), 2, rule("the list was read")),
    Removal("the subject was read just before", "hold 0; run 0; wait 320.0; other ledger; run 1; meet 0 ok; let go 0",
        calm("retry", ledgers=2, reading=IGNORED, runs=0, begin="let go 0",
             opening="hold 0; run 0; wait 320.0; other ledger; run 1; meet 0 ok"), 2, rule("its subject was read")),
    Removal("no live post looks like it", "run 0; run 0 renamed",
        Case("create", more=("renamed",), fates=FEW), 3, rule("no other live post")),
    Removal("a change is made once under its name", "run 0; meet 0 ok; other ledger; run 1",
        calm("move", ledgers=2, at_once=False, runs=1), 4, rule("not already as requested")),
    Removal("unchanged since it was loaded", "load; write; run loaded 0",
        Case("update", more=("load", "write"), fates=("ok",), runs=0, begin="load"), 4,
        rule("unchanged since it was loaded")),
    Removal("its time lies ahead", "hold 0; run 0; wait 320.0",
        calm("create", soon=frozenset({0}), opening="hold 0"), 3, rule("its time lies ahead")),
    Removal("the post to keep is live and as requested", "run 0; other ledger; run 1; meet 0 ok; meet 0 ok; forgive; load copies 0; delete; run loaded 0",
        Case(
            "create", ledgers=2, reading=IGNORED, more=("load copies",), fates=("ok",), runs=0, begin="load copies 0",
            only=("run loaded", "delete", "meet"), opening="run 0; other ledger; run 1; meet 0 ok; meet 0 ok; forgive",
        ), 4, rule("the post to keep is live")),
    # Rows of `fit`.
    Removal("no row has left what is sent again", "run 0; meet 0 partial",
        replace(TWO, reading=LAG_FORGET, fates=("ok", "partial")), 2, fit("all its rows are still in it")),
    Removal("no post may be a row of what is sent again", "run 0; meet 0 500 after; write",
        Case("create", reading=Reading(metadata=False, forget_on_5xx=True), more=("write",), fates=("500 after", "ok")), 3, fit("no post without a mark could be one of its rows")),
    Removal("every row of what is sent again is wanted", "run 0; kill 0; another; run 0 part; meet 0 lost",
        calm("create", rows=2, more=("part", "another"), last=True, fates=("lost",), runs=1), 5, fit("every row is wanted")),
    Removal("no time has passed of what is sent again", "run 0; meet 0 lost; wait 100.0; kill 0",
        calm("create", soon=frozenset({0}), fates=("lost",), runs=1), 4, fit("none of its scheduled times")),
    Removal("what is sent again goes out under the same API key", "run 0; kill 0; other key",
        calm("retry", reading=QUEUED, more=("other key",), fates=("unanswered",), runs=1), 5, fit("the API key is the one that sent it first")),
    Removal("no other post stands for a row of what is sent again", "run 0; meet 0 lost; kill 0; other ledger; run 0 changed",
        Case("create", ledgers=2, fates=("ok",), runs=0, opening="run 0; meet 0 lost; kill 0", begin="other ledger"), 4,
        fit("no other post has the mark")),
    # Cases of `reduce`.
    Removal("a 2xx that means queued is no end", "run 0",
        Case("retry", reading=replace(QUEUED, ignore_keys=True), fates=("ok",), only=("meet",)), 2, ending("a 2xx that means queued")),
    Removal("a rate limit by a page", "run 0; meet 0 page 429",
        Case("retry", reading=IGNORED, fates=("ok", "page 429")), 3, ending("a rate limit, by a page")),
    Removal("a rate limit in the middle of a batch", "run 0; meet 0 429 middle",
        replace(TWO, reading=LAG, fates=("ok", "429 middle")), 3, ending("a rate limit, in the middle of a batch perhaps")),
    Removal("a quota in the middle of a batch", "run 0; meet 0 402 middle",
        replace(TWO, reading=LAG, fates=("ok", "402 middle")), 3,
        ending("a quota or a scope, in the middle of a batch perhaps")),
    Removal("an ambiguous status", "run 0; meet 0 500 after", Case("create"), 3, ending("an ambiguous status")),
    Removal("a refusal by a page", "run 0; meet 0 page 400",
        Case("create", fates=("ok", "page 400")), 2, ending("a refusal by a page")),
    # Cases of `bind`.
    Removal("undone stays undone", "hold 0; run 0; undo 0; run 0",
        replace(TWO, bulk=1, more=("undo",), fates=("ok",), opening="hold 0"), 4,
        verdict("undone, or not there", lambda _: bind.Renew())),
    # Facts, and what the tables do not say.
    Removal("what an answer names is confirmed by the mark", "run 0; meet 0 swapped",
        replace(TWO, fates=("ok", "swapped")), 2, all_of(constant(read, "confirm", nothing))),
    Removal("answers are remembered as seen", "run 0; run 0 renamed",
        calm("create", more=("renamed",), reading=LAG), 3, constant(send.Sender, "_remember", nothing)),
    Removal("a list replaces what a single read showed only 75 s later", "",
        Case("create", more=("again", "still"), reading=LAG, fates=("ok",), waits=(320.0,), runs=1), 6,
        constant(seen_module, "_NEWER", "1")),
    Removal("whoever loops reads for every open call", "",
        calm("create", rows=2, more=("part", "another"), last=True, fates=("unanswered", "lost"), runs=1), 5, others_calls_unread),
    Removal("what is taken counts as under way", "run 0",
        replace(TWO, equal=True, fates=("ok",)), 2, constant(facts.Unsent, "take", nothing),
        constant(create, "_fit_rows", fit_for_everybody)),
    Removal("no more than 15 s pass between commit and send", "doze 0; run 0; wait 60.0; other ledger; run 1 part; meet 0 ok; wake 0",
        calm("create", rows=2, ledgers=2, runs=0, begin="wake 0",
             opening="doze 0; run 0; wait 60.0; other ledger; run 1 part; meet 0 ok"), 2, slept),
    Removal("retries are never formed anew while they are open", "",
        calm("retry", targets=2, reading=QUEUED, more=("filtered",), fates=("unanswered", "lost"), runs=1), 5,
        all_of(constant(retry.Retry, "reverts", True), constant(retry.Fix, "reverts", True))),
    Removal("a change that a reading finds undone is released", "run 0; meet 0 lost; night",
        calm("update", more=("cancel", "another"), last=True, fates=("lost",), runs=1), 5, constant(update.Update, "reverts", False)),
    Removal("who waits for an unknown act is blocked after ten minutes", "run 0; edit; run 0",
        Case("retry", reading=Reading(linger=3600.0), fates=("ok",), runs=2), 3, constant(rules, "STUCK_AFTER", rules.STUCK_AFTER * 1e4)),
    Removal("an undo stands in the ledger", "hold 0; run 0; undo 0",
        replace(TWO, bulk=1, more=("undo",), fates=("ok",), opening="hold 0"), 4,
        constant(bind.Binder, "_undo", lambda *_: None)),
    Removal("a named change counts what may have left before", "run 0; meet 0 unanswered; night; set time; run 0",
        calm("move", more=("set time",), fates=("unanswered",), waits=(320.0,)), 5,
        constant(update, "_values_before", lambda *_: ({}, set()))),
    Removal("a named change writes its mark", "run 0; meet 0 ok; other ledger; run 1",
        calm("move", ledgers=2, reading=IGNORED, at_once=False, runs=1), 5, constant(update, "_metadata", lambda *_: None)),
    Removal("a mark is never wiped", "run 0",
        calm("move", reading=Reading(masked=True), runs=1), 2, constant(update, "_metadata", metadata_unchecked)),
    Removal("creates are blocked where lists hide metadata", "run 0; meet 0 ok; other ledger; write; run 1",
        calm("create", ledgers=2, more=("write",), reading=Reading(list_metadata=False, ignore_keys=True), at_once=False, runs=1), 5,
        rule("lists show the metadata")),
)  # fmt: skip


@contextmanager
def taken_away(removal, *, removed):
    """Without what stands beside a protection, and without that itself if it is `removed`."""
    with removal.standing(), removal.patch() if removed else nullcontext():
        yield


def wrong(removal, *, removed):
    """What is wrong with a protection's shortest history, where it is removed and where it is not."""
    with taken_away(removal, removed=removed):
        return judged(replace(removal.case, opening=""), in_events(removal.shortest), unsettled=removal.unsettled)


def searched(removal, *, removed):
    """Search without a protection, which must find a history, or with it, which must find nothing."""
    with taken_away(removal, removed=removed):
        return search(removal.case, removal.depth, unsettled=removal.unsettled)


def main():
    """Say what is found without each protection, and that nothing is found with it; 1 if that is not what its row says."""
    warnings.simplefilter("ignore", ResourceWarning)
    names, good = sys.argv[1:], True
    for removal in REMOVALS:
        if names and not any(name in removal.name for name in names):
            continue
        begun = time.process_time()
        found, held = searched(removal, removed=True), searched(removal, removed=False)
        good = good and bool(found.wrong) == bool(removal.shortest) and not held.wrong
        said = "not found"
        for history, problems in found.wrong:
            said = f"{in_words((*in_events(removal.case.opening), *history))}: {'; '.join(problems)}"
        print(f"{removal.name}: {said} [{found.histories}]", flush=True)
        for history, problems in held.wrong:
            print(f"    WITH IT: {in_words(history)}: {'; '.join(problems)}", flush=True)
        print(f"    control: {held.histories} histories, {time.process_time() - begun:.0f} s", flush=True)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
