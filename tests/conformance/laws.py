"""What the cells of a row imply, as laws: each sends the row's request to the sandbox and yields what differs, counted at the server."""

from __future__ import annotations

from tests.conformance.bench import LONG, Bench, ids_in
from tests.conformance.cases import CASES, MANY
from tests.virtual import until

from voxops._support import eventloop
from voxops.api.matrix import Endpoint, Resend, may_resend
from voxops.errors import ConflictError, ServerError, TransportError, VoxopsError
from voxops.frames.records import build, targets
from voxops.model import Outcome
from voxops.webhooks import parse_event, verify_signature

# After each of these nobody knows whether the request took effect.
AMBIGUOUS = {
    "dropped": {"action": "drop"}, "500": {"action": "status", "status": 500}, "time-out": {"action": "delay", "seconds": LONG},
}  # fmt: skip
# After these it did not, and the row decides whether it is repeated.
REFUSED = {
    "503": {"action": "status", "status": 503, "code": "SERVICE_UNAVAILABLE"}, "429": {"action": "retry_after", "seconds": 1},
    "409": {"action": "status", "status": 409, "code": "IDEMPOTENCY_IN_PROGRESS"},
}  # fmt: skip
GROUPS = {"post": "/v1/posts/", "media": "/v1/media/", "account": "/v1/accounts/", "delivery": "/v1/webhooks/"}


def once(bench, row, case):
    """An idempotent row has one effect under one key, whatever the number of requests, and responds the same."""
    if not row.idempotent:
        return
    act, key, mark = case.right(bench), bench.new(), bench.mark()
    first, second = (bench.send(row, act, key) for _ in range(2))
    if (count := mark.effects(case.effect)) != 1:
        yield f"{count} effects under one key"
    if (first.status, first.record) != (second.status, second.record):
        yield "another response under the same key"


def other_body(bench, row, case):
    """A used key is refused for another body: by the client if it knows, else by the server."""
    if not row.idempotent:
        return
    act, key, mark = case.right(bench), bench.new(), bench.mark()
    bench.send(row, act, key)
    for client, status in ((bench.client, 0), (bench.second, 409)):
        try:
            bench.send(row, type(act)(act.ids, {"another": 1}), key, client)
            yield "another body was accepted under a used key"
        except ConflictError as error:
            if (error.status, error.code) != (status, "IDEMPOTENCY_CONFLICT"):
                yield f"another body: {error.status} {error.code} instead of {status} IDEMPOTENCY_CONFLICT"
    if (count := len(mark.requests(row))) != 2:
        yield f"{count} requests instead of 2: one of each client"
    if mark.effects(case.effect) != 1:
        yield "another body had an effect"


def ambiguous(bench, row, case):
    """After an ambiguous failure a row is resent exactly if allowed, under its key, and takes effect once."""
    for name, fault in AMBIGUOUS.items():
        act, mark, failure = case.right(bench), bench.mark(), ""
        with bench.fault(row, when="after", **fault):
            try:
                bench.send(row, act, client=bench.hasty if name == "time-out" else bench.client)
            except (TransportError, ServerError) as error:
                failure = type(error).__name__
        if name == "time-out":
            until(lambda: mark.requests(row) and all(sent["status"] for sent in mark.requests(row)))  # all are answered
        yield from (f"{name}: {what}" for what in _resent(row, case, mark, failure))


def _resent(row, case, mark, failure):
    keys = [entry["key"] for entry in mark.requests(row)]
    if may_resend(row, with_key=True):
        if len(keys) < 2:
            yield "not sent again"
        elif failure:
            yield f"sent {len(keys)} times, and still {failure}"
        if not may_resend(row, with_key=False) and (len(set(keys)) != 1 or None in keys):
            yield "sent again without its key"
    elif len(keys) != 1 or not failure:
        yield f"sent {len(keys)} times"
    counts = row.idempotent or row.method == "PUT" or row.resend is Resend.NEVER
    if case.effect and counts and (count := mark.effects(case.effect)) != 1:
        yield f"{count} effects"


def never_again(bench, row, case):
    """A row that may never be repeated is sent once, even if nothing happened."""
    if row.resend is not Resend.NEVER:
        return
    for name, fault in REFUSED.items():
        act, mark = case.right(bench), bench.mark()
        with bench.fault(row, **fault):
            try:
                bench.send(row, act)
                yield f"{name}: no error"
            except VoxopsError:
                pass  # the fault causes it; the requests count
        if len(mark.requests(row)) != 1 or mark.effects(case.effect):
            yield f"{name}: sent {len(mark.requests(row))} times"


