"""Protections, each removed alone: the search must find a history that breaks the promise, or it proves nothing.

``python -m tests.exhaustive.protections`` writes the table of `docs/exactly-once.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

from tests.chaos.model import Reading
from tests.exhaustive.search import Case, Event, Found, search

from voxops.acts import target_act
from voxops.acts.made import Made
from voxops.api.evidence import Fate
from voxops.engine import decisions, mended, sender, settler
from voxops.engine.presence import Verdict
from voxops.ledger import Claim, Ledger
from voxops.ledger.claims import Claims
from voxops.ledger.operations import Operations

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "exactly-once.md"
BEGIN, END = "<!-- protections: written by python -m tests.exhaustive.protections -->", "<!-- end of protections -->"

KEYS_IGNORED = Reading(ignore_keys=True)
LATE_AND_FORGOTTEN = Reading(forget_on_5xx=True, lag=60.0)


class _KeySavedAfterTheSend(Claims):
    def claim(self, *args: Any, **options: Any) -> Any:
        claim = super().claim(*args, **options)
        if isinstance(claim, Claim):
            with self._store.atomic() as db:
                db.execute(
                    "UPDATE operations SET state = 'planned', tries = tries - 1, key = ? WHERE id = ?",
                    (str(uuid4()), claim.operation.id),
                )
        return claim

    def record(self, claim: Claim, **options: Any) -> bool:
        with self._store.atomic() as db:
            db.execute(
                "UPDATE operations SET state = 'sent', owner = ?, tries = tries + 1, key = ? WHERE id = ?",
                (claim.owner, claim.operation.key, claim.operation.id),
            )
        return super().record(claim, **options)


class KeySavedAfterTheSend(Ledger):
    """Nothing is on disk while the request is under way, and the key is made when it leaves."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claims = _KeySavedAfterTheSend(self, self.operations)


class _LeaseIgnored(Claims):
    def expire(self) -> int:
        with self._store.atomic() as db:
            db.execute("UPDATE operations SET lease_until = 0 WHERE state = 'sent'")
        return super().expire()

    def holds(self, claim: Claim) -> bool:
        return True


class LeaseIgnored(Ledger):
    """Whatever is sent counts as abandoned, and whoever slept may send."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claims = _LeaseIgnored(self, self.operations)


class _AnybodyClaims(Claims):
    def _refuse(self, *_: Any) -> None:
        return None


class AnybodyClaims(Ledger):
    """Whoever asks may send, whatever another sender has done since."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claims = _AnybodyClaims(self, self.operations)


class _RememberedForEver(Claims):
    def claim(self, *args: Any, **options: Any) -> Any:
        return super().claim(*args, **{**options, "deadline": 1e12})


class RememberedForEver(Ledger):
    """Keys are taken to be remembered for ever."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.claims = _RememberedForEver(self, self.operations)


@contextmanager
def batch_formed_anew() -> Iterator[None]:
    """Rows that are open are planned into new batches."""
    known = decisions.Decider._decide_known

    def decide(self: Any, operation: Any, item: Any, attempt: int, stored: Any, member: Any) -> Any:
        if stored.state in {"sent", "unknown"} and item.mark:
            return decisions.New(self._act.as_attempt(item, attempt + 1))
        return known(self, operation, item, attempt, stored, member)

    with mock.patch.object(decisions.Decider, "_decide_known", decide):
        yield


@contextmanager
def resent_without_reading() -> Iterator[None]:
    """An unknown operation is sent again at once."""
    look = settler.Settler.look

    async def blind(self: Any, operations: Any) -> Any:
        found = await look(self, [operation for operation in operations if operation.state != "unknown"])
        unknown = [operation for operation in operations if operation.state == "unknown"]
        found.resend += [self._ledger.claims.clear(operation, read=self._ledger.now()) for operation in unknown]
        return found

    with mock.patch.object(settler.Settler, "look", blind):
        yield


@contextmanager
def status_trusted_at_once() -> Iterator[None]:
    """A terminal status settles before the post has moved."""
    ended = {"failed": Fate.FAILED, "published": Fate.SUCCEEDED}
    with mock.patch.object(target_act, "fate_of", lambda target, *_: ended.get(target.status, Fate.MOVING)):
        yield


@contextmanager
def any_page_speaks() -> Iterator[None]:
    """A page that stands in the place of an answer is taken for the API's own."""
    data = sender._data
    with mock.patch.object(sender, "_data", lambda reply: data(reply) or {"error": "a page"}):
        yield


@contextmanager
def several_open() -> Iterator[None]:
    """A post may have several open operations."""
    with (
        mock.patch.object(Operations, "open_on", lambda *_: []),
        mock.patch.object(Claims, "_is_busy", lambda *_: False),
    ):
        yield


@contextmanager
def nothing_shown() -> Iterator[None]:
    """Lists show no create, and their silence proves nothing."""
    with (
        mock.patch.object(settler, "find_marked", lambda *_: {}),
        mock.patch.object(mended, "judge_row", lambda *_: Verdict()),
        mock.patch.object(settler, "PROOF_AFTER", 1e12),
    ):
        yield


@dataclass(frozen=True)
class Removal:
    """A protection, and the universe in which its absence shows.

    `standing` is what else is taken away, with the protection in place too: a second line of defence shows only without the first.
    """

    name: str
    rule: int
    case: Case
    depth: int
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext
    standing: Callable[[], AbstractContextManager[Any]] = nullcontext
    ledger: type[Ledger] = field(default=Ledger)


