"""Loads with an archive return the same frames with fewer requests, which are counted at the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.virtual import let_pages_be_small

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops._support import eventloop
from voxops.archive.store import Store
from voxops.errors import ConfigError

LOADS: dict[str, Callable[[vx.Workspace], pd.DataFrame]] = {
    "all posts": lambda ws: ws.posts(), "posts since": lambda ws: ws.posts(since="10D", until="1D"),
    "failed": lambda ws: ws.posts(status=["failed", "partial"], since="20D"),
    "published": lambda ws: ws.posts(status="published"), "platform": lambda ws: ws.posts(platform=["x", "threads"]),
    "status and platform": lambda ws: ws.posts(status="scheduled", platform="instagram"),
    "limit": lambda ws: ws.posts(limit=120),
    "limit and status": lambda ws: ws.posts(status=["published", "failed"], limit=40),
    "all deliveries": lambda ws: ws.deliveries(), "deliveries since": lambda ws: ws.deliveries(since="9D"),
    "old deliveries": lambda ws: ws.deliveries(since="20D", until="12D"),
    "lost deliveries": lambda ws: ws.deliveries(success=False),
    "one event": lambda ws: ws.deliveries(event_type=["post.failed", "post.published"], since="15D"),
    "one webhook": lambda ws: ws.deliveries(webhook=ws.webhooks()["webhook_id"].iloc[0], success=True),
}  # fmt: skip
LIVE = [name for name in LOADS if name not in {"all posts", "posts since", "all deliveries", "deliveries since"}]


@pytest.fixture
def plain(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        yield ws


@pytest.fixture
def ws(sandbox: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite", archive=tmp_path / "history") as ws:
        yield ws


def counted(sandbox: Sandbox, load: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame, int]:
    """Return a frame, and the number of requests that it took at the server."""
    before = len(sandbox.requests())
    return load(), len(sandbox.requests()) - before


def same_as_without(ws: vx.Workspace, plain: vx.Workspace, sandbox: Sandbox, names: list[str]) -> dict[str, list[int]]:
    """Compare loads row for row; requests with the archive and without."""
    requests = {}
    for name in names:
        with_it, fewer = counted(sandbox, lambda load=LOADS[name]: load(ws))
        without, more = counted(sandbox, lambda load=LOADS[name]: load(plain))
        pd.testing.assert_frame_equal(with_it, without, obj=name)
        said = with_it.attrs.pop("archive")
        assert said["rows_from_archive"] + said["rows_from_api"] == len(with_it)
        assert {**with_it.attrs, "fetched_at": ""} == {**without.attrs, "fetched_at": ""}
        requests[name] = [fewer, more]
    return requests


def test_frames_are_the_same_row_for_row_and_cost_no_more(ws, plain, sandbox):
    # nothing was read yet: a partial request is read from the API as before
    assert all(fewer == more for fewer, more in same_as_without(ws, plain, sandbox, LIVE[::4]).values())
    assert not (ws.archive().path / "archive.json").exists()
    same_as_without(ws, plain, sandbox, ["all posts", "all deliveries"])
    sandbox.advance(9 * 86_400)  # scheduled posts are published, deliveries are tried again, new ones come
    requests = same_as_without(ws, plain, sandbox, list(LOADS))
    assert all(requests[name][0] <= requests[name][1] for name in LIVE), requests
    assert requests["deliveries since"][0] <= requests["deliveries since"][1]


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that are long compared with the open records, so that the archive saves requests."""
    let_pages_be_small(monkeypatch, 10)


@pytest.mark.usefixtures("small_pages")
def test_what_came_from_where_is_said(ws, plain, sandbox):
    first, many = counted(sandbox, ws.posts)
    second, few = counted(sandbox, ws.posts)
    assert few < many / 1.5
    origin, said = first.attrs["archive"], second.attrs["archive"]
    assert (origin["rows_from_archive"], origin["rows_from_api"]) == (0, 500)
    assert said["rows_from_archive"] > 200
    assert said["rows_from_api"] >= (second["status"].isin(["draft", "scheduled"])).sum()
    assert "refresh=True" in said["note"]
    report = vx.report(vx.triage(vx.targets(second)))
    assert f"{said['rows_from_archive']:,} rows from the archive" in " ".join(report.about)
    requests = same_as_without(ws, plain, sandbox, LIVE[::4])
    assert all(fewer <= more for fewer, more in requests.values()), requests


