"""Upload pictures named in a sheet: from the folder to the posts, over a socket, in several processes, each once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tests.processes import Process
from tests.virtual import until

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.api.reasons import Reason
from voxops.client import AsyncClient, SystemClock
from voxops.connection import open_workspace

SPEED = 30.0
UPLOAD, STORAGE, IMPORT = "/v1/media/upload", "/upload/**", "/v1/media/import-from-url"
ADDRESS = "https://cdn.example/a.jpg"


@pytest.fixture
def folder(tmp_path):
    """A sheet with pictures beside it, one of them of the wrong shape, and one that the API can't process."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    for name, size in {"square.jpg": (1080, 1080), "tall.png": (1080, 1920), "broken.jpg": (200, 300)}.items():
        Image.new("RGB", size).save(folder / name)
    return folder


def sheet(folder: Path, *media: str, accounts: str = "twitter:@aldercoffee") -> pd.DataFrame:
    """A row for each cell, as it is read from a workbook's folder."""
    numbers = range(len(media))
    rows = {
        "row_id": [f"r{n}" for n in numbers], "content": [f"text {n}" for n in numbers], "accounts": accounts,
        "scheduled_for": [f"2030-01-{n + 1:02}T10:00Z" for n in numbers], "media": media,
    }  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "sheet.csv", index=False)
    return vx.read_campaign(folder / "sheet.csv")


def planned(frame: pd.DataFrame) -> vx.Plan:
    return vx.plan_create(frame, key="row_id", campaign="c")


def made(sandbox: Sandbox) -> tuple[int, ...]:
    """How many media were created, files put into storage, addresses imported, and posts created."""
    kinds = ("media.create", "media.upload", "media.import", "post.create")
    return tuple(len(sandbox.effects(kind)) for kind in kinds)


def upload_and_run(url: str, key: str, ledger: Path, folder: Path) -> None:
    """What a kernel does with a server in another process."""
    client = AsyncClient(key, url=url, _clock=SystemClock(SPEED))
    with eventloop.run(open_workspace(client, ledger=ledger)) as ws:
        uploaded = ws.upload(vx.read_campaign(folder / "sheet.csv"))
        assert set(ws.run(planned(uploaded)).wait(60).results()["outcome"]) == {"succeeded"}


# -- each once


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [("POST", UPLOAD, "create"), ("PUT", STORAGE, ""), ("PUT", STORAGE, "upload"), ("POST", IMPORT, "import")],
)
def test_a_process_that_is_killed_before_it_has_its_receipt_is_followed_by_one_that_uploads_nothing_twice(
    sandbox, folder, ledger, method, path, kind
):
    sandbox.set_speed(SPEED)
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"a" * 30_000_000)
    sheet(folder, "film.mp4", "film.mp4", ADDRESS)
    when = "after" if kind else "before"
    sandbox.add_fault(Fault("delay", method=method, path=path, when=when, seconds=60, times=None))
    where = (sandbox.url, sandbox.api_key, ledger, folder)
    first = Process(upload_and_run, *where)
    until(lambda: sandbox.faults()[0]["struck"] and (not kind or sandbox.effects(f"media.{kind}")))
    first.kill()
    sandbox.clear_faults()
    assert not sandbox.effects("post.create")
    second = Process(upload_and_run, *where)
    until(lambda: not second.running)
    assert second.code == 0
    assert made(sandbox) == (1, 1, 1, 3)


def test_a_rerun_and_a_lost_ledger_upload_nothing_again_under_any_name(sandbox, folder, tmp_path):
    (folder / "copy.jpg").write_bytes((folder / "square.jpg").read_bytes())
    frame = sheet(folder, "square.jpg", "copy.jpg", f"tall.png;{ADDRESS}")
    for ledger in ("mine", "mine", "lost"):
        with vx.connect(sandbox=sandbox, ledger=tmp_path / ledger) as ws:
            uploaded = ws.upload(frame)
            pd.testing.assert_frame_equal(ws.upload(uploaded), uploaded)
            assert set(ws.run(planned(uploaded)).wait().results()["outcome"]) == {"succeeded"}
    assert made(sandbox) == (2, 2, 1, 3)


def test_an_uploaded_sheet_survives_csv_and_excel_and_is_the_same_plan(sandbox, ws, folder, tmp_path):
    ready = next(medium.id for medium in sandbox.world.media.values() if medium.status == "ready")
    frame = sheet(folder, "square.jpg", f"tall.png; {ready};{ADDRESS}", "", ready)
    uploaded = ws.upload(frame)
    added = ["media_id", "media_sha256", "media_uploaded", "media_error"]
    assert uploaded.columns.tolist() == [*frame.columns, *added]
    assert uploaded["media"].equals(frame["media"])
    assert uploaded.loc[1, "media_sha256"].endswith(f";{ready};{ADDRESS}")
    first = planned(uploaded)
    assert first.eligible == 4
    uploaded.to_csv(tmp_path / "a.csv", index=False)
    vx.to_excel(tmp_path / "a.xlsx", sheet=uploaded)
    another_laptop = uploaded.assign(media_id=uploaded["media_id"].str.replace("media_", "other_", n=1))
    read = vx.read_campaign(tmp_path / "a.csv")
    for other in (read, vx.read_campaign(tmp_path / "a.xlsx"), another_laptop):
        assert [item.requested for item in planned(other).items] == [item.requested for item in first.items]
    assert set(ws.run(planned(read)).wait().results()["outcome"]) == {"succeeded"}
    assert ws.run(first).wait().snapshot.acts == 0


