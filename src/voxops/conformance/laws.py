"""The checks of each row of the matrix: its description, its reads, and eight laws tested in a sandbox."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from voxburst_sandbox import Remote, Sandbox
from voxops._support import eventloop
from voxops.api.assumptions import polled_status
from voxops.api.fields import BULK_POSTS, CONTENT
from voxops.api.matrix import MATRIX, Endpoint, Resend, find, may_resend, polled
from voxops.client import AsyncClient, Handle, Listing, is_loopback
from voxops.conformance.cases import CASES, LONG, Bench, Case, Mark, ids_in
from voxops.errors import ConfigError, ConflictError, ServerError, TransportError, VoxopsError
from voxops.frames.records import build, targets
from voxops.frames.schemas import SCHEMAS
from voxops.model import Outcome
from voxops.webhooks import parse_event, verify_signature


@dataclass(frozen=True, slots=True)
class Finding:
    """The result for a row.

    Attributes
    ----------
    row : Endpoint
        The row.
    differs : tuple of str
        The differences from the row; empty for none.
    untried : str
        Why the row could not be tested; empty if it was.
    """

    row: Endpoint
    differs: tuple[str, ...] = ()
    untried: str = ""

    @property
    def ok(self) -> bool:
        """Whether the row was tested without a difference."""
        return not self.differs and not self.untried

    def __str__(self) -> str:
        said = "; ".join(self.differs) or (f"not looked at: {self.untried}" if self.untried else "ok")
        return f"{self.row.row} {self.row}: {' '.join(said.split())}"


def summary(findings: Sequence[Finding]) -> str:
    """Count rows, in one line."""
    return f"matrix: rows={len(findings)} ok={sum(finding.ok for finding in findings)}"


_WRITES = ("post", "put", "patch", "delete")
_MOST_BYTES = 32 * 1024**2


def compare_spec(path: Path) -> list[str]:
    """Compare an OpenAPI file with the matrix.

    Parameters
    ----------
    path : Path
        An OpenAPI 3 document as JSON.

    Returns
    -------
    list of str
        One line per difference; empty if there is none.

    Raises
    ------
    ConfigError
        If the file can't be read or is not an OpenAPI document.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} has more than {_MOST_BYTES // 1024**2} MB")
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON; pass the description as .json, not as .yaml") from error
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ConfigError(f"{path} is not an OpenAPI document: it has no paths")
    return list(differences(document))


