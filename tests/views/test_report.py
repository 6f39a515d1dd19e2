"""The reports: numbers of a triage and of a run are those of the frames, in every form; the same frames give the same bytes."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from tests.views.payloads import Reader, assert_only_text

import voxops as vx
from voxburst_sandbox import Sandbox, Switches
from voxops.acts.retry import plan_retry
from voxops.analysis.causes import causes
from voxops.analysis.triage import triage
from voxops.errors import ConfigError, PlanError
from voxops.views._report import Report
from voxops.views.report import report

NOW = datetime(2026, 11, 3, 18, 25, tzinfo=UTC)


def text(*values: object) -> pd.Series[Any]:
    return pd.Series(values, dtype="string")


def targets() -> pd.DataFrame:
    """Seven targets of five posts: six with a problem, one published."""
    codes = ("TOKEN_EXPIRED", "TOKEN_EXPIRED", "RATE_LIMITED", "MEDIA_INVALID", "RATE_LIMITED", pd.NA, pd.NA)
    times = ["2026-11-03T10:00:05Z"] * 5 + ["2026-11-03T17:55:00Z"] * 2
    frame = pd.DataFrame(
        {
            "post_id": text("p1", "p1", "p2", "p3", "p4", "p5", "p5"),
            "platform": text("linkedin", "twitter", "linkedin", "instagram", "twitter", "twitter", "threads"),
            "account_id": text("a1", "a2", "a1", "a3", "a2", "a2", "a4"),
            "account_name": text("@li", "@tw", "@li", "@ig", "@tw", "@tw", "@th"),
            "status": text(*["failed"] * 5, "publishing", "published"),
            "error_code": text(*codes),
            "error_message": text("expired", "expired", "slow down", "bad file", "slow down", pd.NA, pd.NA),
            "post_status": text(*["failed"] * 5, "publishing", "publishing"),
            "updated_at": pd.to_datetime(times).as_unit("us"),
        }
    )
    frame.attrs = {"source": "sandbox", "fetched_at": "2026-11-03T18:02:11+00:00", "filters": {"since": "7D", "platform": None}, "complete": True}  # fmt: skip
    return frame


@dataclass
class Plan:
    frame: pd.DataFrame


@dataclass
class Run:
    plan: Plan
    frame: pd.DataFrame
    id: str = "r1"

    def results(self) -> pd.DataFrame:
        return self.frame

    def failed(self) -> pd.DataFrame:
        return self.frame[self.frame["outcome"] == "failed"]


def plan(triaged: pd.DataFrame) -> Plan:
    reasons = ["retry the post" if yes else "blocked: not retryable" for yes in triaged["retryable"]]
    return Plan(triaged.assign(eligible=triaged["retryable"], reason=text(*reasons)))


def ran(triaged: pd.DataFrame, **columns: Any) -> Run:
    """A retry of the two rate-limited targets, of which one succeeded."""
    planned = plan(triaged)
    usual = {"outcome": ["succeeded", "failed"], "waiting_for": pd.NA, "error_code": [pd.NA, "RATE_LIMITED"]}
    return Run(planned, planned.frame[planned.frame["eligible"]].assign(**usual | columns))


def full() -> Report:
    triaged = triage(targets())
    after = triaged.assign(status=triaged["status"].mask(triaged["post_id"] == "p2", "published"))
    return report(triaged, ran(triaged), after=after, now=NOW)


def section(made: Report, title: str) -> Any:
    (found,) = [part for part in made.sections if part.title.startswith(title)]
    return found


def facts(made: Report) -> dict[str, int]:
    return {fact.label: fact.count for fact in made.facts if fact.count}


def read(path: Path) -> list[dict[str, str]]:
    """Read a CSV as text."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


# -- what it says of a triage -------------------------------------------------------------------------------------------------


def stuck() -> pd.DataFrame:
    return targets().assign(updated_at=pd.Timestamp("2026-11-03T10:00:05Z").as_unit("us"))


def waits_for_another() -> pd.DataFrame:
    frame = targets()
    frame.loc[4, ["post_id", "account_id"]] = ["p5", "a9"]  # rate limited, next to one that is publishing
    return frame


def meant(frame: pd.DataFrame) -> pd.DataFrame:
    triaged = triage(frame)
    return triaged.assign(retryable=triaged["cause"].notna())  # by an analyst


