"""Things followed until they end: by the right read, never by the 2xx, and woken by webhooks."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Fault, Sandbox, Switches
from voxops._support import eventloop
from voxops.client import AsyncClient, Handle, SteppedClock, ending_of, noted, outcome_of
from voxops.frames.records import read_post
from voxops.model import Outcome


@pytest.fixture
def world():
    with Sandbox(posts=120, deliveries=600, rate_limit=None, switches=Switches(recovery_rate=1.0)) as sandbox:
        yield sandbox


@pytest.fixture
def ws(world):
    with vx.connect(sandbox=world) as workspace:
        yield workspace


def call(coroutine):
    """The result of a coroutine, on the client's own loop."""
    return eventloop.run(coroutine)


async def _awaited(coroutine):
    return await (await coroutine)


def reads(world: Sandbox, since: int) -> list[str]:
    return [entry["path"] for entry in world.requests(since=since, acting=False)]


def first(world: Sandbox, kind: str, **wanted) -> str:
    return next(
        item.id for item in getattr(world.world, kind).values() if all(getattr(item, k) == v for k, v in wanted.items())
    )


NOW = datetime(2026, 3, 2, 9, 0, 12, tzinfo=UTC)
ACTS = {
    "publish": lambda ws, world: ws.client.posts.publish(first(world, "posts", status="scheduled")),
    "retry": lambda ws, world: ws.client.posts.retry(first(world, "posts", status="failed")),
    "backfill": lambda ws, world: ws.client.accounts.backfill(first(world, "accounts", status="active")),
    "validate": lambda ws, world: ws.client.media.validate(first(world, "media", status="ready")),
    "import": lambda ws, _: ws.client.media.import_from_url("https://cdn.example/a.jpg"),
    "drive": lambda ws, _: ws.client.media.import_from_drive("file-1"),
    "redeliver": lambda ws, world: ws.client.webhooks.retry_delivery(*_delivery(world)),
}


def _delivery(world: Sandbox) -> tuple[str, str]:
    delivery = next(d for d in world.world.deliveries.values() if not d.success)
    return delivery.webhook_id, delivery.id


@pytest.mark.parametrize("act", ACTS)
def test_an_accepted_act_has_not_ended_and_awaiting_it_ends_it(ws, world, act):
    handle = call(ACTS[act](ws, world))
    since = len(world.requests())

    async def follow():
        return await handle

    ending = call(follow())
    assert ending.outcome is Outcome.SUCCEEDED
    assert len(reads(world, since)) >= 2, "the first read must not have been the end"
    assert world.requests(since=since, acting=True) == []


@pytest.mark.parametrize("act", ACTS)
def test_the_workspace_watches_a_handle_of_any_kind(ws, world, act):
    handle = call(ACTS[act](ws, world))
    run = ws.watch(handle).wait(20)
    assert run.results()[["id", "outcome"]].to_numpy().tolist() == [[handle.id, "succeeded"]]
    assert not run.running


def test_handles_of_several_kinds_are_watched_together(ws, world):
    handles = [call(ACTS[act](ws, world)) for act in ("publish", "backfill", "import", "redeliver")]
    assert ws.watch(handles).wait(20).results()["outcome"].to_list() == ["succeeded"] * 4


@pytest.mark.parametrize("act", ["import", "redeliver"])
def test_what_ends_badly_has_failed_with_its_reason(ws, world, act):
    world.receiver(status=500)
    started = {
        "import": lambda: ws.client.media.import_from_url("https://cdn.example/missing.jpg"),
        "redeliver": lambda: ws.client.webhooks.retry_delivery(*_delivery(world)),
    }
    handle = call(started[act]())
    (row,) = ws.watch(handle).wait(20).results().to_dict("records")
    assert row["outcome"] == "failed"
    assert row["error_message"]
    assert "post_id" not in row


def test_a_state_from_before_the_act_is_not_its_outcome(ws, world):
    world.set_switches(linger_failed_seconds=60)
    handle = call(ws.client.posts.retry(first(world, "posts", status="failed")))
    stale = call(ws.client.posts.get(handle.id))
    assert stale["status"] == "failed"
    assert ending_of(handle, stale, ws.client.now()).outcome is Outcome.PENDING
    assert ws.watch(handle).wait(20).results()["outcome"].to_list() == ["succeeded"]


