"""Pictures from the sheet, as an analyst has them: from the folder to the posts, over a socket, in several processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tests.processes import Process
from tests.virtual import until, workspace

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.api.reasons import Reason
from voxops.client import AsyncClient, SystemClock
from voxops.connection import open_workspace

SPEED = 30.0
STORAGE = "/upload/**"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sheet with pictures beside it, one of them of the wrong shape, one missing and one of a wrong name."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    Image.new("RGB", (1080, 1080)).save(folder / "square.jpg")
    Image.new("RGB", (1080, 1920)).save(folder / "tall.png")
    Image.new("RGB", (200, 200)).save(folder / "really a png.jpg", format="PNG")
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


def effects(sandbox: Sandbox, kind: str) -> list[str]:
    return [effect["media"] for effect in sandbox.effects(f"media.{kind}")]


def connected(url: str, key: str, ledger: Path) -> vx.Workspace:
    """A workspace of a server in another process."""
    client = AsyncClient(key, url=url, clock=SystemClock(SPEED))
    return eventloop.run(open_workspace(client, ledger=ledger))


def run(url: str, key: str, ledger: Path, folder: Path) -> None:
    with connected(url, key, ledger) as ws:
        ws.run(vx.plan_create(vx.read_campaign(folder / "sheet.csv"), key="row_id", campaign="c")).wait(60)


def resume(url: str, key: str, ledger: Path, _: Path) -> None:
    with connected(url, key, ledger) as ws:
        again = ws.attach(ws.runs().index[0])
        again.resume()
        assert set(again.wait(60).results()["outcome"]) == {"succeeded"}


def test_an_upload_whose_process_is_killed_goes_on_in_another_one(server, folder, tmp_path):
    film = folder / "film.mp4"
    film.write_bytes(b"\0\0\0\x18ftypmp42" + b"x" * 30_000_000)
    sheet(folder, "film.mp4", "film.mp4", "square.jpg")
    server.add_fault(Fault("delay", method="PUT", path=STORAGE, seconds=60, times=None))
    where = (server.url, server.api_key, tmp_path / "ledger.sqlite", folder)
    first = Process(run, *where)
    until(lambda: sum(entry["method"] == "PUT" for entry in server.requests()) == 2)
    first.kill()
    server.clear_faults()
    (name,) = (each for each in effects(server, "create") if server.world.media[each].filename == "film.mp4")
    assert name not in effects(server, "upload"), "it was killed in the middle"
    assert not server.effects("post.create")
    second = Process(resume, *where)
    until(lambda: not second.running)
    assert second.code == 0
    assert len(effects(server, "create")) == len(effects(server, "upload")) == 2, "under the same id"
    assert len(server.effects("post.create")) == 3


def test_files_that_were_uploaded_apart_are_not_uploaded_by_a_run(sandbox, folder, tmp_path):
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
        made = ws.run(vx.plan_create(sheet(folder, "square.jpg", "tall.png"), key="row_id")).wait().results()
        assert set(made["outcome"]) == {"succeeded"}
        assert len(effects(sandbox, "upload")) == 2
        posts = [sandbox.world.posts[post].media for post in made["result_id"]]
        assert posts == [[found.loc[0, "media_id"]], [found.loc[4, "media_id"]]]
        assert ws.upload([]).dtypes.equals(found.dtypes)
    for wrong in (7, [7], None, b"a.jpg"):
        with workspace(sandbox) as ws, pytest.raises(vx.errors.ConfigError, match=r"ws\.upload takes paths"):
            ws.upload(wrong)


def test_a_file_that_the_api_does_not_take_does_not_stop_the_others(sandbox, folder):
    (folder / "other.png").write_bytes((folder / "tall.png").read_bytes())
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("status", status=400, code="VALIDATION_ERROR", path="/v1/media/upload", nth=1))
        found = ws.upload([folder / "square.jpg", folder / "other.png"])
        assert sorted(found["status"]) == ["failed", "ready"]
        assert found["error_code"].dropna().tolist() == ["media_failed"]
        again = ws.upload([folder / "square.jpg", folder / "other.png"])
        assert again["status"].tolist() == ["ready", "ready"]


def test_an_api_key_without_a_quota_stops_all(sandbox, folder):
    with workspace(sandbox) as ws:
        sandbox.add_fault(Fault("status", status=402, code="QUOTA_EXCEEDED", path="/v1/media/upload", times=None))
        with pytest.raises(vx.errors.AuthError):
            ws.upload([folder / "square.jpg", folder / "tall.png"])


def test_the_check_finds_what_the_run_would_and_sends_nothing(sandbox, folder):
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
        plan = vx.plan_create(frame, key="row_id")
        assert plan.frame["eligible"].tolist() == [True, True, False, False, False, True]
        assert plan.frame.loc[2, "reason"] == str(Reason("media_missing", value="none.jpg").at("E4"))


def test_failed_rows_find_their_pictures_again_wherever_the_notebook_is(sandbox, folder, monkeypatch):
    """`run.failed()` and the results keep the folder of the sheet."""
    frame = sheet(folder, "square.jpg", "tall.png")
    frame.loc[1, "content"] = "x" * 9_000
    with workspace(sandbox) as ws:
        failed = ws.run(vx.plan_create(frame, key="row_id")).wait().failed()
        assert failed["row_id"].tolist() == ["r1"]
        monkeypatch.chdir("/")
        again = vx.plan_create(failed.assign(content="short"), key="row_id")
        assert again.eligible == 1
        assert ws.run(again).wait().results()["outcome"].tolist() == ["succeeded"]