@pytest.mark.parametrize(
    ("made", "headline"),
    [
        (lambda: report(triage(targets())), "5 targets of 4 posts failed, 1 target is still in flight: 2 can be retried; 3 need someone to act first; 1 resolves by waiting."),
        (full, "4 targets of 3 posts are left, 1 target is still in flight: 1 can be retried; 3 need someone to act first; 1 resolves by waiting. Tried 2: 1 recovered, 1 failed again."),
        (lambda: report(triage(stuck())), "5 targets of 4 posts failed, 1 target is stuck: 2 can be retried; 4 need someone to act first."),
        (lambda: report(meant(targets())), "6 can be retried."),
        (lambda: report(triage(waits_for_another())), "2 can be retried (1 only when another target of its post has ended);"),
        (lambda: report(triage(targets()).iloc[6:]), "Nothing failed."),
    ],
    ids=["before", "after", "stuck", "by an analyst", "waits", "nothing"],
)  # fmt: skip
def test_the_headline_says_it_in_ten_seconds_in_every_form(made: Any, headline: str) -> None:
    shown = made()
    assert headline in shown.headline
    assert repr(shown).splitlines()[:2] == ["Failure triage", shown.headline]
    assert shown.headline in Reader.of(shown.to_html()).text


def test_the_first_screen_is_a_sentence_five_numbers_who_must_act_and_one_figure_and_the_rest_is_folded() -> None:
    made = full()
    assert facts(made) == {
        "succeeded on retry": 1, "targets with a problem left": 5, "can be retried": 1, "need someone to act": 3, "resolves by waiting": 1,
    }  # fmt: skip
    first, *rest = made.to_html().split("<details class=")
    assert len(rest) == len(made.sections) - 1
    assert first.count("<svg") == 1
    assert first.count('class="vs-fact"') == 5
    assert "Who must do what" in first
    assert not re.search(r"<b[^>]*>0</b>", first)
    assert all(part.title in "".join(rest) for part in made.sections[1:])
    assert all(label in Reader.of(made.to_html()).text for label in facts(made))


def test_who_must_do_what_names_owners_and_the_accounts_to_reconnect() -> None:
    table = section(full(), "Who must do what").table.set_index("what")
    assert table.loc["reconnect account", ["who", "accounts"]].tolist() == ["whoever owns the account", "linkedin @li (1), twitter @tw (1)"]  # fmt: skip
    assert table.loc["retry", "accounts"] == "1 account"
    assert table["targets"].sum() == 5
    names = text(*[f"@{n}" for n in "abbcdefg"])
    many = pd.concat([targets().head(1)] * 8, ignore_index=True).assign(account_name=names, post_id=text(*range(8)))
    for count, rest in ((8, " and 1 more"), (7, "")):
        (named,) = section(report(triage(many.head(count))), "Who must do what").table["accounts"]
        assert named == ", ".join(f"linkedin @{n} ({2 if n == 'b' else 1})" for n in "bacdef") + rest
    owned = report(triage(targets()), owners={"reconnect account": "Ada"})
    assert section(owned, "Who must do what").table.set_index("what").loc["reconnect account", "who"] == "Ada"


def test_a_cause_on_two_platforms_is_one_row_of_the_report_and_two_of_the_data() -> None:
    made = full()
    row = section(made, "Why it failed").table.set_index("cause").loc["TOKEN_EXPIRED: expired"]
    assert row[["targets", "posts", "platforms"]].tolist() == [2, 1, "linkedin, twitter"]
    pd.testing.assert_frame_equal(made.frames["causes"], causes(triage(targets())))


def test_remedies_that_have_no_room_are_counted_and_none_is_cut() -> None:
    failed = triage(targets()).head(1)
    many = pd.concat([failed.assign(remedy=f"Do {what}.", post_id=f"post_{what}") for what in "abcde"])
    rest = ["", " And 1 other remedy: see the causes.", " And 2 other remedies: see the causes."]
    for count, said in zip((3, 4, 5), rest, strict=True):
        assert report(many.head(count)).sections[0].table.loc[0, "how"] == f"Do a. Do b. Do c.{said}"
    words = "look at it again, " * 9 + "then stop."
    long = triage(targets()).assign(verdict="ask support", remedy=text(*[f"Remedy {n % 3}: {words}" for n in range(7)]))
    made = report(long)
    (how,) = made.sections[0].table["how"]
    assert len(how) > 400
    assert how in Reader.of(made.to_html()).text


