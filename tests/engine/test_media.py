"""Pictures and films of a sheet: each is uploaded or imported once, and no post goes out without its own (rule 10)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from tests.chaos.rig import HELD, Kernel, Rig, codes, outcomes, planned, wait_for
from tests.engine.steps import BULK

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.acts.sync import plan_sync
from voxops.api.reasons import Reason
from voxops.api.timing import MEDIA_READY_FOR
from voxops.model import Snapshot
from voxops.sheets.media import look_at

UPLOAD, STORAGE, IMPORT = "/v1/media/upload", "/upload/**", "/v1/media/import-from-url"
ADDRESS = "https://cdn.example/a.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, and one that the API can't process."""
    for number, name in enumerate(("a.jpg", "b.png", "c.jpg", "broken.jpg")):
        Image.new("RGB", (400 + number, 400)).save(tmp_path / name)
    return tmp_path


def sheet(rig: Rig, folder: Path, media: Sequence[str]) -> pd.DataFrame:
    """A row for each cell of media."""
    frame = rig.campaign(len(media)).assign(media=list(media))
    frame.attrs["folder"] = str(folder)
    return frame


def media(rig: Rig, kind: str) -> list[str]:
    """The media of effects of a kind, in order."""
    return [effect["media"] for effect in rig.sandbox.effects(f"media.{kind}")]


def shown(rig: Rig) -> dict[str, list[str]]:
    """The hashes of the media of each live post, by its text; of what has none, its id."""
    files = rig.sandbox.world.media
    return {
        post.content: [files[each].sha256 or each for each in post.media]
        for post in rig.sandbox.world.posts.values()
        if post.status == "scheduled"
    }


def hashes(folder: Path, *names: str) -> list[str]:
    """The hashes of files."""
    return [look_at(folder / name).source.removeprefix("sha256:") for name in names]


def puts(rig: Rig) -> int:
    """How many requests have reached the storage."""
    return sum(entry["method"] == "PUT" for entry in rig.sandbox.requests())


def calls(rig: Rig, path: str) -> int:
    """How many acting requests to a path the server has received."""
    return sum(entry["path"] == path for entry in rig.acts())


def row(number: int) -> str:
    return f"row {number} of the campaign"


# -- each once, whatever number of rows


def test_each_file_is_uploaded_once_for_fifty_rows_and_every_post_has_its_own(rig, folder):
    frame = sheet(rig, folder, [("a.jpg", "b.png", "a.jpg; c.jpg")[number % 3] for number in range(50)])
    table = rig.kernel().run(planned(frame))
    assert outcomes(table) == {"succeeded": 50}
    assert len(media(rig, "create")) == len(set(media(rig, "upload"))) == puts(rig) == 3
    a, b, c = hashes(folder, "a.jpg", "b.png", "c.jpg")
    assert shown(rig) == {row(number): [[a], [b], [a, c]][number % 3] for number in range(50)}
    assert calls(rig, BULK) == 1, "the chunk waits for all of them"


@pytest.mark.parametrize("one_by_one", [False, True])
def test_ids_files_and_addresses_in_one_sheet(rig, folder, one_by_one):
    ready = next(each.id for each in rig.sandbox.world.media.values() if each.status == "ready")
    frame = sheet(rig, folder, ["a.jpg", ready, ADDRESS, f"{ready}; a.jpg; {ADDRESS}", ""])
    assert outcomes(rig.kernel().run(planned(frame, one_by_one=one_by_one))) == {"succeeded": 5}
    (imported,) = media(rig, "import")
    (a,) = hashes(folder, "a.jpg")
    assert shown(rig) == {row(0): [a], row(1): [ready], row(2): [imported], row(3): [ready, a, imported], row(4): []}
    assert len(media(rig, "upload")) == 1


