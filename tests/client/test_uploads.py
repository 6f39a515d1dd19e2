"""Uploads from disk: constant memory, no API headers to the storage host, expired addresses, resumed batches."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.security.raw import answer, serve

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.client import AsyncClient, Progress, Reply, Uploaded
from voxops.client._upload import presigned, source_of
from voxops.errors import ApiError, AuthError, ConfigError, DecodeError, ServerError, TransportError, ValidationError

EMPTY = True  # the sandbox
MEGABYTE = 1024 * 1024


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.jpg"
    file.write_bytes(bytes(range(256)) * 4_000)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"photo-{number}.png" for number in range(6)]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * 1_000)
    return files


def puts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the requests that reached the storage host."""
    return [request for request in sandbox.requests() if request["path"].startswith("/upload/")]


def test_a_file_arrives_whole_and_becomes_ready(client, sandbox, photo):
    steps: list[Progress] = []
    done = eventloop.run(client.uploads.send(photo, progress=steps.append))
    (effect,) = sandbox.effects("media.upload")
    assert effect["sha256"] == hashlib.sha256(photo.read_bytes()).hexdigest() and effect["media"] == done.media_id
    assert done == Uploaded(photo, done.media_id)
    size = photo.stat().st_size
    assert [one.sent for one in steps] == sorted({min(size, 262_144 * n) for n in range(1, 5)}) and {
        one.size for one in steps
    } == {size}
    sandbox.advance(60)
    assert eventloop.run(client.uploads.status(str(done.media_id))) == "ready"


def test_the_address_is_in_no_repr(client, sandbox):
    place = eventloop.run(client.uploads.presign("a.jpg", "image/jpeg", 10))
    assert place.url.startswith(sandbox.storage_url) and place.url not in repr(place) and "signature" not in repr(place)


def test_memory_stays_constant_whatever_the_size(client, sandbox, tmp_path):
    file = tmp_path / "long.mp4"
    with file.open("wb") as stream:
        stream.truncate(64 * MEGABYTE)  # a sparse file
    small = tmp_path / "short.mp4"
    small.write_bytes(b"x" * 1_000)
    eventloop.run(client.uploads.send(small))  # warm up before measuring
    tracemalloc.start()
    try:
        done = eventloop.run(client.uploads.send(file))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    effect = next(one for one in sandbox.effects("media.upload") if one["media"] == done.media_id)
    assert effect["size"] == 64 * MEGABYTE
    assert peak < 8 * MEGABYTE, f"{peak / MEGABYTE:.1f} MB"


@pytest.mark.parametrize("fault", [
    {"action": "drop"}, {"action": "drop", "when": "after"}, {"action": "status", "status": 503},
    {"action": "status", "status": 500, "when": "after"},
], ids=lambda fault: "-".join(map(str, fault.values())))  # fmt: skip
def test_a_put_that_failed_is_sent_again(client, sandbox, photo, fault):
    sandbox.add_fault(Fault(path="/upload/**", times=2, **fault))
    done = eventloop.run(client.uploads.send(photo))
    assert len(puts(sandbox)) == 3 and len(sandbox.effects("media.create")) == 1
    assert {effect["media"] for effect in sandbox.effects("media.upload")} == {done.media_id}


@pytest.mark.parametrize(("fault", "kind"), [
    ({"action": "drop"}, TransportError), ({"action": "status", "status": 503}, ServerError),
    ({"action": "status", "status": 403}, ApiError), ({"action": "status", "status": 400}, ApiError),
])  # fmt: skip
def test_a_put_that_keeps_failing_is_abandoned(client, sandbox, photo, fault, kind):
    sandbox.add_fault(Fault(path="/upload/**", times=None, **fault))
    with pytest.raises(kind):
        eventloop.run(client.uploads.send(photo))
    assert 1 <= len(puts(sandbox)) <= 5


def test_the_storage_s_error_is_read(client, sandbox, photo):
    sandbox.add_fault(Fault("drop", path="/upload/**"))

    async def main() -> ApiError:
        place = await client.uploads.presign(photo.name, "image/jpeg", photo.stat().st_size + 1)
        client.uploads.presign = answer_with(place)
        with pytest.raises(ApiError) as caught:
            await client.uploads.send(photo)
        return caught.value

    error = eventloop.run(main())
    assert (error.status, error.code) == (400, "IncompleteBody")
    assert str(error) == "the storage did not accept photo.jpg: 400 IncompleteBody"


