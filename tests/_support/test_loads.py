"""The line that says how far a load is: when it comes, what it says, and the sentence of who stops it."""

from __future__ import annotations

import io
import os
import re
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
    monkeypatch.setattr(loads.eventloop, "publish", lambda data, place, update: shown.append((data, place, update)))
    show = loads._notebook_line()
    for line in ("a", "b", None):
        show(line)
    place = shown[0][1]
    assert shown == [({"text/plain": "a"}, place, False), ({"text/plain": "b"}, place, True)]


def test_who_stops_a_load_is_told_how_far_it_was(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_pages_be_small(monkeypatch, 2)  # so that it does not end before the interrupt is there
    page = Load.page

    def stop(load: Load, rows: int) -> None:
        page(load, rows)
        os.kill(os.getpid(), signal.SIGINT)

    with vx.connect(sandbox=sandbox, ledger=tmp_path / "l") as ws, monkeypatch.context() as patch:
        patch.setattr(Load, "page", stop)
        with pytest.raises(Interrupted, match=r"stopped loading posts .*; nothing was") as caught:
            ws.posts()
        pages, rows = map(int, re.findall(r"(\d+) (?:page|row)", str(caught.value)))
        assert rows == 2 * pages
        assert not sandbox.requests(acting=True)
