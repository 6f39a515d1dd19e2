"""What is logged: one record for each thing that happens, with ids and codes, and without keys, addresses and texts."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pandas as pd
import pytest
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault

TEXT = "a text that is nobody's business"


@pytest.fixture(autouse=True)
def _all(caplog):
    caplog.set_level(logging.DEBUG, "voxops")


def said(caplog: pytest.LogCaptureFixture, pattern: str) -> list[str]:
    """The messages of voxops that match."""
    own = [message for name, _, message in caplog.record_tuples if name.partition(".")[0] == "voxops"]
    return [message for message in own if re.search(pattern, message)]


def campaign(count: int) -> vx.Plan:
    numbers = pd.Series(range(count), dtype="string")
    sheet = pd.DataFrame({"row_id": numbers, "content": TEXT + numbers, "accounts": "linkedin:@aldercoffee"})
    return vx.plan_create(sheet.assign(scheduled_for="2026-04-01T09:00:00Z"), key="row_id", one_by_one=True)


def test_a_run_is_begun_paused_and_ended_in_one_record_each(ws, caplog):
    with standing_still(ws.client):
        run = ws.run(campaign(30)).pause()
    run.wait(60)
    assert ("voxops.engine", logging.INFO, f"run {run.id} begun: create 30 rows") in caplog.record_tuples
    assert len(said(caplog, f"^run {run.id} paused: ")) == 1
    run.resume().wait(60)
    assert len(said(caplog, f"^run {run.id} done: 30 succeeded$")) == 1
    assert len(said(caplog, f"^run {run.id} ")) == 4, "it was begun twice"
    assert TEXT not in caplog.text


def test_each_retry_and_each_cooldown_is_one_record_with_its_code(sandbox, ws, caplog):
    posts = {"method": "GET", "path": "/v1/posts"}
    sandbox.add_fault(Fault("status", status=503, code="SERVICE_UNAVAILABLE", times=2, **posts))
    sandbox.add_fault(Fault("retry_after", seconds=2, nth=3, **posts))
    sandbox.add_fault(Fault("drop", nth=4, when="before", **posts))
    assert len(ws.posts(limit=1)) == 1
    assert said(caplog, "^retry") == [
        "retry: GET /v1/posts, try 2 after HTTP 503 SERVICE_UNAVAILABLE",
        "retry: GET /v1/posts, try 3 after HTTP 503 SERVICE_UNAVAILABLE",
        "retry: GET /v1/posts, try 4 after HTTP 429 RATE_LIMITED",
        "retry: GET /v1/posts, try 5 after no answer",
    ]
    (cooldown,) = said(caplog, "^cooldown")
    assert re.fullmatch(r"cooldown: 2\.\d s without a request after HTTP 429", cooldown)
    names = {name for name, _, message in caplog.record_tuples if re.match("retry|cooldown", message)}
    assert names == {"voxops.client"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reading_after_an_ambiguity_names_the_calls_and_a_resend_is_a_retry(sandbox, ws, caplog, when):
    sandbox.add_fault(Fault("drop", method="POST", path="/v1/posts", when=when))
    run = ws.run(campaign(1)).wait(600)
    assert run.results()["outcome"].to_list() == ["succeeded"]
    assert said(caplog, "^reading after")[0] == "reading after an ambiguity: 1 call: 1 (no_answer_came)"
    resent = ["retry: call 1 under its key, POST /v1/posts, try 2"] if when == "before" else []
    assert said(caplog, "^retry") == resent
    assert len(sandbox.effects("post.create")) == 1
    assert TEXT not in caplog.text


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "logs.md"


def test_the_page_about_logs_names_each_logger_with_its_levels():
    named = re.findall(r"^\| `([\w.]+)` \| (\w+) \|", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    used = set()
    for path in Path(vx.__file__).parent.rglob("*.py"):
        text = path.read_text("utf-8")
        if logger := re.search(r'^_(?:log|LOG) = logging\.getLogger\("([\w.]+)"\)', text, flags=re.MULTILINE):
            levels = re.findall(r"\b_(?:log|LOG)\.(\w+)\(", text)
            used |= {(logger[1], "ERROR" if level == "exception" else level.upper()) for level in levels}
    assert len(named) == len(set(named))
    assert set(named) == used