def test_a_plan_says_that_nothing_was_sent_and_a_run_brings_its_plan_and_its_results() -> None:
    triaged = triage(targets())
    part = section(report(triaged, plan=plan(triaged)), "The retry plan")
    assert part.text == "2 of 7 rows would be sent. Nothing has been sent."
    rows = [["to be sent", 2, "retry the post"], ["not eligible", 5, "blocked: not retryable"]]
    assert part.table.to_numpy().tolist() == rows
    made = full()
    assert section(made, "The retry plan").text == "2 of 7 rows were sent."
    happened = section(made, "What the retry did")
    assert happened.text == "1 succeeded, 1 failed, 0 pending, 0 unknown, 0 blocked, of 2 rows."
    assert happened.table.to_numpy().tolist() == [["failed", "RATE_LIMITED", "slow down", 1]]
    assert set(made.frames) == {"causes", "failures", "left", "plan", "results"}
    names = ("Why it failed", "Evidence")
    assert [section(report(triaged), name).text for name in names] == ["", ""], "nothing has been run"
    assert {section(report(triaged, ran(triaged)), name).text for name in names} == {"As it was read before the retry."}
    planned = plan_retry(triage(waits_for_another()))
    assert (planned.eligible, int((planned.frame["reason_code"] == "other_target_publishing").sum())) == (1, 1)


def test_a_run_is_enough_for_the_report() -> None:
    triaged = triage(targets())
    both, alone = report(triaged, run=ran(triaged)), report(run=ran(triaged))
    assert both._repr_html_() == alone._repr_html_()
    for name, frame in both.frames.items():
        pd.testing.assert_frame_equal(alone.frames[name], frame)
    with pytest.raises(PlanError, match=r"cause.*vx\.triage"):
        report(targets())


def test_after_a_run_what_is_to_be_done_is_what_it_has_left() -> None:
    """Of five that were tried one succeeded, one failed for another reason, one is awaited, one unknown and one never sent."""
    frame = targets().iloc[[2] * 5].reset_index(drop=True).assign(post_id=text("a", "b", "c", "d", "e"))
    triaged = triage(frame)
    run = ran(triaged.iloc[:2])
    first = run.plan.frame.reindex(columns=run.frame.columns).iloc[[0] * 5].reset_index(drop=True)
    run.frame = first.assign(
        post_id=frame["post_id"],
        outcome=text("succeeded", "failed", "pending", "unknown", "pending"),
        waiting_for=text(pd.NA, pd.NA, "publishing", "no answer", "blocked"),
        error_code=text(pd.NA, "TOKEN_EXPIRED", pd.NA, pd.NA, pd.NA),
        tries=[1, 1, 1, 1, 0],
    )
    made = report(triaged.set_axis([0] * 5), run)  # two frames put together repeat their index
    assert made.headline == (
        "3 targets of 3 posts are left, 1 target is still in flight: 1 can be retried; 2 need someone to act first; "
        "1 resolves by waiting. Tried 5: 1 recovered, 1 failed again, 2 pending, 1 unknown."
    )
    verdicts = made.frames["left"].set_index("post_id")["verdict"].to_dict()
    assert verdicts == {"b": "reconnect account", "c": "wait", "d": "ask support", "e": "retry"}


def test_a_frame_that_was_read_after_the_run_is_believed_and_all_that_came_back_is_left_out() -> None:
    triaged = triage(targets())
    for settled, left in (("2026-11-03T18:00:00Z", 6), ("2026-11-03T18:03:00Z", 5)):
        assert len(report(triaged, ran(triaged, settled_at=pd.Timestamp(settled))).frames["left"]) == left
    both = triage(targets().iloc[[2, 4]])
    assert report(both, ran(both, outcome="succeeded")).headline == "Nothing is left to do. Tried 2: 2 recovered."
    triaged.attrs["rows"] = 5
    filtered = report(triaged.head(0), run=ran(triaged))
    assert filtered.headline.startswith("No rows: the frame is empty, though 5 posts were loaded. Tried 2: ")


def test_the_evidence_shows_what_became_of_each_target_and_says_what_is_left_out(tmp_path: Path) -> None:
    evidence = section(full(), "Evidence").table.set_index(["post_id", "platform"])["outcome"].fillna("-").to_dict()
    assert [evidence[each] for each in (("p2", "linkedin"), ("p4", "twitter"), ("p1", "linkedin"))] == ["succeeded", "failed", "-"]  # fmt: skip
    assert len(evidence) == 6
    many = pd.concat([targets()] * 400, ignore_index=True)
    many["post_id"] = pd.array([f"p{number}" for number in range(len(many))], dtype="string")
    made = report(triage(many), rows=20)
    bounded = section(made, "Evidence")
    assert (len(bounded.table), bounded.text[:22]) == (20, "20 rows; 2,380 more: r")
    assert len(made._repr_html_()) < 150_000
    (_, failures) = made.to_csv(tmp_path)
    assert len(read(failures)) == 2_400


