"""Retries: reads always, writes as their row of the matrix allows, planned acts never by the client."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops._support.canonical import canonical
from voxops.client import AsyncClient
from voxops.client import client as client_module
from voxops.connection import _identity
from voxops.errors import ApiError, RateLimitError, ServerError, TransportError, WaitTooLong
from voxops.loading.accounts import check_up

KEY = "00000000-0000-4000-8000-000000000001"
RETRY = ("POST", "/v1/posts/p1/retry", None, KEY)
NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize("fault", [
    Fault("drop", times=2), Fault("truncate", times=2), Fault("retry_after", seconds=3, times=2),
    *(Fault("status", status=status, times=2) for status in (500, 503, 408)),
])  # fmt: skip
def test_reads_are_sent_again(client, sandbox, fault):
    sandbox.add_fault(fault)
    assert eventloop.run(client.identity())["plan"] == "PRO"
    assert client.requests == len(sandbox.requests()) == 3


def test_reads_are_abandoned_after_five_tries(client, sandbox, clock):
    sandbox.add_fault(Fault("drop", times=None))
    with pytest.raises(TransportError, match=r"127\.0\.0\.1:[0-9]+ broke$"):
        eventloop.run(client.identity())
    assert client.requests == 5
    assert all(0 <= slept <= bound for slept, bound in zip(clock.slept, (0.5, 1, 2, 4), strict=True))


@pytest.mark.parametrize("status", [400, 401, 404, 409])
def test_a_refused_read_is_not_sent_again(client, sandbox, status):
    sandbox.add_fault(Fault("status", status=status, code="X", times=None))
    with pytest.raises(ApiError, match=f"answered {status} X"):
        eventloop.run(client.identity())
    assert client.requests == 1


def test_only_the_failed_page_of_a_list_is_read_again(client, sandbox):
    sandbox.add_fault(Fault("drop", path="/v1/posts", nth=3))

    async def main() -> list[str]:
        return [record["id"] async for record in client.posts.list()]

    ids = eventloop.run(main())
    assert len(ids) == len(set(ids)) == 500
    assert client.requests == 6


@pytest.mark.parametrize("more", [
    {"action": "drop"}, {"action": "status", "status": 503},
    {"action": "status", "status": 409, "code": "IDEMPOTENCY_IN_PROGRESS"},
])  # fmt: skip
def test_a_write_without_effect_is_sent_again_under_one_key(client, sandbox, more, fields):
    """Those that may have had one: `tests/conformance`, for each row."""
    sandbox.add_fault(Fault(path="/v1/posts", times=2, **more))
    eventloop.run(client.posts.create(**fields))
    tries = [(request["key"], request["body"]) for request in sandbox.requests(acting=True)]
    assert len(tries) == 3 and len(set(tries)) == len(sandbox.effects("post.create")) == 1


def test_two_writes_have_two_keys_and_a_given_key_is_used(client, sandbox, fields):
    for key in ({}, {}, {"idempotency_key": KEY}):
        eventloop.run(client.posts.create(**fields, **key))
    *others, given = (request["key"] for request in sandbox.requests(acting=True))
    assert given == KEY and len({*others, given}) == 3


async def refused(client: AsyncClient, method: str, path: str, body: Any, key: str) -> tuple[int, str]:
    """Send a request that is refused in any case; status 0 if by the client."""
    with pytest.raises(ApiError) as caught:
        await client.request(method, path, json=body, idempotency_key=key)
    assert key not in str(caught.value)
    return caught.value.status, caught.value.code


OTHER = "00000000-0000-4000-8000-000000000002"


@pytest.mark.parametrize(("second", "status"), [
    (("POST", "/v1/posts", {"b": 2, "a": 1}, KEY), 400), (("PATCH", "/v1/posts/a", {"a": 1, "b": 2}, OTHER), 404),
    *((other, 0) for other in (
        ("POST", "/v1/posts", {"a": 1}, KEY), ("POST", "/v1/posts", None, KEY), ("POST", "/v1/posts/a/retry", {"a": 1, "b": 2}, KEY),
        ("PATCH", "/v1/posts", {"a": 1, "b": 2}, KEY),
    )),
])  # fmt: skip
def test_a_key_belongs_to_one_request_however_often_it_is_sent(client, second, status):
    assert eventloop.run(refused(client, "POST", "/v1/posts", {"a": 1, "b": 2}, KEY))[0] == 400
    found = eventloop.run(refused(client, *second))
    assert found[0] == status and (status > 0 or found[1] == "IDEMPOTENCY_CONFLICT")
    assert client.requests == (2 if status else 1)


def test_only_the_latest_keys_are_remembered(client, monkeypatch):
    monkeypatch.setattr(client_module, "_REMEMBERED", 2)

    async def main() -> None:
        for key in ("key-of-1", "key-of-2", "key-of-1", "key-of-3"):  # the second is the least recently used
            await refused(client, "POST", "/v1/posts", {}, key)
        assert (await refused(client, "POST", "/v1/posts", {"a": 1}, "key-of-2"))[0] == 409, "the server knows it"
        assert (await refused(client, "POST", "/v1/posts", {"a": 1}, "key-of-3"))[0] == 0

    eventloop.run(main())


def test_a_write_without_a_row_is_sent_once(client, sandbox):
    """Those with a row: `tests/conformance`, for each row."""
    sandbox.add_fault(Fault("drop", times=None))
    with pytest.raises(TransportError):
        eventloop.run(client.request("POST", "/v1/batch", json={}, idempotency_key=KEY))
    assert client.requests == 1


def test_an_unknown_write_is_not_reported_as_unsent_when_the_next_try_would_wait_too_long(client, sandbox, fields):
    late = {"Retry-After": "3600"}
    sandbox.add_fault(Fault("status", method="POST", path="/v1/posts", status=503, headers=late, when="after"))
    with pytest.raises(ServerError, match="503"):
        eventloop.run(client.posts.create(**fields))
    with pytest.raises(WaitTooLong):
        eventloop.run(client.identity())
    assert len(sandbox.effects("post.create")) == client.requests == 1


# Permits: one try each, for the engine.


@pytest.mark.parametrize("status", [503, 404])
def test_a_permit_is_one_try_and_returns_any_status(client, sandbox, status):
    sandbox.add_fault(Fault("status", status=status, times=None))

    async def main() -> int:
        async with client._permit() as permit:
            return (await permit.send(*RETRY)).status

    assert eventloop.run(main()) == status
    (request,) = sandbox.requests(acting=True)
    assert (request["key"], request["body"], client.requests) == (KEY, "", 1)


def test_a_permit_says_whether_the_request_may_have_arrived(client, sandbox, fields):
    sandbox.add_fault(Fault("drop", path="/v1/posts", when="after", times=None))
    body = canonical({"content": "x", "accountIds": fields["account_ids"]})

    async def failed(one: AsyncClient) -> TransportError:
        with pytest.raises(TransportError) as caught:
            async with one, one._permit() as permit:
                await permit.send("POST", "/v1/posts", body, KEY)
        return caught.value

    sent, unsent = (eventloop.run(failed(one)) for one in (client, AsyncClient("vb_test_x", url=NOBODY)))
    assert sent.sent and "unknown" in str(sent)
    assert len(sandbox.effects("post.create")) == client.requests == 1
    assert not unsent.sent and "no server answers" in str(unsent)


def test_a_permit_allows_one_try_inside_its_block(client, sandbox):
    async def main() -> None:
        async with client._permit() as permit:
            await permit.send(*RETRY)
            with pytest.raises(RuntimeError, match="one try"):
                await permit.send(*RETRY)
        async with client._permit() as unused:
            pass
        with pytest.raises(RuntimeError, match="one try"):
            await unused.send(*RETRY)

    eventloop.run(main())
    assert len(sandbox.requests(acting=True)) == 1


def test_a_permit_shares_the_pace(client, sandbox, clock):
    sandbox.add_fault(Fault("retry_after", path="/v1/posts/p1/retry", seconds=20))

    async def main() -> None:
        async with client._permit() as permit:
            assert (await permit.send(*RETRY)).status == 429
        assert client.pace.paused_for == 20.0
        await client.identity()
        assert sum(clock.slept) == 20.0

    eventloop.run(main())


def test_no_caller_swallows_a_pause_that_is_too_long(client, sandbox, tmp_path, fields):
    """Callers that handle other API errors per account, file or post, or at connect, let it through."""
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))

    async def permit() -> None:
        async with client._permit():
            pytest.fail("no permit may be granted")

    async def main() -> None:
        sandbox.add_fault(Fault("retry_after", seconds=900))
        with pytest.raises(RateLimitError) as first:
            await client.identity()
        assert first.value.retry_after >= 900
        for call in (
            partial(_identity, client), partial(check_up, client, fields["account_ids"], refresh=False),
            partial(client.upload, file), partial(client.posts.retry, "post_1"), permit,
        ):  # fmt: skip
            with pytest.raises(WaitTooLong, match="Nothing was sent"):
                await call()

    eventloop.run(main())
    assert sandbox.requests(acting=True) == []


async def attempt(client: AsyncClient, *request: Any, answers: Any) -> int:
    """Use a permit whose precondition has these answers, one after the other; return the status."""
    async with client._permit() as permit:
        return (await permit.send(*request, may_go=answers)).status


def test_a_try_whose_precondition_fails_is_not_sent(client, sandbox):
    """The precondition is checked on a new and on a reused connection; an aborted try does not affect the next one."""
    asked: list[int] = []

    def precondition(answer: bool) -> bool:
        asked.append(len(sandbox.requests()))
        return answer

    async def main() -> None:
        for may_go in (False, False, True, True, False, True):
            answers = partial(precondition, may_go)
            if may_go:
                assert await attempt(client, *RETRY, answers=answers) == 404
            else:
                with pytest.raises(TransportError, match="not sent") as refused:
                    await attempt(client, *RETRY, answers=answers)
                assert not refused.value.sent

    eventloop.run(main())
    assert len(sandbox.requests()) == 3
    assert asked == [0, 0, 0, 1, 2, 2], "once per try, before the server receives it"


def test_a_try_whose_precondition_fails_between_headers_and_body_is_unknown(client, sandbox):
    """A laptop may fall asleep there. The server can't act on half a request, but the client can't prove it."""
    answers = iter([True, False, True, True])
    post = next(post.id for post in sandbox.world.posts.values() if post.status == "scheduled")

    async def main() -> None:
        request = ("PATCH", f"/v1/posts/{post}", canonical({"content": "once"}), KEY)
        patch = partial(attempt, client, *request, answers=partial(next, answers))
        with pytest.raises(TransportError, match="aborted before its body was sent") as broken:
            await patch()
        assert broken.value.sent
        assert sandbox.effects("post.update") == []
        assert await patch() == 200

    eventloop.run(main())
    assert len(sandbox.effects("post.update")) == 1
    assert list(answers) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_client_works_on_in_a_forked_process(client):
    assert eventloop.run(client.identity())["plan"] == "PRO"
    child = os.fork()
    if child == 0:  # pragma: no cover  the child is not measured
        found = {}
        try:
            found = eventloop.run(client.identity())
        finally:
            os._exit(found.get("plan") != "PRO")
    assert os.waitpid(child, 0)[1] == 0
    assert eventloop.run(client.identity())["plan"] == "PRO"