def constant(place: Any, name: str, value: Any) -> Callable[[], AbstractContextManager[Any]]:
    """A patch of one name."""
    return lambda: mock.patch.object(place, name, value)


REMOVALS = (
    Removal("an open batch is joined", 1, Case("create"), 2, batch_formed_anew),
    Removal("one open operation per post", 2, Case("retry"), 3, several_open),
    Removal("key and “sent” are on disk before the send", 8, Case("retry"), 3, ledger=KeySavedAfterTheSend),
    Removal(
        "the claim: one sender at a time",
        8,
        Case("retry", kernels=2, reading=KEYS_IGNORED, opening=(("hold", 0),)),
        3,
        ledger=AnybodyClaims,
    ),
    Removal("reading before a resend", 11, Case("retry", reading=KEYS_IGNORED), 2, resent_without_reading),
    Removal(
        "a resend waits until lists show",
        11,
        Case("create", reading=LATE_AND_FORGOTTEN),
        2,
        constant(settler.Settler, "_may_resend", lambda *_: True),
    ),
    Removal(
        "retention, where lists show nothing",
        12,
        Case("create"),
        2,
        standing=nothing_shown,
        ledger=RememberedForEver,
    ),
    Removal(
        "the mark: what is there is read before creates are formed",
        13,
        Case("create", ledgers=2, reading=KEYS_IGNORED, people=False, at_once=False),
        4,
        constant(mended, "judge_row", lambda *_: Verdict()),
    ),
    Removal(
        "the mark's body",
        13,
        Case("create", ledgers=2),
        4,
        constant(Made, "is_for", lambda *_: True),
    ),
    Removal(
        "absence is proof only after five minutes",
        14,
        Case("create", reading=LATE_AND_FORGOTTEN),
        2,
        constant(settler, "PROOF_AFTER", 0.0),
    ),
    Removal(
        "only the API's own word says that nothing happened",
        17,
        Case("retry", reading=KEYS_IGNORED),
        2,
        any_page_speaks,
    ),
    Removal(
        "the baseline: a status counts only as evidence of this try",
        18,
        Case("retry"),
        4,
        status_trusted_at_once,
    ),
    Removal(
        "the lease: whoever slept does not send",
        21,
        Case("retry", kernels=2, reading=KEYS_IGNORED, opening=(("doze", 0),), people=False),
        4,
        ledger=LeaseIgnored,
    ),
)


def counterexample(removal: Removal) -> Found:
    """Search without the protection."""
    with removal.standing(), removal.patch():
        return search(
            replace(removal.case, ledger=removal.ledger), removal.depth, unsettled=removal.standing is nullcontext
        )


def control(removal: Removal) -> Found:
    """The same search with the protection in place, which must find nothing."""
    with removal.standing():
        return search(removal.case, removal.depth, unsettled=removal.standing is nullcontext)


def in_words(history: tuple[Event, ...]) -> str:
    """A history in words."""
    words = {
        "run": "run the cell", "run changed": "run it with a mended text", "night": "26 hours pass", "edit": "somebody edits the post",
        "restart": "another kernel goes on", "other ledger": "another laptop starts", "delete": "somebody deletes the post",
    }  # fmt: skip
    said: list[str] = []
    for event in history:
        match event:
            case ("meet", _, fate):
                said.append(FATES.get(fate, f"the answer is {fate}"))
            case ("wait", seconds):
                said.append(f"wait {seconds:g} s")
            case ("kill", _):
                said.append("the kernel is killed")
            case ("hold", _):
                said.append("the rate limit holds requests back")
            case ("let go", _):
                said.append("it lets them go")
            case ("doze", _):
                said.append("the kernel will fall asleep between claim and send")
            case ("wake", _):
                said.append("the sleeper wakes")
            case ("run", which) if which:
                said.append("run the cell there")
            case ("run changed", which) if which:
                said.append("run it there with a mended text")
            case ("run", _) if "run the cell" in said:
                said.append("run the cell again")
            case (name, *_):
                said.append(words[name])
    return "; ".join(said)


FATES = {
    "ok": "the answer comes", "lost": "the request is lost", "unanswered": "it is done, and the answer lost", "garbled": "the answer can't be read",
    "page": "it is done, and a proxy's page answered with a 403",
    "500 before": "it fails with a 500", "500 after": "it is done, and a 500 answered", "400": "it is refused with a 400",
    "429": "it is refused with a 429", "slow": "it is done later than anybody waits", "partial": "half of it is done, and a 500 answered",
    "unread": "the answer leaves a row out",
}  # fmt: skip


def table() -> str:
    """Return the table of `docs/exactly-once.md`: protection, rule, shortest history without it, what goes wrong then."""
    lines = ["| removed | rule | shortest history | what happens |", "|---|---|---|---|"]
    for removal in REMOVALS:
        found = counterexample(removal)
        if found.history is None:
            raise RuntimeError(f"nothing is found without “{removal.name}”")
        lines.append(row(removal, found))
    return "\n".join(lines)


def row(removal: Removal, found: Found) -> str:
    """A line of the table."""
    history = in_words((*removal.case.opening, *(found.history or ())))
    return f"| {removal.name} | {removal.rule} | {history} | {found.problems[0]} |"


def written() -> list[str]:
    """The lines of the table in the documents."""
    return DOCUMENT.read_text("utf-8").split(BEGIN)[1].split(END)[0].strip().splitlines()


def main() -> int:
    """Write the table anew."""
    text = DOCUMENT.read_text("utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
