"""Pictures from the sheet, as an analyst has them: from the folder to the posts, over a socket, in several processes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from tests.processes import Process
from tests.virtual import until, workspace

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop, loads
from voxops.api.reasons import Reason
from voxops.client import AsyncClient, SystemClock
from voxops.connection import open_workspace
from voxops.loading import upload
from voxops.sheets.rules import sheet_rows

SPEED = 30.0
UPLOAD, STORAGE, IMPORT = "/v1/media/upload", "/upload/**", "/v1/media/import-from-url"
ADDRESS = "https://cdn.example/a.jpg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sheet with pictures beside it, one of them of the wrong shape, one of a wrong name, and one that the API can't process."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    Image.new("RGB", (1080, 1080)).save(folder / "square.jpg")
    Image.new("RGB", (1080, 1920)).save(folder / "tall.png")
    Image.new("RGB", (200, 200)).save(folder / "really a png.jpg", format="PNG")
    Image.new("RGB", (200, 300)).save(folder / "broken.jpg")
    return folder


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Sandbox(seed=3, empty=True, rate_limit=None, speed=SPEED) as sandbox:
        yield sandbox


def sheet(folder: Path, *media: str, accounts: str = "twitter:@aldercoffee") -> pd.DataFrame:
    """A row for each cell, as it is read from a workbook's folder."""
    rows = [
        {"row_id": f"r{n}", "content": f"text {n}", "accounts": accounts, "scheduled_for": f"2030-01-{n + 1:02}T10:00Z", "media": cell}
        for n, cell in enumerate(media)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "sheet.csv", index=False)
    return vx.read_campaign(folder / "sheet.csv")


def planned(frame: pd.DataFrame) -> vx.Plan:
    return vx.plan_create(frame, key="row_id", campaign="c")


def effects(sandbox: Sandbox, kind: str) -> list[str]:
    return [effect["media"] for effect in sandbox.effects(f"media.{kind}")]


def film(folder: Path, size: int = 600_000) -> Path:
    """A film of so many bytes."""
    path = folder / "film.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + b"a" * size)
    return path


def errors(frame: pd.DataFrame) -> list[str | None]:
    return [None if pd.isna(value) else value for value in frame["media_error"]]


def connected(url: str, key: str, ledger: Path) -> vx.Workspace:
    """A workspace of a server in another process."""
    client = AsyncClient(key, url=url, _clock=SystemClock(SPEED))
    return eventloop.run(open_workspace(client, ledger=ledger))


def upload_and_run(url: str, key: str, ledger: Path, folder: Path) -> None:
    with connected(url, key, ledger) as ws:
        uploaded = ws.upload(vx.read_campaign(folder / "sheet.csv"))
        assert set(ws.run(planned(uploaded)).wait(60).results()["outcome"]) == {"succeeded"}


# -- each once


@pytest.mark.parametrize(
    ("method", "path", "when"),
    [("POST", UPLOAD, "after"), ("PUT", STORAGE, "before"), ("PUT", STORAGE, "after"), ("POST", IMPORT, "after")],
)
def test_a_process_that_is_killed_before_it_has_its_receipt_is_followed_by_one_that_uploads_nothing_twice(
    server, folder, tmp_path, method, path, when
):
    film(folder, 30_000_000)
    sheet(folder, "film.mp4", "film.mp4", ADDRESS)
    server.add_fault(Fault("delay", method=method, path=path, when=when, seconds=60, times=None))
    where = (server.url, server.api_key, tmp_path / "ledger.sqlite", folder)
    first = Process(upload_and_run, *where)
    until(lambda: server.faults()[0]["struck"])
    if when == "after":
        kind = {UPLOAD: "create", STORAGE: "upload", IMPORT: "import"}[path]
        until(lambda: effects(server, kind))
    first.kill()
    server.clear_faults()
    assert not server.effects("post.create")
    second = Process(upload_and_run, *where)
    until(lambda: not second.running)
    assert second.code == 0
    assert (len(effects(server, "create")), len(effects(server, "upload")), len(effects(server, "import"))) == (1, 1, 1)
    assert len(server.effects("post.create")) == 3


def test_two_kernels_on_one_ledger_upload_each_medium_once(server, folder, tmp_path):
    film(folder)
    sheet(folder, "film.mp4", "square.jpg", ADDRESS)
    both = [Process(upload_and_run, server.url, server.api_key, tmp_path / "ledger.sqlite", folder) for _ in range(2)]
    until(lambda: not any(one.running for one in both))
    assert [one.code for one in both] == [0, 0]
    assert len(effects(server, "create")) == len(set(effects(server, "upload"))) == 2
    assert len(effects(server, "import")) == 1
    assert len(server.effects("post.create")) == 3


