"""The report of a run that created or changed posts: what went, what did not, who must act, and what goes out when."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx


@pytest.fixture(scope="module")
def runs():
    """A run of creates of which one fails and one is not eligible, a run that moves, and a retry."""
    with vx.connect(sandbox=True, tz="Europe/Berlin") as ws:
        rows = [
            {"row_id": str(number), "content": text, "accounts": "twitter:@aldercoffee", "scheduled_for": f"2027-01-0{number}T09:00:00+01:00"}
            for number, text in enumerate(["a, with; signs\nand lines", "<b>b</b>", "x" * 281, ""], start=1)
        ]  # fmt: skip
        sheet = pd.DataFrame(rows).assign(owner=["ada", "ada", "bob", "bob"])
        created = ws.run(vx.plan_create(sheet, key="row_id", campaign="spring"), reason="r").wait()
        moved = ws.run(vx.plan_update(ws.posts(status="scheduled").head(2), by="2h", change="later"), reason="r").wait()
        retried = ws.run(vx.plan_retry(vx.triage(ws.posts(status="failed", limit=3))), reason="r").wait()
        yield created, moved, retried


def test_a_report_of_creates_says_what_went_what_did_not_and_who_acts(runs):
    created, *_ = runs
    report = vx.report(created)
    assert report.title == "Campaign spring"
    outcomes = created.results()["outcome"].value_counts()
    assert {fact.label: fact.count for fact in report.facts if fact.count} == {
        **{f"{name} in the run": count for name, count in outcomes.items()},
        "not eligible": len(created.plan.frame) - len(created.results()),
    }
    tasks = report.sections[0].table
    assert tasks["rows"].sum() == len(report.frames["left"]) == 4 - outcomes["succeeded"]
    assert set(tasks["who"]) == {"bob (1)"}, "the owner of the rows, where the sheet names one"
    for text in (report.to_html(), repr(report)):
        assert "bob (1)" in text and "<b>b</b>" not in text


def test_the_schedule_has_what_goes_out_and_nothing_else(runs):
    created, moved, retried = runs
    report = vx.report(created)
    due = report.frames["schedule"]
    went = created.results().query("outcome == 'succeeded'")
    assert due["post_id"].to_list() == went["result_id"].to_list()
    assert due["content"].iloc[0] == "a, with; signs\nand lines"
    later = vx.report(moved).frames["schedule"]
    assert later["scheduled_for"].to_list() == sorted(moved.plan.frame["new_scheduled_for"])
    assert vx.report(moved).title == "Run: update"
    assert "schedule" not in vx.report(retried).frames
