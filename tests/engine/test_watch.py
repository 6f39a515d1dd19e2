"""Watching what somebody else started: until it has ended, or for half an hour."""

from unittest.mock import Mock

from tests.chaos import world

from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.client import Polled
from voxops.engine.watch import Watch

HALF_AN_HOUR = 1_800.0


def watched(sandbox, client):
    """A watch of a post whose publishing does not end, and the post; the client knows the server's time."""
    eventloop.run(client.identity())
    (post,) = world.plant_posts(sandbox, 1)
    sandbox.world.posts[post].status = "publishing"
    watch = Watch(client, {Polled("post", (post,)): "twitter"}, Mock())
    return watch, sandbox.world.posts[post]


def test_what_does_not_end_is_left_after_half_an_hour(sandbox, client, clock):
    watch, _ = watched(sandbox, client)
    last = eventloop.run(watch.go())
    assert HALF_AN_HOUR < sum(clock.slept) < HALF_AN_HOUR + 40
    assert (last.phase, last.count("pending")) == ("stopped", 1)
    assert last.note == "still pending after 30 minutes; look at the dashboard; run.resume() watches on"


def test_an_outage_is_read_through_and_shown_meanwhile(sandbox, client, clock):
    watch, post = watched(sandbox, client)
    sandbox.add_fault(Fault("status", status=503, method="GET", path="/v1/**", times=60))
    notes = []
    watch._progress._observer = Mock(notice=lambda snapshot: notes.append(snapshot.note))

    async def rest(seconds, sleep=clock.sleep):
        if sum(clock.slept) > 600:
            post.status = "published"
            for target in post.targets:
                target.status = "published"
        await sleep(seconds)

    clock.sleep = rest
    last = eventloop.run(watch.go())
    assert (last.phase, last.count("succeeded"), last.note) == ("done", 1, "")
    assert any(note.endswith("; reading goes on") for note in notes)