def test_a_failure_of_a_moment_ago_is_not_taken_for_the_new_one(ws, world):
    world.set_switches(failure_rate=1.0)
    post = first(world, "posts", status="scheduled")
    assert call(_awaited(ws.client.posts.publish(post))).outcome is Outcome.FAILED
    world.set_switches(linger_failed_seconds=60)
    handle = call(ws.client.posts.retry(post))
    stale = call(ws.client.posts.get(post))
    assert stale["status"] == "failed"
    assert ending_of(handle, stale, ws.client.now()).outcome is Outcome.PENDING


def test_a_post_seen_on_its_way_has_a_new_end_whatever_its_time_stamp():
    old = {"id": "p", "status": "failed", "updatedAt": "2026-03-02T09:00:00Z"}
    handle = Handle("p", "post", before=old)
    assert ending_of(handle, old, NOW).outcome is Outcome.PENDING
    moving = noted(handle, read_post({**old, "status": "publishing"}))
    assert ending_of(moving, old, NOW).outcome is Outcome.FAILED
    assert noted(handle, read_post(old)) is handle


def test_an_edit_after_a_retry_is_not_its_failure(ws, world):
    """Half a minute after the retry somebody edits a tag: neither the handle nor a watch of it says that it failed."""
    world.set_switches(queue_hold_seconds=600.0)
    handle = call(ws.client.posts.retry(first(world, "posts", status="failed")))
    world.advance(30)
    world.touch(handle.id)
    edited = call(ws.client.posts.get(handle.id))
    assert edited["status"] == "failed"
    assert ending_of(handle, edited, ws.client.now()).outcome is Outcome.PENDING
    assert ws.watch(handle).wait(60).results()["outcome"].to_list() == ["succeeded"]


@pytest.mark.parametrize(("stamp", "ended"), [
    ("2026-03-02T09:00:10Z", True), ("2026-03-02T09:00:08.5Z", True), ("2026-03-02T08:59:00Z", False), (None, True), ("no time", True),
])  # fmt: skip
def test_without_a_state_before_the_time_of_the_act_decides(stamp, ended):
    handle = Handle("p", "post", accepted_at=datetime(2026, 3, 2, 9, 0, 10, tzinfo=UTC))
    ending = ending_of(handle, {"id": "p", "status": "published", "updatedAt": stamp}, NOW)
    assert (ending.outcome is Outcome.SUCCEEDED) is ended


def test_a_repeated_delivery_is_distinguished_from_the_old_one(ws, world):
    webhook, delivery = _delivery(world)
    log = ws.deliveries(webhook)
    row = log[log["delivery_id"] == delivery]
    watched = ws.watch(row, kind="delivery")
    call(ws.client.webhooks.retry_delivery(webhook, delivery))
    assert watched.wait(20).results()["status"].to_list() == ["delivered"]


@pytest.mark.parametrize("act", ["retry", "redeliver"])
def test_a_key_that_may_not_read_may_act_all_the_same(ws, world, act):
    thing, since = _delivery(world), len(world.effects())
    world.add_fault(Fault("status", method="GET", path="/v1/**", status=403, code="AUTHORIZATION_ERROR", times=None))
    handle = call(ACTS["retry"](ws, world) if act == "retry" else ws.client.webhooks.retry_delivery(*thing))
    assert handle.before is None
    assert world.effects(since=since)


def test_a_delivery_that_has_arrived_needs_no_watching(ws):
    log = ws.deliveries()
    done = ws.watch(log[log["success"]].head(3), kind="delivery").wait(10).results()
    assert done["status"].to_list() == ["delivered"] * 3


def test_what_does_not_exist_is_gone(ws):
    """Of a frame; an id that somebody typed is refused."""
    frame = pd.DataFrame({"media_id": ["nothing"]})
    assert ws.watch(frame, kind="media").wait(10).results()["status"].to_list() == ["gone"]


def test_a_watch_counts_its_requests_and_follows_a_frame_that_went_through_a_file(ws, world, tmp_path):
    ws.posts(status="publishing", limit=3).to_csv(tmp_path / "posts.csv", index=False)
    frame = pd.read_csv(tmp_path / "posts.csv")
    before = len(world.requests())
    watch = ws.watch(frame).wait()
    assert len(watch.results()) == len(frame) > 0
    assert watch.snapshot.requests == len(world.requests()) - before > 0
    assert watch.snapshot.acts == 0