def test_fifty_rows_of_one_file_and_run_all_upload_it_once_under_any_name(sandbox, folder, tmp_path):
    (folder / "copy.jpg").write_bytes((folder / "square.jpg").read_bytes())
    frame = sheet(folder, *["square.jpg", "copy.jpg", f"tall.png;{ADDRESS}"] * 7)
    for ledger in ("mine", "mine", "lost"):
        with workspace(sandbox, ledger=tmp_path / ledger) as ws:
            for _ in range(2):
                uploaded = ws.upload(frame)
                assert errors(uploaded) == [None] * 21
                assert set(ws.run(planned(uploaded)).wait().results()["outcome"]) == {"succeeded"}
            again = ws.upload(uploaded)
            pd.testing.assert_frame_equal(again, uploaded)
    assert len(effects(sandbox, "create")) == len(effects(sandbox, "upload")) == 2
    assert len(effects(sandbox, "import")) == 1
    assert len(sandbox.effects("post.create")) == 21


def test_a_sheet_survives_csv_and_excel_and_the_ids_of_another_laptop_and_is_the_same_plan(sandbox, folder, tmp_path):
    ready = next(each.id for each in sandbox.world.media.values() if each.status == "ready")
    frame = sheet(folder, "square.jpg", f"tall.png; {ready};{ADDRESS}", "", "", ready)
    with workspace(sandbox) as ws:
        uploaded = ws.upload(frame)
        assert uploaded.columns.tolist() == [
            *frame.columns,
            "media_id",
            "media_sha256",
            "media_uploaded",
            "media_error",
        ]
        assert uploaded["media"].equals(frame["media"])
        assert uploaded.loc[1, "media_sha256"].endswith(f";{ready};{ADDRESS}")
        assert len(uploaded.loc[0, "media_sha256"]) == 64
        first = planned(uploaded)
        assert first.eligible == 5
        uploaded.to_csv(tmp_path / "a.csv", index=False)
        vx.to_excel(tmp_path / "a.xlsx", sheet=uploaded)
        frames = [
            vx.read_campaign(tmp_path / "a.csv"), pd.read_csv(tmp_path / "a.csv", dtype="string"), vx.read_campaign(tmp_path / "a.xlsx"),
            uploaded.assign(media_id=uploaded["media_id"].str.replace("media_", "other_", n=1)),
        ]  # fmt: skip
        for other in frames:
            plan = planned(other)
            assert plan.frame["idempotency_key"].equals(first.frame["idempotency_key"])
            assert [item.requested for item in plan.items] == [item.requested for item in first.items]
        assert set(ws.run(planned(frames[0])).wait().results()["outcome"]) == {"succeeded"}
        assert ws.run(first).wait().snapshot.acts == 0
    assert len(sandbox.effects("post.create")) == 5


# -- what is not uploaded


def test_a_row_whose_cell_names_another_file_than_the_one_that_was_uploaded_waits_for_its_upload(sandbox, folder):
    frame = sheet(folder, "square.jpg", "tall.png", ADDRESS, f"square.jpg;{ADDRESS}", "")
    code, said = "media_not_uploaded", "'square.jpg' is not uploaded; upload it: sheet = ws.upload(sheet)"
    plan = planned(frame)
    assert [why.code for why in plan.why] == [*[code] * 4, "ready"]
    assert said in plan.frame.loc[0, "reason"]
    with workspace(sandbox) as ws:
        uploaded = ws.upload(frame)
        assert planned(uploaded).eligible == 5
        for cell in ("other.jpg", "square.jpg;tall.png", "https://cdn.example/b.jpg", "square.jpg;media_1"):
            changed = planned(uploaded.assign(media=[cell, *uploaded["media"][1:]]))
            assert [why.code for why in changed.why] == [code, *["ready"] * 4]
            removed = planned(
                uploaded.drop(columns=["media_uploaded"]).assign(media=[f"{cell};x", *uploaded["media"][1:]])
            )
            assert removed.why[0].code == code
        by_id = planned(uploaded.assign(media=["media_1", *uploaded["media"][1:]]))
        assert by_id.eligible == 5
    assert not sandbox.effects("post.create")