def test_run_all_uploads_nothing_again_and_a_file_of_another_name_neither(rig, folder):
    kernel, frame = rig.kernel(), sheet(rig, folder, ["a.jpg", "b.png"])
    kernel.run(planned(frame))
    (folder / "copy.jpg").write_bytes((folder / "a.jpg").read_bytes())
    more = sheet(rig, folder, ["copy.jpg", "b.png", "copy.jpg; c.jpg"])
    for _ in range(2):
        table = kernel.run(planned(more))
        assert outcomes(table) == {"succeeded": 3}
    assert len(media(rig, "upload")) == 3
    rig.each_once(3)


def test_rows_that_are_there_already_upload_nothing_with_another_ledger_either(rig, folder):
    frame = sheet(rig, folder, ["a.jpg", ADDRESS, "b.png"])
    assert outcomes(rig.kernel("mine").run(planned(frame))) == {"succeeded": 3}
    before = len(rig.acts())
    assert outcomes(rig.kernel("after a loss").run(planned(frame))) == {"succeeded": 3}
    assert len(rig.acts()) == before
    rig.each_once(3)


def test_with_a_lost_ledger_a_new_row_gets_the_medium_that_is_there(rig, folder):
    rig.kernel("mine").run(planned(sheet(rig, folder, ["a.jpg", ADDRESS])))
    frame = sheet(rig, folder, ["a.jpg", ADDRESS, "a.jpg", ADDRESS])
    assert outcomes(rig.kernel("after a loss").run(planned(frame))) == {"succeeded": 4}
    assert (len(media(rig, "create")), puts(rig), len(media(rig, "import"))) == (1, 1, 1)
    rig.each_once(4)


def test_two_laptops_at_once_get_one_medium_and_one_post_for_each_row(rig, folder):
    frame = sheet(rig, folder, ["a.jpg", "b.png", ADDRESS, "a.jpg; b.png"])
    begun = rig.laptops(0, frame, frame)
    for _, _, work in begun:
        work.result(60)
    assert [outcomes(kernel.results(run)) for kernel, run, _ in begun] == [{"succeeded": 4}] * 2
    assert len(set(media(rig, "create"))) == len(set(media(rig, "upload"))) == 2
    assert len(media(rig, "import")) == 1
    rig.each_once(4)


@pytest.mark.parametrize("later", [0, 5, 60])
def test_two_laptops_with_other_ids_of_one_file_send_other_bytes_under_one_key_and_it_ends_by_reading(
    rig, folder, later
):
    """The same picture has another name on the other laptop, so its upload has another key."""
    (folder / "other.jpg").write_bytes((folder / "a.jpg").read_bytes())
    frames = [sheet(rig, folder, [name] * 3) for name in ("a.jpg", "other.jpg")]
    begun = rig.laptops(later, *frames)
    for _, _, work in begun:
        work.result(60)
    assert [outcomes(kernel.results(run)) for kernel, run, _ in begun] == [{"succeeded": 3}] * 2
    assert len({entry["key"] for entry in rig.acts() if entry["path"] == BULK}) == 1
    rig.each_once(3)
    assert list(shown(rig).values()) == [hashes(folder, "a.jpg")] * 3


def test_a_chunk_leaves_whole_or_not_at_all_since_another_laptop_may_have_uploaded_more(rig, folder):
    """Of mine a medium is processed two minutes later than theirs, and lists lag behind by a minute."""
    Image.open(folder / "b.png").save(folder / "other.jpg")
    Image.open(folder / "other.jpg").save(folder / "slow.jpg")
    rig.sandbox.set_switches(list_lag_seconds=60.0)
    frames = [sheet(rig, folder, ["a.jpg", "a.jpg", name]) for name in ("slow.jpg", "other.jpg")]
    kernels = [rig.kernel("mine"), rig.kernel("theirs")]
    for kernel, names in zip(kernels, (["a.jpg"], ["a.jpg", "other.jpg"]), strict=True):
        eventloop.run(kernel.engine.uploads.bring_each([look_at(folder / name) for name in names]))
    get, until = kernels[0].client.media.get, rig.clock.monotonic() + 120

    async def late(media_id: str) -> dict[str, Any]:
        record = await get(media_id)
        is_late = record["filename"] == "slow.jpg" and rig.clock.monotonic() < until
        return {**record, "status": "processing"} if is_late and record["status"] == "ready" else record

    kernels[0].client.media.get = late  # type: ignore[method-assign]
    with rig.at(0):
        runs = [kernel.bind(planned(frame)) for kernel, frame in zip(kernels, frames, strict=True)]
        works = [kernel.start(run) for kernel, run in zip(kernels, runs, strict=True)]
    for work in works:
        work.result(60)
    assert [outcomes(kernel.results(run)) for kernel, run in zip(kernels, runs, strict=True)] == [{"succeeded": 3}] * 2
    rig.each_once(3)