def test_a_deadline_leaves_it_pending(world):
    async def main():
        async with AsyncClient(world.api_key, url=world.url, clock=SteppedClock(world.advance)) as client:
            world.set_switches(publish_seconds=(9000.0, 9100.0))
            handle = await client.posts.publish(first(world, "posts", status="scheduled"))
            return await handle

    assert call(main()).outcome is Outcome.PENDING


def test_a_watch_that_stops_says_how_to_go_on(ws, world):
    post = first(world, "posts", status="scheduled")
    world.add_fault(Fault("status", method="GET", path="/v1/**", status=403, code="AUTHORIZATION_ERROR", times=None))
    stopped = ws.watch(pd.DataFrame({"post_id": [post], "status": ["publishing"]})).wait(10).snapshot
    assert stopped.phase == "stopped"
    assert stopped.note.endswith("; run.resume() goes on")


def test_a_handle_that_nobody_made_can_not_be_awaited():
    async def main():
        return await Handle("post_1", "post")

    with pytest.raises(vx.errors.ConfigError, match="follow it with"):
        asyncio.run(main())


@pytest.mark.parametrize("status", ["", None, "queued", "publishing", "a new word", "scheduled"])
def test_an_unknown_status_is_never_an_end(status):
    assert outcome_of(status) is Outcome.PENDING


@pytest.mark.parametrize(("things", "kind", "error"), [
    (["x"], "delivery", vx.errors.ConfigError), (["x"], "webhook", vx.errors.ConfigError), (pd.DataFrame({"a": [1]}), "post", vx.errors.PlanError),
])  # fmt: skip
def test_what_can_not_be_watched_is_refused(ws, things, kind, error):
    with pytest.raises(error):
        ws.watch(things, kind=kind)


# Webhooks wake a run.


class Still:
    """A clock on which no turn ever comes: whatever happens, a webhook has caused it."""

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(3600 if seconds > 0 else 0)


@pytest.fixture
def still(ws, world):
    """A workspace that looks at nothing by itself, and a run of one retried post."""
    posts = ws.posts(status="failed")
    plan = vx.plan_retry(vx.triage(vx.targets(posts)))
    post = plan.frame.loc[plan.frame["eligible"], "post_id"].iloc[0]
    ws.client.clock = Still()
    run = ws.run(vx.plan_retry(vx.triage(vx.targets(posts[posts["post_id"] == post]))))
    until(lambda: world.effects("post.retry") or world.effects("target.fix"))
    until(lambda: (ws.ledger()["state"] == "accepted").all())
    return run, post


