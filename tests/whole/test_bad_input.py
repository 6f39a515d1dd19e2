"""Bad input gets one clear sentence of ours: what, where, what to do; never the key, never a library's traceback."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.security.raw import answer, serve

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.api.reasons import Reason

KEY = "vb_live_0123456789abcdefWXYZ"


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox(rate_limit=None) as sandbox:
        yield sandbox


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOXBURST_API_KEY", raising=False)
    with pytest.raises(vx.errors.ConfigError, match="VOXBURST_API_KEY"):
        vx.connect()


def test_wrong_key(world: Sandbox) -> None:
    with pytest.raises(vx.errors.AuthError) as caught:
        vx.connect(KEY, url=world.url)
    assert caught.value.status == 401
    assert KEY[8:16] not in str(caught.value)
    assert "key" in str(caught.value)


def test_server_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(vx.errors.TransportError, match=str(port)):
        vx.connect(KEY, url=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"url": "http://api.voxburst.io"}, "https"),
        ({"url": "api.voxburst.io"}, "https://"),
        ({"url": "http://127.0.0.1:9", "max_wait": "soon"}, "max_wait='soon'"),
    ],
)
def test_what_can_not_be_connected_to(said: dict[str, str], why: str) -> None:
    with pytest.raises(vx.errors.ConfigError, match=why):
        vx.connect(KEY, **said)


def test_records_without_an_id_are_no_copies_of_each_other(tmp_path: Path) -> None:
    """The first of two records with one id counts; two without an id are two."""
    post = {"status": "failed", "createdAt": "2026-03-02T09:00:00Z", "platforms": ["twitter"]}
    delivery = {"success": False, "statusCode": 500, "createdAt": "2026-03-02T09:00:00Z"}
    pages: dict[str, list[dict[str, object]]] = {
        "/v1/posts": [{"id": "p1", **post}, {"id": "p1", **post}, post, {"id": None, **post}],
        "/v1/webhooks": [{"id": "w1", "url": "https://e.example/x"}],
        "/v1/webhooks/w1/deliveries": [{"id": "d1", **delivery}, delivery, {"id": "d1", **delivery}, delivery],
    }

    def handler(head: bytes, _: bytes) -> Iterator[bytes]:
        found = pages.get(head.split()[1].decode().partition("?")[0])
        yield answer(json.dumps({"workspaceId": "ws_1"} if found is None else {"data": found}).encode())

    with serve(handler) as server, vx.connect("vb_test_key", url=server.url, ledger=tmp_path / "l") as ws:
        assert ws.posts()["post_id"].fillna("-").to_list() == ["p1", "-", "-"]
        log = ws.deliveries()
    assert (len(log), vx.deliveries.stats(log)["failed"].to_list()) == (3, [3])


@pytest.mark.parametrize("make", [vx.targets, vx.triage, vx.plan_retry, vx.plan_fix, vx.plan_cancel, vx.plan_redeliver])
def test_a_frame_without_the_columns(make: object) -> None:
    with pytest.raises(vx.errors.PlanError) as caught:
        make(pd.DataFrame({"something": [1]}))  # type: ignore[operator]
    assert "vx." in str(caught.value) or "ws." in str(caught.value)


def test_keys_null_or_doubled() -> None:
    frame = pd.DataFrame(
        {"row_id": ["a", "a", None], "content": "x", "accounts": "acc", "scheduled_for": "2026-03-20T10:00Z"}
    )
    with pytest.raises(vx.errors.PlanError, match=re.escape(str(Reason("row_id_missing", place="frame.iloc[[1]]")))):
        vx.plan_create(frame.tail(2), key="row_id")
    blank = pd.concat([frame.tail(1)] * 7)
    for count, rest in ((7, " and 2 more)"), (5, "])")):
        with pytest.raises(vx.errors.PlanError, match=re.escape("frame.iloc[[0, 1, 2, 3, 4]]") + ".*") as refused:
            vx.plan_create(blank.head(count), key="row_id")
        assert str(refused.value).endswith(rest)
    doubled = Reason("row_id_doubled", count=2, value="a", place="frame.iloc[[0, 1]]")
    with pytest.raises(vx.errors.PlanError, match=re.escape(str(doubled))):
        vx.plan_create(frame, key="row_id")


def test_a_reason_that_is_no_text(world: Sandbox) -> None:
    with vx.connect(sandbox=world) as ws:
        plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status="failed", limit=1))))
        for reason in (4711, {"ticket": 1}, b"x", ["x"], True):
            with pytest.raises(vx.errors.ConfigError, match="reason= must be text"):
                ws.run(plan, reason=reason)
        assert ws.runs().empty


def test_an_unknown_status_is_shown_and_never_terminal(world: Sandbox) -> None:
    from voxops.frames.records import build

    target = {"platform": "MYSPACE", "accountId": "acc_1", "status": "Beaming"}
    posts = build("posts", [{"id": "post_1", "status": "TELEPORTING", "platforms": [target]}])
    assert posts["status"].tolist() == ["teleporting"]
    plan = vx.plan_retry(vx.triage(vx.targets(posts)))
    assert plan.eligible == 0
    assert plan.why == (Reason("target_not_failed", status="beaming"),)


NO_FRAMES = (None, [{"post_id": "p"}], pd.Series([1]), pd.DataFrame({"x": [1]}))
TAKE_A_FRAME = {
    "triage": vx.triage,
    "targets": vx.targets,
    "causes": vx.causes,
    "report": vx.report,
    "stats": vx.deliveries.stats,
    "outages": vx.deliveries.outages,
    "duplicates": vx.deliveries.duplicates,
    "lost": vx.deliveries.lost,
    **{f"plots.{name}": getattr(vx.plots, name) for name in vx.plots.__all__ if name != "before_after"},
    "plots.before_after": lambda frame: vx.plots.before_after(pd.DataFrame({"status": ["failed"]}), frame),
    "plots.outage_bands log": lambda frame: vx.plots.outage_bands(
        pd.DataFrame(columns=["url", "start", "end"]), [] if frame is None else frame
    ),
}


@pytest.mark.parametrize("take", TAKE_A_FRAME.values(), ids=TAKE_A_FRAME.keys())
def test_what_is_no_such_frame(take: Callable[[object], object]) -> None:
    for passed in NO_FRAMES:
        with pytest.raises(vx.errors.PlanError, match=r"need.*(, not |; missing: ).*(vx|ws|run)\."):
            take(passed)


def test_a_log_from_a_csv_file_and_a_zone_that_is_none(world: Sandbox, tmp_path: Path) -> None:
    with vx.connect(sandbox=world) as ws:
        log, posts = ws.deliveries(since="2D"), ws.posts(limit=20)
    log.to_csv(tmp_path / "log.csv", index=False)
    back = pd.read_csv(tmp_path / "log.csv")
    figures = [vx.plots.delivery_volume, vx.plots.latency_bands, vx.plots.delivery_delay, vx.plots.endpoint_heatmap]
    for take in (vx.deliveries.stats, vx.deliveries.outages, vx.deliveries.duplicates, vx.deliveries.lost, *figures):
        with pytest.raises(
            vx.errors.PlanError, match=r"created_at has dtype str, not times with a zone.*pd\.to_datetime"
        ):
            take(back)
    assert len(vx.deliveries.stats(back.assign(created_at=pd.to_datetime(back["created_at"], utc=True)))) == 1
    for draw in (*figures, vx.deliveries.stats, lambda frame, tz: vx.plots.schedule_calendar(posts, tz=tz)):
        with pytest.raises(vx.errors.ConfigError, match=r"tz='Mars/Base' is not a time zone"):
            draw(log, tz="Mars/Base")