def test_a_file_that_is_not_there_any_more_keeps_its_upload_and_one_that_has_changed_is_a_warning_of_the_check(
    sandbox, folder
):
    with workspace(sandbox) as ws:
        uploaded = ws.upload(sheet(folder, "square.jpg", "tall.png"))
        (folder / "square.jpg").unlink()
        Image.new("RGB", (1080, 1920), "green").save(folder / "tall.png")
        found = ws.check(uploaded, gap=None)
        assert found[["row_id", "level", "code"]].to_numpy().tolist() == [["r1", "warning", "media_changed"]]
        again = ws.upload(uploaded)
        assert again.loc[0].equals(uploaded.loc[0])
        assert again.loc[1, "media_sha256"] != uploaded.loc[1, "media_sha256"]
        assert ws.check(again, gap=None).empty
        assert planned(again).eligible == 2


def test_a_file_that_is_exchanged_between_its_look_and_its_upload_is_not_uploaded(sandbox, folder, monkeypatch):
    frame, private = sheet(folder, "square.jpg"), folder.parent / "private.jpg"
    Image.new("RGB", (1080, 1080), "blue").save(private)

    def look(*args: Any, **options: Any) -> Any:
        rows = sheet_rows(*args, **options)
        (folder / "square.jpg").unlink()
        (folder / "square.jpg").symlink_to(private)
        return rows

    monkeypatch.setattr(upload, "sheet_rows", look)
    with workspace(sandbox) as ws:
        uploaded = ws.upload(frame)
    assert errors(uploaded) == [Reason("media_changed", value="square.jpg").sentence()]
    assert not effects(sandbox, "upload")


def test_a_file_that_fails_does_not_stop_the_others_and_the_plan_says_why(sandbox, folder):
    cells = (
        "square.jpg", "none.jpg", "really a png.jpg", "broken.jpg", "http://x.example/a.jpg", "https://x.example/missing.jpg", "m 1",
        "square.jpg;broken.jpg", "../sheet.csv", "['a.jpg']",
    )  # fmt: skip
    with workspace(sandbox) as ws:
        uploaded = ws.upload(sheet(folder, *cells))
        said = errors(uploaded)
        assert [text is None for text in said] == [True, *[False] * 9]
        assert said[1] == Reason("media_missing", value="none.jpg").sentence()
        assert (
            said[3]
            == said[7]
            == Reason("media_failed", value="broken.jpg", said="the file can't be decoded").sentence()
        )
        assert said[8] == Reason("media_outside", value="../sheet.csv").sentence()
        assert uploaded["media_id"].isna().tolist() == uploaded["media_sha256"].isna().tolist() == [False, *[True] * 9]
        plan = planned(uploaded)
        assert [why.code for why in plan.why] == [
            "ready", *["media_not_uploaded"] * 3, "media_address", "media_not_uploaded", "media_form", *["media_not_uploaded"] * 2, "list_form",
        ]  # fmt: skip
        assert said[1] in plan.frame.loc[1, "reason"]
        uploads = len(effects(sandbox, "create"))
        (folder / "broken.jpg").rename(folder / "mended.jpg")
        mended = uploaded.assign(media=uploaded["media"].str.replace("broken", "mended"))
        assert planned(ws.upload(mended)).eligible == 3
        assert len(effects(sandbox, "create")) == uploads + 1, "under the next key, since the first medium has failed"


def test_a_file_that_changes_during_its_upload_never_arrives(sandbox, folder, monkeypatch):
    """Its size stays the same, and so does its time."""
    path = film(folder)
    stat, send = path.stat(), AsyncClient.upload
    with workspace(sandbox) as ws:

        async def late(client: AsyncClient, file: str, **more: Any) -> Any:
            if file == str(path):
                path.write_bytes(b"\0\0\0\x18ftypmp42" + b"b" * 600_000)
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            return await send(client, file, **more)

        monkeypatch.setattr(AsyncClient, "upload", late)
        uploaded = ws.upload(sheet(folder, "film.mp4", "tall.png"))
    assert uploaded["media_id"].notna().tolist() == [False, True]
    assert len(effects(sandbox, "upload")) == 1


