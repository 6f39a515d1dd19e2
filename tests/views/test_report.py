"""The reports: their numbers are those of the frames, in every form; the same frames give the same bytes."""

from __future__ import annotations

import re
import subprocess
import sys

import matplotlib as mpl
import pandas as pd
import pytest
from tests.analysis.makers import BAD, FLIGHT, OK, log_of
from tests.views.payloads import Reader, assert_only_text

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.errors import PlanError


@pytest.fixture(scope="module")
def ws():
    with (
        Sandbox(seed=7, rate_limit=None) as server,
        vx.connect(sandbox=server, tz="Europe/Berlin", owner_field="owner") as workspace,
    ):
        yield workspace


@pytest.fixture(scope="module")
def triaged(ws):
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="30D")))


@pytest.fixture(scope="module")
def run(ws, triaged):
    return ws.run(vx.plan_retry(triaged), reason="report").wait(60)


@pytest.fixture(scope="module")
def after(ws, run):
    return vx.targets(ws.posts(since="30D"))


@pytest.fixture(scope="module")
def made(triaged, run, after):
    return vx.report(triaged, run=run, after=after)


def facts(report):
    return {fact.label: fact.count for fact in report.facts if fact.count}


# -- a triage -----------------------------------------------------------------------------------------------------------------


def test_its_numbers_are_those_of_the_frames(triaged):
    report = vx.report(triaged)
    failed = triaged[triaged["cause"].notna()]
    retry, wait = failed["retryable"].astype(bool), failed["verdict"].isin(["wait", "nothing to do"])
    numbers = {
        "failed or hang": len(failed), "can be retried": retry.sum(),
        "need a person to act first": (~retry & ~wait).sum(), "resolve by waiting": (~retry & wait).sum(),
    }  # fmt: skip
    assert facts(report) == {name: count for name, count in numbers.items() if count}
    assert report.headline.startswith(f"{len(failed)} failed or hang, {retry.sum()} can be retried, ")
    pd.testing.assert_frame_equal(report.frames["failures"], failed)
    pd.testing.assert_frame_equal(report.frames["causes"], vx.causes(triaged).copy())
    page = Reader.of(report._drawn("report.html"))
    for text in ("Who must do what", "times in Europe/Berlin", f"{len(failed)} rows, the first 50 are shown"):
        assert text in page.text
    assert repr(report).splitlines()[1] == report.headline


def test_what_resolves_by_waiting_needs_nobody(triaged):
    failed = triaged[triaged["cause"].notna()]
    waits = failed["verdict"] == "fix content"
    report = vx.report(failed.assign(verdict=failed["verdict"].mask(waits, "wait")))
    asked = ~failed["retryable"].astype(bool) & ~waits
    assert 0 < facts(report)["resolve by waiting"] == waits.sum()
    assert 0 < facts(report)["need a person to act first"] == asked.sum()


def test_who_must_do_what_has_a_row_per_account_to_reconnect_and_names_owners(triaged):
    failed = triaged[triaged["cause"].notna()]
    lost = failed["verdict"] == "reconnect account"
    other = failed.assign(account_name=failed["account_name"].mask(lost & (failed["owner"] == "maria.k"), "Other"))
    actions = vx.report(other).actions
    rows = actions[actions["what"] == "reconnect account"].set_index("where")
    counted = other[lost].groupby(other["platform"] + " " + other["account_name"]).size()
    assert rows["rows"].to_dict() == counted.to_dict()
    assert len(counted) >= 2
    assert rows["who"].str.startswith("whoever owns the account; posts of ").all()
    content = actions.set_index("what").loc["fix content"]
    owners = failed[failed["verdict"] == "fix content"]["owner"].value_counts()
    assert all(f"{name} ({count})" in content["who"] for name, count in owners.items())
    assert actions["rows"].sum() == len(failed)


