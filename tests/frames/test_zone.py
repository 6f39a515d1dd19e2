"""One zone: views, plots, reports, panels, sheets and today follow the workspace's; data stay UTC."""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial

import pandas as pd
import pytest

import voxops as vx
from voxops._support import safe
from voxops.views.excel import write_csv

TZ = "Asia/Tokyo"  # nine hours on, the whole year
SETTINGS = {"tz": TZ}


def test_data_stay_in_utc(ws, triaged):
    for frame in (triaged, ws.deliveries(since="1D"), ws.accounts(), ws.runs(), ws.ledger()):
        assert frame.attrs["tz"] == TZ
        zones = {str(dtype.tz) for dtype in frame.dtypes if isinstance(dtype, pd.DatetimeTZDtype)}
        assert zones == {"UTC"}


def test_what_is_made_of_a_frame_or_a_run_is_shown_in_the_zone_too(ws):
    log = ws.deliveries(since="30D")
    row = {
        "row_id": "a",
        "content": "Hi",
        "accounts": "twitter:@aldercoffee",
        "scheduled_for": "2026-03-05T09:00:00+01:00",
    }
    sheet = pd.DataFrame([row])
    run = ws.run(vx.plan_create(sheet, key="row_id", campaign="zones")).wait(60)
    frames = [run.results(), run.failed(), run.to_mend(), run.made(), run.copies(), ws.reconcile()]
    frames += [vx.deliveries.outages(log), vx.deliveries.outages(log.head(0)), vx.deliveries.duplicates(log)]
    assert {vx.view(shown).tz for shown in (run, *frames)} == {TZ}
    sheet.attrs["tz"] = "Europe/Berlin"  # as a sheet says of itself
    theirs = ws.run(vx.plan_create(sheet, key="row_id", campaign="zones")).wait(60)
    assert theirs.results().attrs["tz"] == "Europe/Berlin"


def test_an_hour_that_is_there_twice_keeps_its_offset_in_csv(tmp_path):
    times = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T05:00:00Z", None]
    frame = pd.DataFrame({"at": pd.to_datetime(times)})
    frame.attrs["tz"] = "Europe/Berlin"
    lines = write_csv(frame, tmp_path / "at.csv").read_text("utf-8-sig").splitlines()
    assert lines == [
        "at (Europe/Berlin)", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25 06:00:00", '""',
    ]  # fmt: skip


def test_a_run_and_its_monitor_are_in_the_zone_and_name_it(ws, triaged):
    run = ws.run(vx.plan_retry(triaged[triaged["verdict"] == "retry"].head(2)), reason="zone").wait(60)
    until = f"{pd.Timestamp(run.snapshot.updated_at).tz_convert(TZ):%Y-%m-%d %H:%M:%S} {TZ}"
    for shown in (repr(run), run._repr_html_()):
        assert until in shown
        assert not {"JST", "UTC"} & set(re.findall(r"\b[A-Z]{3}\b", shown)), "the head names the zone, once"
    for other in (ws.watch(triaged.head(1)).wait(60), ws.attach(run.id)):
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
def test_a_time_names_its_zone_where_it_stands_alone_or_would_be_in_doubt(at, alone, headed):
    shown = partial(safe.instant, datetime.fromisoformat(at), tz="Europe/Berlin")
    assert shown() == alone
    assert shown(headed=True) == headed
    assert shown(headed=True, day=False) == headed.partition(" ")[2]
