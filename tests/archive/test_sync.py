"""An archive misses no row for long: clocks set back and ahead, records that come late, imports with old dates, deletions."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from tests.virtual import let_pages_be_small

import voxops as vx
from voxburst_sandbox import Sandbox
from voxburst_sandbox.store import Delivery, Post, identifier
from voxops.archive import Archive

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
PAGE, FEW = 10, 2  # records per page
LATE = 65 * MINUTE  # how far below its last pass a sync looks


def planted(sandbox, count, later):
    """Ordinals and times of records, `later` seconds from now by their `created_at`, a second apart."""
    for number in range(count):
        yield sandbox.world.ordinal(), sandbox.world.now() + round((later - number) * 1000)


def posts(sandbox, count, *, later=0.0, status="published"):
    """Let posts come into the list."""
    for ordinal, at in planted(sandbox, count, later):
        name = identifier("post_", "planted", ordinal)
        sandbox.world.add_post(Post(name, ordinal, f"post {ordinal}", "text", status, at, at, []))


def deliveries(sandbox, count, *, later=0.0):
    """Let deliveries that succeeded come into the log of the first webhook."""
    hook = next(iter(sandbox.world.webhooks.values()))
    for ordinal, at in planted(sandbox, count, later):
        name, event = identifier("del_", "planted", ordinal), f"evt_{ordinal}"
        facts = (name, ordinal, hook.id, event, "post.published", hook.url, at, 200, 12)
        sandbox.world.add_delivery(Delivery(*facts, success=True, delivered_at=at))


@pytest.fixture
def ws(monkeypatch, ws):
    let_pages_be_small(monkeypatch, PAGE)
    return ws


@pytest.fixture
def archive(unfilled):
    unfilled.sync()
    return unfilled


def missing(archive, ws):
    """How many posts and deliveries the archive does not have."""
    return [len(ws.posts()) - len(archive.posts()), len(ws.deliveries()) - len(archive.deliveries())]


def test_a_check_adds_what_came_late_and_says_so(archive, ws, sandbox):
    day = (sandbox.now() - timedelta(days=90)).date().isoformat()
    posts(sandbox, 3, later=-90 * DAY)
    deliveries(sandbox, 2, later=-90 * DAY)
    assert archive.sync().late == 0
    assert missing(archive, ws) == [3, 2], "the check is for this"
    with pytest.warns(UserWarning, match=f"added . .* that earlier syncs had not seen: . of {day}$") as said:
        done = archive.sync(full=True)
    assert len(said) == 2
    assert done.late == 5
    assert str(done).endswith("; 5 late records added")
    assert missing(archive, ws) == [0, 0]
    assert archive.sync(full=True).late == 0


def test_a_sync_checks_once_a_week_and_after_a_find_the_next_day(archive, ws, sandbox):
    pages = -(-len(ws.posts()) // PAGE) + -(-len(ws.deliveries()) // PAGE)
    sandbox.advance(6.5 * DAY)
    assert archive.sync().requests < pages / 2
    posts(sandbox, 1, later=-90 * DAY)
    deliveries(sandbox, 1, later=-90 * DAY)
    sandbox.advance(0.6 * DAY)
    with pytest.warns(UserWarning, match="had not seen"):
        assert archive.sync().late == 2
    posts(sandbox, 1, later=-90 * DAY)
    sandbox.advance(1.1 * DAY)
    with pytest.warns(UserWarning, match="had not seen"):
        assert archive.sync().late == 1


def test_a_short_list_is_read_as_a_whole_every_time(ws, tmp_path, sandbox):
    """It costs no more than the lists of what waits."""
    sandbox.reset(empty=True)
    posts(sandbox, 5 * PAGE)
    archive = ws.archive(tmp_path / "few")
    archive.sync()
    posts(sandbox, 1, later=-90 * DAY)
    before = len(sandbox.requests())
    with pytest.warns(UserWarning, match="added 1 posts"):
        archive.sync()
    assert [each["path"] for each in sandbox.requests()[before:]].count("/v1/posts") == 6


# Random histories: the frames of an archive against those of its workspace.

LATER = st.floats(-60 * MINUTE, MINUTE) | st.floats(MINUTE, 12 * HOUR)
WAITING = ("draft", "pending_approval", "approved", "scheduled")  # a sync reads these lists as a whole
RETRIED = ("failed", "partial")
STATUS = st.sampled_from(["published", "published", *WAITING, *RETRIED])
COUNT = st.integers(1, 3 * FEW)
CHANGE = st.one_of(
    st.tuples(st.just("come"), COUNT, LATER, STATUS),
    st.tuples(st.just("import"), st.integers(1, 3), st.floats(1, 400), STATUS),
    st.tuples(st.just("publish"), st.integers(0, 99)),
    st.tuples(st.just("delete"), st.integers(0, 99)),
    st.tuples(st.just("advance"), st.floats(MINUTE, 3 * HOUR) | st.floats(HOUR, 9 * DAY)),
    st.tuples(st.just("set back"), st.floats(MINUTE, HOUR) | st.floats(HOUR, 30 * HOUR)),
)
HISTORY = st.lists(st.lists(CHANGE, min_size=1, max_size=4), min_size=1, max_size=4)


@dataclass
class History:
    """An archive, its workspace, and which kinds a sync without a check may lack."""

    sandbox: Sandbox
    ws: vx.Workspace
    archive: Archive
    read_at: float = 0.0  # the latest time that the server has shown by the last sync
    beyond: set[str] = field(default_factory=set)

    def now(self):
        return self.sandbox.world.now() / 1000

    def change(self, act, *more):
        world = self.sandbox.world
        if act == "come":
            count, later, status = more
            posts(self.sandbox, count, later=later, status=status)
            deliveries(self.sandbox, count, later=later)
            if self.now() + later - count < self.read_at - LATE + MINUTE:
                self.beyond |= {"posts", "deliveries"}
        elif act == "import":
            count, days, status = more
            posts(self.sandbox, count, later=-days * DAY, status=status)
            if self.read_at and status not in WAITING:
                self.beyond.add("posts")
        elif act == "advance":
            self.sandbox.advance(*more)
        elif act == "set back":
            world.clock._base -= round(more[0] * 1000)  # which no control call does
        elif world.posts:
            post = world.posts[sorted(world.posts)[more[0] % len(world.posts)]]
            if act == "delete":
                if post.status not in WAITING:  # it may be settled
                    self.beyond.add("posts")
                world.remove_post(post)
            elif post.status != "published":
                if post.status in RETRIED:
                    self.beyond.add("posts")
                post.status = "published"
                world.touch(post, world.now())

    def compare(self, *, checked=False):
        """Sync and compare: all records only if no sync may lack one, or after a check."""
        with pytest.MonkeyPatch.context() as patch:
            let_pages_be_small(patch, FEW)
            self.archive.sync(full=checked)
        posts = self.archive.posts()
        waiting = posts[posts["status"].isin(WAITING)]
        assert_frame_equal(waiting.reset_index(drop=True), self.ws.posts(status=WAITING))
        stored = {"posts": posts[posts["status"] != "deleted"], "deliveries": self.archive.deliveries()}
        for kind, frame in stored.items():
            if checked or kind not in self.beyond:
                assert_frame_equal(frame.reset_index(drop=True), getattr(self.ws, kind)())
        self.read_at = max(self.now(), self.read_at)


@pytest.fixture(scope="module")
def world():
    """A sandbox, a workspace of it, and a folder."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Sandbox(seed=7, speed=0, rate_limit=None, empty=True) as sandbox,
        vx.connect(sandbox=sandbox, ledger=Path(folder) / "ledger.sqlite") as ws,
    ):
        yield sandbox, ws, Path(folder)