def test_after_a_run_what_is_to_be_done_is_what_it_has_left(made, run, triaged, after):
    results, left = run.results(), made.frames["left"]
    keys = ["post_id", "platform", "account_id"]
    done = results[results["outcome"] == "succeeded"].set_index(keys).index
    assert not left.set_index(keys).index.intersection(done).size
    assert len(left) == triaged["cause"].notna().sum() - len(done)
    again = run.failed().set_index(keys)["error_code"]
    assert left.set_index(keys).loc[again.index, "error_code"].tolist() == again.tolist(), "not the old error"
    counts = results["outcome"].value_counts()
    assert f"{counts['succeeded']} succeeded after the run, {counts['failed']} failed after the run" in made.headline
    published = made.frames["published"].set_index(keys)
    assert set(done) <= set(published.index)
    links = {("href", link) for link in published["platform_post_url"].dropna()}
    assert links <= set(Reader.of(made._drawn("report.html")).attributes), "links to the live posts"
    alone = vx.report(run)
    assert facts(alone) == facts(vx.report(triaged[triaged["post_id"].isin(run.plan.frame["post_id"])], run=run))


def test_nothing_to_report_is_a_report_too(triaged):
    for nothing in (triaged[triaged["cause"].isna()], triaged.head(0), troubled().head(0)):
        report = vx.report(nothing)
        assert report.headline == "nothing to report"
        markup = report._drawn("report.html")
        assert report.subject == "deliveries" or ("Nothing to report." in markup and "<svg" not in markup)


def test_tickets_are_one_per_account_one_per_owner_and_one_for_support(triaged):
    failed = triaged[triaged["cause"].notna()].reset_index(drop=True)
    tickets = vx.report(failed).tickets()
    account, support = failed["verdict"] == "reconnect account", failed["verdict"] == "ask support"
    names = {f"{name} (account)" for name in failed[account]["platform"] + " " + failed[account]["account_name"]}
    assert list(tickets) == [*sorted(names), *sorted(set(failed[~account & ~support]["owner"])), "support"]
    listed = {name: re.findall(r"^    (post_\w+) ·", text, re.MULTILINE) for name, text in tickets.items()}
    assert sorted(post for posts in listed.values() for post in posts) == sorted(failed["post_id"])
    assert sorted(listed["maria.k"]) == sorted(failed[~account & ~support & (failed["owner"] == "maria.k")]["post_id"])
    mine = failed[~account & ~support].head(4).reset_index(drop=True)
    many = pd.concat([mine.head(1)] * 53, ignore_index=True).assign(post_id=[f"post_{number}" for number in range(53)])
    (text,) = vx.report(many).tickets().values()
    assert (text.count("    post_"), "and 3 more" in text) == (50, True)


# -- a run of creates or changes ----------------------------------------------------------------------------------------------


def test_a_run_of_creates_says_what_went_what_did_not_and_who_acts(ws, tmp_path):
    sheet = pd.DataFrame(
        {"content": ["a, with; signs\nand lines", "<b>b</b>", "x" * 281, ""], "owner": ["ada", "ada", "bob", "bob"]}
    )
    times = [f"2027-01-0{day}T09:00:00+01:00" for day in range(1, 5)]
    sheet = sheet.assign(row_id=[*"1234"], accounts="twitter:@aldercoffee", scheduled_for=times)
    created = ws.run(vx.plan_create(sheet, key="row_id", campaign="spring"), reason="r").wait(60)
    report, results = vx.report(created), created.results()
    counts = results["outcome"].value_counts()
    blocked = len(created.plan.frame) - len(results)
    assert report.title == "Campaign spring"
    assert facts(report) == {**counts, "not eligible": blocked}
    left = report.frames["left"]
    assert report.actions["rows"].sum() == len(left) == 4 - counts["succeeded"]
    assert all("bob (" in who for who in report.actions["who"])
    assert left["why"].notna().all()
    assert "2027-01-01 09:00" in Reader.of(report._drawn("report.html")).text
    assert {path.stem for path in report.to_csv(tmp_path)} == {"plan", "results", "left"}
    later = ws.run(vx.plan_update(ws.posts(campaign="spring"), by="2h", change="later")).wait(60)
    moved = vx.report(later)
    assert moved.title == "Run: update"
    assert "2027-01-01 11:00" in Reader.of(moved._drawn("report.html")).text
    with pytest.raises(PlanError, match="tickets"):
        report.tickets()


# -- deliveries ---------------------------------------------------------------------------------------------------------------


def shop(*rows):
    """A log of one receiver, whose address has a secret."""
    return log_of(*({"url": "https://shop.example/in?token=s3cret", **row} for row in rows))


