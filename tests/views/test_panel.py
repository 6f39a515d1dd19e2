"""The panel without a browser: what its filters leave, which rows are ticked, what a plan has, and what is sent for it.

A test changes the widgets and sends messages as a page does, and counts at the server. What Chromium does: test_browser.py.
"""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest
from tests.views.payloads import Reader
from tests.views.steps import let_all_be_retried, press
from tests.virtual import until

import voxops as vx
from voxops.errors import PlanError
from voxops.views import panel as panels
from voxops.views.panel import MOST, Panel

TZ = "Asia/Tokyo"


@pytest.fixture
def ws(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger", tz=TZ, owner_field="owner") as workspace:
        yield workspace


@pytest.fixture
def triaged(ws):
    return vx.triage(ws.posts(status=["failed", "partial"], since="30D"))


@pytest.fixture
def panel(ws, triaged):
    return ws.panel(triaged)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """A filter applies in the thread that changes it."""
    monkeypatch.setattr(Panel, "_later", lambda panel, _: panel._filter())


def facet(panel, name):
    return next(each for each in panel._facets if each.widget.description.startswith(name))


def choose(panel, name, value):
    """Choose one value of a facet."""
    each = facet(panel, name)
    each.widget.value = (each.values.index(value),)


def tick(panel, *ids):
    for name in ids:
        panel._heard(None, {"tick": name, "on": True}, None)


def plan(panel):
    """The newest plan."""
    return panel.plans.boxes[-1].plan


def shown(panel):
    return panel._rows.table["ids"]


def sent(sandbox):
    return len(sandbox.requests(acting=True))


# -- filters and ticks


@pytest.mark.parametrize("seed", range(6))
def test_filters_leave_what_pandas_leaves(panel, triaged, seed):
    draw = random.Random(seed)
    wanted = failed = triaged[triaged["cause"].notna()]
    for name in ("verdict", "platform", "owner"):
        values = facet(panel, name).values
        chosen = draw.sample(range(len(values)), draw.randint(0, 2) if seed else 0)
        facet(panel, name).widget.value = tuple(chosen)
        wanted = wanted[wanted[name].isin([values[at] for at in chosen])] if chosen else wanted
    days = failed["updated_at"].dt.tz_convert(TZ).dt.date
    first, last = (draw.choice([None, *sorted(days)]) if seed else None for _ in range(2))
    panel._days[0].value, panel._days[1].value = first, last
    wanted = wanted[days[wanted.index] >= first] if first else wanted
    wanted = wanted[days[wanted.index] <= last] if last else wanted
    word = ["maria", "", "token", "THE post", "no such word"][seed % 5]
    panel._search.value = word
    columns = ["verdict", "cause", "error_message", "content", "owner", "account_name", "post_id"]
    texts = failed[columns].astype("string").fillna("").agg(" ".join, axis=1).str.lower()
    for part in word.lower().split():
        wanted = wanted[texts[wanted.index].str.contains(part, regex=False)]
    assert panel.frame["post_id"].to_list() == wanted["post_id"].to_list()
    assert shown(panel) == [f"{row.post_id}|{row.platform}|{row.account_id}" for row in wanted.itertuples()]
    for each in panel._facets:
        counts = [int(label.rpartition("(")[2].rstrip(")").replace(",", "")) for label in each.widget._options_labels]
        assert not each.widget.value or sum(counts[at] for at in each.widget.value) == len(wanted)


def test_each_column_that_is_shown_is_searched(ws, triaged):
    failed = triaged[triaged["cause"].notna()].reset_index(drop=True)
    columns = ["verdict", "cause", "error_message", "content", ["account_id", "account_name"], "owner", "post_id"]
    for row, column in enumerate(columns):
        failed.loc[row, column] = f"zebra-{row}"
    panel = ws.panel(failed)
    for row in range(len(columns)):
        panel._search.value = f"zebra-{row}"
        assert panel.frame.index.tolist() == [row]


def test_ticks_outlive_filters_and_unknown_ids_are_refused(ws, triaged):
    panel = ws.panel(triaged)
    first, second, third = shown(panel)[:3]
    tick(panel, first, second, "post_of|somebody|else", third)
    for message in ({"tick": third, "on": False}, {"tick": first}):
        panel._heard(None, message, None)
    panel._search.value = "no such word"
    assert panel._rows.ticked == [first, second]
    assert "0 of 77 failures match · 2 ticked · 2 of the ticked rows do not match" in repr(panel)
    assert (panel.buttons["all"].disabled, panel.buttons["ticked"].description) == (True, "Plan the 2 ticked")
    press(panel.buttons["Show all rows"])
    press(panel.buttons["Untick all"])
    assert (len(shown(panel)), panel._rows.ticked, panel.buttons["ticked"].disabled) == (77, [], True)


def test_rows_are_sorted_by_value_before_the_first_thousand_are_taken(ws, triaged):
    failed = triaged[triaged["cause"].notna()]
    many = pd.concat([failed] * 15, ignore_index=True)
    many["post_id"] = [f"post_{number}" for number in range(len(many))]
    many["updated_at"] = many["updated_at"].max() + pd.to_timedelta(
        [-n * 7 % 1151 for n in range(len(many))], unit="min"
    )
    panel = ws.panel(many)
    assert len(shown(panel)) == MOST < len(panel.frame)
    for up in (True, False, True):
        panel._heard(None, {"sort": "updated_at"}, None)
        order = many.sort_values("updated_at", ascending=up, kind="stable")
        assert [name.split("|")[0] for name in shown(panel)] == order["post_id"].head(MOST).to_list()
        assert panel._rows.sort == ["updated_at", up]
    assert f"{len(many):,} of {len(many):,} failures match · the first 1,000 are shown" in repr(panel)


# -- plans


def test_a_plan_of_what_is_ticked_is_seen_and_run(ws, sandbox, triaged):
    panel = ws.panel(triaged)
    choose(panel, "verdict", "retry")
    tick(panel, *shown(panel)[:2])
    choose(panel, "verdict", "fix media")
    press(panel.buttons["ticked"])
    wanted = vx.plan_retry(panel.ticked)
    assert [item.identity for item in plan(panel).items] == [item.identity for item in wanted.items]
    assert "Plan to retry: 2 of 2 rows" in Reader.of(panel._repr_html_()).text
    press(panel.buttons["all"])
    assert plan(panel).eligible == 0
    assert "Not eligible, and why" in panel._repr_html_()
    assert sent(sandbox) == 0
    press(panel.buttons["ticked"])
    (box,) = panel.plans.boxes
    box._reason.value = "ticket 9"
    box._button.click()
    until(lambda: box.run is not None and not box.run.running)
    assert sent(sandbox) == box.run.snapshot.acts > 0
    assert ws.runs().loc[box.run.id, "reason"] == "ticket 9"
    assert box.run.id in panel._repr_html_()


# -- deliveries and runs


def test_deliveries_are_filtered_by_their_full_address(ws, sandbox):
    """Two receivers on one host differ only in a token that no display shows: one of them must not be sent for both."""
    log = ws.deliveries(since="30D")
    hooks = [f"https://hooks.slack.com/services/T0{n}AAAAAAAA/B0{n}BBBBBBB/secret{n}" for n in range(2)]
    log["url"] = pd.array([hooks[row % 2] for row in range(len(log))], dtype="string")
    panel = ws.panel(log)
    assert (panel.frame["success"] == False).all(), "one comes for what failed"  # noqa: E712
    panel._show_all(None)
    assert len(panel.frame) == len(log)
    addresses = facet(panel, "receiver")
    assert len(set(addresses.values)) == 2
    assert not any(secret in panel._repr_html_() + repr(panel._rows.table) for secret in ("AAAAAAAA", "secret0"))
    addresses.widget.value = (1,)
    choose(panel, "outcome", "failed")
    assert set(panel.frame["url"]) <= set(hooks[:1]) or set(panel.frame["url"]) <= set(hooks[1:])
    press(panel.buttons["all"])
    assert set(plan(panel).frame["delivery_id"]) == set(panel.frame["delivery_id"])
    assert sent(sandbox) == 0


def test_runs_are_opened_watched_and_their_failures_planned(ws, sandbox, triaged):
    sandbox.set_switches(recovery_rate=0.0)
    let_all_be_retried(sandbox)
    run = ws.run(vx.plan_retry(triaged[triaged["verdict"] == "retry"].head(2)), reason="first").wait(60)
    acts, panel = sent(sandbox), ws.panel()
    assert shown(panel) == [run.id]
    assert "all" not in str(panel.buttons["ticked"].description)
    tick(panel, run.id)
    press(panel.buttons["ticked"])
    (monitor,) = panel.plans.boxes
    assert "2 failed" in panel._repr_html_()
    monitor.draw()
    monitor.buttons["plan"].click()
    until(lambda: "Plan to retry: 2 of 2 rows" in Reader.of(panel._repr_html_()).text)
    assert sent(sandbox) == acts


def test_nothing_is_shown_as_nothing(ws, triaged):
    for empty in (triaged.head(0), ws.deliveries(webhook=[]), None):
        panel = ws.panel(empty)
        assert (len(panel.frame), panel.plans.boxes) == (0, [])
        assert "0 of 0" in panel._repr_html_()
        panel._search.value = "x"
        assert panel.buttons["ticked"].disabled


@pytest.mark.parametrize("frame", [7, pd.DataFrame({"a": [1]}), pd.DataFrame({"post_id": ["p"], "cause": ["x"]})])
def test_something_else_is_refused(ws, frame):
    with pytest.raises(PlanError, match=r"ws\.panel\(\)"):
        ws.panel(frame)


def test_the_script_of_the_grid_sets_text_as_text_and_is_small():
    script, style = (Path(panels.__file__).with_name(name).read_text() for name in ("rows.js", "rows.css"))
    assert "textContent" in script
    for word in ("innerHTML", "insertAdjacentHTML", "outerHTML", "eval(", "fetch(", "import(", "http"):
        assert word not in script + style
    assert len(script.splitlines()) <= 90 and len(style.splitlines()) <= 20