# -- what breaks


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", [UPLOAD, STORAGE, IMPORT, "/v1/media/*"])
def test_a_lost_answer_uploads_nothing_twice(sandbox, folder, path, when):
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("drop", path=path, when=when))
        assert errors(ws.upload(sheet(folder, "square.jpg", ADDRESS))) == [None, None]
    assert (
        len(effects(sandbox, "create")) == len(set(effects(sandbox, "upload"))) == len(effects(sandbox, "import")) == 1
    )


@pytest.mark.parametrize("path", [UPLOAD, STORAGE, IMPORT, "/v1/media/*"])
def test_after_an_outage_the_cell_goes_on_where_it_was(sandbox, folder, path):
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("drop", path=path, times=None))
        frame = sheet(folder, "square.jpg", ADDRESS)
        assert any(errors(ws.upload(frame)))
        sandbox.clear_faults()
        assert errors(ws.upload(frame)) == [None, None]
    assert (
        len(effects(sandbox, "create")) == len(set(effects(sandbox, "upload"))) == len(effects(sandbox, "import")) == 1
    )


@pytest.mark.parametrize("fault", [{"action": "garbage", "body": "json"}, {"action": "status", "status": 404}])
def test_an_interrupted_upload_whose_address_is_not_renewed_begins_anew(sandbox, folder, fault):
    with workspace(sandbox) as ws:
        frame = sheet(folder, "square.jpg")
        sandbox.add_fault(Fault("drop", path=STORAGE, times=None))
        assert any(errors(ws.upload(frame)))
        sandbox.clear_faults()
        sandbox.add_fault(Fault(path="/v1/media/*/refresh-presign", times=None, **fault))
        assert errors(ws.upload(frame)) == [None]
    assert len(effects(sandbox, "create")) == 2
    assert len(effects(sandbox, "upload")) == 1


def test_what_was_just_requested_and_is_not_found_at_once_is_not_requested_again(sandbox, folder):
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("status", method="GET", path="/v1/media/*", status=404, code="NOT_FOUND", times=2))
        assert errors(ws.upload(sheet(folder, "square.jpg"))) == [None]
    assert len(effects(sandbox, "create")) == 1


@pytest.mark.parametrize("how", ["gone", "failed"])
def test_a_medium_that_is_gone_is_uploaded_again(sandbox, folder, how):
    with workspace(sandbox) as ws:
        frame = sheet(folder, "square.jpg", ADDRESS)
        first = ws.upload(frame)
        for name in first["media_id"]:
            if how == "gone":
                sandbox.world.media.drop(name)
            else:
                sandbox.world.media[name].status = "failed"
        second = ws.upload(first)
        assert set(first["media_id"]).isdisjoint(second["media_id"])
        assert first["media_sha256"].equals(second["media_sha256"])
    assert len(effects(sandbox, "upload")) == len(effects(sandbox, "import")) == 2


def test_a_medium_that_never_ends_is_left_after_ten_minutes_and_a_later_cell_goes_on(sandbox, folder):
    with workspace(sandbox) as ws:
        frame = sheet(folder, "square.jpg")
        name = ws.upload(frame).loc[0, "media_id"]
        sandbox.world.media[name].status = "analysing"
        assert "analysing" in (errors(ws.upload(frame))[0] or "")
        sandbox.world.media[name].status = "ready"
        assert ws.upload(frame).loc[0, "media_id"] == name
    assert len(effects(sandbox, "create")) == 1


def test_a_line_says_how_far_an_upload_is(sandbox, folder, monkeypatch):
    for number in range(9):
        film(folder, 100_000 * number).rename(folder / f"{number}.mp4")
    lines: list[str] = []
    monkeypatch.setattr(loads.Load, "reach", lambda _, done, total, of: lines.append(f"{done} of {total} {of}"))
    with workspace(sandbox) as ws:
        ws.upload(sheet(folder, *(f"{number}.mp4" for number in range(9))))
    assert lines[-1] == "9 of 9 media, 3.6 of 3.6 MB"
    assert all(re.fullmatch(r"[0-9] of 9 media, [0-3]\.\d of 3\.6 MB", line) for line in lines)
    assert len(effects(sandbox, "create")) == 9


def test_an_api_key_without_a_quota_stops_all(sandbox, folder):
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("status", status=402, code="QUOTA_EXCEEDED", path=UPLOAD, times=None))
        for media in ([folder / "square.jpg", folder / "tall.png"], sheet(folder, "square.jpg")):
            with pytest.raises(vx.errors.AuthError):
                ws.upload(media)


# -- paths


