"""The archive against the sandbox: equal to what the API shows, fetched once, safe against kills and second writers."""

from __future__ import annotations

import contextlib
import errno
import re
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import duckdb
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from tests.virtual import let_pages_be_small

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.archive import Archive, sync
from voxops.archive.store import Store
from voxops.cli.commands import is_wrong_usage
from voxops.errors import ConfigError, DecodeError, VoxopsError
from voxops.frames.records import build
from voxops.frames.schemas import STRING_DTYPE


def same(left, right):
    """Equal but for the order of rows that were created at the same instant."""
    by = [name for name in ("post_id", "platform", "account_id", "delivery_id") if name in left]
    assert_frame_equal(left.sort_values(by, ignore_index=True), right.sort_values(by, ignore_index=True))


def holds_what_the_api_shows(archive, ws):
    posts = ws.posts().drop(columns="tried", errors="ignore")  # what the ledger knows beside
    same(archive.posts(), posts)
    same(vx.targets(archive.posts()), vx.targets(posts))
    same(archive.deliveries(), ws.deliveries())


def test_an_archive_shows_how_many_days_it_holds(archive):
    days = sorted(path.name.removeprefix("day=") for path in archive._store.root.rglob("day=*"))
    assert repr(archive) == f"<Archive {archive._store.root}: {len({*days})} days, {days[0]} to {days[-1]}>"


@pytest.mark.parametrize("read", [
    lambda archive: archive.sql("SELECT count(*) AS n FROM deliveries")["n"].sum(), lambda archive: len(archive.posts()),
    lambda archive: len(archive.sql("SELECT * FROM targets")), lambda archive: len(archive.files("posts")),
])  # fmt: skip
def test_an_archive_that_was_never_filled_says_so_once_and_has_the_same_columns_and_dtypes(ws, tmp_path, read):
    archive = ws.archive(tmp_path / "histroy")
    with pytest.warns(UserWarning, match=r"nothing here yet: .*histroy\. .*archive\.sync\(\)") as said:
        assert read(archive) == read(archive) == 0
        for kind, in_sql in (("posts", {"metadata": STRING_DTYPE}), ("deliveries", {})):
            types = dict(build(kind, []).dtypes)
            assert dict(getattr(archive, kind)().dtypes) == types
            assert dict(archive.sql(f"SELECT * EXCLUDE (day) FROM {kind}").dtypes) == types | in_sql
    assert len(said) == 1
    assert repr(archive).endswith("histroy: nothing here yet>")
    assert not archive._store.root.exists()


def test_what_can_not_be_synced_is_refused(archive, ws, tmp_path):
    (tmp_path / "pre.py").write_text("mine")
    with pytest.raises(ConfigError, match=r"pre\.py is a file"):
        ws.archive(tmp_path / "pre.py")
    for arguments, words in (((), "no client"), ((ws.client,), "choose another folder")):
        with pytest.raises(ConfigError, match=words):
            Archive(archive._store.root, *arguments, workspace="ws_other").sync()


def test_a_second_sync_reads_the_head_and_what_is_open_and_writes_nothing(unfilled, ws, monkeypatch):
    # else the whole list has fewer pages than there are lists of what is open
    let_pages_be_small(monkeypatch, 25)
    first = unfilled.sync()
    files = {path: path.stat().st_mtime_ns for path in unfilled._store.root.rglob("*.parquet")}
    second, full = unfilled.sync(), unfilled.sync(full=True)
    assert (second.files, full.files, full.posts) == (0, 0, first.posts)
    assert {path: path.stat().st_mtime_ns for path in unfilled._store.root.rglob("*.parquet")} == files
    assert second.requests < first.requests
    still_open = ~unfilled.posts()["status"].isin(["published", "cancelled"])
    assert second.posts <= 100 + still_open.sum()  # a page, and what may change
    recent = unfilled.deliveries(since="8D")
    late = recent["created_at"] >= recent["created_at"].max() - sync.LATE
    assert second.deliveries <= (~recent["success"] | late).sum()