def answer_with(value: Any) -> Any:
    async def answer(*_: Any, **__: Any) -> Any:
        return value

    return answer


def before_the_next_try(client: AsyncClient, sandbox: Sandbox, work: Callable[[], Any] = lambda: None) -> None:
    """Let the address expire, and run some work, before the next try."""

    async def rest(_: int) -> None:
        await asyncio.to_thread(work)
        await asyncio.to_thread(sandbox.advance, 15 * 60)
        await client.health()  # updates the client's estimate of the server's time

    client._retries.pause = rest


def test_an_address_that_has_expired_is_renewed_before_it_is_used(client, sandbox, photo):
    sandbox.add_fault(Fault("drop", path="/upload/**"))
    before_the_next_try(client, sandbox)
    done = eventloop.run(client.uploads.send(photo))
    assert [request["status"] for request in puts(sandbox)] == [0, 200]
    assert len(sandbox.effects("media.presign")) == 1 and len(sandbox.effects("media.create")) == 1
    assert sandbox.effects("media.upload")[0]["media"] == done.media_id


def test_an_address_that_the_storage_reports_as_expired_is_renewed(client, sandbox, photo):
    async def main() -> Uploaded:
        place = await client.uploads.presign(photo.name, "image/jpeg", photo.stat().st_size)
        client.uploads.presign = answer_with(place)
        await asyncio.to_thread(sandbox.advance, 15 * 60 + 1)  # the client does not know
        return await client.uploads.send(photo)

    done = eventloop.run(main())
    assert [request["status"] for request in puts(sandbox)] == [403, 200]
    assert len(sandbox.effects("media.create")) == 1 and done.media_id == sandbox.effects("media.upload")[0]["media"]


def test_bytes_that_had_arrived_are_not_sent_again_when_the_address_expires(client, sandbox, photo):
    sandbox.add_fault(Fault("drop", path="/upload/**", when="after"))
    before_the_next_try(client, sandbox)
    done = eventloop.run(client.uploads.send(photo))
    assert len(puts(sandbox)) == 1 and done.media_id == sandbox.effects("media.upload")[0]["media"]


@pytest.mark.parametrize("how", ["gone", "failed", "unknown call", "no address in it"])
def test_an_address_that_can_t_be_renewed_is_replaced(client, sandbox, photo, how):
    def work() -> None:
        (first,) = [effect["media"] for effect in sandbox.effects("media.create")]
        if how == "gone":
            sandbox.world.media.drop(first)
        if how == "failed":
            sandbox.world.media[first].status = "failed"

    renewal = "/v1/media/*/refresh-presign"
    if how == "unknown call":
        sandbox.add_fault(Fault("status", path=renewal, status=404, code="NOT_FOUND"))
    if how == "no address in it":
        sandbox.add_fault(Fault("garbage", path=renewal, body="json", status=200))
    sandbox.add_fault(Fault("drop", path="/upload/**"))
    before_the_next_try(client, sandbox, work)
    done = eventloop.run(client.uploads.send(photo))
    first, second = [effect["media"] for effect in sandbox.effects("media.create")]
    assert first != second == done.media_id
    assert [effect["media"] for effect in sandbox.effects("media.upload")] == [second]


def test_bytes_that_arrive_between_two_reads_are_noticed(client, sandbox, photo):
    sandbox.add_fault(
        Fault("drop", path="/upload/**"),
        Fault("status", path="/v1/media/*/refresh-presign", status=409, code="CONFLICT", times=2),
    )
    before_the_next_try(client, sandbox)
    eventloop.run(client.uploads.send(photo))
    status_reads = [
        request["path"]
        for request in sandbox.requests()
        if request["method"] == "GET" and request["path"].startswith("/v1/media/")
    ]
    assert len(status_reads) == 2 and len(sandbox.effects("media.create")) == 2


