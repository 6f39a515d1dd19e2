"""Uploads from disk: constant memory, no API headers to the storage host, expired addresses, arrival."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.client import Answer, AsyncClient, upload
from voxops.errors import ApiError, DecodeError, ServerError, TransportError, ValidationError

EMPTY = True  # the sandbox
MEGABYTE = 1024 * 1024
STORAGE, RENEWAL = "/upload/**", "/v1/media/*/refresh-presign"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.jpg"
    file.write_bytes(bytes(range(256)) * 4_000)
    return file


@pytest.fixture
def send(client: AsyncClient) -> Callable[..., str]:
    return lambda file, **more: eventloop.run(client.upload(file, **more))


def puts(sandbox: Sandbox) -> list[int]:
    """The statuses of the requests that reached the storage host; 0 without an answer."""
    return [request["status"] for request in sandbox.requests() if request["path"].startswith("/upload/")]


def media(sandbox: Sandbox, kind: str) -> list[str]:
    """The media files of effects of a kind."""
    return [effect["media"] for effect in sandbox.effects(f"media.{kind}")]


def test_a_file_arrives_whole_and_becomes_ready(client, sandbox, send, photo):
    steps: list[tuple[int, int]] = []
    done = send(photo, progress=lambda *step: steps.append(step))
    (effect,) = sandbox.effects("media.upload")
    assert (effect["sha256"], effect["media"]) == (hashlib.sha256(photo.read_bytes()).hexdigest(), done)
    size = photo.stat().st_size
    assert steps == [(sent, size) for sent in (262_144, 524_288, 786_432, size)]
    sandbox.advance(60)
    assert eventloop.run(client.media.get(done))["status"].lower() == "ready"


def test_memory_stays_constant_whatever_the_size(sandbox, send, tmp_path):
    long, short = tmp_path / "long.mp4", tmp_path / "short.mp4"
    with long.open("wb") as stream:
        stream.truncate(64 * MEGABYTE)  # a sparse file
    short.write_bytes(b"x" * 1_000)
    send(short)  # warm up before measuring
    tracemalloc.start()
    try:
        done = send(long)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {one["media"]: one["size"] for one in sandbox.effects("media.upload")}[done] == 64 * MEGABYTE
    assert peak < 8 * MEGABYTE, f"{peak / MEGABYTE:.1f} MB"


def test_the_type_is_derived_from_the_name_unless_it_is_given(sandbox, send, tmp_path):
    kinds = {"a.JPG": "image/jpeg", "b.mov": "video/quicktime", "c.srt": "text/srt"}
    for name in kinds:
        (tmp_path / name).write_bytes(b"x")
    done = [*(send(tmp_path / name) for name in kinds), send(tmp_path / "a.JPG", content_type="application/pdf")]
    assert [sandbox.world.media[one].content_type for one in done] == [*kinds.values(), "application/pdf"]


# What fails.


@pytest.mark.parametrize(("fault", "kind", "tries"), [
    (Fault("drop", path=STORAGE, times=None), TransportError, 5),
    *((Fault("status", path=STORAGE, status=status, times=None), kind, tries) for status, kind, tries in (
        (503, ServerError, 5), (403, ApiError, 3), (400, ApiError, 1))),
])  # fmt: skip
def test_a_put_that_keeps_failing_is_abandoned(sandbox, send, photo, fault, kind, tries):
    sandbox.add_fault(fault)
    with pytest.raises(kind):
        send(photo)
    assert len(puts(sandbox)) == tries


@pytest.mark.parametrize(("name", "word"), [
    ("missing.jpg", "No such file"), ("empty.jpg", "is empty"), ("notes.doc", "content_type="), (".", "is not a file"),
    ("a\0b.jpg", "embedded null"),
])  # fmt: skip
def test_what_is_no_file_to_upload_is_said_before_anything_is_sent(client, send, tmp_path, name, word):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.doc").write_bytes(b"x")
    with pytest.raises(ValidationError, match=word):
        send(tmp_path / name)
    assert client.requests == 0


def test_a_file_of_another_hash_is_not_uploaded(sandbox, send, photo):
    with pytest.raises(ValidationError, match="changed before it was uploaded"):
        send(photo, sha256="0" * 64)
    assert sandbox.effects("media.upload") == []


def test_the_upload_of_a_file_that_changes_stops(sandbox, send, photo):
    def cut(*_: int) -> None:
        with photo.open("r+b") as stream:
            stream.truncate(300_000)

    with pytest.raises(ValidationError, match="changed while it was uploaded"):
        send(photo, progress=cut)
    assert sandbox.effects("media.upload") == []


def test_an_error_of_the_progress_callback_is_raised(send, photo):
    with pytest.raises(ZeroDivisionError):
        send(photo, progress=lambda sent, _: sent / 0)


# Addresses.


@pytest.fixture
def given(client: AsyncClient, photo: Path) -> Callable[[int], dict[str, Any]]:
    """An address for a file of so many bytes more."""
    about = {"filename": photo.name, "content_type": "image/jpeg"}
    size = photo.stat().st_size
    return lambda more: eventloop.run(client.media.presign(**about, size_bytes=size + more)).json


def test_the_storage_s_error_is_read(given, send, photo):
    with pytest.raises(ApiError, match=r"photo.jpg: 400 IncompleteBody$") as caught:
        send(photo, place=given(1))
    assert (caught.value.status, caught.value.code) == (400, "IncompleteBody")


def test_an_address_that_the_storage_reports_as_expired_is_renewed(sandbox, given, send, photo):
    place = given(0)
    sandbox.advance(15 * 60 + 1)  # the client does not know
    done = send(photo, place=place)
    assert puts(sandbox) == [403, 200]
    assert media(sandbox, "create") == media(sandbox, "upload") == [done]


def before_the_next_try(client: AsyncClient, sandbox: Sandbox, status: str = "") -> None:
    """Before the next try, let the address expire and the media file have this status."""

    async def rest(*_: Any) -> None:
        if status:
            (first,) = media(sandbox, "create")
            sandbox.world.media[first].status = status
        await asyncio.to_thread(sandbox.advance, 15 * 60)
        await client.health()  # updates the client's estimate of the server's time

    client._rest = rest


@pytest.mark.parametrize(("when", "tries", "renewals"), [("before", [0, 200], 1), ("after", [0], 0)])
def test_an_address_that_has_expired_is_renewed_unless_the_bytes_had_arrived(
    client, sandbox, send, photo, when, tries, renewals
):
    sandbox.add_fault(Fault("drop", path=STORAGE, when=when))
    before_the_next_try(client, sandbox)
    done = send(photo)
    assert puts(sandbox) == tries
    assert len(media(sandbox, "presign")) == renewals
    assert media(sandbox, "create") == media(sandbox, "upload") == [done]


@pytest.mark.parametrize(("status", "faults"), [
    ("failed", []), ("", [Fault("status", path="/v1/media/*", method="GET", status=404)]),
    ("", [Fault("status", path=RENEWAL, status=404)]), ("", [Fault("garbage", path=RENEWAL, body="json", status=200)]),
], ids=["failed", "gone", "unknown call", "no address in it"])  # fmt: skip
def test_an_address_that_can_t_be_renewed_is_replaced(client, sandbox, send, photo, status, faults):
    sandbox.add_fault(Fault("drop", path=STORAGE), *faults)
    before_the_next_try(client, sandbox, status)
    done = send(photo)
    first, second = media(sandbox, "create")
    assert first != second and media(sandbox, "upload") == [second] == [done]


@pytest.mark.parametrize(("status", "tries"), [("processing", [0]), ("ready", [0]), ("uploading", [0, 200])])
def test_only_a_known_status_proves_that_the_bytes_have_arrived(client, sandbox, send, photo, status, tries):
    sandbox.add_fault(Fault("drop", path=STORAGE))
    before_the_next_try(client, sandbox, status)
    send(photo)
    assert puts(sandbox) == tries


def test_bytes_that_arrive_between_two_reads_are_noticed(client, sandbox, send, photo):
    conflict = Fault("status", path=RENEWAL, status=409, code="CONFLICT", times=2)
    sandbox.add_fault(Fault("drop", path=STORAGE), conflict)
    before_the_next_try(client, sandbox)
    send(photo)
    reads = [one for one in sandbox.requests() if one["method"] == "GET" and one["path"].startswith("/v1/media/")]
    assert len(reads) == len(media(sandbox, "create")) == 2


FIRST = "https://s.example/1"


@pytest.mark.parametrize(("body", "wanted"), [
    ({"uploadUrl": FIRST, "mediaId": "m", "uploadHeaders": {"A": 1}}, {"A": "1"}),
    ({"url": FIRST, "id": "m", "expiresAt": "soon"}, {}),
    ({"data": {"id": "m", "presignedUrl": FIRST}}, {}), ({"uploadUrl": 7, "mediaId": "m"}, None),
    ({"uploadUrl": FIRST}, None), ({"uploadUrl": FIRST, "id": "m", "uploadHeaders": [1]}, {}),
])  # fmt: skip
def test_an_address_is_read_under_any_of_its_names(body, wanted):
    made = Answer("POST /v1/media/upload", 200, {}, json.dumps(body).encode())
    if wanted is None:
        with pytest.raises(DecodeError, match="without an upload address"):
            upload._answered(made)
        return
    place = upload._answered(made)
    assert (place.media_id, place.url, place.headers, place.expires_at) == ("m", FIRST, wanted, upload._NEVER)
    assert FIRST not in repr(place)