def outcome(bench, row, case):
    """A synchronous row's 2xx is its outcome; an asynchronous row's is a 202, and its job ends later."""
    answer = bench.send(row, case.right(bench))
    if (answer.status == 202) != row.is_async:
        yield f"answered {answer.status}"
    if not row.is_async:
        return
    began, mark = bench.sandbox.now(), bench.mark()
    ending = eventloop.run(bench.client.wait(answer))
    if ending.outcome is not Outcome.SUCCEEDED:
        yield f"ended as {ending.status}"
    if bench.sandbox.now() == began:
        yield "the 2xx counted as the outcome"
    if not mark.reads() or not all(path.startswith(GROUPS[answer.job.kind]) for path in mark.reads()):
        yield f"polled {mark.reads() or 'nothing'}"


def items(bench, row, case):
    """If a row can half succeed, every item has its own outcome, whatever the HTTP status."""
    if row.partial:
        yield from (_items if case in MANY else _targets)(bench, row, case)


def _items(bench, row, case):
    for some, wanted in ((slice(2), ["created", "failed"]), (slice(1, 2), ["failed"])):
        act, mark = case.part(case.act(bench), some), bench.mark()
        table = build("bulk_results", bench.send(row, act).record["results"]).sort_values("index")
        if (statuses := table["status"].to_list()) != wanted:
            yield f"items {statuses} instead of {wanted}"
        if (numbers := table["index"].to_list()) != list(range(len(wanted))):
            yield f"items numbered {numbers}"
        if table.loc[table["status"] == "failed", ["error_code", "error_message"]].isna().any(axis=None):
            yield "a failed item without a reason"
        if (count := mark.effects(case.effect)) != wanted.count("created"):
            yield f"{count} effects of {wanted}"


def _targets(bench, row, case):
    answer = bench.send(row, case.right(bench))
    rows = targets(build("posts", [*eventloop.run(bench.client.wait(answer)).records]))
    if not len(rows) or rows[["platform", "account_id", "status"]].isna().any(axis=None):
        yield "a target without a status"
    said = answer.record
    listed = [entry for name in ("retriedPlatforms", "skippedPlatforms") for entry in said.get(name) or ()]
    if "retriedPlatforms" in said and {entry["accountId"] for entry in listed} != set(rows["account_id"]):
        yield "the answer does not tell for each target whether it is retried or skipped"


def events(bench, row, case):
    """The events of a row are delivered and signed, and name the thing that was acted on; other rows emit none."""
    if not row.emits and "emits" in row.inferred:
        return
    act = case.right(bench)
    bench.sandbox.advance(1)  # what the thing itself emits has come
    mark = bench.mark()
    answer = bench.send(row, act)
    if row.is_async:
        eventloop.run(bench.client.wait(answer))
    bench.sandbox.advance(1)
    received = mark.received()
    for entry in received:
        if not verify_signature(entry["body"].encode(), entry["headers"].get("x-voxburst-signature"), bench.secret):
            yield "an event with a wrong signature"
    came = [parse_event(entry["body"]) for entry in received]
    mine = {event.type for event in came if event.subject in {*act.ids, *ids_in(answer.record)}}
    if row.partial and not ids_in(answer.record.get("results")) <= {event.subject for event in came}:
        yield "an item without an event"
    ends = set(row.emits)
    if not (len(mine) == 1 and mine <= ends if row.is_async else mine == ends):
        yield f"events {sorted(mine) or 'none'} instead of {sorted(ends) or 'none'}"


LAWS = {
    "once": once, "other body": other_body, "ambiguous": ambiguous, "never again": never_again, "outcome": outcome,
    "items": items, "events": events,
}  # fmt: skip


def differences(bench: Bench, row: Endpoint) -> str:
    """In what a row differs, in one line; what is in the way of several laws is said once."""
    said: dict[str, str] = {}
    for name, law in LAWS.items():
        try:
            found = list(law(bench, row, CASES[row.row]))
        except VoxopsError as error:
            found = [" ".join(str(error).split())]
        for what in found:
            said.setdefault(what, name)
    return "; ".join(f"{name}: {what}" for what, name in said.items())