@pytest.mark.parametrize(("record", "arrived"), [
    ({"id": "m1", "status": "processing"}, True), ({"id": "m1", "status": "READY"}, True),
    ({"id": "m1", "status": "pending"}, False), ({"id": "m1", "status": "uploading"}, False),
    ({"id": "m1", "status": None}, False), ({"id": "m1"}, False),
])  # fmt: skip
def test_only_a_known_status_proves_that_the_bytes_have_arrived(photo, tmp_path, record, arrived):
    storage = ["400 Bad Request", "200 OK"]  # the first batch fails and leaves its receipt

    def api(head: bytes, _: bytes) -> Iterator[bytes]:
        if head.startswith(b"PUT"):
            yield answer(b"", storage.pop(0))
        elif head.startswith(b"POST"):
            yield answer(json.dumps({"mediaId": "m1", "uploadUrl": f"{server.url}/put"}).encode())
        else:
            yield answer(json.dumps(record).encode())

    async def send(url: str) -> list[Uploaded]:
        async with AsyncClient("vb_live_a_key_of_a_test", url=url) as client:
            return [(await client.uploads.send_all([photo], receipt=tmp_path / "r.json"))[0] for _ in range(2)]

    with serve(api) as server:
        first, second = asyncio.run(send(server.url))
    assert (first.media_id, second.media_id) == (None, "m1")
    bodies = [body for head, body in server.requests if head.startswith(b"PUT")][1:]
    assert (second.reused, bodies) == (arrived, [] if arrived else [photo.read_bytes()])


