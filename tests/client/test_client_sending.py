"""Retries: reads always, writes as their row of the matrix allows, planned acts never by the client."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops._support.canonical import canonical
from voxops.api.matrix import may_resend
from voxops.client import AsyncClient, PostFields, _calls
from voxops.client._calls import KeyBook, freeze
from voxops.connection import _identity
from voxops.errors import (
    ConfigError,
    ConflictError,
    RateLimitError,
    ServerError,
    TransportError,
    ValidationError,
    WaitTooLong,
)
from voxops.loading.accounts import check_up

Write = Callable[[AsyncClient], Coroutine[Any, Any, Any]]


@pytest.mark.parametrize("fault", [
    Fault("drop", times=2), Fault("truncate", times=2), Fault("status", status=500, times=2),
    Fault("status", status=503, code="SERVICE_UNAVAILABLE", times=2), Fault("status", status=408, times=2),
    Fault("retry_after", seconds=3, times=2),
], ids=lambda fault: f"{fault.action}-{fault.status}")  # fmt: skip
def test_reads_are_sent_again(client, sandbox, fault):
    sandbox.add_fault(fault)
    assert eventloop.run(client.identity())["plan"] == "PRO"
    assert client.requests == len(sandbox.requests()) == 3


def test_reads_are_abandoned_after_five_tries(client, sandbox, clock):
    sandbox.add_fault(Fault("drop", times=None))
    with pytest.raises(TransportError, match=r"the connection to 127\.0\.0\.1:[0-9]+ broke$"):
        eventloop.run(client.identity())
    assert client.requests == 5 and len(clock.slept) == 4
    assert all(0 <= slept <= bound for slept, bound in zip(clock.slept, (0.5, 1, 2, 4), strict=True))


@pytest.mark.parametrize("status", [400, 401, 404, 409])
def test_a_refused_read_is_not_sent_again(client, sandbox, status):
    sandbox.add_fault(Fault("status", status=status, code="X", times=None))
    with pytest.raises(Exception, match=f"answered {status} X"):
        eventloop.run(client.identity())
    assert client.requests == 1


def test_only_the_failed_page_of_a_list_is_read_again(client, sandbox):
    sandbox.add_fault(Fault("drop", path="/v1/posts", nth=3))

    async def main() -> list[str]:
        return [record["id"] async for page in client.posts.list() for record in page.records]

    ids = eventloop.run(main())
    assert len(ids) == len(set(ids)) == 500 and client.requests == 6


# The first account of the sandbox that can publish text.
ACCOUNT = next(
    one.id
    for one in Sandbox(seed=7, empty=True).world.accounts.values()
    if (one.platform, one.status) == ("twitter", "active")
)


def fields(**more: Any) -> PostFields:
    return PostFields(content="hello", account_ids=[ACCOUNT], **more)


@pytest.mark.parametrize("fault", [
    {"action": "drop"}, {"action": "status", "status": 503},
    {"action": "status", "status": 409, "code": "IDEMPOTENCY_IN_PROGRESS"},
], ids=lambda fault: str(fault.get("status", "drop")))  # fmt: skip
def test_a_write_without_effect_is_sent_again_under_one_key(client, sandbox, fault):
    """Those that may have had one: `tests/conformance`, for each row."""
    sandbox.add_fault(Fault(method="POST", path="/v1/posts", times=2, **fault))
    post = eventloop.run(client.posts.create(fields()))
    tries = sandbox.requests(acting=True)
    assert len(tries) == 3 and len({(request["key"], request["body"]) for request in tries}) == 1
    assert [effect["post"] for effect in sandbox.effects("post.create")] == [post["id"]]


def test_two_writes_have_two_keys_and_a_given_key_is_used(client, sandbox):
    async def main() -> list[str]:
        made = [await client.posts.create(fields()) for _ in range(2)]
        made += [await client.posts.create(fields(), idempotency_key="the-same-key") for _ in range(2)]
        return [post["id"] for post in made]

    ids = eventloop.run(main())
    assert len(set(ids)) == 3 and ids[2] == ids[3]
    keys = [request["key"] for request in sandbox.requests(acting=True)]
    assert len(set(keys)) == 3 and keys[2:] == ["the-same-key"] * 2


def test_a_conflicting_key_is_never_replaced(client, sandbox):
    async def main() -> None:
        await client.posts.create(fields(), idempotency_key="the-same-key")
        with pytest.raises(ConflictError) as caught:
            await client.posts.create(fields(tags=["other"]), idempotency_key="the-same-key")
        assert (caught.value.status, caught.value.code) == (0, "IDEMPOTENCY_CONFLICT")

    eventloop.run(main())
    assert client.requests == 1


def test_a_write_without_a_row_is_sent_once_by_raw_only(client, sandbox):
    with pytest.raises(
        ValidationError, match=r"no row of the matrix governs POST /v1/posts/p/approve; send it once with client.raw"
    ):
        eventloop.run(client.request("POST", "/v1/posts/p/approve"))
    assert client.requests == 0 and not may_resend(None, with_key=True)
    sandbox.add_fault(Fault("drop", path="/v1/posts/p/approve", times=None))
    with pytest.raises(TransportError):
        eventloop.run(client.raw("POST", "/v1/posts/p/approve"))
    assert client.requests == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_raw_is_never_sent_again_and_generates_no_key(client, sandbox, method):
    sandbox.add_fault(Fault("status", status=503, times=1))
    with pytest.raises(ServerError):
        eventloop.run(client.raw(method, "/v1/posts", json={"a": 1} if method == "POST" else None))
    assert client.requests == 1 and sandbox.requests()[-1]["key"] is None


def test_an_unknown_write_is_not_reported_as_unsent_when_the_next_try_would_wait_too_long(sandbox):
    sandbox.add_fault(
        Fault("status", method="POST", path="/v1/posts", status=503, headers={"Retry-After": "3600"}, when="after")
    )

    async def main() -> None:
        async with AsyncClient(sandbox.api_key, url=sandbox.url, max_wait=60, rng=random.Random(1)) as client:
            client._retries.backoff = type(client._retries.backoff)(base=0.001)
            with pytest.raises(ServerError, match="503"):
                await client.posts.create(fields())
            with pytest.raises(WaitTooLong):
                await client.identity()

    asyncio.run(main())
    assert len(sandbox.effects("post.create")) == 1


def operation(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"op-{number}", "method": "POST", "path": "/v1/posts", "body": {"content": "x", "accountIds": [ACCOUNT]},
        **more,
    }  # fmt: skip


def test_a_batch_is_read_item_by_item(client, sandbox):
    answer = eventloop.run(client.batch([operation(1), operation(2, body={"content": ""}), operation(3)]))
    assert [result["status"] for result in answer["results"]] == [201, 400, 201]
    assert answer["summary"] == {"total": 3, "succeeded": 2, "failed": 1, "skipped": 0}
    stopped = eventloop.run(client.batch([operation(2, body={"content": ""}), operation(3)], continue_on_error=False))
    assert stopped["summary"]["skipped"] == 1 and len(sandbox.effects("post.create")) == 2


def test_a_batch_is_sent_once(client, sandbox):
    sandbox.add_fault(Fault("drop", path="/v1/batch", when="after", times=None))
    with pytest.raises(TransportError):
        eventloop.run(client.batch([operation(1)]))
    assert client.requests == 1 and len(sandbox.effects("post.create")) == 1


@pytest.mark.parametrize(("operations", "what"), [
    ([], "1 to 100 allowed"), ([operation(n) for n in range(101)], "101 entries"),
    ([operation(1), operation(1)], "two have the same id"), ([operation(1, id="x" * 65)], "1 to 64"),
    ([operation(1, method="GET")], "POST, PATCH or DELETE"),
    ([operation(1, path="/v1/billing")], "must begin with /v1/ and one of posts"),
    ([operation(1, path="/v1/posts/" + "x" * 500)], "500"),
    ([operation(1, body={"x": "y" * 102_400})], "102,400 allowed"),
    ([operation(n, body={"x": "y" * 90_000}) for n in range(60)], "in all"),
])  # fmt: skip
def test_the_limits_of_a_batch_are_checked_before_it_is_sent(operations, what):
    async def main() -> int:
        async with AsyncClient("vb_test_of_nobody", url="http://127.0.0.1:9") as client:
            with pytest.raises(ValidationError, match=what):
                await client.batch(operations)
            return client.requests

    assert eventloop.run(main()) == 0


KEY = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(("fault", "status"), [
    ({"action": "status", "status": 503}, 503), ({"action": "retry_after"}, 429),
    ({"action": "status", "status": 404}, 404),
])  # fmt: skip
def test_a_permit_is_one_try_and_returns_any_status(client, sandbox, fault, status):
    sandbox.add_fault(Fault(path="/v1/posts/p1/retry", times=None, **fault))

    async def main() -> int:
        async with client.permit() as permit:
            return (await permit.send("POST", "/v1/posts/p1/retry", None, KEY)).status

    assert eventloop.run(main()) == status
    (request,) = sandbox.requests(acting=True)
    assert request["key"] == KEY and request["body"] == "" and client.requests == 1


def test_a_permit_says_whether_the_request_may_have_arrived(client, sandbox):
    sandbox.add_fault(Fault("drop", path="/v1/posts", when="after", times=None))

    async def main(one: AsyncClient) -> TransportError:
        with pytest.raises(TransportError) as caught:
            async with one.permit() as permit:
                await permit.send(
                    "POST", "/v1/posts", body=b'{"content":"x","accountIds":["%s"]}' % ACCOUNT.encode(), key=KEY
                )
        return caught.value

    error = eventloop.run(main(client))
    assert error.sent and "the outcome of the request is unknown" in str(error)
    assert len(sandbox.effects("post.create")) == client.requests == 1

    async def nobody() -> TransportError:
        async with AsyncClient("vb_test_x", url="http://127.0.0.1:9") as one:
            return await main(one)

    unsent = asyncio.run(nobody())
    assert not unsent.sent and "no server answers" in str(unsent)


def test_a_permit_allows_one_try_inside_its_block(client, sandbox):
    async def main() -> None:
        async with client.permit() as permit:
            await permit.send("POST", "/v1/posts/p1/retry", None, KEY)
            with pytest.raises(RuntimeError, match="one try"):
                await permit.send("POST", "/v1/posts/p1/retry", None, KEY)
        async with client.permit() as unused:
            pass
        with pytest.raises(RuntimeError, match="one try"):
            await unused.send("POST", "/v1/posts/p1/retry", None, KEY)

    eventloop.run(main())
    assert len(sandbox.requests(acting=True)) == 1


def test_an_unused_permit_frees_its_slot(sandbox):
    async def main() -> None:
        async with AsyncClient(sandbox.api_key, url=sandbox.url, concurrency=1) as client:
            for _ in range(3):
                async with client.permit():
                    pass
                with pytest.raises(ZeroDivisionError):
                    async with client.permit():
                        raise ZeroDivisionError
            await asyncio.wait_for(client.identity(), 10)
            assert client.requests == 1

    asyncio.run(main())


def test_a_permit_shares_the_pace(client, sandbox, clock):
    sandbox.add_fault(Fault("retry_after", path="/v1/posts/p1/retry", seconds=20))

    async def main() -> None:
        async with client.permit() as permit:
            assert (await permit.send("POST", "/v1/posts/p1/retry", None, KEY)).status == 429
        assert client.pace.paused_for == 20.0
        await client.identity()
        assert sum(clock.slept) == 20.0

    eventloop.run(main())


def test_no_caller_swallows_a_pause_that_is_too_long(sandbox, tmp_path):
    """Callers that handle other API errors per account, file or post, or at connect, let it through."""
    file = tmp_path / "a.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))

    async def main() -> None:
        async with AsyncClient(sandbox.api_key, url=sandbox.url, max_wait=60) as client:
            sandbox.add_fault(Fault("retry_after", seconds=900))
            with pytest.raises(RateLimitError) as first:
                await client.identity()
            assert first.value.retry_after > 60
            account = next(iter(sandbox.world.accounts))
            for call in (
                lambda: _identity(client),
                lambda: check_up(client, [account], refresh=False),
                lambda: client.uploads.send_all([file]),
                lambda: client.posts.retry("post_1"),
            ):
                with pytest.raises(WaitTooLong, match="Nothing was sent"):
                    await call()
            with pytest.raises(WaitTooLong, match="Nothing was sent"):
                async with client.permit():
                    pytest.fail("no permit may be granted")

    asyncio.run(main())
    assert sandbox.requests(acting=True) == []


def test_concurrency_is_limited_before_the_pool(sandbox):
    sandbox.add_fault(Fault("delay", path="/v1/auth/me", seconds=0.05, times=None))

    async def main() -> float:
        async with AsyncClient(sandbox.api_key, url=sandbox.url, concurrency=4) as client:
            most = 0

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, client._pace._in_flight)
                    await asyncio.sleep(0.005)

            watcher = asyncio.create_task(watch())
            await asyncio.gather(*(client.identity() for _ in range(20)))
            watcher.cancel()
            return most

    assert asyncio.run(main()) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_client_works_on_in_a_forked_process(client):
    assert eventloop.run(client.identity())["plan"] == "PRO"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover  the child is not measured
        answer = b"failed"
        try:
            answer = eventloop.run(client.identity())["plan"].encode()
        finally:
            os.write(writing, answer)
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"PRO"
    os.close(reading)
    os.close(writing)
    assert eventloop.run(client.identity())["plan"] == "PRO"


def test_a_try_whose_precondition_fails_is_not_sent(client, sandbox):
    """The precondition is checked on a new and on a reused connection; an aborted try does not affect the next one."""
    asked: list[int] = []

    def may_go(answer: bool) -> Callable[[], bool]:
        def ask() -> bool:
            asked.append(len(sandbox.requests()))
            return answer

        return ask

    async def send(answer: bool) -> Any:
        async with client.permit() as permit:
            return await permit.send("POST", "/v1/posts/post_nope/retry", None, key=str(uuid4()), may_go=may_go(answer))

    async def all_of_them() -> None:
        for _ in range(2):
            with pytest.raises(TransportError, match="not sent, because its deadline passed first") as refused:
                await send(answer=False)
            assert not refused.value.sent
            assert sandbox.requests() == []
        for _ in range(2):
            assert (await send(answer=True)).status == 404
        with pytest.raises(TransportError):
            await send(answer=False)
        assert (await send(answer=True)).status == 404

    eventloop.run(all_of_them())
    assert len(sandbox.requests()) == 3
    assert asked == [0, 0, 0, 1, 2, 2], "once per try, before the server receives it"


def test_a_try_whose_precondition_fails_between_headers_and_body_is_unknown(client, sandbox):
    """A laptop may fall asleep there. The server can't act on half a request, but the client can't prove that it didn't."""
    answers = iter([True, False, True, True])

    async def send(post: str) -> Any:
        async with client.permit() as permit:
            body = canonical({"content": "once"})
            return await permit.send(
                "PATCH", f"/v1/posts/{post}", body, key=str(uuid4()), may_go=partial(next, answers)
            )

    async def both() -> None:
        [post, *_] = [
            each["id"] async for page in client.pages("/v1/posts", {"status": "scheduled"}) for each in page.records
        ]
        with pytest.raises(TransportError, match="aborted before its body was sent") as broken:
            await send(post)
        assert broken.value.sent
        assert sandbox.effects("post.update") == []
        assert (await send(post)).status == 200

    eventloop.run(both())
    assert len(sandbox.effects("post.update")) == 1
    assert list(answers) == []