def test_what_was_just_requested_and_is_not_found_at_once_is_not_requested_again(rig, folder):
    rig.sandbox.add_fault(Fault("status", method="GET", path="/v1/media/*", status=404, code="NOT_FOUND", times=2))
    table = rig.kernel().run(planned(sheet(rig, folder, ["a.jpg"])))
    assert outcomes(table) == {"succeeded": 1}
    assert len(media(rig, "create")) == 1


# -- media that expire


def test_a_medium_is_read_once_more_after_ten_minutes_and_not_before(rig, folder):
    kernel = rig.kernel()
    kernel.run(planned(sheet(rig, folder, ["a.jpg"])))
    (name,) = media(rig, "upload")
    looks = lambda: sum(entry["path"] == f"/v1/media/{name}" for entry in rig.sandbox.requests())  # noqa: E731
    before = looks()
    kernel.run(planned(sheet(rig, folder, ["a.jpg"] * 2)))
    assert looks() == before
    rig.sandbox.advance(MEDIA_READY_FOR + 5)
    kernel.run(planned(sheet(rig, folder, ["a.jpg"] * 60)))
    assert looks() == before + 1
    assert len(media(rig, "upload")) == 1
    rig.each_once(60)


@pytest.mark.parametrize("how", ["gone", "failed"])
def test_a_medium_that_is_gone_is_uploaded_again_and_the_rows_that_had_it_stay(rig, folder, how):
    kernel = rig.kernel()
    kernel.run(planned(sheet(rig, folder, ["a.jpg", ADDRESS])))
    rig.sandbox.advance(MEDIA_READY_FOR + 60)
    for name in [*media(rig, "upload"), *media(rig, "import")]:
        if how == "gone":
            rig.sandbox.world.media.drop(name)
        else:
            rig.sandbox.world.media[name].status = "failed"
    frame = sheet(rig, folder, ["a.jpg", ADDRESS, "a.jpg", ADDRESS])
    assert outcomes(kernel.run(planned(frame))) == {"succeeded": 4}
    assert len(set(media(rig, "upload"))) == len(set(media(rig, "import"))) == 2
    rig.each_once(4)
    assert outcomes(rig.kernel("other").run(planned(frame))) == {"succeeded": 4}
    assert len(media(rig, "upload")) == 2


# -- what fails


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_row_whose_medium_fails_is_blocked_the_others_go_on_and_running_again_tries_anew(rig, folder, one_by_one):
    kernel = rig.kernel()
    frame = sheet(rig, folder, ["a.jpg", "broken.jpg", "https://cdn.example/missing.jpg", "b.png", "a.jpg; broken.jpg"])
    plan = planned(frame, one_by_one=one_by_one)
    table = kernel.run(plan).set_index("row_id")
    assert table["outcome"].tolist() == ["succeeded", "blocked", "blocked", "succeeded", "blocked"]
    assert codes(table) == {"media_failed"}
    said = table.loc["r00001", "waiting_for"]
    assert said == str(Reason("media_failed", value="broken.jpg", said="the file can't be decoded"))
    assert set(shown(rig)) == {row(0), row(3)}
    failed = len(media(rig, "upload"))
    (folder / "broken.jpg").rename(folder / "mended.jpg")
    mended = frame.assign(media=frame["media"].str.replace("broken", "mended"))
    mended.attrs = frame.attrs
    table = kernel.run(planned(mended, one_by_one=one_by_one)).set_index("row_id")
    assert table["outcome"].tolist() == ["succeeded", "succeeded", "blocked", "succeeded", "succeeded"]
    assert len(media(rig, "upload")) == failed + 1, "under the next key, since the first medium has failed"
    assert shown(rig)[row(4)] == hashes(folder, "a.jpg", "mended.jpg")
    rig.each_once(4)