def differences(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences between a document and the matrix: rows first, then calls without a row."""
    rows: dict[int, Mapping[str, Any]] = {}
    ungoverned = []
    for (method, path), operation in dict(_operations(document)).items():
        row = find(method, re.sub(r"\{[^}]*\}", "x", path))
        if row is None:
            ungoverned.append(f"no row governs {method} {path}: it is sent once, with client.raw()")
        else:
            rows[row.row] = operation
    for row in MATRIX:
        if row.method == "PUT":  # the presigned upload belongs to the storage host
            continue
        if row.row not in rows:
            yield f"row {row.row} {row}: not described"
        else:
            yield from (f"row {row.row} {row}: {what}" for what in _cells(document, row, rows[row.row]))
    yield from ungoverned
    yield from _limits(document, rows)


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    """Return every write with its method and its path under ``/v1``."""
    for path, methods in document["paths"].items():
        for method, operation in (methods if isinstance(methods, Mapping) else {}).items():
            if method in _WRITES and isinstance(operation, Mapping):
                whole = path if path.startswith("/v1/") else f"/v1{path}"
                common = methods.get("parameters") or []
                yield (
                    (method.upper(), whole),
                    {**operation, "parameters": [*common, *(operation.get("parameters") or [])]},
                )


def _cells(document: Mapping[str, Any], row: Endpoint, operation: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences between one operation and the cells of its row."""
    parameters = [_resolved(document, each) for each in operation["parameters"]]
    takes_key = any(str(each.get("name", "")).lower() == "idempotency-key" for each in parameters)
    if row.idempotent and not takes_key:
        yield "idempotent in the matrix, but the description has no Idempotency-Key"
    if takes_key and not row.idempotent:
        yield "the description has an Idempotency-Key, but it is not idempotent in the matrix"
    statuses = set(map(str, operation.get("responses") or {}))
    if row.is_async and "202" not in statuses:
        yield "asynchronous in the matrix, but the description has no 202"
    if "202" in statuses and not row.is_async:
        yield "the description has a 202, but it is not asynchronous in the matrix"
    if "207" in statuses and not row.partial:
        yield "the description has a 207, but it can't half succeed in the matrix"


def _limits(document: Mapping[str, Any], rows: Mapping[int, Mapping[str, Any]]) -> Iterator[str]:
    """Yield limits that differ from those known here."""
    for row, field, word, ours in (
        (1, "content", "maxLength", CONTENT.most),
        (11, "posts", "maxItems", BULK_POSTS),
    ):
        shape: Any = rows.get(row, {})
        for name in ("requestBody", "content", "application/json", "schema", "properties", field):
            shape = _resolved(document, shape).get(name, {})
        theirs = _resolved(document, shape).get(word)
        if theirs is not None and theirs != ours:
            yield f"row {row}: {field} has {word} {theirs}, here {ours}"


def _resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """Resolve a value or a reference inside the document; empty for a reference elsewhere."""
    for _ in range(20):
        if not isinstance(value, Mapping):
            return {}
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return value
        value = document
        for part in reference.removeprefix("#/").split("/") if reference.startswith("#/") else ["elsewhere"]:
            value = value.get(part, {}) if isinstance(value, Mapping) else {}
    return {}


@dataclass(frozen=True, slots=True)
class _Reading:
    """One thing of a kind, as listed and as read singly."""

    listed: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    differs: tuple[str, ...] = ()


async def read_rows(client: AsyncClient) -> list[Finding]:
    """Check every row with reads only; nothing is sent that could change anything.

    Returns
    -------
    list of Finding
        A row passes if a thing of its group is listed and reads the same singly. A thing of an asynchronous row must also have the
        status to poll. A row is untested if the workspace has no such thing.
    """
    known = {
        "posts": await _reading(client.posts.list(status="all"), "posts", client.posts.get),
        "accounts": await _reading(client.accounts.list(status="all"), "accounts", client.accounts.get),
        "media": await _reading(client.media.list(), None, client.media.get),
        "webhooks": await _reading(client.webhooks.list(), "webhooks", client.webhooks.get),
    }
    hooks = known["webhooks"]
    if hooks.listed is not None:
        hooks = await _reading(client.webhooks.deliveries(str(hooks.listed.get("id"))), "deliveries")
    known["deliveries"] = hooks
    return [_finding(row, known["deliveries" if polled(row) == "delivery" else row.group]) for row in MATRIX]


async def _reading(
    listing: Listing[Any], kind: str | None, get: Callable[[str], Awaitable[Any]] | None = None
) -> _Reading:
    """Read the first thing of a list, and the same thing singly if possible."""
    try:
        listed = await anext(aiter(listing), None)
        if listed is None:
            return _Reading()
        record = listed if get is None else await get(str(listed.get("id")))
    except VoxopsError as error:
        return _Reading(differs=(str(error),))
    differs = []
    if record.get("id") != listed.get("id"):
        differs.append(f"{listed.get('id')} reads as {record.get('id')}")
    if kind is not None:
        differs += _columns(kind, [listed, record])
    return _Reading(listed, record, tuple(differs))


def _columns(kind: str, records: list[dict[str, Any]]) -> list[str]:
    """Yield the faults of the frame of these records: a missing id, or unreadable values."""
    frame = build(kind, records)
    id_column = SCHEMAS[kind][0].name
    lacking = [f"no {id_column}"] if frame[id_column].isna().any() else []
    return lacking + [f"{count} values of {column} can't be read" for column, count in frame.attrs["unread"].items()]


def _finding(row: Endpoint, reading: _Reading) -> Finding:
    """Return the result of a read for a row."""
    if reading.differs:
        return Finding(row, reading.differs)
    if reading.record is None:
        return Finding(row, untried=f"the workspace has no {row.group} to read")
    kind = polled(row)
    if kind == "delivery":
        missing = [name for name in ("success", "retryCount") if name not in reading.record]
        return Finding(row, tuple(f"a delivery has no {name} to poll" for name in missing))
    # An account without a backfill has no status yet.
    if kind is not None and kind != "account" and not polled_status(kind, reading.record):
        return Finding(row, (f"a {kind} has no status to poll",))
    return Finding(row)


# Each of these leaves the outcome unknown: the answer is lost, is an error, or comes too late.
_AMBIGUOUS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("dropped after commit", "drop", {}),
    ("500 after commit", "status", {"status": 500}),
    ("time-out after commit", "delay", {"seconds": LONG}),
)
# After these the row decides whether the request may be repeated.
_REFUSED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("503 before the effect", "status", {"status": 503, "code": "SERVICE_UNAVAILABLE"}),
    ("429", "retry_after", {"seconds": 1}),
    ("409 in progress", "status", {"status": 409, "code": "IDEMPOTENCY_IN_PROGRESS"}),
)
_GROUPS = {"post": "/v1/posts/", "media": "/v1/media/", "account": "/v1/accounts/", "delivery": "/v1/webhooks/"}