@pytest.mark.usefixtures("small_pages")
def test_an_edit_of_what_was_settled_is_seen_by_refresh(ws, plain):
    posts, accounts = ws.posts(), ws.accounts()
    active = set(accounts[accounts["status"] == "active"]["account_id"])
    works = posts["targets"].map(lambda cell: {target.account_id for target in cell} <= active)
    edited = posts[works & (posts["status"] == "published")]["post_id"].iloc[-1]
    draft = posts[posts["status"] == "draft"].iloc[[-1]]
    gone = draft["post_id"].iloc[0]
    store = Store(ws.archive().path)
    with store.writing():  # as if it had ended when it was read
        store.merge({"posts": draft.assign(status=pd.array(["published"], dtype="string"))})
    eventloop.run(ws.client.posts.delete(gone))
    eventloop.run(ws.client.posts.unpublish(edited))
    assert list(ws.posts().set_index("post_id")["status"][[edited, gone]]) == ["published", "published"]
    fresh = ws.posts(refresh=True)
    pd.testing.assert_frame_equal(fresh, plain.posts())
    assert fresh.attrs["archive"]["rows_from_archive"] == 0
    assert fresh.set_index("post_id")["status"][edited] == "unpublished"
    assert gone not in set(fresh["post_id"])
    pd.testing.assert_frame_equal(ws.posts(), fresh)


def test_deliveries_are_read_again_by_refresh(ws, plain, sandbox):
    ws.deliveries()
    _, again = counted(sandbox, ws.deliveries)
    whole, full = counted(sandbox, lambda: ws.deliveries(refresh=True))
    assert full > again
    assert whole.attrs["archive"]["rows_from_archive"] == 0
    pd.testing.assert_frame_equal(whole, plain.deliveries())
    part = ws.deliveries(since="5D", refresh=True)
    assert part.attrs["archive"]["rows_from_api"] == len(part)
    assert counted(sandbox, ws.deliveries)[1] <= again  # older records still count as read


def test_ones_own_acts_are_seen_however_old_they_are(ws, plain, sandbox):
    log = ws.deliveries()
    old = log[~log["success"].fillna(False)].tail(3)
    assert old["created_at"].max() < log["created_at"].max() - pd.Timedelta("8D")
    ws.run(vx.plan_redeliver(old, force=True)).wait()
    sandbox.advance(3_600)
    seen = ws.deliveries()
    pd.testing.assert_frame_equal(seen, plain.deliveries())
    changed = seen.set_index("delivery_id").loc[old["delivery_id"]]
    assert not changed.reset_index().equals(old.reset_index(drop=True))
    assert changed["success"].any()
    pd.testing.assert_frame_equal(ws.deliveries(success=False), plain.deliveries(success=False))


def test_what_changed_between_two_far_loads_is_not_missed(ws, plain, sandbox):
    """Records that were open when read are reread, even if they are now too old to be open."""
    posts, log = ws.posts(), ws.deliveries()
    assert posts["status"].isin(["failed", "partial"]).sum() > 20
    plain.run(vx.plan_retry(vx.triage(vx.targets(posts)))).wait()
    plain.run(vx.plan_redeliver(log[~log["success"].fillna(False)].head(5))).wait()
    sandbox.advance(40 * 86_400)
    same_as_without(ws, plain, sandbox, ["all posts", "all deliveries", "failed", "lost deliveries"])


def test_while_another_process_writes_all_is_read_from_the_api(ws, plain, tmp_path):
    ws.posts()
    with Store(tmp_path / "history").writing():
        posts, log = ws.posts(), ws.deliveries()
        pd.testing.assert_frame_equal(ws.posts(status="failed"), plain.posts(status="failed"))
    pd.testing.assert_frame_equal(posts, plain.posts())
    pd.testing.assert_frame_equal(log, plain.deliveries())
    assert posts.attrs["archive"]["note"].startswith("Another process was writing")
    assert posts.attrs["archive"]["rows_from_archive"] == 0


def test_two_loads_at_once_wait_for_each_other(ws, plain):
    async def both() -> list[pd.DataFrame]:
        return await asyncio.gather(ws.aio.posts(), ws.aio.deliveries())

    for found, load in zip(asyncio.run(both()), (plain.posts, plain.deliveries), strict=True):
        pd.testing.assert_frame_equal(found, load())
        assert "Another process" not in found.attrs["archive"]["note"]


def test_an_archive_that_cannot_serve_is_refused_when_connecting(ws, plain, sandbox, tmp_path):
    ws.posts()
    with pytest.raises(ConfigError, match="which archive"):
        plain.archive()
    assert ws.archive().path == tmp_path / "history"
    with Sandbox(seed=9, speed=0, posts=1, deliveries=1) as other, pytest.raises(ConfigError, match="has workspace"):
        vx.connect(sandbox=other, archive=tmp_path / "history")


def test_a_damaged_file_is_named_and_what_to_do(ws):
    ws.posts()
    ws.deliveries()
    for kind in ("posts", "deliveries"):
        ws.archive().files(kind)[-1].write_bytes(b"not Parquet at all")
    for load in (ws.posts, ws.deliveries):
        with pytest.raises(ConfigError, match="can't be read; delete it"):
            load()
