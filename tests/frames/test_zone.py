"""One zone: views, plots, reports, panels, sheets and today follow the workspace's; data stay UTC."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from tests.views.payloads import Reader

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops._support import safe
from voxops.frames.times import window
from voxops.views.excel import write_csv

TZ = "Asia/Tokyo"  # nine hours on, the whole year


@pytest.fixture(scope="module")
def ws() -> Iterator[vx.Workspace]:
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server, tz=TZ) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def triaged(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="7D")))


def test_data_stay_in_utc(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    for frame in (triaged, ws.deliveries(since="1D"), ws.accounts(), ws.runs(), ws.ledger()):
        assert frame.attrs["tz"] == TZ
        zones = {str(dtype.tz) for dtype in frame.dtypes if isinstance(dtype, pd.DatetimeTZDtype)}
        assert zones == {"UTC"}


def test_what_is_made_of_a_frame_or_a_run_is_shown_in_the_zone_too(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox, tz=TZ) as own:
        log = own.deliveries(since="30D")
        sheet = pd.DataFrame({"row_id": ["a"], "content": ["Hi"], "accounts": ["twitter:@aldercoffee"]})
        sheet = sheet.assign(scheduled_for=pd.Series(["2026-03-05T09:00:00+01:00"], dtype="string"))
        run = own.run(vx.plan_create(sheet, key="row_id", campaign="zones")).wait(60)
        frames = [
            run.results(),
            run.failed(),
            run.results("blocked"),
            run.to_mend(),
            run.made(),
            run.copies(),
            own.reconcile(),
        ]
        frames += [vx.deliveries.outages(log), vx.deliveries.outages(log.head(0)), vx.deliveries.duplicates(log)]
        assert {vx.view(shown).tz for shown in (run, *frames)} == {TZ}
        sheet.attrs["tz"] = "Europe/Berlin"  # as a sheet says of itself
        theirs = own.run(vx.plan_create(sheet, key="row_id", campaign="zones")).wait(60)
        assert theirs.results().attrs["tz"] == "Europe/Berlin"


def test_a_report_is_in_the_zone_of_its_frames_or_in_another_throughout(
    ws: vx.Workspace, triaged: pd.DataFrame, tmp_path: Path
) -> None:
    """The head names the zone once; times of tables have none, and files name it in the heads of columns."""
    now = ws.client.now()
    first = triaged[triaged["cause"].notna()]["updated_at"].iloc[0]
    for tz, short, made in (
        (TZ, "JST", vx.report(triaged)),
        ("Europe/Berlin", "CET", vx.report(triaged, tz="Europe/Berlin")),
    ):
        local, text = now.astimezone(ZoneInfo(tz)), Reader.of(made._drawn("report.html")).text
        assert text.count(f"times in {tz}") == 1
        assert f"read {local:%Y-%m-%d %H:%M:%S} {short}" in text
        assert not {"UTC", "JST", "CET"} - {short} & set(re.findall(r"\b[A-Z]{3}\b", text))
        assert f"{first.tz_convert(tz):%Y-%m-%d %H:%M}" in text
        for path in made.to_csv(tmp_path / short):
            assert f"({tz})" in path.read_text("utf-8-sig").splitlines()[0], path.stem
        with (tmp_path / short / "failures.csv").open(encoding="utf-8-sig") as file:
            assert next(csv.DictReader(file))[f"updated_at ({tz})"] == f"{first.tz_convert(tz):%Y-%m-%d %H:%M:%S}"
    assert triaged.attrs["tz"] == TZ, "what was passed stays as it is"
    log = ws.deliveries(since="7D")
    local = Reader.of(vx.report(log)._drawn("report.html")).text
    assert f"times in {TZ}" in local
    assert "UTC" not in local
    assert "times in UTC" in Reader.of(vx.report(log, tz="UTC")._drawn("report.html")).text
    with pytest.raises(vx.errors.ConfigError, match="Mars"):
        vx.report(triaged, tz="Mars/Phobos")


def test_an_hour_that_is_there_twice_keeps_its_offset_in_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"at": pd.to_datetime(["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T05:00:00Z", None])}
    )
    frame.attrs["tz"] = "Europe/Berlin"
    lines = write_csv(frame, tmp_path / "at.csv").read_text("utf-8-sig").splitlines()
    assert lines == [
        "at (Europe/Berlin)", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25 06:00:00", '""',
    ]  # fmt: skip


def test_plots_follow_the_zone_unless_another_is_said(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="7D")
    assert vx.plots.delivery_volume(log).get_xlabel() == f"time ({TZ})"
    assert vx.plots.endpoint_heatmap(log, tz="UTC").get_xlabel().startswith("hour of the day (UTC)")


def test_a_run_and_its_monitor_are_in_the_zone_and_name_it(ws: vx.Workspace, triaged: pd.DataFrame) -> None:
    run = ws.run(vx.plan_retry(triaged[triaged["verdict"] == "retry"].head(2)), reason="zone").wait(60)
    until = f"{pd.Timestamp(run.snapshot.updated_at).tz_convert(TZ):%Y-%m-%d %H:%M:%S} {TZ}"
    watch = ws.watch(triaged.head(1)).wait(60)
    for shown in (repr(run), run._repr_html_()):
        assert until in shown
        assert re.search(r"\b18:00:\d\d\b.*post_\w+(</b>)? · (succeeded|failed)", shown)  # the last changes
        assert "JST" not in shown  # the head names the zone, once
        assert "UTC" not in shown
    for other in (watch, ws.attach(run.id), ws.run(vx.plan_retry(triaged.head(0)), reason="nothing")):
        assert f" {TZ}" in repr(other)
    assert f"times in {TZ}" in ws.panel()._repr_html_()


@pytest.mark.parametrize(
    ("at", "alone", "headed"),
    [
        ("2026-11-03T14:02:10Z", "2026-11-03 15:02:10 CET", "2026-11-03 15:02:10"),
        ("2026-07-03T14:02:10Z", "2026-07-03 16:02:10 CEST", "2026-07-03 16:02:10"),
        ("2026-10-25T00:30:00Z", "2026-10-25 02:30:00 CEST", "2026-10-25 02:30:00 CEST"),  # an hour that is there twice
        ("2026-10-25T01:30:00Z", "2026-10-25 02:30:00 CET", "2026-10-25 02:30:00 CET"),
        # Just after the one that is not there.
        ("2026-03-29T01:00:00Z", "2026-03-29 03:00:00 CEST", "2026-03-29 03:00:00"),
    ],
)
def test_a_time_names_its_zone_where_it_stands_alone_or_would_be_in_doubt(at: str, alone: str, headed: str) -> None:
    when = datetime.fromisoformat(at)
    assert safe.instant(when, tz="Europe/Berlin") == alone
    assert safe.instant(when, tz="Europe/Berlin", headed=True) == headed
    assert safe.instant(when, tz="Europe/Berlin", headed=True, day=False) == headed.partition(" ")[2]


def test_today_begins_in_the_zone(ws: vx.Workspace) -> None:
    now = pd.Timestamp(ws.client.now())
    start = now.tz_convert(TZ).normalize()
    today = ws.posts(since="today")
    by_time = ws.posts(since=start)
    assert today["post_id"].tolist() == by_time["post_id"].tolist()
    assert 0 < len(today) < len(ws.posts(since="7D"))
    assert window("1D", "today", now, TZ)[1] == start


@pytest.mark.parametrize(
    ("word", "tz", "now", "begin"),
    [
        ("Today", "UTC", "2026-03-02T09:00Z", "2026-03-02T00:00Z"),
        ("Today", "Europe/Berlin", "2026-03-01T23:30Z", "2026-03-01T23:00Z"),
        ("Today", "Africa/Cairo", "2026-04-24T09:00Z", "2026-04-23T22:00Z"),  # its first hour does not exist
        (" Yesterday", "Europe/Berlin", "2026-03-01T23:30Z", "2026-02-28T23:00Z"),
        (" Yesterday", "Europe/Berlin", "2026-03-30T09:00Z", "2026-03-28T23:00Z"),  # yesterday had 23 hours
        (" Yesterday", "Europe/Berlin", "2026-10-26T09:00Z", "2026-10-24T22:00Z"),  # and here 25
        (" Yesterday", "Africa/Cairo", "2026-04-25T09:00Z", "2026-04-23T22:00Z"),
    ],
)
def test_the_first_instant_of_a_day(word: str, tz: str, now: str, begin: str) -> None:
    assert window(word, None, pd.Timestamp(now), tz)[0] == pd.Timestamp(begin)


def test_yesterday_is_understood_wherever_since_is(ws: vx.Workspace) -> None:
    start = pd.Timestamp(ws.client.now()).tz_convert(TZ).normalize() - pd.Timedelta(
        1, "D"
    )  # Tokyo's days have 24 hours
    posts, log = ws.posts(since="yesterday", until="today"), ws.deliveries(since="yesterday")
    assert len(posts)
    assert posts["post_id"].tolist() == ws.posts(since=start, until=start + pd.Timedelta(1, "D"))["post_id"].tolist()
    assert 0 < len(log) < len(ws.deliveries(since="7D"))
    assert log["delivery_id"].tolist() == ws.deliveries(since=start)["delivery_id"].tolist()
    with pytest.raises(vx.errors.PlanError, match="since='yesterday', which is less than two spans"):
        vx.causes(vx.triage(ws.posts(since="yesterday")), against="7D")
