"""The delivery report and the two reporting commands: right numbers, nothing secret, statuses that a schedule can use."""

from __future__ import annotations

import re

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.errors import PlanError
from voxops.frames.records import build
from voxops.views.report import Report

NOW = pd.Timestamp("2026-03-02T09:00Z")
SHOP = "https://shop.example/in?token=s3cret"


FLYING = {"success": None, "statusCode": None, "latencyMs": None, "deliveredAt": None, "error": None}


def delivery(
    number: int, at: str = "2026-02-20T10:00:00Z", *, status: int | None = 200, **more: object
) -> dict[str, object]:
    good = status == 200
    error = None if good else "no answer within 10 s" if status is None else f"receiver answered {status}"
    return {
        "id": f"del_{number}", "webhookId": "wh_1", "eventType": "post.published", "url": SHOP, "success": good, "statusCode": status,
        "latencyMs": 120 if good else 10_000, "retryCount": 0 if good else 5, "error": error, "responseBody": "OK" if good else None,
        "createdAt": at, "deliveredAt": at if good else None, **more,
    }  # fmt: skip


def down(count: int, minute: str = "2026-02-28T10:0{}:00Z", first: int = 10, **more: object) -> list[dict[str, object]]:
    """So many failures in a row."""
    return [delivery(first + n, minute.format(n), **{"status": 503, **more}) for n in range(count)]


def log(*records: dict[str, object]) -> pd.DataFrame:
    frame = build("deliveries", list(records))
    frame.attrs["fetched_at"] = NOW.isoformat()
    return frame


def troubled() -> pd.DataFrame:
    """Six fine; six failed in a row, of which four are lost and two are young; one rejected; one in flight."""
    fine = [delivery(n, f"2026-02-20T1{n}:00:00Z") for n in range(6)]
    silent = [delivery(12 + n, f"2026-02-28T10:0{n + 2}:00Z", status=None) for n in range(2)]
    young = down(2, "2026-03-02T08:0{}:00Z", 20, retryCount=2)
    rejected = delivery(30, "2026-02-21T10:00:00Z", status=422)
    return log(*fine, *down(2), *silent, *young, rejected, delivery(31, "2026-03-02T08:59:00Z", **FLYING))


def facts(made: Report) -> dict[str, int]:
    return {fact.label: fact.count for fact in made.facts if fact.count}


def test_its_numbers_are_those_of_the_log():
    made = vx.report(troubled())
    assert made.headline == "6 arrived (46.2 %), 7 failed, 5 never arrived, 1 in flight"
    assert made.frames["lost"]["delivery_id"].nunique() == 5
    stats = made.frames["endpoints"].iloc[0]
    assert (stats["deliveries"], stats["succeeded"], stats["failed"], stats["in_flight"]) == (14, 6, 7, 1)
    tasks = made.actions.set_index("what")
    assert tasks["rows"].to_dict() == {"receiver failed": 2, "no answer": 2, "rejected": 1}
    assert tasks.loc["rejected", "who"] == "the developers of the receiver"
    assert all(re.fullmatch(r"shop\.example/…#\w{8} \(\d\)", where) for where in tasks["where"])
    twice = pd.concat([troubled(), troubled().head(4)])
    twice.attrs = troubled().attrs
    assert facts(vx.report(twice)) == facts(made), "loads that overlap are reported as one"


def test_an_endpoint_that_has_not_recovered_is_somebody_s_task_unless_the_log_ends_before():
    fine = [delivery(n, f"2026-02-20T1{n}:00:00Z") for n in range(6)]
    falling = log(*fine, *down(9, "2026-03-02T08:5{}:00Z"))
    made = vx.report(falling)
    assert made.actions.set_index("what").loc["down now", "rows"] == 9
    falling.attrs["filters"] = {"until": NOW.isoformat()}
    assert "down now" not in set(vx.report(falling).actions["what"])


def test_after_a_redelivery_what_is_to_be_done_is_what_it_has_left(tmp_path):
    with Sandbox(seed=7, rate_limit=None) as server, vx.connect(sandbox=server, ledger=tmp_path / "l.sqlite") as ws:
        before = ws.deliveries(since="30D")
        lost = vx.deliveries.lost(before)
        run = ws.run(vx.plan_redeliver(lost[lost["reason_code"] != "rejected"])).wait(60)
        results, made = run.results(), vx.report(before, run=run)
    back = results.loc[results["outcome"].isin(["succeeded", "pending"]), "delivery_id"]
    assert set(made.frames["lost"]["delivery_id"]) == set(lost["delivery_id"]) - set(back)
    assert len(back) > 0
    counts = results["outcome"].value_counts()
    assert f"{counts['succeeded']} succeeded after the redelivery" in made.headline
    assert len(made.frames["results"]) == len(results)


def test_no_form_shows_the_secret_of_an_address_and_no_file_needs_an_image(tmp_path):
    made = vx.report(troubled())
    markup = made._drawn("report.html")
    assert "<image" not in markup, "its own policy would refuse it"
    assert markup.count("<svg") == 3
    made.to_excel(tmp_path / "r.xlsx")
    texts = [markup, repr(made), *(path.read_text("utf-8-sig") for path in made.to_csv(tmp_path))]
    assert not any("s3cret" in text for text in texts)
    assert not any("s3cret" in str(frame.to_dict()) for frame in made.frames.values())


def test_nothing_to_report_is_a_report_too_and_other_frames_are_refused():
    assert vx.report(troubled().head(0)).headline == "nothing to report"
    vx.report(troubled().head(0))._drawn("report.html")
    filtered = troubled()
    filtered.attrs["filters"] = {"success": False}
    for frame, words in ((troubled().drop(columns="error"), "missing: error"), (filtered, "success=")):
        with pytest.raises(PlanError, match=words):
            vx.report(frame)
    with pytest.raises(PlanError, match="needs the run of a plan"):
        vx.report(troubled(), run=object())