def test_changes_of_old_records_are_found(archive, ws, sandbox):
    log = ws.deliveries(since="7D", success=False)
    failed = vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))
    ws.run(vx.plan_retry(failed)).wait()
    ws.run(vx.plan_redeliver(log.head(5))).wait()
    sandbox.advance(2 * 86_400)
    assert archive.sync().files > 0
    holds_what_the_api_shows(archive, ws)
    assert archive.posts()["created_at"].is_monotonic_decreasing


def test_a_deleted_post_is_noted_and_not_asked_for_again(archive, ws):
    posts = archive.posts()
    draft = posts[posts["status"] == "draft"]["post_id"].iloc[-1]
    eventloop.run(ws.client.posts.delete(draft))
    archive.sync()
    after = archive.posts()
    assert after.set_index("post_id")["status"][draft] == "deleted"
    assert set(archive.sql("SELECT * FROM targets").set_index("post_id")["post_status"][[draft]]) == {"deleted"}
    assert archive.sync().files == 0


def test_since_reads_less_and_later_only_the_rest(unfilled, ws):
    part = unfilled.sync(since="5D")
    assert unfilled.deliveries()["created_at"].min() >= pd.Timestamp(ws.client.now()) - pd.Timedelta("5D")
    whole = unfilled.sync()
    assert part.deliveries + whole.deliveries < len(ws.deliveries()) * 1.2
    holds_what_the_api_shows(unfilled, ws)


@pytest.mark.parametrize("place", [0, None], ids=["first", "all"])
def test_files_with_other_columns_are_asked_like_the_others(archive, place):
    rows = len(archive.deliveries())
    names = list(archive.sql("SELECT * FROM deliveries LIMIT 0").columns)
    files = archive.files("deliveries")
    assert len(files) > 3
    others = "SELECT * EXCLUDE (event_type, response_body), url AS later"  # as another version might have them
    lacking = 0
    for path in files if place is None else [files[place]]:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"CREATE TABLE anew AS {others} FROM read_parquet('{path}', hive_partitioning = false)")
            lacking += connection.execute(f"COPY anew TO '{path}' (FORMAT parquet)").fetchone()[0]
    asked = archive.sql("SELECT count(*) AS n, count(event_type) AS known FROM deliveries")
    assert asked.iloc[0].tolist() == [rows, rows - lacking]
    assert list(archive.sql("SELECT * FROM deliveries LIMIT 0").columns) == names
    assert archive.deliveries(columns=["url", "event_type"])["event_type"].isna().sum() == lacking