# -- what is not uploaded


def test_a_file_that_fails_does_not_stop_the_others_and_the_plan_says_why(sandbox, ws, folder):
    cells = ("square.jpg", "none.jpg", "broken.jpg", "square.jpg;broken.jpg")
    uploaded = ws.upload(sheet(folder, *cells))
    missing = Reason("media_missing", value="none.jpg").sentence()
    broken = Reason("media_failed", value="broken.jpg", said="the file can't be decoded").sentence()
    assert uploaded["media_error"].fillna("").to_list() == ["", missing, broken, broken]
    plan = planned(uploaded)
    assert [why.code for why in plan.why] == ["ready", *["media_not_uploaded"] * 3]
    assert missing in plan.frame.loc[1, "reason"]
    before = made(sandbox)[0]
    (folder / "broken.jpg").rename(folder / "mended.jpg")
    mended = uploaded.assign(media=uploaded["media"].str.replace("broken", "mended"))
    assert planned(ws.upload(mended)).eligible == 3
    assert made(sandbox)[0] == before + 1, "under the next key, since the first medium has failed"


@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("path", [UPLOAD, STORAGE, IMPORT, "/v1/media/*"])
def test_lost_answers_and_an_outage_upload_nothing_twice(sandbox, ws, folder, path, times):
    frame = sheet(folder, "square.jpg", ADDRESS)
    sandbox.add_fault(Fault("drop", path=path, when="after" if times else "before", times=times))
    assert ws.upload(frame)["media_error"].notna().any() == (times is None)
    sandbox.clear_faults()
    assert ws.upload(frame)["media_error"].isna().all()
    created, _, imported, _ = made(sandbox)
    assert created == imported == len({effect["media"] for effect in sandbox.effects("media.upload")}) == 1


# -- paths, the check, and rows that failed


def test_paths_are_uploaded_each_for_its_own_row(sandbox, ws, folder):
    (folder / "copy.jpg").write_bytes((folder / "square.jpg").read_bytes())
    names = ["square.jpg", "copy.jpg", "none.jpg", "tall.png"]
    found = ws.upload([str(folder / names[0]), *(folder / name for name in names[1:])])
    assert found["name"].tolist() == names
    assert found["status"].tolist() == ["ready", "ready", "failed", "ready"]
    assert found["reused"].dropna().to_dict() == {0: False, 1: True, 3: False}
    assert found["error_code"].dropna().tolist() == ["media_missing"]
    assert found.loc[0, "media_id"] == found.loc[1, "media_id"]
    assert found.loc[0, "bytes"] == (folder / "square.jpg").stat().st_size
    assert ws.upload(folder / "tall.png")["reused"].tolist() == [True]
    uploaded = ws.upload(sheet(folder, "square.jpg", "tall.png"))
    assert uploaded["media_id"].tolist() == [found.loc[0, "media_id"], found.loc[3, "media_id"]]
    assert made(sandbox)[1] == 2
    assert ws.upload([]).dtypes.equals(found.dtypes)
    assert ws.upload(uploaded[:0]).dtypes.equals(uploaded.dtypes)
    for wrong in (7, [7], None, b"a.jpg"):
        with pytest.raises(vx.errors.ConfigError, match=r"ws\.upload takes a sheet or paths"):
            ws.upload(wrong)
    with pytest.raises(vx.errors.PlanError, match="media"):
        ws.upload(uploaded[["row_id"]])


def test_the_check_finds_what_the_upload_would_and_sends_nothing(sandbox, ws, folder):
    frame = sheet(folder, "square.jpg", "tall.png", "none.jpg", ADDRESS, accounts="instagram:@aldercoffee")
    before = len(sandbox.effects())
    found = ws.check(frame, gap=None)
    assert len(sandbox.effects()) == before
    found = found.loc[found["code"] != "content_type_needed", ["row_id", "code"]]
    assert found.to_numpy().tolist() == [["r1", "picture_shape"], ["r2", "media_missing"], ["r3", "media_imported"]]
    uploaded = ws.upload(frame)
    assert planned(uploaded).frame["eligible"].tolist() == [True, True, False, True]
    Image.new("RGB", (1080, 1920), "green").save(folder / "tall.png")
    sandbox.world.media.drop(uploaded.loc[0, "media_id"])
    after = ws.check(uploaded, gap=None).groupby("row_id")["code"].agg(list)
    assert after["r0"][-1] == "media_unknown" and "media_changed" in after["r1"]
    assert "media_imported" not in after.explode().tolist()
