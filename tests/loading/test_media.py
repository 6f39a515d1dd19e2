"""Rows with uploaded media: hash and address name them, so that two laptops with other ids make the same posts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tests.chaos.rig import Kernel, Rig, outcomes, planned
from tests.engine.steps import BULK

from voxburst_sandbox import Fault
from voxops.acts.plan import Plan
from voxops.acts.sync import plan_sync
from voxops.sheets.media import keep_folder, look_at

ADDRESS = "https://cdn.example/a.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, and the first under another name."""
    for number, name in enumerate(("a.jpg", "b.png", "c.jpg")):
        Image.new("RGB", (400 + number, 400)).save(tmp_path / name)
    (tmp_path / "other.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    return tmp_path


def sheet(rig: Rig, folder: Path, media: Sequence[str]) -> pd.DataFrame:
    """A row for each cell of media."""
    frame = rig.campaign(len(media)).assign(media=list(media))
    frame.attrs["reading"] = keep_folder(folder)
    return frame


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


@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_post_has_its_own_media_whether_by_file_address_or_id(rig, folder, one_by_one):
    kernel = rig.kernel()
    ready = next(each.id for each in rig.sandbox.world.media.values() if each.status == "ready")
    cells = ["a.jpg", ready, ADDRESS, f"{ready}; a.jpg; {ADDRESS}", "", "b.png", "a.jpg; c.jpg"]
    frame = kernel.upload(sheet(rig, folder, cells))
    assert outcomes(kernel.run(planned(frame, one_by_one=one_by_one))) == {"succeeded": 7}
    (imported,) = (effect["media"] for effect in rig.sandbox.effects("media.import"))
    a, b, c = hashes(folder, "a.jpg", "b.png", "c.jpg")
    wanted = [[a], [ready], [imported], [ready, a, imported], [], [b], [a, c]]
    assert shown(rig) == {f"row {number} of the campaign": want for number, want in enumerate(wanted)}
    assert rig.effects("media.create") == rig.effects("media.upload") == 3


@pytest.mark.parametrize(("name", "later"), [("a.jpg", 0), ("other.jpg", 0), ("other.jpg", 60)])
def test_two_laptops_with_one_file_create_each_row_once(rig, folder, name, later):
    """Under one name it is uploaded once; under another it has another id, so that other bytes leave under one key, and it ends by reading."""
    frames = [rig.kernel(each).upload(sheet(rig, folder, [each] * 3)) for each in ("a.jpg", name)]
    assert frames[0]["media_id"].equals(frames[1]["media_id"]) == (name == "a.jpg")
    begun = rig.laptops(later, *frames)
    for _, _, work in begun:
        work.result(60)
    assert [outcomes(kernel.results(run)) for kernel, run, _ in begun] == [{"succeeded": 3}] * 2
    assert len({entry["key"] for entry in rig.acts() if entry["path"] == BULK}) == 1
    assert rig.effects("media.upload") == len({"a.jpg", name})
    rig.each_once(3)
    assert list(shown(rig).values()) == [hashes(folder, "a.jpg")] * 3


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_medium_that_was_deleted_after_its_upload_fails_its_rows_alone_and_is_uploaded_for_the_next_attempt(
    rig, folder, one_by_one
):
    kernel = rig.kernel()
    frame = kernel.upload(sheet(rig, folder, ["a.jpg", "a.jpg", "b.png"]))
    rig.sandbox.world.media.drop(frame.loc[0, "media_id"])
    run = kernel.done(planned(frame, one_by_one=one_by_one))
    results = kernel.results(run)
    assert results.set_index("row_id")["outcome"].tolist() == ["failed", "failed", "succeeded"]
    failed = results[results["outcome"] == "failed"].assign(attempt=2)
    failed.attrs["reading"] = keep_folder(folder)
    again = kernel.upload(failed[[*frame.columns, "attempt"]])
    assert outcomes(kernel.run(planned(again, one_by_one=one_by_one))) == {"succeeded": 2}
    assert rig.effects("media.create") == rig.effects("media.upload") == 3
    rig.each_once(3)


def looks(rig: Rig) -> Counter[str]:
    """How often each medium was read."""
    paths = (entry["path"] for entry in rig.sandbox.requests() if entry["method"] == "GET")
    return Counter(path.rpartition("/")[2] for path in paths if path.startswith("/v1/media/"))


def test_a_medium_that_does_not_exist_or_is_not_ready_blocks_its_rows_until_it_is(rig):
    kernel, world = rig.kernel(), rig.sandbox.world
    names = [each.id for each in world.media.values() if each.status == "ready"][:3]
    cells = [*names, "media_none", f"{names[0]};media_none"] * 10
    world.media[names[1]].status, world.media[names[2]].status = "failed", "processing"
    plan = planned(rig.campaign(50).assign(media=cells))
    run = kernel.bind(plan)
    assert looks(rig) == dict.fromkeys([*names, "media_none"], 1)
    kernel = rig.kernel()
    kernel.resume(run)  # reads them anew
    table = kernel.results(run)
    assert outcomes(table) == {"succeeded": 10, "blocked": 40}
    assert Counter(table["reason_code"].dropna()) == {"media_not_ready": 20, "media_unknown": 20}
    assert len([entry for entry in rig.acts() if entry["path"] == BULK]) == 1, "and nothing was refused"
    for name in names:
        world.media[name].status = "ready"
    assert outcomes(kernel.run(plan)) == {"succeeded": 30, "blocked": 20}
    rig.each_once(30)


def test_what_an_upload_has_seen_ready_is_not_read_and_what_another_laptop_uploaded_is_read_once(rig, folder):
    first, other = rig.kernel("first"), rig.kernel("other")
    frame = first.upload(sheet(rig, folder, ["a.jpg", "b.png", ADDRESS] * 8))
    before = looks(rig)
    first.bind(planned(frame))
    assert looks(rig) == before
    run = other.bind(planned(frame))
    assert looks(rig) - before == dict.fromkeys(frame["media_id"], 1)
    assert other.go(run) and outcomes(other.results(run)) == {"succeeded": 24}
    rig.each_once(24)


def test_a_key_that_may_not_read_media_leaves_them_to_the_api(rig):
    medium = next(each.id for each in rig.sandbox.world.media.values() if each.status == "ready")
    rig.sandbox.add_fault(Fault("status", method="GET", path="/v1/media/*", status=403, code="FORBIDDEN", times=None))
    table = rig.kernel().run(planned(rig.campaign(2).assign(media=[medium, "media_none"]), one_by_one=True))
    assert table["outcome"].tolist() == ["succeeded", "failed"]


def test_a_sync_of_a_sheet_with_files_is_empty_after_it_and_says_which_picture_has_changed(rig, folder):
    def plan(kernel: Kernel, frame: pd.DataFrame) -> Plan:
        return plan_sync(kernel.upload(frame), kernel.posts(), key="row_id", campaign="c")

    frame = sheet(rig, folder, ["a.jpg", ADDRESS, "b.png"])
    first, other = rig.kernel("mine"), rig.kernel("other")
    not_yet = plan_sync(frame, first.posts(), key="row_id", campaign="c")
    assert {why.code for why in not_yet.why} == {"media_not_uploaded"}
    assert outcomes(first.run(plan(first, frame))) == {"succeeded": 3}
    for kernel in (first, other):
        found = plan(kernel, frame)
        assert (found.eligible, {why.code for why in found.why}) == (0, {"sync_as_is"})
    Image.new("RGB", (400, 400), "green").save(folder / "a.jpg")
    changed = plan(other, frame)
    assert (changed.eligible, changed.why[0].code) == (0, "created_otherwise")
    assert dict(changed.why[0].params)["fields"] == "media"
