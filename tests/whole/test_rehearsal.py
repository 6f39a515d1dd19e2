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


def test_what_has_failed_before_may_fail_though_no_rehearsal_did():
    past = history(["published"] * 39 + ["failed"], "linkedin", error_code="RATE_LIMITED")
    plan = vx.plan_create(sheet(2, "linkedin:@aldercoffee"), key="row_id")
    found = vx.rehearse(plan, past, now=LAST - pd.Timedelta("2D"), seeds=1)
    assert (found.publications, found.failed, found.low, found.high) == (2, 0, 0, 2)


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


def test_what_is_known_of_the_accounts_and_texts_is_a_failure_with_certainty_as_in_the_run(sandbox, tmp_path):
    """Seven of its rows fail for seven reasons that were known; the rehearsal names each, as the run then does."""
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite", tz="Europe/Berlin") as ws:
        next(
            one for one in sandbox.world.accounts.values() if one.status == "active" and "berlin" in one.username
        ).status = "disconnected"
        accounts = ws.accounts()
        expired, gone = (accounts.set_index("status").loc[status] for status in ("expired", "disconnected"))
        rows = sheet(103).assign(accounts="facebook:@aldercoffee")
        rows["scheduled_for"] = (pd.Timestamp(sandbox.now()) + pd.to_timedelta(range(1, 104), "h")).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        rows.loc[:3, "accounts"] = [
            expired.account_id,
            f"facebook:@aldercoffee;{expired.account_id}",
            gone.account_id,
            "acc_none",
        ]
        rows.loc[4:6, "accounts"] = ["twitter:@aldercoffee", "instagram:@aldercoffee", "facebook:@aldercoffee"]
        rows.loc[4, "content"], rows.loc[6, "scheduled_for"] = "x" * 281, None
        plan, history = vx.plan_create(rows, key="row_id", campaign="spring"), ws.posts()
        archive = ws.archive(tmp_path / "archive")
        archive.sync()
        for found in (vx.rehearse(plan, history, accounts=accounts, seeds=1), vx.rehearse(plan, archive, seeds=1)):
            assert (found.rows, found.refused, found.notes) == (96, 7, ())
            certain = found.by_row[found.by_row["certain"]]
            assert certain["why"].notna().all()
            assert (certain[["failure_share", "low", "high"]] == 1).all(axis=None)
            assert str(found.ends.tz) == "Europe/Berlin"
            assert "CE" in repr(found)
        results = ws.run(plan).wait().results().set_index("row_id")
        failed = results[results["outcome"] != "succeeded"]
        held = plan.frame[~plan.frame["eligible"]].set_index("row_id")["reason_code"].to_dict()
        real = failed["reason_code"].fillna(failed["error_code"]).to_dict() | held
        assert dict(zip(certain["row_id"], certain["error_code"], strict=True)) == real
        assert set(real.values()) == {
            "account_not_active",
            "no_account",
            "CONTENT_TOO_LONG",
            "media_required",
            "time_missing",
        }

        works = accounts.assign(works=accounts["username"] != "aldercoffee")
        found = vx.rehearse(plan, history, accounts=works, seeds=1)
        assert (found.rows, set(found.by_row["why"].str.contains("is failing its check").dropna())) == (
            0,
            {True, False},
        )
        assert "all accounts are taken as active" in repr(vx.rehearse(plan, history, seeds=1))


def test_each_row_has_its_risks_by_the_history():
    frame = history(["failed"] * 4 + ["published"] * 12, error_code=["BUSY"] * 3 + ["FULL"] + [None] * 12)
    rows = sheet(2, "acc_1").assign(accounts=["acc_1", "acc_1;linkedin:@b"])
    found = vx.rehearse(vx.plan_create(rows, key="row_id"), frame, now=LAST - pd.Timedelta("2D"), seeds=1).by_row
    shown = found[["row_id", "platform", "error_code", "failure_share"]].astype(object).fillna("").to_numpy().tolist()
    assert shown == [
        ["r0", "facebook", "BUSY", 3 / 16], ["r1", "facebook", "BUSY", 3 / 16], ["r0", "facebook", "FULL", 1 / 16],
        ["r1", "facebook", "FULL", 1 / 16], ["r1", "linkedin", "", ""],
    ]  # fmt: skip
    assert not found["certain"].any()
    assert ((found["low"] <= found["failure_share"]) & (found["failure_share"] <= found["high"])).iloc[:-1].all()
    assert found["why"].iloc[0] == "3 of 16 publications on facebook have failed so"


def test_several_plans_are_compared_in_one_frame():
    frame, begins = history(["failed"] + ["published"] * 9, error_code=["BUSY"] + [None] * 9), LAST - pd.Timedelta("2D")
    frame.attrs["tz"] = "Europe/Berlin"
    early = sheet(60, "acc_1")
    late = early.assign(scheduled_for="2026-03-04T09:00:00Z", content=early["content"] + "!").head(30)
    plans = {"early": vx.plan_create(early, key="row_id"), "late": vx.plan_create(late, key="row_id")}
    found = vx.rehearse(plans, frame, now=begins, seeds=2)
    assert list(found.index) == ["early", "late"]
    assert found["rows"].to_list() == [60, 30]
    assert found["ends"].is_monotonic_increasing
    for name in ("sent_by", "ends", "requests"):
        assert ((found[f"{name}_low"] <= found[name]) & (found[name] <= found[f"{name}_high"])).all()
    assert {str(found[name].dtype.tz) for name in ("sent_by", "ends", "ends_high")} == {"Europe/Berlin"}
    alone = vx.rehearse(plans["late"], frame, now=begins, seeds=2)
    assert found.loc["late"].to_dict() == {name: getattr(alone, name) for name in found.columns}
    assert found.loc["early", "causes"].endswith("on facebook: BUSY")
    assert list(vx.rehearse([*plans.values()], frame, now=begins, seeds=1).index) == [1, 2]


def test_a_sync_is_rehearsed_as_far_as_it_creates(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        rows = sheet(6).assign(accounts="facebook:@aldercoffee", scheduled_for="2026-04-02T12:00:00Z")
        ws.run(vx.plan_create(rows.head(4), key="row_id", campaign="spring")).wait()
        changed = rows.iloc[1:].assign(content=lambda frame: frame["content"].str.replace("Post 2", "Another"))
        changed.loc[5, "accounts"] = "acc_none"
        plan = vx.plan_sync(changed, ws.posts(campaign="spring"), key="row_id", campaign="spring", withdraw=True)
        assert plan.frame["act"].value_counts().to_dict() == {"none": 2, "create": 2, "change": 1, "withdraw": 1}
        found = vx.rehearse(plan, ws.posts(), accounts=ws.accounts(), seeds=1)
        assert (found.rows, found.refused, found.notes) == (1, 1, ("1 change left out", "1 withdraw left out"))
        assert found.by_row.loc[found.by_row["certain"], ["row_id", "error_code"]].to_numpy().tolist() == [
            ["r5", "no_account"]
        ]
        done = vx.plan_sync(rows.head(4), ws.posts(campaign="spring"), key="row_id", campaign="spring")
        with pytest.raises(vx.errors.PlanError, match="creates with eligible rows"):
            vx.rehearse(done, ws.posts())