@pytest.mark.parametrize("name", ["nowhere.pem", "words.pem"])
def test_certificates_that_can_not_be_read_are_named_by_their_variable(tmp_path, monkeypatch, name):
    (tmp_path / "words.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    with pytest.raises(
        ConfigError, match=r"^SSL_CERT_FILE or SSL_CERT_DIR names certificates that can't be read; correct or unset it"
    ):
        AsyncClient("vb_live_of_nobody_at_all", url="https://127.0.0.1:9")


frozen = st.builds(
    lambda method, path, body: (method, path, body),
    st.sampled_from(["POST", "PATCH", "DELETE"]),
    st.sampled_from(["/v1/posts", "/v1/posts/a", "/v1/media"]),
    st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), st.integers(0, 3), max_size=2)),
)


@given(first=frozen, second=frozen)
def test_a_key_belongs_to_one_request_however_often_it_is_sent(first, second):
    book = KeyBook()
    for _ in range(3):
        book.check(freeze(first[0], first[1], json=first[2], key="the-key-1"))
    other = freeze(second[0], second[1], json=second[2], key="the-key-1")
    if first == second:
        book.check(other)
        return
    with pytest.raises(ConflictError) as caught:
        book.check(other)
    assert (caught.value.status, caught.value.code) == (0, "IDEMPOTENCY_CONFLICT")
    assert "the-key-1" not in str(caught.value)
    book.check(freeze(second[0], second[1], json=second[2], key="the-key-2"))