def troubled():
    """Six fine; one rejected; four lost, two of them without an answer; two that failed lately; one in flight."""
    rejected, silent = ({**BAD, "statusCode": code, "error": None} for code in (422, None))
    times = [*range(6), 500, *range(1000, 1004), 2820, 2821, 2879]
    rows = [*[OK] * 6, rejected, BAD, BAD, silent, silent, BAD, BAD, FLIGHT]
    return shop(*({**row, "at": at} for row, at in zip(rows, times, strict=True)))


def test_the_numbers_of_deliveries_are_those_of_the_log():
    made = vx.report(troubled())
    assert made.headline == "6 arrived (46.2 %), 7 failed, 5 never arrived, 1 in flight"
    assert made.frames["lost"]["delivery_id"].nunique() == 5
    stats = made.frames["endpoints"].iloc[0]
    assert (stats["deliveries"], stats["succeeded"], stats["failed"], stats["in_flight"]) == (14, 6, 7, 1)
    tasks = made.actions.set_index("what")
    assert tasks["rows"].to_dict() == {"receiver failed": 2, "no answer": 2, "rejected": 1}
    assert tasks.loc["rejected", "who"] == "the developers of the receiver"
    assert all(re.fullmatch(r"shop\.example/…#\w{8} \(\d\)", where) for where in tasks["where"])
    assert not any("s3cret" in str(frame.to_dict()) for frame in made.frames.values())
    markup = made._drawn("report.html")
    assert "<image" not in markup, "its own policy would refuse it"
    assert markup.count("<svg") == 3
    twice = pd.concat([troubled(), troubled().head(4)])
    twice.attrs = troubled().attrs
    assert len(vx.report(twice).source) == 14, "loads that overlap are reported as one"


def test_an_endpoint_that_has_not_recovered_is_somebody_s_task_unless_the_log_ends_before():
    falling = shop(*[OK] * 6, *({**BAD, "at": 2870 + n} for n in range(9)))
    assert vx.report(falling).actions.set_index("what").loc["down now", "rows"] == 9
    falling.attrs["filters"] = {"until": falling.attrs["fetched_at"]}
    assert "down now" not in set(vx.report(falling).actions["what"])


def test_after_a_redelivery_what_is_to_be_done_is_what_it_has_left(ws):
    before = ws.deliveries(since="30D")
    lost = vx.deliveries.lost(before)
    with pytest.raises(PlanError, match=r"report\(\) needs successes"):
        vx.report(ws.deliveries(since="30D", success=False))
    run = ws.run(vx.plan_redeliver(lost[lost["reason_code"] != "rejected"]), reason="report").wait(60)
    results, made = run.results(), vx.report(before, run=run)
    back = results.loc[results["outcome"].isin(["succeeded", "pending"]), "delivery_id"]
    assert set(made.frames["lost"]["delivery_id"]) == set(lost["delivery_id"]) - set(back)
    assert len(back) > 0
    counts = results["outcome"].value_counts()
    assert f"{counts['succeeded']} succeeded after the redelivery" in made.headline


def test_other_frames_are_refused():
    filtered = troubled()
    filtered.attrs["filters"] = {"success": False}
    for frame, words in ((troubled().drop(columns="error"), "missing: error"), (filtered, "success=")):
        with pytest.raises(PlanError, match=words):
            vx.report(frame)
    with pytest.raises(PlanError, match="needs the run of a plan"):
        vx.report(troubled(), run=object())


# -- its files ----------------------------------------------------------------------------------------------------------------


def test_the_same_frames_give_the_same_bytes_in_a_file_that_needs_nothing_else(made, tmp_path):
    markup = made._drawn("report.html")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path"}):
        assert made.to_html(tmp_path / "r.html").read_text("utf-8") == markup
        assert mpl.rcParams["font.size"] == 30
    page = assert_only_text(markup, page=True, links=True)
    assert page.tags.count("svg") == 1
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)), "the figures share none"
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "currentColor" in markup and "#010203" not in markup


def test_importing_views_loads_no_drawing_library():
    names = "{'matplotlib', 'ipywidgets', 'anywidget', 'IPython'}"
    code = f"import sys, voxops.views.report, voxops.views.view; print({names} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