async def one_effect(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """An idempotent row has one effect under one key, whatever the number of requests, and responds the same."""
    if not row.idempotent:
        return []
    thing, key = await case.right(bench), bench.key()
    mark = bench.mark()
    first = await case.call(bench.client, thing, key)
    second = await case.call(bench.client, thing, key)
    count = len(mark.effects(case.effect))
    found = [] if count == 1 else [f"{count} effects under one key"]
    return found if _comparable(first) == _comparable(second) else [*found, "another response under the same key"]


async def one_body(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """A used key is refused for another body: by the client if it knows, else by the server."""
    if not row.idempotent:
        return []
    thing, key = await case.right(bench), bench.key()
    mark = bench.mark()
    await case.call(bench.client, thing, key)
    (sent,) = mark.requests(row)
    found = []
    for client, status in ((bench.client, 0), (bench.second, 409)):
        try:
            await client.request(row.method, sent["path"], json={"another": 1}, idempotency_key=key)
            found.append("another body was accepted under a used key")
        except ConflictError as error:
            if (error.status, error.code) != (status, "IDEMPOTENCY_CONFLICT"):
                found.append(
                    f"another body under a used key: {error.status} {error.code} instead of {status} IDEMPOTENCY_CONFLICT"
                )
    if len(mark.requests(row)) != 2:
        found.append(f"{len(mark.requests(row))} requests instead of 2: one of each client")
    return found if len(mark.effects(case.effect)) == 1 else [*found, "another body had an effect"]


async def ambiguity(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """After an ambiguous failure a row is resent exactly if allowed, under its key, and takes effect once."""
    found = []
    for name, action, more in _AMBIGUOUS:
        client = bench.hasty if action == "delay" else bench.client
        thing = await case.right(bench)
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
    """Yield the differences after one ambiguous failure."""
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
    """A row that may never be repeated is sent once."""
    if row.resend is not Resend.NEVER:
        return []
    found = []
    for name, action, more in _REFUSED:
        thing = await case.right(bench)
        mark = bench.mark()
        with bench.fault(row, action, when="before", **more):
            try:
                await case.call(bench.client, thing, None)
                found.append(f"{name}: no error")
            except VoxopsError:
                pass  # the fault causes the failure; the test counts requests
        if len(mark.requests(row)) != 1 or mark.effects(case.effect):
            found.append(f"{name}: sent {len(mark.requests(row))} times")
    return found


async def keyless(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """Without a key nothing is repeated: `raw` sends once."""
    if row.method == "PUT":
        return []
    thing = await case.right(bench)
    mark = bench.mark()
    await case.call(bench.client, thing, None)
    path = mark.requests(row)[0]["path"]
    mark = bench.mark()
    with bench.fault(row, "drop", when="before"):
        try:
            await bench.client.raw(row.method, path, json={})
            return ["a dropped request without a key was answered"]
        except TransportError:
            pass  # caused by the fault; the test counts requests
    sent = mark.requests(row)
    return [] if [entry["key"] for entry in sent] == [None] else [f"without a key: sent {len(sent)} times"]


async def outcome(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """A synchronous row's 2xx is its outcome; an asynchronous row's returns only a handle to poll."""
    thing = await case.right(bench)
    answer = await case.call(bench.client, thing, bench.key())
    handles = [one for one in (answer if isinstance(answer, tuple) else (answer,)) if isinstance(one, Handle)]
    if not row.is_async:
        return ["a handle from a synchronous row"] if handles else []
    if not handles:
        return ["no handle to poll"]
    found = []
    for handle in handles:
        if handle.kind != polled(row):
            found.append(f"polled as {handle.kind} instead of {polled(row)}")
        began = bench.sandbox.now()
        mark = bench.mark()
        ending = await handle
        if ending.outcome is not Outcome.SUCCEEDED:
            found.append(f"ended as {ending.status}")
        if bench.sandbox.now() == began:
            found.append("the 2xx counted as the outcome")
        wrong = [path for path in mark.reads() if not path.startswith(_GROUPS[handle.kind])]
        if wrong or not mark.reads():
            found.append(f"polled {wrong or 'nothing'}")
    return found


async def items(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """If a row can half succeed, every item has its own outcome, whatever the HTTP status."""
    if not row.partial:
        return []
    if not case.many:
        return await _targets_read(bench, case)
    both = await case.make(bench)
    found = []
    for name, part, wanted in (("mixed", both, ["created", "failed"]), ("all wrong", both[1:], ["failed"])):
        mark = bench.mark()
        answer = await case.call(bench.client, part, bench.key())
        table = build("bulk_results", answer["results"]).sort_values("index")
        if table["status"].to_list() != wanted:
            found.append(f"{name}: items {table['status'].to_list()} instead of {wanted}")
        if table.loc[table["status"] == "failed", ["error_code", "error_message"]].isna().any(axis=None):
            found.append(f"{name}: a failed item without a reason")
        if len(mark.effects(case.effect)) != wanted.count("created"):
            found.append(f"{name}: {len(mark.effects(case.effect))} effects")
    return found


async def _targets_read(bench: Bench, case: Case) -> list[str]:
    """The items of a retried or fixed post are its targets, each with its own status once the post has ended."""
    thing = await case.right(bench)
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
        found.append("the response does not tell for each target whether it is retried or skipped")
    return found


async def announced(bench: Bench, row: Endpoint, case: Case) -> list[str]:
    """The events of a row are delivered and signed, and name the thing that was acted on; other rows emit none."""
    if not row.emits and "emits" in row.inferred:
        return []
    thing = await case.right(bench)
    # Creating the thing emits events before; a failed delivery of them may be repeated later.
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
    if row.partial and isinstance(answer, Mapping) and not ids_in(answer) <= named:
        found.append("an item without an event")
    ends = set(row.emits if row.is_async else ())
    fits = len(mine & ends) == len(mine) == 1 if ends else mine == set(row.emits)
    wanted = " or ".join(sorted(ends)) or " and ".join(row.emits) or "none"
    return found if fits else [*found, f"events {', '.join(sorted(mine)) or 'none'} instead of {wanted}"]


def _comparable(answer: Any) -> Any:
    """Return a response without the client's additions."""
    if isinstance(answer, tuple):
        return [_comparable(one) for one in answer]
    return dict(answer.accepted) if isinstance(answer, Handle) else answer


LAWS: dict[str, Callable[[Bench, Endpoint, Case], Awaitable[list[str]]]] = {
    "once": one_effect,
    "other body": one_body,
    "ambiguous": ambiguity,
    "never again": never_again,
    "keyless": keyless,
    "outcome": outcome,
    "items": items,
    "events": announced,
}


Report = Callable[[str], Any]


async def try_row(bench: Bench, row: Endpoint) -> Finding:
    """Test one row under every law; an obstacle to several laws is reported once."""
    differs: dict[str, str] = {}
    for name, law in LAWS.items():
        try:
            found = await law(bench, row, CASES[row.row])
        except VoxopsError as error:
            found = [str(error)]
        for what in found:
            differs.setdefault(what, name)
    return Finding(row, tuple(f"{name}: {what}" for what, name in differs.items()))


async def try_rows(sandbox: Remote, report: Report) -> list[Finding]:
    """Test all rows in a sandbox, and report each when it is done.

    Parameters
    ----------
    sandbox : Remote
        A running sandbox; the effects of the tests stay in it.
    report : callable
        Takes one line of text per row.
    """
    findings = []
    async with Bench(sandbox) as bench:
        for row in MATRIX:
            findings.append(await try_row(bench, row))
            report(str(findings[-1]))
    return findings


def check(url: str | None = None, *, write: bool = False, report: Report = print) -> bool:
    """Check the matrix, report a line per row and a last one for all, and return whether all rows pass.

    Parameters
    ----------
    url : str, optional
        A server. It is only read, with the API key in ``VOXBURST_API_KEY``. By default a sandbox is started, and everything tested.
    write : bool
        Also test writes at `url`, which must be a sandbox on this machine, since the check counts effects in its log.
    report : callable
        Takes the lines.

    Raises
    ------
    ConfigError
        If `write` is True for anything but a sandbox on this machine, or there is no API key for reads.
    """
    if url is None and write:
        raise ConfigError("--write needs --url; without --url everything is tested in a fresh sandbox")
    if url is None:
        with Sandbox(rate_limit=None) as sandbox:
            findings = eventloop.run(try_rows(sandbox, report))
    elif write:
        with contextlib.closing(_sandbox_at(url)) as remote:
            findings = eventloop.run(try_rows(remote, report))
    else:
        findings = eventloop.run(_read(url, report))
    report(summary(findings))
    return all(finding.ok for finding in findings)


def _sandbox_at(url: str) -> Remote:
    """The sandbox at an address on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        raise ConfigError(
            f"--write would change things at {host or url}; it accepts only a sandbox on this machine, such as http://127.0.0.1:8765"
        )
    remote = Remote(url.rstrip("/").removesuffix("/v1"))
    if not remote.answers():
        remote.close()
        raise ConfigError(f"no voxops sandbox answers at {url}; start one with: voxops sandbox --port 8765")
    return remote


async def _read(url: str, report: Report) -> list[Finding]:
    """Check a server with reads only."""
    key = os.environ.get("VOXBURST_API_KEY")
    if not key:
        raise ConfigError("no API key: set VOXBURST_API_KEY")
    async with AsyncClient(key, url=url) as client:
        findings = await read_rows(client)
    for finding in findings:
        report(str(finding))
    return findings