def test_a_file_that_has_changed_since_the_plan_blocks_its_rows_and_nothing_of_it_is_sent(rig, folder):
    kernel, plan = rig.kernel(), planned(sheet(rig, folder, ["a.jpg", "b.png", "a.jpg"]))
    Image.new("RGB", (400, 400), "green").save(folder / "a.jpg")
    table = kernel.run(plan)
    assert table["reason_code"].dropna().tolist() == ["media_changed"] * 2
    assert [rig.sandbox.world.media[each].filename for each in media(rig, "create")] == ["b.png"]
    assert set(shown(rig)) == {row(1)}
    again = sheet(rig, folder, ["a.jpg", "b.png", "a.jpg"])
    assert outcomes(kernel.run(planned(again))) == {"succeeded": 3}
    rig.each_once(3)


def test_a_file_that_changes_during_its_upload_never_arrives(rig, folder):
    """Its size stays the same, and so does its time."""
    path = folder / "film.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + b"a" * 600_000)
    kernel, plan = rig.kernel(), planned(sheet(rig, folder, ["film.mp4", "b.png"]))
    stat = path.stat()
    send = kernel.client.uploads.send

    async def late(*args: Any, **more: Any) -> Any:
        if str(args[0]) == str(path):
            path.write_bytes(b"\0\0\0\x18ftypmp42" + b"b" * 600_000)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return await send(*args, **more)

    kernel.client.uploads.send = late  # type: ignore[method-assign]
    table = kernel.run(plan)
    assert table["outcome"].tolist() == ["blocked", "succeeded"]
    assert len(media(rig, "upload")) == 1


@pytest.mark.parametrize("how", ["lost", "folder"])
def test_a_file_that_is_not_there_any_more_blocks_its_rows(rig, folder, how):
    kernel, plan = rig.kernel(), planned(sheet(rig, folder, ["a.jpg", "b.png"]))
    (folder / "a.jpg").unlink()
    if how == "folder":
        (folder / "a.jpg").mkdir()
    table = kernel.run(plan)
    assert table["outcome"].tolist() == ["blocked", "succeeded"]
    assert codes(table) == {"media_file_lost"}


def test_once_it_is_uploaded_a_file_need_not_be_there(rig, folder):
    kernel, plan = rig.kernel(), planned(sheet(rig, folder, ["a.jpg"]))
    rig.sandbox.add_fault(Fault("status", status=401, code="UNAUTHORIZED", path=BULK))
    run = kernel.bind(plan)
    kernel.go(run)
    (folder / "a.jpg").unlink()
    rig.sandbox.advance(2 * MEDIA_READY_FOR)
    kernel.go(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 1}
    assert puts(rig) == 1


def test_a_storage_that_refuses_one_file_does_not_stop_the_others(rig, folder):
    kernel, frame = rig.kernel(), sheet(rig, folder, ["a.jpg", "b.png"])
    first: list[str] = []

    def refuse() -> None:
        first[:] = [each for each in media(rig, "create") if rig.sandbox.world.media[each].filename == "a.jpg"]

    presign = kernel.client.uploads.presign

    async def presigned(*args: Any, **more: Any) -> Any:
        place = await presign(*args, **more)
        refuse()
        if first:
            rig.sandbox.add_fault(Fault("drop", method="PUT", path=f"/upload/{first[0]}", times=None))
        return place

    kernel.client.uploads.presign = presigned  # type: ignore[method-assign]
    table = kernel.run(planned(frame))
    assert table["outcome"].tolist() == ["blocked", "succeeded"]
    assert codes(table) == {"media_failed"}
    rig.sandbox.clear_faults()
    kernel.client.uploads.presign = presign  # type: ignore[method-assign]
    assert outcomes(kernel.run(planned(frame))) == {"succeeded": 2}
    assert len(set(media(rig, "create"))) == 2, "the interrupted upload went on under its medium's id"