def test_it_says_where_the_data_come_from_and_if_they_are_incomplete() -> None:
    triaged = triage(targets())
    assert report(triaged, now=NOW).about == (
        "data from sandbox", "read 2026-11-03 18:02:11 UTC", "times in UTC", "since 7D", "report made 2026-11-03 18:25:00 UTC",
    )  # fmt: skip
    triaged.attrs["complete"] = False
    assert any("INCOMPLETE" in line for line in report(triaged).about)


# -- what it says of a run of creates or changes --------------------------------------------------------------------------------


def test_a_run_of_creates_is_reported_by_itself_with_its_schedule(tmp_path: Path) -> None:
    """What went, what did not, and why: refused by the server, blocked before it was sent, and not eligible."""
    with Sandbox(seed=7, rate_limit=None) as server, vx.connect(sandbox=server, ledger=tmp_path / "l.sqlite") as ws:
        accounts = ws.accounts().drop_duplicates("platform").set_index("platform")["account_id"]
        rows = [
            ("a", "it goes out", accounts["twitter"], "2026-04-01T10:00:00Z"),
            ("b", "an image is missing", accounts["instagram"], "2026-04-01T10:00:00Z"),
            ("c", "too late", accounts["twitter"], "2020-01-01T10:00:00Z"),
            ("d", "nobody's", "", "2026-04-01T10:00:00Z"),
        ]
        sheet = pd.DataFrame(rows, columns=["row_id", "content", "accounts", "scheduled_for"])
        plan = vx.plan_create(sheet, key="row_id", campaign="spring")
        run = ws.run(plan).wait(60)
        made, again = vx.report(run), vx.report(run=ws.attach(run.id).wait(60))
        results = run.results().set_index("row_id")
        created = ws.posts(status="scheduled").set_index("post_id").loc[results.loc["a", "result_id"]]
    assert results["outcome"].to_dict() == {"a": "succeeded", "b": "failed", "c": "blocked"}
    assert made.title == "Campaign spring"
    assert made.headline == (
        "2 rows of the run have not succeeded. Tried 3: 1 succeeded, 1 failed, 1 blocked. 1 row of the plan was not eligible."
    )
    assert made.frames["left"].set_index("row_id")["why"].to_dict() == {
        "b": f"{results.loc['b', 'error_code']}: {results.loc['b', 'error_message']}",
        "c": results.loc["c", "waiting_for"],
        "d": plan.frame.set_index("row_id").loc["d", "reason"],
    }
    tasks = section(made, "Who must do what").table.set_index("what")["rows"].to_dict()
    assert tasks == {"fix media": 1, "blocked": 1, "not eligible": 1}
    shown = Reader.of(made.to_html()).text
    assert all(word in shown for word in ("an image is missing", "too late", "nobody's", "What goes out when"))
    assert "it goes out" not in shown
    due = made.frames["schedule"]
    assert due[["scheduled_for", "content"]].values.tolist() == [[created["scheduled_for"], "it goes out"]]
    pd.testing.assert_frame_equal(due, again.frames["schedule"])
    assert {path.stem for path in made.to_csv(tmp_path / "csv")} == {"plan", "results", "left", "schedule"}
    assert "tickets" not in dir(made)
    with pytest.raises(PlanError, match=r"tickets\(\) are for the report of a triage.*'Campaign spring'"):
        made.tickets()
    assert again.headline.startswith("2 rows of the run have not succeeded.")


def test_the_report_of_an_act_on_whole_posts_says_what_it_has_not_done() -> None:
    """Nothing had failed, so nothing recovered or failed again; and what was not moved is not nothing left to do."""
    with Sandbox(rate_limit=None, switches=Switches(failure_rate=0.0)) as server, vx.connect(sandbox=server) as ws:
        waiting = ws.posts(status="scheduled").head(8)
        server.touch(waiting["post_id"].iloc[0])
        run = ws.run(vx.plan_update(waiting, by="3D", change="later")).wait()
        results = run.results()
        made, again = report(triage(vx.targets(waiting)), run), report(run=run)
    assert set(results["outcome"]) == {"succeeded", "failed", "blocked"}, "some accounts have expired"
    for each in (made, again):
        assert each.title == "Run: update"
        assert each.headline == "4 rows of the run have not succeeded. Tried 8: 4 succeeded, 3 failed, 1 blocked."
        assert facts(each) == {"succeeded in the run": 4, "failed in the run": 3, "blocked in the run": 1}
    planned = section(made, "The plan")
    assert planned.text == "7 of 8 rows were sent, in 7 acting requests.", "one was blocked when it was read once more"
    assert planned.table[["decision", "rows"]].values.tolist() == [["sent", 7], ["not sent", 1]]
    moved = results[results["outcome"].eq("succeeded")]
    assert again.frames["schedule"]["scheduled_for"].to_list() == sorted(moved["scheduled_for"] + pd.Timedelta("3D"))
    left = set(results["post_id"]) - set(moved["post_id"])
    assert set(section(again, "Rows that did not go").table["post_id"]) == left, "which posts they are"