def come(count, later=0, status="published"):
    return ("come", count, later, status)


KNOWN = [come(40, -DAY)]  # so many that a sync does not read the whole list
HOUR_LATER = [("advance", HOUR), come(6)]
AHEAD = [[*KNOWN, come(1, 12 * HOUR)], *[HOUR_LATER] * 6]
PAGES_AHEAD = [[*KNOWN, come(6, 12 * HOUR)], HOUR_LATER]
SET_BACK = [[*KNOWN, come(12)], [("set back", HOUR), *[come(4), ("advance", MINUTE)] * 4]]


@pytest.mark.timeout(900)  # on a busy machine
@settings(max_examples=settings.default.max_examples // 6)  # each is many syncs
@example(AHEAD)
@example(PAGES_AHEAD)
@example(SET_BACK)
@given(HISTORY)
def test_an_archive_holds_what_the_api_shows(world, rounds):
    """Play one history: changes, then a sync, round by round; and compare at the end as a check leaves it."""
    sandbox, ws, folder = world
    sandbox.reset(empty=True)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=folder) as root:
        warnings.filterwarnings("ignore", message="the check of the archive added")
        history = History(sandbox, ws, ws.archive(root))
        for changes in rounds:
            for change in changes:
                history.change(*change)
            history.compare()
        history.compare(checked=True)