def test_the_same_json_in_another_order_is_the_same_request():
    book = KeyBook()
    book.check(freeze("POST", "/v1/posts", json={"a": 1, "b": 2}, key="k"))
    book.check(freeze("POST", "/v1/posts", json={"b": 2, "a": 1}, key="k"))


def test_a_request_without_a_key_is_not_checked():
    book = KeyBook()
    book.check(freeze("POST", "/v1/posts", json={"a": 1}))
    book.check(freeze("POST", "/v1/posts", json={"a": 2}))


def test_only_the_latest_keys_are_remembered(monkeypatch):
    monkeypatch.setattr(_calls, "_REMEMBERED", 2)
    book = KeyBook()
    for key in ("k1", "k2", "k1", "k3"):  # k2 is the least recently used
        book.check(freeze("POST", "/v1/posts", json={"key": key}, key=key))
    book.check(freeze("POST", "/v1/posts", json={"another": 1}, key="k2"))
    with pytest.raises(ConflictError):
        book.check(freeze("POST", "/v1/posts", json={"another": 1}, key="k3"))


def test_a_body_that_can_not_be_encoded_is_refused():
    with pytest.raises(ValidationError) as caught:
        freeze("POST", "/v1/posts", json={"a": object()})
    assert caught.value.status == 0