def until(condition, seconds: float = 10.0) -> None:
    """Wait for another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def event_of(world: Sandbox, post: str) -> str:
    return next(e["body"] for e in reversed(world.received()) if json.loads(e["body"])["data"].get("id") == post)


def test_an_event_settles_what_a_poll_would_otherwise_have_to(still, world):
    run, post = still
    world.advance(120)
    assert set(run.results()["outcome"]) == {"pending"}
    since = len(world.requests())
    assert run.notify(event_of(world, post)) is True
    run.wait(10)
    assert set(run.results()["outcome"]) == {"succeeded"}
    # One read settles it; a second one, when the run is over, looks whether somebody else has retried it, too.
    assert reads(world, since)[:1] == [f"/v1/posts/{post}"]
    assert run.notify(event_of(world, post)) is False, "nothing of the run is open any more"
    assert reads(world, since)[1:] in ([], [f"/v1/posts/{post}"])


def test_an_event_is_news_and_not_proof(still, world):
    run, post = still
    forged = {
        "id": "evt_x",
        "type": "post.published",
        "createdAt": "2026-03-02T09:00:00Z",
        "data": {"id": post, "status": "PUBLISHED"},
    }
    since = len(world.requests())
    assert run.notify(forged) is True
    until(lambda: reads(world, since))
    assert set(run.results()["outcome"]) == {"pending"}
    assert world.requests(since=since, acting=True) == []


def test_an_event_before_the_post_has_moved_settles_nothing(ws, world):
    world.set_switches(linger_failed_seconds=300)
    posts = ws.posts(status="failed")
    plan = vx.plan_retry(vx.triage(vx.targets(posts)))
    post = plan.frame.loc[plan.frame["eligible"], "post_id"].iloc[0]
    ws.client.clock = Still()
    run = ws.run(vx.plan_retry(vx.triage(vx.targets(posts[posts["post_id"] == post]))))
    until(lambda: len(ws.ledger()) and (ws.ledger()["state"] == "accepted").all())
    since = len(world.requests())
    failed = {"event": "post.failed", "timestamp": "2026-03-02T09:00:00Z", "data": {"postId": post, "status": "FAILED"}}
    assert run.notify(failed) is True
    until(lambda: reads(world, since))
    assert set(run.results()["outcome"]) == {"pending"}


def test_events_of_other_posts_cost_nothing(still, world):
    run, _ = still
    since = len(world.requests())
    assert run.notify({"id": "e", "type": "post.published", "data": {"id": "post_of_others"}}) is False
    assert run.notify({"id": "e", "type": "webhook.test", "data": {"test": True}}) is False
    assert reads(world, since) == []
    with pytest.raises(vx.errors.DecodeError):
        run.notify(b"<html>")


def test_an_event_that_overtakes_the_answer_is_not_lost(ws, world):
    """The post is published, and its event here, before the 202 is."""
    world.add_fault(Fault("delay", method="POST", path="/v1/posts/**", when="after", seconds=0.6))
    posts = ws.posts(status="failed")
    plan = vx.plan_retry(vx.triage(vx.targets(posts)))
    post = plan.frame.loc[plan.frame["eligible"], "post_id"].iloc[0]
    ws.client.clock = Still()
    run = ws.run(vx.plan_retry(vx.triage(vx.targets(posts[posts["post_id"] == post]))))
    until(lambda: world.effects("post.retry") or world.effects("target.fix"))
    world.advance(120)
    assert set(ws.ledger()["state"]) == {"sent"}
    assert run.notify(event_of(world, post)) is True
    run.wait(10)
    assert set(run.results()["outcome"]) == {"succeeded"}


def test_a_watch_is_woken_too(ws, world):
    post = first(world, "posts", status="scheduled")
    call(ws.client.posts.publish(post))
    ws.client.clock = Still()
    watched = ws.watch([post])
    until(lambda: watched.results()["status"].fillna("").to_list() == ["publishing"])
    world.advance(120)
    assert watched.notify({"id": "e", "type": "post.published", "data": {"id": post}}) is True
    until(lambda: not watched.running)
    assert watched.results()["outcome"].to_list() in (["succeeded"], ["failed"])


def test_an_event_reaches_a_run_that_was_stopped(still, world):
    run, post = still
    eventloop.run(run.end())
    world.advance(120)
    assert not run.running
    assert run.notify(event_of(world, post)) is True
    run.wait(10)
    assert set(run.results()["outcome"]) == {"succeeded"}


def test_a_lost_receiver_costs_only_time(world):
    with vx.connect(sandbox=world) as ws:
        world.add_fault(Fault("drop", method="GET", path="/v1/posts/*", times=2))
        handle = call(ws.client.posts.publish(first(world, "posts", status="scheduled")))
        assert ws.watch(handle).wait(20).results()["outcome"].to_list() in (["succeeded"], ["failed"])
    assert httpx.get(world.url + "/_sandbox/state", trust_env=False).status_code == 200


class Receiver:
    """A receiver of webhooks on this machine, as an analyst would write one: verify, then tell the run."""

    def __init__(self) -> None:
        self.secret, self.run, self.heard, self.refused = "", None, [], 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                genuine = vx.webhooks.verify_signature(
                    body, self.headers.get("X-VoxBurst-Signature"), [receiver.secret]
                )
                receiver.refused += not genuine
                if genuine and receiver.run is not None:
                    receiver.heard.append(receiver.run.notify(body))
                self.send_response(200 if genuine else 401)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_whole_run_is_settled_by_webhooks_alone(ws, world):
    receiver = Receiver()
    try:
        receiver.secret = call(ws.client.webhooks.create(receiver.url, ["post.published", "post.failed"]))["secret"]
        posts = ws.posts(status="failed")
        plan = vx.plan_retry(vx.triage(vx.targets(posts)))
        ws.client.clock = Still()
        receiver.run = ws.run(plan)
        until(lambda: (ws.ledger()["state"] == "accepted").all())
        since = len(world.requests())
        world.advance(180)
        receiver.run.wait(30)
        results = receiver.run.results()
        assert set(results["outcome"]) == {"succeeded"}
        assert receiver.refused == 0
        assert sum(receiver.heard) == results["post_id"].nunique()
        assert world.requests(since=since, acting=True) == []
        assert set(reads(world, since)) == {f"/v1/posts/{post}" for post in results["post_id"]}, "no list was read"
    finally:
        receiver.stop()