def test_filters_and_columns_are_read_as_those_of_the_workspace(archive, ws):
    hook = archive.deliveries()["webhook_id"].iloc[0]
    ten, three, two = (ws.client.now() - timedelta(days=days) for days in (10, 3, 2))  # a span counts from each call
    for kind, filters in (
        ("deliveries", {"since": ten, "until": three, "success": True}), ("deliveries", {"webhook": hook, "event_type": ["POST.FAILED"]}),
        ("deliveries", {"webhook": []}), ("deliveries", {"event_type": []}),
        ("posts", {"since": two, "status": ["Failed", "PARTIAL"]}), ("posts", {"status": "all"}), ("posts", {"status": []}),
    ):  # fmt: skip
        found = getattr(archive, kind)(**filters)
        same(found, getattr(ws, kind)(**filters))
        assert found.empty == ([] in filters.values()), filters
    assert list(archive.deliveries(columns=["error", "url", "error"]).columns) == ["error", "url"]
    for kind, wrong, said in (
        ("posts", {"columns": "post_idd"}, r"have no column post_idd; .*post_id"), ("posts", {"status": "faild"}, "did you mean 'failed'"),
        ("deliveries", {"webhook": 7}, "webhook="), ("deliveries", {"event_type": b"post.failed"}, "event_type="),
        ("deliveries", {"success": "no"}, "success="),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            getattr(archive, kind)(**wrong)


def test_days_outside_the_span_are_never_opened(archive):
    oldest = archive.files("deliveries")[0]
    oldest.write_bytes(b"not Parquet at all")
    assert len(archive.deliveries(since="5D")) > 0
    for read in (archive.deliveries, lambda: archive.sql("SELECT count(*) FROM deliveries")):
        with pytest.raises(ConfigError, match=rf"(?=.*{re.escape(str(oldest))}).*sync\(full=True\)"):
            read()


def test_sql_reads_the_files(archive):
    query = "SELECT event_type, count(*) AS n, max(created_at) AS newest FROM deliveries WHERE success = $success GROUP BY 1 ORDER BY 1"
    done = archive.deliveries(success=True).groupby("event_type", as_index=False)
    expected = done.agg(n=("delivery_id", "count"), newest=("created_at", "max")).astype({"n": "Int64"})
    assert_frame_equal(archive.sql(query, {"success": True}), expected)
    assert archive.sql("SELECT day, count(DISTINCT post_id) AS n FROM targets GROUP BY day")["n"].sum() == 500
    targets = archive.sql("SELECT * EXCLUDE (created_at, day) FROM targets")
    expected = vx.targets(archive.posts())
    same(targets[expected.columns], expected)


@pytest.mark.parametrize(("query", "said"), [
    ("SELEC 1", "SELEC"), ("SELECT * FROM post", "post"), ("SELECT ?", "parameter"), ("SELECT 1 / 'x'", "x"), (5, "query=5"),
    ("SELECT 9223372036854775808 AS n", "9223372036854775808 can't be cast"),
    ("SELECT 18446744073709551615::UBIGINT AS n", "out of range"), ("", "single SELECT"),
])  # fmt: skip
def test_a_query_that_makes_no_sense_is_refused(archive, query, said):
    with pytest.raises(ConfigError, match=said):
        archive.sql(query)


def test_a_second_writer_is_refused(archive):
    with contextlib.closing(sqlite3.connect(archive._store.root / ".lock")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(VoxopsError, match="being written by another process") as busy:
            archive.sync()
        assert not is_wrong_usage(busy.value), "trying again later helps"
        assert len(archive.posts()) == 500  # reading goes on
    assert archive.sync().posts > 0


def test_a_full_disk_is_said_and_the_next_sync_is_whole(unfilled, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch, pytest.raises(ConfigError, match=r"No space left on device.*sync again"):
        patch.setattr("voxops.archive.store._aside", full)
        unfilled.sync()
    assert unfilled.sync().posts == 500


_KILLED = """
import os, signal, sys
from pathlib import Path
from voxops.archive import Archive
from voxops.client import AsyncClient
import voxops._support.eventloop as loop

url, key, path, workspace, renames = sys.argv[1:]
replace, left = Path.replace, [int(renames)]

def dying(self, target):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return replace(self, target)

Path.replace = dying
archive = Archive(path, AsyncClient(key, url=url), workspace=workspace)
archive.sync()
"""


@pytest.mark.parametrize("renames", [1, 21, *(pytest.param(at, marks=pytest.mark.release) for at in (0, 11, 20, 50))])
def test_a_kill_in_the_middle_loses_and_doubles_nothing(unfilled, ws, sandbox, renames):
    arguments = [sandbox.url, sandbox.api_key, str(unfilled._store.root), ws.id, str(renames)]
    died = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, timeout=250)
    assert died.returncode == -signal.SIGKILL
    for part in unfilled._store.root.rglob("*.parquet"):  # whatever there is is whole
        assert duckdb.read_parquet(str(part)).fetchall()
    unfilled.sync()
    assert not list(unfilled._store.root.rglob("*.new"))
    holds_what_the_api_shows(unfilled, ws)


def test_a_failed_sync_goes_on_where_it_was(unfilled, ws, sandbox, monkeypatch):
    log = ws.deliveries()
    let_pages_be_small(monkeypatch, 25)
    monkeypatch.setattr(sync, "BLOCK", 50)
    longest = log["webhook_id"].value_counts().index[0]
    sandbox.add_fault(Fault("repeat_cursor", "GET", f"/v1/webhooks/{longest}/deliveries", nth=4))
    with pytest.raises(DecodeError):
        unfilled.sync()
    kept = unfilled.deliveries(webhook=longest)
    assert 0 < len(kept) < (log["webhook_id"] == longest).sum()
    sandbox.clear_faults()
    before = len(sandbox.requests())
    unfilled.sync()
    again = [each for each in sandbox.requests()[before:] if longest in each["path"]]
    holds_what_the_api_shows(unfilled, ws)
    assert len(again) < len(log[log["webhook_id"] == longest]) / 25 - 2  # the blocks on disk were not read again


HOSTILE = [
    {"id": "p1", "status": "FAILED", "content": "=cmd()", "createdAt": "2026-03-02T09:00:00Z", "tags": ["a", 7], "metadata": {"n": [1, {"x": None}]},
     "platforms": [{"platform": "TWITTER", "status": "failed", "error": "words", "retryCount": 9007199254740993}]},
    {"id": "p2", "status": None, "createdAt": "not a time", "platforms": None, "tags": None, "metadata": None},
    {"id": "p3", "content": "half \ud83d a pair", "createdAt": "1969-12-31T23:59:59.999999Z", "platforms": ["linkedin"]},
]  # fmt: skip


def test_hostile_records_come_back_as_they_are(tmp_path):
    posts = build("posts", HOSTILE)
    store = Store(tmp_path)
    with store.writing():
        assert store.merge("posts", posts) == 3
        assert store.merge("posts", posts) == 0
    assert list(store.files("posts")) == ["1969-12-31", "2026-03-02", "unknown"]
    back = Archive(tmp_path).posts().sort_values("post_id", ignore_index=True)
    posts.loc[2, "content"] = "half ? a pair"
    posts["tags"] = pd.Series([("a", "7"), (), ()], dtype=back["tags"].dtype)
    posts.attrs = back.attrs
    assert_frame_equal(back, posts)
    assert [list(cell) for cell in back["targets"]] == [list(cell) for cell in posts["targets"]]


def test_a_record_that_shows_its_time_later_is_there_once(tmp_path):
    archive = Archive(tmp_path / "history")
    for at in (None, "2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"):
        # what never shows a time came with the first load alone
        records = [{"id": name, "success": True, "createdAt": at} for name in (("d1",) if at else ("d1", "d2"))]
        with archive._store.writing():
            archive._store.merge("deliveries", build("deliveries", records))
        assert archive.deliveries()["delivery_id"].sort_values().to_list() == ["d1", "d2"]
    early = archive.deliveries(until="2026-03-01T00:00Z")
    assert early["delivery_id"].to_list() == ["d2"], "what shows no time may be of any"


_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(("status", "changed", "created", "is_open"), [
    ("failed", 29, 90, True),  # judged by its last change, however old it is
    ("partial", 31, 90, False), ("failed", None, 29, True), ("failed", None, 31, False), ("scheduled", 300, 300, True),
    ("published", 1, 1, False), ("deleted", 1, 1, False),
])  # fmt: skip
def test_a_post_is_open_while_it_may_change(tmp_path, status, changed, created, is_open):
    ago = [None if days is None else str(_NOON - timedelta(days=days)) for days in (changed, created)]
    store = Store(tmp_path)
    store.merge("posts", build("posts", [{"id": "p", "status": status, "updatedAt": ago[0], "createdAt": ago[1]}]))
    settled = _NOON - sync.REOPENED_WITHIN
    for acted, expected in (([], is_open), (["p"], status != "deleted")):  # what one's own run acted on is open
        assert len(store.read("posts", where=sync.OPEN_POSTS, settled=settled, acted=acted)) == expected


def test_an_archive_says_whose_posts_are_as_the_workspace_does(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, owner_field="owner", tz="Asia/Tokyo") as ws:
        archive = ws.archive(tmp_path)
        archive.sync(since="2026-02-20")
        live = ws.posts(since="yesterday")
        same(archive.posts("yesterday"), live)
        assert live["owner"].notna().any()
        same(archive.deliveries("today"), ws.deliveries(since="today"))
        assert "owner" not in archive.posts(columns=["post_id"])


def test_small_files_that_are_damaged_are_named_with_what_to_do(archive):
    lock, state = archive._store.root / ".lock", archive._store.root / "archive.json"
    lock.write_bytes(b"no database" * 100)
    with pytest.raises(ConfigError, match=r"\.lock can't be locked.* delete it \(it has no data\), and sync again"):
        archive.sync()
    lock.unlink()
    assert archive.sync().files == 0
    state.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not the state of an archive; move it away and sync again"):
        archive.sync()
