"""What must hold for a row, derived from its cells; each law tries the row once and returns what differs, nothing if all is well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from voxops.api.matrix import Endpoint, Resend, completed_by, is_outcome, may_resend, must_read_items, polled
from voxops.client import Handle
from voxops.conformance.bench import LONG, Bench, Mark
from voxops.conformance.cases import Case, ids_in
from voxops.errors import ConflictError, ServerError, TransportError, VoxopsError
from voxops.frames import build, targets
from voxops.model import Outcome
from voxops.webhooks.event import parse_event, verify_signature
from voxops.webhooks.recorded import events

__all__ = ["LAWS", "Law"]

Law: TypeAlias = Callable[[Bench, Endpoint, Case], Awaitable[list[str]]]

# After each of these nobody knows whether the request took effect: the answer is lost, is an error, or comes too late.
_AMBIGUOUS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("dropped after commit", "drop", {}),
    ("500 after commit", "status", {"status": 500}),
    ("time-out after commit", "delay", {"seconds": LONG}),
)
# After these the request may be repeated by its row alone; one that may never be is not repeated either.
_REFUSED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("503 before the effect", "status", {"status": 503, "code": "SERVICE_UNAVAILABLE"}),
    ("429", "retry_after", {"seconds": 1}),
    ("409 in progress", "status", {"status": 409, "code": "IDEMPOTENCY_IN_PROGRESS"}),
)
_GROUPS = {"post": "/v1/posts/", "media": "/v1/media/", "account": "/v1/accounts/", "delivery": "/v1/webhooks/"}


async def one_effect(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """An idempotent row acts once under one key, however often it is asked, and answers the same."""
    if not row.idempotent:
        return []
    thing, key = await case.make(bench), bench.key()
    mark = bench.mark()
    first = await case.call(bench.client, thing, key)
    second = await case.call(bench.client, thing, key)
    count = len(mark.effects(case.effect))
    found = [] if count == 1 else [f"{count} effects under one key"]
    return found if _comparable(first) == _comparable(second) else [*found, "another answer under the same key"]


async def one_body(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """A key that was used is refused for another body: before it is sent where the client knows, else by the server."""
    if not row.idempotent:
        return []
    thing, key = await case.make(bench), bench.key()
    mark = bench.mark()
    await case.call(bench.client, thing, key)
    (sent,) = mark.requests(row)
    found = []
    for client, status in ((bench.client, 0), (bench.stranger, 409)):
        try:
            await client.request(row.method, sent["path"], json={"another": 1}, idempotency_key=key)
            found.append("another body was taken under a used key")
        except ConflictError as error:
            if (error.status, error.code) != (status, "IDEMPOTENCY_CONFLICT"):
                found.append(
                    f"another body under a used key: {error.status} {error.code} instead of {status} IDEMPOTENCY_CONFLICT"
                )
    if len(mark.requests(row)) != 2:
        found.append(f"{len(mark.requests(row))} requests instead of 2: one in the first client, one in a stranger")
    return found if len(mark.effects(case.effect)) == 1 else [*found, "another body had an effect"]


async def ambiguity(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """After an ambiguous failure a row is sent again exactly if it may be, under its key, and takes effect once."""
    found = []
    for name, action, more in _AMBIGUOUS:
        client = bench.hasty if action == "delay" else bench.client
        thing = await case.make(bench)
        mark, failure = bench.mark(), ""
        with bench.fault(row, action, **more):
            try:
                await case.call(client, thing, None)
            except (TransportError, ServerError) as error:
                failure = type(error).__name__
        if action == "delay":
            await bench.answered(mark, row)
        found += [f"{name}: {what}" for what in _ambiguous(row, case, mark, failure)]
    return found


def _ambiguous(row: Endpoint, case: Case, mark: Mark, failure: str) -> list[str]:
    """What differs after one ambiguous failure."""
    sent = mark.requests(row)
    keys = {entry["key"] for entry in sent}
    found = []
    if may_resend(row, with_key=True):
        if len(sent) < 2:
            found.append("not sent again")
        elif failure:
            found.append(f"sent {len(sent)} times, and still {failure}")
        if not may_resend(row, with_key=False) and (len(keys) != 1 or None in keys):
            found.append("sent again without its key")
    elif len(sent) != 1 or not failure:
        found.append(f"sent {len(sent)} times")
    count, wanted = len(mark.effects(case.effect)), 1 if case.effect else 0
    once = row.idempotent or row.method == "PUT" or row.resend is Resend.NEVER or not case.effect
    return [*found, f"{count} effects"] if once and count != wanted else found


async def never_again(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """A row that may never be repeated is sent once, whatever happens."""
    if row.resend is not Resend.NEVER:
        return []
    found = []
    for name, action, more in _REFUSED:
        thing = await case.make(bench)
        mark = bench.mark()
        with bench.fault(row, action, when="before", **more):
            try:
                await case.call(bench.client, thing, None)
                found.append(f"{name}: no error")
            except VoxopsError:
                pass  # that it failed is what the fault was for; counted is how often it was sent
        if len(mark.requests(row)) != 1 or mark.effects(case.effect):
            found.append(f"{name}: sent {len(mark.requests(row))} times")
    return found


async def keyless(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """Without a key nothing is repeated: `raw` sends once."""
    if row.method == "PUT":
        return []
    thing = await case.make(bench)
    mark = bench.mark()
    await case.call(bench.client, thing, None)
    path = mark.requests(row)[0]["path"]
    mark = bench.mark()
    with bench.fault(row, "drop", when="before"):
        try:
            await bench.client.raw(row.method, path, json={})
            return ["a dropped request without a key was answered"]
        except TransportError:
            pass  # the fault's own; counted is how often it was sent
    sent = mark.requests(row)
    return [] if [entry["key"] for entry in sent] == [None] else [f"without a key: sent {len(sent)} times"]


async def outcome(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """A synchronous row's 2xx is its outcome; an asynchronous one's only hands over something to follow to its end."""
    thing = await case.make(bench)
    answer = await case.call(bench.client, thing, bench.key())
    handles = [one for one in (answer if isinstance(answer, tuple) else (answer,)) if isinstance(one, Handle)]
    if is_outcome(row):
        return ["a handle from a synchronous row"] if handles else []
    if not handles:
        return ["no handle to follow"]
    found = []
    for handle in handles:
        if handle.kind != polled(row):
            found.append(f"to be followed as {handle.kind} instead of {polled(row)}")
        began = bench.sandbox.now()
        mark = bench.mark()
        ending = await handle
        if ending.outcome is not Outcome.SUCCEEDED:
            found.append(f"ended as {ending.status}")
        if bench.sandbox.now() == began:
            found.append("the 2xx was taken for the outcome")
        wrong = [path for path in mark.reads() if not path.startswith(_GROUPS[handle.kind])]
        if wrong or not mark.reads():
            found.append(f"polled {wrong or 'nothing'}")
    return found


async def items(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """Where a row can half succeed, every item has an outcome of its own, whatever the status of the whole."""
    if not must_read_items(row):
        return []
    if case.mixed is None or case.wrong is None:
        return await _targets_read(bench, case)
    thing = await case.make(bench)
    found = []
    for name, call, wanted in (("mixed", case.mixed, ["created", "failed"]), ("all wrong", case.wrong, ["failed"])):
        mark = bench.mark()
        answer = await call(bench.client, thing, bench.key())
        table = build("bulk_results", answer["results"]).sort_values("index")
        if table["status"].to_list() != wanted:
            found.append(f"{name}: items {table['status'].to_list()} instead of {wanted}")
        if table.loc[table["status"] == "failed", ["error_code", "error_message"]].isna().any(axis=None):
            found.append(f"{name}: a failed item without a reason")
        if len(mark.effects(case.effect)) != wanted.count("created"):
            found.append(f"{name}: {len(mark.effects(case.effect))} effects")
    return found


async def _targets_read(bench: Bench, case: Case) -> list[str]:
    """Items of a retried or fixed post are its targets: each with its own status when the post has ended."""
    thing = await case.make(bench)
    handle = await case.call(bench.client, thing, bench.key())
    listed = [entry for name in ("retriedPlatforms", "skippedPlatforms") for entry in handle.accepted.get(name) or ()]
    ending = await handle
    rows = targets(build("posts", [ending.record]))
    found = (
        []
        if len(rows) and rows[["platform", "account_id", "status"]].notna().all(axis=None)
        else ["a target without a status"]
    )
    if "retriedPlatforms" in handle.accepted and {entry.get("accountId") for entry in listed} != set(
        rows["account_id"]
    ):
        found.append("the answer does not say of each target whether it is retried or skipped")
    return found


async def announced(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """The events that a row emits are delivered, signed with the secret, and name what was acted on; others emit none."""
    if not row.emits and "emits" in row.inferred:
        return []
    thing = await case.make(bench)
    # What making the thing emits goes out before; the receiver may ask for it once more, later.
    bench.sandbox.advance(1)
    before = bench.delivered()
    mark = bench.mark()
    answer = await case.call(bench.client, thing, bench.key())
    if isinstance(answer, Handle):
        await answer
    bench.sandbox.advance(1)
    received = [entry for entry in mark.received() if entry["delivery"] not in before]
    found = [
        "an event with a wrong signature"
        for entry in received
        if not verify_signature(entry["body"].encode(), entry["headers"].get("x-voxburst-signature"), [bench.secret])
    ]
    parsed = [parse_event(entry["body"]) for entry in received]
    named = {event.subject for event in parsed}
    mine = {event.type for event in parsed if event.subject in ids_in(thing, answer)}
    if len(events(received, secrets=bench.secret)) != len({event.id for event in parsed}):
        found.append("the frame does not hold each event once")
    if must_read_items(row) and isinstance(answer, Mapping) and not ids_in(answer) <= named:
        found.append("an item without an event")
    ends = set(completed_by(row))
    fits = len(mine & ends) == len(mine) == 1 if ends else mine == set(row.emits)
    wanted = " or ".join(sorted(ends)) or " and ".join(row.emits) or "none"
    return found if fits else [*found, f"events {', '.join(sorted(mine)) or 'none'} instead of {wanted}"]


def _comparable(answer: Any) -> Any:
    """What an answer says, without what the client adds to it."""
    if isinstance(answer, tuple):
        return [_comparable(one) for one in answer]
    return dict(answer.accepted) if isinstance(answer, Handle) else answer


LAWS: dict[str, Law] = {
    "once": one_effect,
    "other body": one_body,
    "ambiguous": ambiguity,
    "never again": never_again,
    "keyless": keyless,
    "outcome": outcome,
    "items": items,
    "events": announced,
}