@pytest.mark.parametrize("path", [UPLOAD, IMPORT, "/v1/media/*"])
def test_an_outage_stops_the_run_and_a_resume_goes_on(rig, folder, path):
    kernel = rig.kernel()
    run = kernel.bind(planned(sheet(rig, folder, ["a.jpg", ADDRESS, "a.jpg"])))
    rig.sandbox.add_fault(Fault("drop", path=path, times=None))
    ended = kernel.go(run)
    assert ended.phase == "stopped"
    assert "run.resume()" in ended.note
    assert outcomes(kernel.results(run)) == {"pending": 3}
    rig.sandbox.clear_faults()
    kernel.resume(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 3}
    assert (len(media(rig, "upload")), len(media(rig, "import"))) == (1, 1)
    rig.each_once(3)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", [UPLOAD, STORAGE, IMPORT])
def test_a_lost_answer_uploads_nothing_twice(rig, folder, path, when):
    rig.sandbox.add_fault(Fault("drop", path=path, when=when))
    table = rig.kernel().run(planned(sheet(rig, folder, ["a.jpg", ADDRESS])))
    assert outcomes(table) == {"succeeded": 2}
    assert len(set(media(rig, "create"))) == len(set(media(rig, "upload"))) == len(media(rig, "import")) == 1
    rig.each_once(2)


def test_a_medium_that_never_ends_blocks_its_rows_after_ten_minutes_and_a_later_run_goes_on(rig, folder):
    kernel, plan = rig.kernel(), planned(sheet(rig, folder, ["a.jpg"]))
    run = kernel.bind(plan)
    work = kernel.caught(run, STORAGE, method="PUT")
    (name,) = media(rig, "create")
    rig.sandbox.world.media[name].filename = "slow.jpg"
    rig.let_go()
    wait_for(lambda: rig.sandbox.world.media[name].status != "pending")
    rig.sandbox.world.media[name].status = "analysing"
    work.result(60)
    assert codes(kernel.results(run)) == {"media_failed"}
    rig.sandbox.world.media[name].status = "ready"
    assert outcomes(kernel.run(plan)) == {"succeeded": 1}
    assert media(rig, "create") == [name]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_medium_that_was_deleted_a_moment_ago_is_uploaded_again_for_the_next_attempt(rig, folder, one_by_one):
    kernel = rig.kernel()
    kernel.run(planned(sheet(rig, folder, ["a.jpg"]), one_by_one=one_by_one))
    rig.sandbox.world.media.drop(media(rig, "upload")[0])
    frame = sheet(rig, folder, ["a.jpg", "a.jpg", "b.png"])
    run = kernel.done(planned(frame, one_by_one=one_by_one))
    assert outcomes(kernel.results(run)) == {"succeeded": 2, "failed": 1}
    plan = kernel.execution(run).replan()
    assert plan is not None
    assert outcomes(kernel.run(plan)) == {"succeeded": 1}
    assert [rig.sandbox.world.media[each].filename for each in media(rig, "upload")[1:]] == ["b.png", "a.jpg"]
    rig.each_once(3)


# -- stopping


def test_a_kernel_that_is_killed_during_an_upload_is_followed_by_one_that_goes_on_under_the_same_medium(rig, folder):
    first = rig.kernel()
    run = first.bind(planned(sheet(rig, folder, ["a.jpg"] * 3)))
    work = first.caught(run, STORAGE, method="PUT")
    first.kill(work)
    (name,) = media(rig, "create")
    rig.let_go()
    second = rig.kernel()
    second.resume(run)
    assert outcomes(second.results(run)) == {"succeeded": 3}
    assert media(rig, "create") == [name]
    assert set(media(rig, "upload")) == {name}
    rig.each_once(3)