def test_paths_are_uploaded_each_for_its_own_row(sandbox, folder, tmp_path):
    (folder / "copy.jpg").write_bytes((folder / "square.jpg").read_bytes())
    names = ["square.jpg", "copy.jpg", "none.jpg", "really a png.jpg", "tall.png"]
    with workspace(sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        found = ws.upload([str(folder / names[0]), *(folder / name for name in names[1:])])
        assert found["name"].tolist() == names
        assert found["status"].tolist() == ["ready", "ready", "failed", "failed", "ready"]
        assert found["reused"].dropna().to_dict() == {0: False, 1: True, 4: False}
        assert found["error_code"].dropna().tolist() == ["media_missing", "media_kind"]
        assert found.loc[0, "media_id"] == found.loc[1, "media_id"]
        assert found["bytes"].tolist()[0] == (folder / "square.jpg").stat().st_size
        assert len(effects(sandbox, "upload")) == 2
        assert ws.upload(folder / "tall.png")["reused"].tolist() == [True]
        uploaded = ws.upload(sheet(folder, "square.jpg", "tall.png"))
        assert uploaded["media_id"].tolist() == [found.loc[0, "media_id"], found.loc[4, "media_id"]]
        assert len(effects(sandbox, "upload")) == 2
        assert ws.upload([]).dtypes.equals(found.dtypes)
        assert ws.upload(uploaded[:0]).dtypes.equals(uploaded.dtypes)
        for wrong in (7, [7], None, b"a.jpg"):
            with pytest.raises(vx.errors.ConfigError, match=r"ws\.upload takes a sheet or paths"):
                ws.upload(wrong)
        with pytest.raises(vx.errors.PlanError, match="media"):
            ws.upload(uploaded[["row_id"]])


def test_a_path_that_the_api_does_not_take_does_not_stop_the_others(sandbox, folder):
    (folder / "other.png").write_bytes((folder / "tall.png").read_bytes())
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("status", status=400, code="VALIDATION_ERROR", path=UPLOAD, nth=1))
        found = ws.upload([folder / "square.jpg", folder / "other.png"])
        assert sorted(found["status"]) == ["failed", "ready"]
        assert found["error_code"].dropna().tolist() == ["media_failed"]
        again = ws.upload([folder / "square.jpg", folder / "other.png"])
        assert again["status"].tolist() == ["ready", "ready"]


# -- the check, and rows of a run


def test_the_check_finds_what_the_upload_would_and_sends_nothing(sandbox, folder):
    names = [
        "square.jpg",
        "tall.png",
        "none.jpg",
        "really a png.jpg",
        "http://x.example/a.jpg",
        "https://x.example/a.jpg",
    ]
    frame = sheet(folder, *names, accounts="instagram:@aldercoffee")
    with workspace(sandbox) as ws:
        before = len(sandbox.effects())
        found = ws.check(frame, gap=None)
        assert len(sandbox.effects()) == before
        said = found[found["code"] != "content_type_needed"].groupby("row_id")["code"].agg(list).to_dict()
        assert said == {
            "r1": ["picture_shape"],
            "r2": ["media_missing"],
            "r3": ["media_kind"],
            "r4": ["media_address"],
            "r5": ["media_imported"],
        }
        assert found.loc[found["level"] == "error", "row_id"].tolist() == ["r2", "r3", "r4"]
        by_id = {f"{each.platform}:@{each.username}": each.id for each in sandbox.world.accounts.values()}
        same = ws.check(frame.assign(accounts=by_id["instagram:@aldercoffee"]), gap=None)
        assert same.loc[same["code"] == "picture_shape", "platform"].tolist() == ["instagram"]
        uploaded = ws.upload(frame)
        assert planned(uploaded).frame["eligible"].tolist() == [True, True, False, False, False, True]
        after = ws.check(uploaded, gap=None)
        assert after.loc[after["level"] == "error", "code"].tolist() == ["media_missing", "media_kind", "media_address"]
        assert "media_imported" not in set(after["code"])
        sandbox.world.media.drop(uploaded.loc[0, "media_id"])
        after = ws.check(uploaded, gap=None)
        assert after.loc[after["row_id"] == "r0", "code"].tolist()[-1] == "media_unknown"


def test_failed_rows_find_their_pictures_again_wherever_the_notebook_is(sandbox, folder, monkeypatch):
    """`run.failed()` and the results keep the folder of the sheet, and what was uploaded."""
    frame = sheet(folder, "square.jpg", "tall.png")
    frame.loc[1, "content"] = "x" * 9_000
    with workspace(sandbox) as ws:
        failed = ws.run(planned(ws.upload(frame))).wait().failed()
        assert failed["row_id"].tolist() == ["r1"]
        monkeypatch.chdir("/")
        for mended in (failed, ws.upload(failed)):
            assert planned(mended.assign(content="short")).eligible == 1
        assert ws.run(planned(mended.assign(content="short"))).wait().results()["outcome"].tolist() == ["succeeded"]
    assert len(effects(sandbox, "upload")) == 2
