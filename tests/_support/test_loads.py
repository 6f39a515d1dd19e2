"""The line that says how far a load is: when it comes, what it says, and the sentence of who stops it."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.virtual import let_pages_be_small

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops._support import loads
from voxops._support.loads import Load
from voxops.errors import Interrupted


class Desk:
    """A load with a clock that a test moves, and the lines that it has shown."""

    def __init__(self) -> None:
        self.now, self.lines = 0.0, list[str | None]()
        self.load = Load("posts", self.lines.append, lambda: self.now)

    def at(self, seconds: float) -> list[str | None]:
        self.now = seconds
        self.load.tick()
        return self.lines


def test_a_line_comes_after_a_second_and_then_twice_a_second() -> None:
    desk = Desk()
    assert desk.at(0.9) == []
    assert desk.at(1.0) == ["posts: waiting for an answer"]
    for rows in (100, 100, 50):
        desk.load.page(rows)
    assert len(desk.at(1.4)) == 1
    assert desk.at(2.0)[1:] == ["posts: 3 pages, 250 rows, 125 rows a second"]
    assert desk.load.stopped() == "stopped loading posts after 2 s: 3 pages, 250 rows"


def test_the_rest_is_told_where_all_is_known() -> None:
    desk = Desk()
    desk.load.reach(10, 40, "rows")
    assert desk.at(20) == ["posts: 10 of 40 rows, about 60 s left"]
    assert Desk().load.stopped() == "stopped loading posts after 0 s: nothing had come yet"


def test_a_load_counts_its_pages_and_what_is_loaded_outside_of_it_counts_for_none(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Load] = []
    monkeypatch.setattr(loads, "Load", lambda *given: seen.append(Load(*given)) or seen[-1])
    let_pages_be_small(monkeypatch, 50)
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "l") as ws:
        posts = ws.posts(status="failed")
        ws.webhooks()
        log = ws.deliveries(since="7D")
    assert seen[0]._rows == len(posts)
    assert seen[0]._pages == len(posts) // 50 + 1
    assert seen[1]._rows >= len(log)
    assert len(seen) == 2


def test_a_line_stands_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for place, written in ((Terminal(), "\r\x1b[Kposts: 3 pages\r\x1b[K"), (io.StringIO(), "")):
        monkeypatch.setattr("sys.stderr", place)
        show = loads._line()
        show("posts: 3 pages")
        show(None)
        assert place.getvalue() == written


def test_a_notebook_shows_one_line_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(loads.display, "publish", lambda data, place, update: shown.append((data, place, update)))
    show = loads._notebook_line()
    for line in ("a", "b", None):
        show(line)
    (first, place, new), (second, other, update) = shown
    assert (first, second, place == other) == ({"text/plain": "a"}, {"text/plain": "b"}, True)
    assert (new, update) == (False, True)


def test_who_stops_a_load_is_told_how_far_it_was(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_pages_be_small(monkeypatch, 2)  # so that it does not end before the interrupt is there
    page = loads.page

    def stop(rows: int) -> None:
        page(rows)
        os.kill(os.getpid(), signal.SIGINT)

    with vx.connect(sandbox=sandbox, ledger=tmp_path / "l") as ws, monkeypatch.context() as patch:
        patch.setattr(loads, "page", stop)
        with pytest.raises(Interrupted, match=r"stopped loading posts after \d+ s: \d+ pages?, \d+ rows; nothing was"):
            ws.posts()
        assert not sandbox.requests(acting=True)