@pytest.mark.parametrize("fault", [{"action": "garbage", "body": "json"}, {"action": "status", "status": 404}])
def test_an_interrupted_upload_whose_address_is_not_renewed_begins_anew(rig, folder, fault):
    first = rig.kernel()
    run = first.bind(planned(sheet(rig, folder, ["a.jpg"])))
    first.kill(first.caught(run, STORAGE, method="PUT"))
    (name,) = media(rig, "create")
    rig.let_go()
    wait_for(lambda: rig.sandbox.world.media[name].status != "pending")
    rig.sandbox.world.media[name].status = "pending"  # it was interrupted
    rig.sandbox.add_fault(Fault(path="/v1/media/*/refresh-presign", times=None, **fault))
    second = rig.kernel()
    second.resume(run)
    assert outcomes(second.results(run)) == {"succeeded": 1}
    assert len(media(rig, "create")) == 2
    rig.each_once(1)


def test_a_pause_stops_uploads_and_nothing_goes_out_until_the_resume(rig, folder):
    kernel = rig.kernel()
    run = kernel.bind(planned(sheet(rig, folder, ["a.jpg", "b.png", "c.jpg", "a.jpg"])))
    execution = kernel.execution(run)
    rig.sandbox.add_fault(Fault("delay", method="PUT", path=STORAGE, seconds=HELD, times=None))
    work = eventloop.submit(execution.go())
    wait_for(lambda: puts(rig) == 3)
    eventloop.run(execution.pause())
    assert not kernel.client._pace.busy, "the requests have ended"
    rig.let_go()
    assert work.result(60).phase == "paused"
    assert len(media(rig, "create")) == 3
    assert outcomes(kernel.results(run)) == {"pending": 4}
    eventloop.run(execution.allow())
    kernel.resume(run)
    assert outcomes(kernel.results(run)) == {"succeeded": 4}
    assert len(media(rig, "create")) == len(set(media(rig, "upload"))) == 3
    rig.each_once(4)


def test_the_pause_of_one_run_does_not_stop_what_another_needs(rig, folder):
    kernel = rig.kernel()
    runs = [kernel.bind(planned(sheet(rig, folder, ["a.jpg"] * 5).iloc[part])) for part in (slice(2), slice(2, 5))]
    executions = [kernel.execution(run) for run in runs]
    rig.sandbox.add_fault(Fault("delay", method="PUT", path=STORAGE, seconds=HELD))
    works = [eventloop.submit(execution.go()) for execution in executions]
    wait_for(lambda: puts(rig) == 1 and all(execution.current.preparing for execution in executions))
    eventloop.run(executions[0].pause())
    rig.let_go()
    for work in works:
        work.result(60)
    assert [outcomes(kernel.results(run)) for run in runs] == [{"pending": 2}, {"succeeded": 3}]
    assert puts(rig) == 1


def test_what_is_blocked_or_paused_uploads_nothing(rig, folder):
    kernel, frame = rig.kernel(), sheet(rig, folder, ["a.jpg", "b.png"])
    frame.loc[0, "scheduled_for"] = "2026-01-01T00:00Z"
    frame.loc[1, "accounts"] = "twitter:@nobody"
    run = kernel.bind(planned(frame))
    kernel.go(run)
    assert codes(kernel.results(run)) == {"time_passed", "no_account"}
    run = kernel.bind(planned(sheet(rig, folder, ["c.jpg"])))
    kernel.go(run, paused=True)
    assert not media(rig, "create")