def test_a_failed_file_does_not_stop_the_others(client, sandbox, photos, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.doc").write_bytes(b"x")
    files = [
        photos[0], tmp_path / "missing.jpg", tmp_path / "empty.jpg", tmp_path / "notes.doc", tmp_path,
        tmp_path / "a\0b.jpg", photos[1],
    ]  # fmt: skip
    done = eventloop.run(client.uploads.send_all(files))
    assert [one.path for one in done] == files
    assert [one.media_id is not None for one in done] == [True, False, False, False, False, False, True]
    words = [
        "",
        "can't be read (No such file",
        "0 bytes, 1 to",
        "pass content_type=",
        "is not a file",
        "embedded null",  # "byte" or "character", by Python version
        "",
    ]
    assert all(word in str(one.error or "") for word, one in zip(words, done, strict=True))
    assert all(isinstance(one.error, ValidationError) for one in done if one.error is not None)


def test_a_batch_is_resumed_without_sending_finished_files(client, sandbox, photos, tmp_path):
    receipt = tmp_path / "receipt.json"
    sandbox.add_fault(
        Fault("drop", path="/upload/**", nth=3), *(Fault("drop", path="/upload/**", nth=n) for n in range(5, 40))
    )
    first = eventloop.run(client.uploads.send_all(photos, receipt=receipt))
    finished = {one.path: one.media_id for one in first if one.media_id is not None}
    assert 0 < len(finished) < len(photos)
    sandbox.clear_faults()
    before = len(puts(sandbox))
    second = eventloop.run(client.uploads.send_all(photos, receipt=receipt))
    assert (
        all(one.error is None for one in second)
        and {one.path: one.media_id for one in second if one.reused} == finished
    )
    assert len(puts(sandbox)) - before == len(photos) - len(finished)
    # interrupted uploads continued under their media ids: one media file per file
    assert len(sandbox.effects("media.create")) == len(photos)
    assert all(one.reused for one in eventloop.run(client.uploads.send_all(photos, receipt=receipt)))


def test_a_receipt_ignores_changed_files_and_deleted_media(client, sandbox, photos, tmp_path):
    receipt = tmp_path / "receipt.json"
    first = eventloop.run(client.uploads.send_all(photos[:3], receipt=receipt))
    photos[0].write_bytes(b"another picture")
    eventloop.run(client.media.delete(str(first[1].media_id)))
    second = eventloop.run(client.uploads.send_all(photos[:3], receipt=receipt))
    assert [one.reused for one in second] == [False, False, True]
    assert second[0].media_id != first[0].media_id and second[1].media_id != first[1].media_id
    content = receipt.read_text()
    assert "signature" not in content and sandbox.api_key not in content and sandbox.storage_url not in content


def test_two_batches_that_share_a_receipt_keep_each_other_s_files(client, sandbox, photos, tmp_path):
    receipt = tmp_path / "receipt.json"

    async def both() -> None:
        parts = (photos[:2], photos[2:])
        await asyncio.gather(*(client.uploads.send_all(part, receipt=receipt) for part in parts))

    eventloop.run(both())
    sent = len(puts(sandbox))
    assert all(one.reused for one in eventloop.run(client.uploads.send_all(photos, receipt=receipt)))
    assert len(puts(sandbox)) == sent == len(photos)


OTHER = json.dumps({"version": 1, "url": "https://api.voxburst.io", "files": {}})


@pytest.mark.parametrize(("content", "words"), [
    *((text, "not a receipt") for text in ("", "{}", "[]", "null", '{"url": "x"}', "\x00")),
    (OTHER, r"to https://api.voxburst.io, not to http://127"), (None, r"receipt .* can't be read"),
], ids=range(8))  # fmt: skip
def test_a_file_that_is_no_receipt_of_this_api_is_refused_and_kept(client, photos, tmp_path, content, words):
    receipt = tmp_path if content is None else tmp_path / "receipt.json"
    if content is not None:
        receipt.write_text(content)
    with pytest.raises(ConfigError, match=words):
        eventloop.run(client.uploads.send_all(photos, receipt=receipt))
    assert content is None or receipt.read_text() == content


def test_a_receipt_is_not_written_through_a_symlink(client, photos, tmp_path):
    """An attacker's symlink has the name of the temporary file that is written before it replaces the receipt."""
    precious, receipt = tmp_path / "precious.txt", tmp_path / "receipt.json"
    precious.write_text("mine")
    (tmp_path / ".receipt.json.new").symlink_to(precious)
    eventloop.run(client.uploads.send_all(photos[:1], receipt=receipt))
    assert precious.read_text() == "mine"
    assert json.loads(receipt.read_text())["files"]


def test_an_error_that_affects_every_file_ends_the_batch(sandbox, photos):
    async def main() -> None:
        async with AsyncClient("vb_test_quota", url=sandbox.url) as client:
            with pytest.raises(AuthError, match="quota"):
                await client.uploads.send_all(photos)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_the_same_file_twice_is_one_upload(client, sandbox, photo):
    one, two = eventloop.run(client.uploads.send_all([photo, str(photo)]))
    assert one == two and len(puts(sandbox)) == 1


@pytest.mark.parametrize(("name", "kind"), [
    ("a.JPG", "image/jpeg"), ("b.mov", "video/quicktime"), ("c.srt", "text/srt"), ("d.vtt", "text/vtt"),
    ("e.webp", "image/webp"),
])  # fmt: skip
def test_the_type_is_derived_from_the_name(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"x")
    assert source_of(tmp_path / name, None).content_type == kind
    assert source_of(tmp_path / name, "application/pdf").content_type == "application/pdf"


def test_the_upload_of_a_file_that_changes_stops(client, sandbox, photo):
    def cut(_: Progress) -> None:
        with photo.open("r+b") as stream:
            stream.truncate(300_000)

    with pytest.raises(ValidationError, match="changed while it was uploaded"):
        eventloop.run(client.uploads.send(photo, progress=cut))
    assert sandbox.effects("media.upload") == []


def test_an_error_of_the_progress_callback_is_raised(client, photo):
    with pytest.raises(ZeroDivisionError):
        eventloop.run(client.uploads.send(photo, progress=lambda one: one.sent / 0))


def answered(**body: Any) -> Reply:
    return Reply("POST /v1/media/x/refresh-presign", 200, {}, json.dumps(body).encode())


def test_an_address_is_read_under_any_of_its_names():
    place = presigned(
        answered(
            uploadUrl="https://s.example/1", mediaId="m", uploadHeaders={"A": 1}, expiresAt="2026-03-02T09:15:00Z"
        ),
        None,
    )
    assert (place.media_id, place.url, dict(place.headers)) == (
        "m",
        "https://s.example/1",
        {"A": "1"},
    ) and place.expires_at is not None
    bare = presigned(answered(url="https://s.example/1", expiresAt="soon"), "m")
    assert (bare.media_id, dict(bare.headers), bare.expires_at) == ("m", {}, None)
    assert presigned(answered(data={"id": "m", "presignedUrl": "https://s.example"}), None).media_id == "m"
    for bad in (
        {},
        {"uploadUrl": 7, "mediaId": "m"},
        {"uploadUrl": "https://s.example"},
        {"uploadUrl": "https://s", "id": "m", "uploadHeaders": [1]},
    ):
        with pytest.raises(DecodeError, match="without an upload address"):
            presigned(answered(**bad), None)


def test_bytes_are_never_sent_unencrypted(client, photo):
    """Which addresses are refused: `security/test_uploads.py`."""

    async def main() -> None:
        place = await client.uploads.presign(photo.name, "image/jpeg", photo.stat().st_size)
        client.uploads.presign = answer_with(replace(place, url="http://storage.example/1"))
        await client.uploads.send(photo)

    with pytest.raises(ConfigError, match="upload address that is not"):
        eventloop.run(main())
