"""A rehearsal says what a run comes to: failures by cause within its span, its end within 15 %, its requests."""

from __future__ import annotations

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox, Switches

RATES = {"twitter": {"RATE_LIMITED": 0.08, "E_4711": 0.02}, "facebook": {"SERVICE_UNAVAILABLE": 0.05}}
SWITCHES = Switches(
    failure_rates=RATES, publish_seconds_by={"twitter": (4.0, 30.0), "facebook": (20.0, 90.0)}, silent_webhooks=True
)
LAST = pd.Timestamp("2026-03-03T09:00:00Z")


def sheet(rows: int, accounts: str = "twitter:@aldercoffee;facebook:@aldercoffee") -> pd.DataFrame:
    """A campaign that goes out over a day."""
    times = pd.date_range("2026-03-02T12:00:00Z", LAST, periods=rows)
    return pd.DataFrame({
        "row_id": [f"r{number}" for number in range(rows)],
        "content": [f"Post {number}" for number in range(rows)],
        "accounts": accounts,
        "scheduled_for": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
    })  # fmt: skip


def history(statuses: list[str], platform: str = "facebook", **further: object) -> pd.DataFrame:
    """Publications of one account, as a workspace has loaded them."""
    frame = pd.DataFrame({"platform": platform, "account_id": "acc_1", "status": statuses, "error_code": None})
    return frame.assign(**further)


def actual(plan, tmp_path, seed: int):
    """Run the plan for good in a sandbox of another seed; the posts afterwards, and what happened."""
    with (
        Sandbox(seed=seed, empty=True, rate_limit=500, switches=SWITCHES) as sandbox,
        vx.connect(sandbox=sandbox, ledger=tmp_path / f"ledger{seed}.db") as ws,
    ):
        ws.run(plan).wait()
        sent = len(sandbox.requests())
        sandbox.advance((LAST - pd.Timestamp(sandbox.now())).total_seconds() + 600)
        failed = sandbox.effects("target.fail")
        ends = max(pd.Timestamp(effect["at"]) for effect in [*failed, *sandbox.effects("target.publish")])
        return ws.posts(), failed, ends, sent


@pytest.fixture
def nothing_is_read_after_a_run(monkeypatch):
    """Runs don't look for copies once they are over, which they do beside the test, and for a minute of the sandbox's time.

    Gives the list of runs that would have looked.
    """
    looked = []

    async def find_duplicates(*about):
        looked.append(about[-1])
        return ""

    monkeypatch.setattr("voxops.engine.execution.find_duplicates", find_duplicates)
    return looked


@pytest.mark.usefixtures("nothing_is_read_after_a_run")
def test_a_rehearsal_forecasts_the_run(tmp_path):
    earlier, *_ = actual(vx.plan_create(sheet(400), key="row_id", campaign="earlier"), tmp_path, seed=3)
    plan = vx.plan_create(sheet(300), key="row_id", campaign="spring")
    begins = pd.Timestamp("2026-03-02T09:00:00Z")
    found = vx.rehearse(plan, earlier, now=begins, seeds=3)
    _, failed, ends, sent = actual(plan, tmp_path, seed=11)
    print(f"forecast {found}; actual failed={len(failed)} ends={ends} requests={sent}")
    assert (found.rows, found.refused, found.publications) == (300, 0, 600)
    assert found.low <= len(failed) <= found.high
    assert found.high - found.low < 3 * found.failed
    assert abs((found.ends - ends) / (ends - begins)) < 0.15
    assert abs(found.requests - sent) <= 0.25 * sent
    expected = {(platform, code) for platform, codes in RATES.items() for code in codes}
    assert set(zip(found.frame["platform"], found.frame["error_code"], strict=True)) <= expected
    assert {name: str(dtype) for name, dtype in found.frame.dtypes.items()} == {
        "platform": "string", "error_code": "string", "publications": "Int64", "failed": "Float64", "low": "Int64", "high": "Int64",
    }  # fmt: skip


def test_a_rehearsal_reads_nothing_after_its_run(nothing_is_read_after_a_run):
    plan = vx.plan_create(sheet(2, "acc_1"), key="row_id")
    found = vx.rehearse(plan, history(["published"]), now=LAST - pd.Timedelta("1D"), seeds=1)
    assert (found.rows, nothing_is_read_after_a_run) == (2, [])


def test_what_the_api_would_refuse_and_the_pace_are_seen():
    frame = pd.concat([sheet(60, "acc_1"), sheet(60, "acc_other").assign(row_id=[f"x{n}" for n in range(60)])])
    plan = vx.plan_create(frame, key="row_id")
    begins = pd.Timestamp("2026-03-02T09:00:00Z")
    found = vx.rehearse(plan, history(["published"] * 40), now=begins, seeds=1, rate_limit=3)
    assert (found.rows, found.refused, found.failed) == (60, 60, 0)
    assert found.sent_by >= begins + pd.Timedelta("1min")


def test_what_has_not_failed_yet_may_fail():
    """By the rule of three; and on a platform that the history does not show, all may."""
    plan = vx.plan_create(sheet(40, "linkedin:@aldercoffee"), key="row_id")
    for platform, shown, high, unknown in (
        ("twitter", 40, 40, ("linkedin",)),
        ("linkedin", 60, 2, ()),
        ("linkedin", 2, 40, ()),
    ):
        found = vx.rehearse(plan, history(["published"] * shown, platform), now=LAST - pd.Timedelta("2D"), seeds=1)
        assert (found.publications, found.failed, found.low, found.high, found.unknown) == (40, 0, 0, high, unknown)
        assert ("; the history has no publication on linkedin" in repr(found)) == bool(unknown)


def test_joined_histories_count_each_target_once():
    at = pd.Timestamp("2026-03-01T09:00Z")
    ids = [f"p{number}" for number in range(40)]
    first = history(["failed", *["published"] * 39], post_id=ids, error_code=["BUSY", *[None] * 39], updated_at=at)
    mended = first.assign(status="published", error_code=None, updated_at=at + pd.Timedelta("1h"))
    plan = vx.plan_create(sheet(40, "acc_1"), key="row_id")
    for joined, wanted in ((pd.concat([first, first]), first), (pd.concat([mended, first]), mended)):
        found, alone = (vx.rehearse(plan, each, now=LAST - pd.Timedelta("2D"), seeds=1) for each in (joined, wanted))
        assert (found.failed, found.low, found.high) == (alone.failed, alone.low, alone.high)


def test_a_rehearsal_begins_when_the_history_was_loaded():
    frame = history(["published"] * 40)
    plan = vx.plan_create(sheet(2, "acc_1"), key="row_id")
    late = pd.to_datetime(sheet(2)["scheduled_for"], utc=True).max() + pd.Timedelta("1D")
    for loaded, created in ((late - pd.Timedelta("2D"), 2), (late, 0)):
        frame.attrs["fetched_at"] = loaded.isoformat()
        found = vx.rehearse(plan, frame, seeds=1)
        assert (found.rows, found.refused) == (created, 2 - created)
        assert ("; " if created else ", 2 rows refused; ") in repr(found)
