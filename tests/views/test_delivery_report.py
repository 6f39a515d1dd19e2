"""The delivery report and the two reporting commands: right numbers, nothing secret, statuses that a schedule can use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops import connection
from voxops.cli import main
from voxops.cli.commands import ATTENTION
from voxops.deliveries import event_arrived
from voxops.errors import PlanError
from voxops.frames.records import build
from voxops.views._report import Report
from voxops.views.report import report

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


def counts(made: Report) -> dict[str, int]:
    return {fact.label: fact.count for fact in made.facts if fact.count}


def section(made: Report, title: str) -> Any:
    return next(each for each in made.sections if each.title.startswith(title))


def test_all_is_a_hundred_percent_and_almost_all_is_not() -> None:
    fine = [delivery(n) for n in range(3_000)]
    assert "(100.0 %)" in report(log(*fine)).headline
    made = report(log(*fine, delivery(9_999, status=422)))
    assert "(99.9 %)" in made.headline
    assert section(made, "Volume").table["succeeded (%)"].to_list() == [99.97]


def test_a_log_that_ends_before_it_was_loaded_says_nothing_of_now() -> None:
    whole = report(log(*down(6)))
    assert "Not recovered: shop.example" in whole.headline
    part = log(*down(6))
    part.attrs["filters"] = {"until": "1D"}
    made = report(part)
    assert "Not recovered" not in made.headline
    assert len(made.frames["outages"]) == 1
    assert "down now" in set(whole.sections[0].table["kind"])
    assert "down now" not in set(made.sections[0].table["kind"])
    (row,) = report(log(*down(6, "2026-03-02T08:1{}:00Z"))).sections[0].table.to_dict("records")
    assert (row["kind"], row["deliveries"], row["endpoints"]) == ("down now", 6, "shop.example/in?… (6)")


def test_the_headline_counts_what_arrived_and_what_is_lost() -> None:
    made = report(troubled())
    assert made.headline.startswith(
        "6 of 13 deliveries succeeded (46.2 %). 5 never arrived: 4 can be redelivered, 1 rejected"
    )
    assert counts(made) == {
        "arrived at once": 6, "failed": 7, "in flight": 1, "can be redelivered": 4, "rejected by the receiver": 1,
        "failed, may still be retried by the API": 2,
    }  # fmt: skip
    assert len(troubled()) == 6 + 7 + 1, "seven failed, five of them are lost"
    shown = re.findall(r'class="vs-fact".*?<b[^>]*>(\d+)</b>', made.to_html())
    assert len(shown) == 5, "of six that are not 0 the first screen has five"
    assert "0" not in shown
    few = section(report(troubled(), rows=2), "Lost deliveries")
    assert (len(few.table), few.text[:14]) == (2, "2 rows; 3 more")
    assert "1 rejected by the receiver. 2 failed and may still be retried by the API." in made.headline


def test_logs_that_were_joined_and_overlap_are_reported_as_one() -> None:
    """Whatever their index; what is only young is still counted."""
    whole, wanted = troubled(), report(troubled())
    for other in (pd.concat([whole.head(8), whole.tail(6)]), pd.concat([whole, whole], ignore_index=True)):
        other.attrs = whole.attrs
        made = report(other)
        assert made.headline == wanted.headline
        assert made.facts == wanted.facts
        assert "Sent twice" not in {section.title for section in made.sections}


def test_what_failed_and_came_by_another_delivery_makes_up_the_difference() -> None:
    """Five failed, four never arrived: the fifth event reached the receiver by a later delivery."""
    again = [
        delivery(n, "2026-02-25T10:00:00Z", status=s, responseBody="evt_1 seen") for n, s in ((40, 503), (41, 200))
    ]
    made = report(log(*again, *down(4)))
    assert event_arrived(log(*again, delivery(1), delivery(2, status=503))).tolist() == [True, True, True, False]
    assert (
        "4 never arrived: 4 can be redelivered, 0 rejected by the receiver. 1 failed and came by another delivery."
        in made.headline
    )
    assert counts(made)["failed, came by another delivery"] == 1


def test_what_arrived_late_is_not_said_to_be_the_api_s_own_retries() -> None:
    """A person may have sent it again, which counts as one more attempt."""
    late = down(6, status=200, retryCount=1, deliveredAt="2026-02-28T12:00:00Z")
    made = report(log(*late, *down(6, "2026-02-28T10:1{}:00Z", 30, status=200)))
    assert len(made.frames["outages"]) == 1
    assert made.headline.endswith("; all of it arrived after retries or redelivery.")
    assert {"arrived after retries or redelivery": 6, "outage": 1}.items() <= counts(made).items()
    assert section(made, "Outages").text.endswith("not lost arrived after retries or redelivery.")


def test_it_says_what_a_redelivery_did(tmp_path: Path) -> None:
    with Sandbox(seed=7, speed=600, rate_limit=None, posts=30, deliveries=300) as server:
        with vx.connect(sandbox=server, ledger=tmp_path / "ledger.sqlite") as ws:
            history = ws.deliveries(since="30D")
            run = ws.run(vx.plan_redeliver(history.head(4), force=True)).wait()
            made = vx.report(history, run=run)
            wrong = ws.run(vx.plan_cancel(ws.posts(status="scheduled").head(1))).wait()
            for other in (wrong, history):
                with pytest.raises(vx.errors.PlanError, match=r"needs the run of a redelivery"):
                    vx.report(history, run=other)  # type: ignore[arg-type]
    done = section(made, "What the redelivery did")
    assert done.text.startswith("4 rows: ")
    assert done.table.columns[0] == "endpoint"
    assert int(done.table.drop(columns="endpoint").to_numpy().sum()) == 4
    assert len(made.frames["redelivered"]) == 4


def test_after_a_redelivery_what_is_to_be_done_is_what_it_has_left(tmp_path: Path) -> None:
    with Sandbox(seed=7, rate_limit=None, posts=30, deliveries=3_000) as server:
        with vx.connect(sandbox=server, ledger=tmp_path / "ledger.sqlite") as ws:
            history = ws.deliveries(since="30D")
            lost = vx.deliveries.lost(history)
            run = ws.run(vx.plan_redeliver(lost[lost["why"] != "rejected"])).wait()
            made, anew = vx.report(history, run=run), vx.report(ws.deliveries(since="30D"))
            results = run.results()
    came = set(results.loc[results["outcome"] == "succeeded", "delivery_id"])
    assert came
    assert set(made.frames["lost"]["delivery_id"]) == set(lost["delivery_id"]) - came
    assert f" {len(lost) - len(came)} never arrived: " in made.headline
    assert f" {len(came)} failed and came by the redelivery since." in made.headline
    assert made.sections[0].table["deliveries"].sum() == len(lost) - len(came)
    assert set(made.frames["lost"]["delivery_id"]) == set(anew.frames["lost"]["delivery_id"]), "as a new log says"


def test_the_file_holds_no_image_which_its_own_policy_would_refuse(tmp_path: Path) -> None:
    one, two = (report(troubled()).to_html(tmp_path / name).read_text("utf-8") for name in ("a.html", "b.html"))
    assert one == two
    assert one.count("<svg") == 3 and "Failures by endpoint and hour" in one
    assert "<image" not in one
    assert re.search(r'class="vs-wide" style="[^"]*overflow-x:auto;background:linear-gradient', one), (
        "that there is more is seen"
    )


def test_who_must_do_what_names_the_kind_the_owner_and_the_place() -> None:
    made = report(troubled(), owners={"rejected": "the shop's developers"})
    table = made.sections[0].table.set_index("kind")
    assert table["deliveries"].to_dict() == {"receiver failed": 2, "no answer": 2, "rejected": 1}
    assert table.loc["rejected", "who"] == "the shop's developers"
    assert table.loc["rejected", "endpoints"] == "shop.example/in?… (1)"
    places = [delivery(n, status=422, url=f"https://{name}.example/") for n, name in enumerate("abbcdef")]
    for count, rest in ((7, " and 2 more"), (5, "")):
        (named,) = report(log(*places[:count])).sections[0].table["endpoints"]
        assert named == "b.example/ (2), a.example/ (1), c.example/ (1), d.example/ (1)" + rest


def test_no_form_of_the_report_shows_the_query_of_an_address(tmp_path: Path) -> None:
    made = report(log(delivery(40, status=500), delivery(1)))
    made.to_html(tmp_path / "a.html")
    made.to_csv(tmp_path / "csv")
    written = [path.read_text(encoding="utf-8-sig") for path in tmp_path.rglob("*.*") if path.is_file()]
    assert len(written) == 6
    assert not any("s3cret" in text for text in written)


def test_nothing_to_report_is_a_report_too() -> None:
    made = report(troubled().iloc[:0])
    assert made.headline == "Nothing was delivered, and nothing failed."
    assert len(made.to_html()) > 1_000
    assert repr(made)
    flying = [delivery(n, "2026-03-02T08:59:00Z", **FLYING) for n in range(3)]
    assert report(log(*flying)).headline == "Nothing was delivered, and nothing failed: 3 deliveries are in flight."


def test_a_frame_of_something_else_is_refused() -> None:
    with pytest.raises(PlanError, match="or pass deliveries"):
        report(pd.DataFrame({"post_id": ["post_1"]}))


# -- the commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """A workspace without posts and deliveries, which the commands connect to as to a real one."""
    with Sandbox(empty=True, rate_limit=None) as sandbox:
        monkeypatch.setenv("VOXBURST_API_URL", sandbox.url)
        monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
        monkeypatch.setattr(connection, "default_path", lambda host, name: tmp_path / "ledger.sqlite")
        yield sandbox


def test_the_status_is_0_where_there_is_nothing_to_do(empty: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["triage", "--since", "7D"]) == 0
    assert main(["deliveries", "--since", "7D"]) == 0
    said = capsys.readouterr().out
    assert "Nothing failed." in said
    assert "nothing yet" in said
    assert not empty.requests(acting=True)


def test_the_status_is_3_where_somebody_has_to_act(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = ["--html", str(tmp_path / "a.html"), "--csv", str(tmp_path / "csv")]
    assert main(["triage", "--sandbox", "--since", "30D", *files]) == ATTENTION
    assert re.search("^reconnect account +whoever owns the account", capsys.readouterr().out, re.MULTILINE)
    assert "Who must do what" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {"causes.csv", "failures.csv"}
    assert (
        main(["deliveries", "--sandbox", "--since", "30D", "--by", "event", "--tz", "Europe/Berlin", *files])
        == ATTENTION
    )
    said = capsys.readouterr().out
    assert "the developers of the receiver" in said
    assert "post.published" in said
    assert "Webhook deliveries" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert (tmp_path / "csv" / "lost.csv").exists()


AUCKLAND = "Pacific/Auckland"  # at 09:00 UTC it is today there since 11:00 of the day before
COUNTED = {
    "deliveries": lambda said: sum(row["deliveries"] for row in said["endpoints"]),
    "triage": lambda said: len(said["failures"]),
}


@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.parametrize("command", COUNTED)
def test_days_and_figures_are_in_the_zone_that_was_named(
    command: str,
    how: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("VOXBURST_API_KEY", sandbox.api_key)
    monkeypatch.setenv("VOXOPS_LEDGER", str(tmp_path / "ledger.db"))
    words, counts = [command, "--url", sandbox.url, "--since", "today"], {}
    for zone in ("UTC", AUCKLAND):
        monkeypatch.setenv("VOXOPS_TZ", "Europe/Berlin" if how == "option" else zone)
        named = ["--tz", zone] if how == "option" else []
        main([*words, *named, "--json"])
        counts[zone] = COUNTED[command](json.loads(capsys.readouterr().out))
    assert counts[AUCKLAND] > counts["UTC"]
    if command == "deliveries":
        main([*words, *named, "--by", "day"])
        with vx.connect(sandbox=sandbox, tz=AUCKLAND) as ws:
            (day,) = vx.deliveries.stats(ws.deliveries(since="today"), by="day")["day"]
        assert f"{day:%d %b %Y}" in capsys.readouterr().out


def test_what_resolves_by_itself_or_came_in_the_end_is_no_reason_to_act(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deliveries", "--sandbox", "--since", "12h"]) == 0
    assert "(100.0 %)" in capsys.readouterr().out


def test_a_file_that_cannot_be_written_is_an_error_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["deliveries", "--sandbox", "--html", str(tmp_path / "file" / "a.html")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "can't be written" in line