def test_the_monitor_shows_how_far_uploads_are(rig, folder):
    class Watcher:
        def __init__(self) -> None:
            self.seen: list[Snapshot] = []

        def notice(self, snapshot: Snapshot) -> None:
            self.seen.append(snapshot)

    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"a" * 2_000_000)
    kernel, watcher = rig.kernel(), Watcher()
    run = kernel.bind(planned(sheet(rig, folder, ["film.mp4", "a.jpg", ADDRESS])))
    execution = kernel.execution(run, observer=watcher)
    rig.sandbox.add_fault(Fault("delay", method="PUT", path=STORAGE, seconds=HELD, times=None))
    work = eventloop.submit(execution.go())
    wait_for(lambda: any("of 3 files, 2.0 of 2.0 MB" in each.note for each in watcher.seen))
    assert {each.phase for each in watcher.seen if each.note} == {"sending"}
    assert watcher.seen[-1].waits == {str(Reason("media_uploading")): 3}
    rig.let_go()
    assert (work.result(60).phase, work.result().note) == ("done", "")


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.release) for seed in range(3, 20))])
def test_whatever_breaks_each_row_is_created_once_with_its_picture(rig, folder, seed):
    """Connections break at random, before and after what they do; kernels are killed; a colleague runs the sheet, too."""
    rng = Random(seed)
    cells = ["a.jpg", "b.png", "c.jpg; a.jpg", ADDRESS, "c.jpg"]
    frame = sheet(rig, folder, [cells[number % 5] for number in range(60)])
    for turn in range(8):
        ledger = rng.choice(["mine", "theirs"])
        kernel = rig.kernel(ledger)
        run = kernel.bind(planned(frame))
        broken = [
            Fault("drop", method, "/**", chance=0.2, times=rng.randrange(1, 6), when=when, seed=rng.randrange(99))
            for method in ("POST", "PUT", "GET")
            for when in ("before", "after")
        ]
        path, method = rng.choice(
            [(STORAGE, "PUT"), (UPLOAD, "POST"), (IMPORT, "POST"), (BULK, "POST"), ("/v1/media/*", "GET")]
        )
        rig.sandbox.add_fault(*broken, Fault("delay", method, path, nth=rng.randrange(1, 4), seconds=HELD))
        work = kernel.start(run)
        wait_for(
            lambda work=work: (
                work.done() or any(each["action"] == "delay" and each["struck"] for each in rig.sandbox.faults())
            )
        )
        if not work.done() and turn < 7:
            kernel.kill(work)
        rig.sandbox.clear_faults()
        wait_for(lambda: all(entry["ended"] for entry in rig.sandbox.requests() if "delay" in entry["fault"]))
        if kernel._alive:
            work.result(60)
            kernel.close()
    for ledger in ("mine", "theirs"):
        kernel = rig.kernel(ledger)
        assert outcomes(kernel.run(planned(frame))) == {"succeeded": 60}
    rig.each_once(60)
    a, b, c = ([each] for each in hashes(folder, "a.jpg", "b.png", "c.jpg"))
    imported = set(media(rig, "import"))
    wanted = [a, b, [*c, *a], None, c]
    for content, found in shown(rig).items():
        want = wanted[int(content.split()[1]) % 5]
        assert found == want if want else set(found) <= imported
    assert len(set(media(rig, "create"))) == len(set(media(rig, "upload"))) == 3
    assert len(imported) == 1


# -- a sheet that is synchronized


def test_a_sync_of_a_sheet_with_files_is_empty_after_it_and_says_which_picture_has_changed(rig, folder):
    def plan(kernel: Kernel, frame: pd.DataFrame) -> Any:
        return plan_sync(frame, kernel.posts(), key="row_id", campaign="c")

    frame = sheet(rig, folder, ["a.jpg", ADDRESS, "b.png"])
    first, other = rig.kernel("mine"), rig.kernel("other")
    assert outcomes(first.run(plan(first, frame))) == {"succeeded": 3}
    rig.sandbox.advance(2 * MEDIA_READY_FOR)
    for kernel in (first, other):
        found = plan(kernel, frame)
        assert (found.eligible, {why.code for why in found.why}) == (0, {"sync_as_is"})
    Image.new("RGB", (400, 400), "green").save(folder / "a.jpg")
    changed = plan(other, frame)
    assert (changed.eligible, changed.why[0].code) == (0, "created_otherwise")
    assert dict(changed.why[0].params)["fields"] == "media"
    moved = frame.assign(scheduled_for="2027-03-02T09:00:00+00:00")
    moved.attrs = frame.attrs
    moved.loc[0, "media"] = "a.jpg"
    found = plan(other, moved.iloc[1:])
    assert outcomes(other.run(found)) == {"succeeded": 2}
    assert Counter(media(rig, "upload")).total() == 2