# -- its files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def markup() -> str:
    return full().to_html()


def test_the_same_frames_give_the_same_bytes_whatever_the_style_of_the_notebook(markup: str, tmp_path: Path) -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "text.usetex": False, "svg.fonttype": "none"}):
        assert full().to_html(tmp_path / "r.html").read_text("utf-8") == markup
        assert mpl.rcParams["font.size"] == 30


def test_the_file_needs_nothing_but_itself_and_its_figures_take_the_ink_of_the_page(markup: str) -> None:
    page = assert_only_text(markup, page=True)
    assert page.tags.count("svg") == 3
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', markup)) == set(ids)
    assert "currentColor" in markup and "#010203" not in markup
    colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", markup))
    assert all(re.fullmatch(r"none|currentColor|#[0-9a-f]{6}", colour) for colour in colours)


@pytest.mark.parametrize("form", ["to_html", "to_excel", "to_csv"])
def test_a_place_that_is_none_or_cannot_be_written_to_is_named_with_what_to_do(form: str, tmp_path: Path) -> None:
    fast = report(triage(targets()).iloc[6:])  # without figures
    write, one = getattr(fast, form), form != "to_csv"
    (tmp_path / "file").write_text("no folder")
    odds = [] if form == "to_html" else [(None, "None")]  # without a path it returns the text
    for odd, said in (*odds, (5, "int"), ("", "''"), ("a\0b", r"'a\\x00b'")):
        with pytest.raises(ConfigError, match=f"(path|folder)= takes a path, not {said}"):
            write(odd)
    if form != "to_excel":
        with pytest.raises(ConfigError, match=r"file.*can't be written: .*Choose a folder"):
            write(tmp_path / "file" / "report")
    said = r"is a folder\. Name a file in it: .*report\.\w+$" if one else r"file is a file\. Choose a folder"
    with pytest.raises(ConfigError, match=said):
        write(tmp_path if one else tmp_path / "file")
    suffix = {"to_html": ".html", "to_excel": ".xlsx"}.get(form, "")
    write(tmp_path / "new" / "deep" / f"report{suffix}")
    assert (tmp_path / "new" / "deep" / f"report{suffix}").exists(), "a folder that is missing is made"


def test_csv_opens_in_a_spreadsheet_as_meant(tmp_path: Path) -> None:
    made = full()
    made.frames["failures"]["tags"] = pd.Series([["a", "b"]] * 6, index=made.frames["failures"].index)
    path = next(path for path in made.to_csv(tmp_path) if path.name == "failures.csv")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    first = read(path)[0]
    assert {name: first[name] for name in ("updated_at (UTC)", "account_name", "retryable", "tags")} == {
        "updated_at (UTC)": "2026-11-03 10:00:05", "account_name": "'@li", "retryable": "False", "tags": '["a", "b"]',
    }  # fmt: skip


def test_importing_views_loads_no_drawing_library() -> None:
    names = "{'matplotlib', 'ipywidgets', 'anywidget', 'IPython'}"
    modules = "voxops.views.report, voxops.views.plots, voxops.views.monitor"
    code = f"import sys, {modules}; print({names} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_columns_of_categories_and_arrays_are_read_as_their_texts(tmp_path: Path) -> None:
    triaged = triage(targets())
    names = ("cause", "platform", "account_name", "error_code", "error_message", "verdict", "post_id")
    categories = triaged.astype(dict.fromkeys(names, "category"))
    made, wanted = report(categories), report(triaged)
    assert made._repr_html_() == wanted._repr_html_()
    assert repr(made) == repr(wanted)
    for one, other in zip(made.to_csv(tmp_path / "a"), wanted.to_csv(tmp_path / "b"), strict=True):
        assert one.read_bytes() == other.read_bytes()
    pd.testing.assert_frame_equal(causes(categories), causes(triaged))
    tags = pd.Series([["a", "b"], [], ["b"], None, ["a"], [], []], dtype=object)  # Parquet makes arrays of lists
    plain, arrays = (report(triage(targets().assign(tags=each))).tickets(by="tags") for each in (tags, tags.map(np.array, na_action="ignore")))  # fmt: skip
    assert arrays == plain
    assert list(plain)[:2] == ["a", "b"]
