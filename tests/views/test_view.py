"""Views, plans and causes: what matters comes first and is whole, ids and times are short, in HTML and in text."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.views.payloads import Reader

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.frames.registry import COLUMNS, KINDS, column_of, kind_of
from voxops.views.table import table_of

TZ = "Asia/Tokyo"  # nine hours on, the whole year
LATE = "2026-04-01T10:00:00Z"


@pytest.fixture(scope="module")
def ws():
    with Sandbox(seed=7, speed=0, rate_limit=None) as server, vx.connect(sandbox=server, tz=TZ) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def triaged(ws):
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"], since="7D")))


@pytest.fixture(scope="module")
def run(ws):
    """A run of creates: one row succeeded, one is blocked, and one of its plan was not eligible."""
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    times = [LATE, "2020-01-01T10:00:00Z", "tomorrow"]
    sheet = pd.DataFrame({"row_id": ["a", "b", "c"], "content": ["x", "y", "z"], "accounts": account}, dtype="string")
    plan = vx.plan_create(sheet.assign(scheduled_for=times), key="row_id", campaign="kinds")
    return ws.run(plan, reason="to see them").wait(60)


@pytest.fixture(scope="module")
def frames(ws, triaged, run):
    """Kind -> a frame of it, as the calls of voxops return it."""
    posts, log = ws.posts(since="30D"), ws.deliveries(since="30D")
    return {
        "results": run.results(), "rows to mend": run.to_mend(), "planned rows": run.plan.frame, "runs": ws.runs(),
        "ledger rows": ws.ledger(), "created posts": run.made(), "triaged targets": triaged, "causes": vx.causes(triaged),
        "targets": vx.targets(posts), "posts": posts, "deliveries": log, "outages": vx.deliveries.outages(log),
        "statistics": vx.deliveries.stats(log), "accounts": ws.accounts(), "webhooks": ws.webhooks(), "endpoints": vx.matrix(),
    }  # fmt: skip


def test_every_kind_of_frame_is_named_explained_and_has_no_empty_column(frames):
    for name, frame in frames.items():
        kind = kind_of(frame)
        assert kind.name == name
        view = vx.view(frame)
        assert repr(view).startswith(f"{len(frame):,} {kind.one if len(frame) == 1 else name}")
        page = Reader.of(view._repr_html_()).text
        for column in view.columns:
            assert column_of(column, view.frame[column], kind).title in page
            assert not set(view.frame[column].map(str)) <= {"", "None", "<NA>", "nan", "NaT", "()", "[]"}, column
        assert not set(vx.columns(frame).query("meaning.isna()").index), name
    known = {column.removeprefix(f"{kind.name}.") for kind in KINDS for column in COLUMNS}
    assert {name for kind in KINDS for name in kind.columns} <= known


def test_what_decides_is_whole_and_what_names_is_short(triaged):
    """A cause, a remedy and a message of 300 characters are read in the page and not on hovering; so is a reason of a plan."""
    words = "word " * 59 + "end."
    long = triaged.head(2).assign(**dict.fromkeys(("cause", "remedy", "error_message"), words), content="x" * 900)
    page = Reader.of(vx.view(long, columns=["cause", "remedy", "error_message", "content", "post_id"])._repr_html_())
    assert page.text.count(words) == 6
    assert "x" * 101 not in page.text
    post = triaged["post_id"].iloc[0]
    assert post not in page.text
    assert ("title", post) in page.attributes and ("title", "x" * 900) in page.attributes
    classes = [value for name, value in page.attributes if name == "class"]
    assert classes.count("text") == 3 * 4, "heads and cells that wrap"
    blocked = vx.plan_retry(triaged.assign(retryable=False, verdict="ask support", remedy=words))
    assert words in Reader.of(blocked._repr_html_()).text


def test_what_needs_action_comes_first_and_a_published_post_is_a_link(triaged, run):
    mixed = pd.concat([triaged[triaged["cause"].isna()].head(3), triaged[triaged["cause"].notna()].head(2)])
    mixed.attrs = triaged.attrs
    lines = repr(vx.view(mixed, columns=["cause"])).splitlines()[2:]
    assert [line.startswith("–") for line in lines] == [False, False, True, True, True]
    outcomes = [line.split()[0] for line in repr(vx.view(run)).splitlines()[2:]]
    assert outcomes == ["blocked", "succeeded"]
    assert [line.split()[0] for line in repr(vx.view(run.plan.frame)).splitlines()[2:]] == ["yes", "yes", "no"]
    linked = mixed.assign(platform_post_url=["https://x.example/1", "javascript:alert(1)", pd.NA, pd.NA, pd.NA])
    addresses = [value for name, value in Reader.of(vx.view(linked)._repr_html_()).attributes if name == "href"]
    assert addresses == ["https://x.example/1"]


def test_causes_in_a_bare_cell_look_as_in_a_view_and_frames_made_of_them_are_plain(triaged):
    causes = vx.causes(triaged)
    assert causes._repr_html_() == vx.view(causes)._repr_html_()
    assert causes["remedy"].iloc[0] in Reader.of(causes._repr_html_()).text
    for made in (causes.head(2), causes[["cause", "count"]], causes.copy()):
        assert type(made) is pd.DataFrame
    assert causes.attrs["tz"] == TZ
    pd.testing.assert_frame_equal(pd.DataFrame(causes), causes.copy())


def test_a_plan_says_what_it_costs_what_goes_and_why_the_rest_does_not(triaged):
    plan = vx.plan_retry(triaged)
    text, page = repr(plan), Reader.of(plan._repr_html_()).text
    first = f"Plan to retry: {plan.eligible} of {len(triaged)} rows"
    assert text.startswith(f"{first} · Nothing has been sent. Times in {TZ}.")
    assert first in page
    assert f"{plan.cost.acts} acting requests, about {plan.cost.requests} in all, under a minute" in text
    table = plan.frame[~plan.frame["eligible"]]
    for reason, count in table["reason"].value_counts().head(3).items():
        assert f"{count}" in page and reason in page
    more = plan.eligible - 12
    assert (f"and {more} more; vx.view(plan, rows={plan.eligible}) shows all" in text) == (more > 0)
    assert vx.view(plan)._repr_html_().count("<tr>") == plan.eligible + plan._repr_html_().count("<tr>") - 12
    assert list(vx.view(plan, columns=["post_id"]).columns) == ["post_id"], "its frame, where columns are chosen"


@pytest.mark.parametrize(
    ("thing", "more", "words"),
    [
        ("text", {}, "a frame, a plan or a run is needed"),
        (pd.DataFrame({"a": [1]}), {"columns": ["b"]}, r"view\(\) can't show these columns; missing: b"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "has column a twice"),
        (pd.DataFrame({"a": [1]}), {"rows": 0}, "rows must be a whole number, 1 or more"),
    ],
)
def test_what_can_not_be_shown_is_refused(thing, more, words):
    with pytest.raises(vx.errors.PlanError, match=words):
        vx.view(thing, **more)


def test_any_frame_is_shown_with_its_named_levels(ws):
    counts = ws.posts(since="7D")["status"].value_counts().to_frame("posts")
    assert repr(vx.view(counts)).splitlines()[1].split() == ["status", "posts"]
    assert repr(vx.view(pd.DataFrame({"a": []}))) == "No rows"
    shares = table_of(pd.DataFrame({"success_rate": [0.99996], "n": [1234567], "yes": [True], "half": [0.5]}))
    assert [cell.text for cell in shares.rows[0]] == ["99.9 %", "1,234,567", "yes", "0.5"]
