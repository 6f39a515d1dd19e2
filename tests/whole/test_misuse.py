"""Careless use of frames, names and files neither posts twice nor hides anything."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.api.reasons import SENTENCES

NAIVE = datetime(2026, 3, 2, 9)  # nine o'clock in an unknown zone


@pytest.fixture
def world(sandbox: Sandbox) -> Sandbox:
    return sandbox


@pytest.fixture
def ws(world: Sandbox, tmp_path: Path) -> Iterator[vx.Workspace]:
    with vx.connect(sandbox=world, ledger=tmp_path / "ledger.sqlite") as workspace:
        yield workspace


@pytest.fixture(scope="module")
def calm() -> Iterator[vx.Workspace]:
    """A workspace for tests that change nothing in it."""
    with Sandbox(seed=7, speed=0, rate_limit=None, deliveries=100) as sandbox, vx.connect(sandbox=sandbox) as workspace:
        yield workspace


def campaign(accounts: str = "twitter:@aldercoffee") -> pd.DataFrame:
    rows = [{"row_id": f"r{n}", "content": f"Post {n}"} for n in range(4)]
    return pd.DataFrame(rows).assign(accounts=accounts, scheduled_for="2026-03-20T10:00:00Z")


def failed(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))


def test_a_ledger_belongs_to_one_workspace(world: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite"
    with vx.connect(sandbox=world, ledger=path) as ws:
        ws.run(vx.plan_create(campaign(), key="row_id")).wait()
    with Sandbox(rate_limit=None, workspace="ws_other") as other:
        with pytest.raises(vx.errors.LedgerError, match="belongs to workspace"):
            vx.connect(sandbox=other, ledger=path)
        assert not other.requests(acting=True)


def test_a_sheet_is_the_same_in_every_dtype(ws: vx.Workspace, world: Sandbox) -> None:
    sheet = campaign().assign(number=range(4), scheduled_for=pd.Timestamp("2026-03-20T10:00:00Z"))
    arrow = sheet.convert_dtypes(dtype_backend="pyarrow")
    forms = [
        sheet, sheet.astype(object), sheet.convert_dtypes(), sheet.astype({"accounts": "category"}), arrow,
        sheet.set_index(["row_id", "number"], drop=False), arrow.set_index(["row_id", "number"], drop=False),
    ]  # fmt: skip
    for form in forms:
        results = ws.run(vx.plan_create(form, key="row_id")).wait().results()
        assert results["outcome"].tolist() == ["succeeded"] * 4
        assert len(world.requests(acting=True)) == 1
    posts = ws.posts(status="scheduled")
    ours = posts[posts["content"].isin(sheet["content"])].astype({"post_id": "string[pyarrow]"})
    withdrawn = ws.run(vx.plan_cancel(ours.set_index(["status", "post_id"], drop=False))).wait().results()
    assert withdrawn["outcome"].tolist() == ["succeeded"] * 4
    assert world.duplicates() == []


def test_numbers_may_come_out_of_a_column(ws: vx.Workspace) -> None:
    three = pd.Series([3]).max()
    assert not isinstance(three, int)
    posts = ws.posts(status=["failed", "partial"], limit=three)
    assert len(posts) == 3
    plan = vx.plan_retry(vx.triage(vx.targets(posts))).canary(three)
    run = ws.run(plan, stop_after_failures=three).wait(three * 20)
    assert run.results()["outcome"].isin(["succeeded", "failed"]).all()
    assert len(repr(vx.view(posts, rows=three)).splitlines()) >= three


def test_a_report_says_what_it_is_of_and_what_shows_another_run(ws: vx.Workspace) -> None:
    made = ws.run(vx.plan_create(campaign(), key="row_id")).wait(60)
    redelivered = ws.run(vx.plan_redeliver(vx.deliveries.lost(ws.deliveries()).head(1))).wait(60)
    watch = ws.watch(ws.posts(status="published", limit=1)).wait(60)
    triaged, log = failed(ws), ws.deliveries(since="1D")
    assert vx.report(vx.triage(vx.targets(made.made()))).headline
    with_them = r"report it with them, vx\.report\(ws\.deliveries\(\), run=run\)"
    table: list[tuple[tuple[object, ...], dict[str, object], str]] = [
        ((triaged, made), {}, r"creates posts, so it is reported by itself: vx\.report\(run\)"),
        ((triaged, redelivered), {}, with_them),
        ((redelivered,), {}, with_them),
        ((), {"run": redelivered}, with_them),
        ((triaged,), {"within": "5min"}, "within= is not for the report of a triage"),
        ((triaged,), {"target": 0.5}, "target= is not for the report of a triage"),
        ((made,), {"within": "5min"}, "within= is not for the report of a run of creates"),
        ((log,), {"weeks": triaged}, "weeks= is not for the report of deliveries"),
        ((triaged, watch), {}, r"not a watch\. Pass what ws\.run\(plan\) returned"),
        ((triaged, vx.plan_retry(triaged)), {}, r"not Plan\. Pass it as plan="),
        ((triaged, "run_1"), {}, r"report\(run=\) needs the run of a plan.*ws\.run"),
        ((triaged,), {"plan": triaged}, r"report\(plan=\) needs a plan.*vx\.plan_retry"),
        ((triaged,), {"after": pd.DataFrame()}, r"report\(after=\) needs a targets frame"),
        ((), {}, r"needs a triaged frame, not None\. Use vx\.triage"),
        ((triaged,), {"rows": "5"}, r"rows=.* must be a whole number of rows"),
        ((log,), {"rows": -1}, r"rows=.* must be a whole number of rows"),
        ((log,), {"owners": ["Ada"]}, "owners= takes a mapping"),
        ((triaged,), {"owners": {"reconect account": "Ada"}}, r"owners= names .*; did you mean 'reconnect account'\?"),
        ((log,), {"owners": {"reject": "Ada"}}, r"owners= names 'reject'; did you mean 'rejected'\?"),
    ]
    for positional, named, said in table:
        with pytest.raises((vx.errors.ConfigError, vx.errors.PlanError), match=said):
            vx.report(*positional, **named)  # type: ignore[arg-type]
    assert vx.report(triaged, rows=0).headline
    with pytest.raises(vx.errors.PlanError, match=r"tickets\(by=\) takes the name of one column"):
        vx.report(triaged).tickets(by=["owner"])  # type: ignore[arg-type]


def test_a_plan_is_not_changed_through_its_frame(world: Sandbox, ws: vx.Workspace) -> None:
    plan = vx.plan_retry(failed(ws))
    said = repr(plan)
    table = plan.frame
    table["eligible"] = False
    assert repr(plan) == said
    results = ws.run(plan).wait().results()
    sent = {request["path"].split("/")[3] for request in world.requests(acting=True)}
    assert set(results["post_id"]) == sent


def test_a_check_makes_no_other_row_of_a_row(world: Sandbox, ws: vx.Workspace) -> None:
    sheet = campaign()
    before = vx.plan_create(sheet, key="row_id")
    assert ws.check(sheet).empty
    assert list(sheet.columns) == list(campaign().columns)
    assert (
        vx.plan_create(sheet, key="row_id").frame["idempotency_key"].tolist()
        == before.frame["idempotency_key"].tolist()
    )
    ws.run(before).wait()
    spelled = campaign(accounts="Twitter:AlderCoffee")
    again = ws.run(vx.plan_create(spelled, key="row_id")).wait()
    assert set(again.results()["outcome"]) == {"succeeded"}
    assert len(world.effects("post.create")) == 4


def test_a_name_with_a_stray_blank_is_the_same_campaign(world: Sandbox, ws: vx.Workspace) -> None:
    for name in ("Spring 2026", " spring  2026", "SPRING 2026 "):
        ws.run(vx.plan_create(campaign(), key="row_id", campaign=name)).wait()
    assert len(world.effects("post.create")) == 4


def test_a_delivery_of_unknown_age_is_held(ws: vx.Workspace) -> None:
    log = ws.deliveries(since="30D", success=False)
    lost = log.assign(status_code=pd.NA, created_at=log["created_at"] - pd.Timedelta("2D"))
    assert vx.plan_redeliver(lost).eligible == len(lost) > 0
    lost = lost.copy()
    lost.attrs = {}
    assert vx.plan_redeliver(lost).eligible == 0
    assert vx.plan_redeliver(lost).frame["reason_code"].iloc[0] == "delivery_age_unknown"
    assert vx.plan_redeliver(lost, force=True).eligible == len(lost)


def test_blank_fixes_are_held(ws: vx.Workspace) -> None:
    rows = failed(ws).query("verdict == 'fix content'")
    for content in ("", "   ", 7):
        assert vx.plan_fix(rows.assign(new_content=content)).eligible == 0


def test_a_retention_must_be_a_length_of_time(world: Sandbox) -> None:
    for text in ("", "nat", "24", "-3h", None, pd.NaT, 24):
        with pytest.raises(vx.errors.ConfigError, match="key_retention="):
            vx.connect(sandbox=world, key_retention=text)  # type: ignore[arg-type]


def test_filters_are_read_in_any_spelling(calm: vx.Workspace) -> None:
    assert len(calm.posts(platform="X")) == len(calm.posts(platform="twitter")) > 0
    assert len(calm.posts(status="all")) == len(calm.posts())
    assert len(calm.posts(account="twitter:@aldercoffee")) > 0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda ws: ws.posts(status=7), "status="),
        (lambda ws: ws.posts(platform=["x", None]), "platform="),
        (lambda ws: ws.posts(account=pd.DataFrame({"account_id": ["a"]})), "account="),
        (lambda ws: ws.posts(since=[]), "since="),
        (lambda ws: ws.posts(since=pd.DataFrame()), "since="),
        (lambda ws: ws.deliveries(webhook=7), "webhook="),
        (lambda ws: ws.deliveries(event_type=b"post.failed"), "event_type="),
        (lambda ws: ws.accounts(7), "account="),
        (lambda ws: ws.accounts(check="yes"), "check="),
        (lambda ws: ws.check(campaign(), ask="no"), "ask="),
        (lambda ws: ws.watch(None), "ws.watch takes"),
        (lambda ws: ws.watch([7]), "ws.watch takes"),
        (lambda ws: ws.archive(None), "path="),
        (lambda _: vx.connect("key", ledger=7), "ledger="),
        (lambda _: vx.connect("key", url=7), "url="),
        (lambda _: vx.connect(7), "api_key= is of type int"),
        (lambda _: vx.read_campaign(None), "path="),
        (lambda _: vx.read_campaign(" "), "path="),
        (lambda ws: vx.triage(vx.targets(ws.posts()), rules=7), "rules="),
        (lambda ws: vx.deliveries.stats(ws.deliveries(), by=3), "by="),
        (lambda ws: vx.deliveries.outages(ws.deliveries(), at_least="many"), "at_least="),
        (lambda ws: vx.deliveries.outages(ws.deliveries(), at_least=True), "at_least="),
        (lambda ws: vx.deliveries.lost(ws.deliveries(), now=NAIVE), "now="),
        (lambda ws: vx.deliveries.levels(ws.deliveries(), now=NAIVE), "now="),
        (lambda ws: vx.report(ws.deliveries(), now=NAIVE), "now="),
        (lambda ws: vx.report(failed(ws), now=NAIVE), "now="),
        (lambda ws: vx.rehearse(vx.plan_create(campaign(), key="row_id"), ws.posts(), seeds="3"), "seeds="),
        (lambda ws: vx.rehearse(vx.plan_create(campaign(), key="row_id"), ws.posts(), rate_limit=0), "rate_limit="),
        (lambda ws: vx.rehearse(campaign(), ws.posts()), "rehearse() takes a plan, not DataFrame"),
        (lambda _: vx.rehearse(vx.plan_create(campaign(), key="row_id"), None), "takes the history, not NoneType"),
        (lambda _: vx.rehearse(vx.plan_create(campaign(), key="row_id"), "history"), "takes the history, not str"),
        (lambda ws: ws.attach(ws.runs()), "takes the id of a run"),
        (lambda ws: ws.attach(7), "takes the id of a run"),
        (lambda ws: ws.attach("run_nothing"), "ws.runs()"),
        (lambda ws: ws.run(pd.DataFrame()), "plan_retry"),
        (lambda ws: ws.watch(ws.posts(limit=1)).failed(stuck="no"), "stuck="),
        (lambda ws: ws.watch(ws.posts(limit=1)).wait("5"), "timeout="),
        (lambda ws: ws.watch(ws.posts(limit=1)).wait(float("nan")), "timeout="),
        (lambda ws: ws.watch(ws.posts(limit=1)).wait(-1), "timeout="),
        (lambda ws: ws.posts(since="2026-03-01T10:00"), "offset"),
        (lambda ws: ws.posts(limit=True), "limit=True must be a whole number"),
        (lambda ws: ws.posts(limit=1.0), "limit=1.0 must be a whole number"),
        (lambda ws: ws.posts(limit=-1), "limit=-1 must be a whole number of rows, 0 or more"),
        (lambda ws: ws.posts(status="faild"), "did you mean 'failed'"),
        (lambda ws: ws.posts(account="@nobody"), "no account"),
        (lambda ws: ws.deliveries(success="no"), "success="),
        (lambda ws: ws.analytics(pd.Series([1])), "posts= takes text or a list of texts"),
        (lambda ws: vx.deliveries.outages(ws.deliveries(), gap="x"), "gap='x'"),
        (lambda ws: vx.deliveries.lost(ws.deliveries(), older_than=24), "older_than=24"),
        (lambda _: vx.plan_create(campaign(), key="row_id", campaign=7), "must be text"),
        (lambda ws: vx.plan_retry(failed(ws).assign(retryable="no")), "must be True or False"),
        (lambda ws: vx.plan_retry(failed(ws).assign(retryable="maybe")), "must be True or False"),
        (lambda ws: vx.plan_redeliver(ws.deliveries(), force="no"), "force="),
        (lambda _: vx.plan_create(campaign(), key=7), "key="),
        (lambda _: vx.webhooks.events(None), "vx.webhooks.events takes"),
        (lambda _: vx.webhooks.events(pd.DataFrame({"payload": ["{}"]})), "vx.webhooks.events takes"),
        (lambda ws: vx.webhooks.join_events(None, ws.posts()), "vx.webhooks.events"),
        (lambda _: vx.webhooks.join_events(vx.webhooks.events([]), None), "ws.posts"),
        (lambda _: vx.webhooks.verify_signature(b"", "", 7), "secrets="),
    ],
)
def test_what_is_no_such_thing_is_refused_by_the_name_of_its_argument(calm: vx.Workspace, call, named: str) -> None:
    with pytest.raises(vx.VoxopsError) as caught:
        call(calm)
    assert named in str(caught.value)


def test_an_instant_of_numpy_is_one(world: Sandbox, tmp_path: Path) -> None:
    """As ``times.to_numpy()[0]`` gives it; before, pandas raised when it was compared with a filter that names nothing."""
    instant = pd.Timestamp("2026-03-01T00:00Z")
    bare = instant.tz_localize(None).to_numpy()
    with vx.connect(sandbox=world, ledger=tmp_path / "ledger.sqlite", tz="Europe/London") as ws:
        posts = ws.posts(since=bare)
        assert len(posts) == len(ws.posts(since=instant)) > 0
        assert posts.attrs["filters"] == {"since": str(bare)}
        assert len(ws.deliveries(until=bare)) == len(ws.deliveries(until=instant)) > 0


def test_figures_of_a_column_of_ids_are_those_of_its_posts(ws: vx.Workspace) -> None:
    """Before, it was refused with the advice to pass post ids."""
    posts = ws.posts(status="published", limit=3)
    ids = pd.concat([posts["post_id"], pd.Series([None], dtype="string")])  # as a run has of rows that were not created
    pd.testing.assert_frame_equal(ws.analytics(ids), ws.analytics(posts))


def test_an_archive_names_a_group_that_there_is_not_as_the_statistics_do(ws: vx.Workspace, tmp_path: Path) -> None:
    archive = ws.archive(tmp_path / "history")
    archive.sync("2D")
    for by in ("dy", "delivery", ["endpoint", "hours"]):
        with pytest.raises(vx.errors.PlanError, match="did you mean") as expected:
            vx.deliveries.stats(ws.deliveries(since="2D"), by=by)
        with pytest.raises(vx.errors.PlanError) as caught:
            archive.stats(by=by)
        assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("other", [{"api_key": "vb_live_not_looked_at"}, {"url": "https://api.example"}])
def test_a_key_or_an_address_beside_the_sandbox_is_refused(other: dict[str, str]) -> None:
    with pytest.raises(
        vx.errors.ConfigError, match=r"sandbox= is the API on this machine, .* omit one of them"
    ) as refused:
        vx.connect(**other, sandbox=True)
    assert "not_looked_at" not in str(refused.value)


def test_an_interrupted_close_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while a request is in flight."""
    ws = vx.connect(sandbox=True)
    kept, server = ws._ledger.path, ws.sandbox  # type: ignore[union-attr]

    def interrupted(coro: Any) -> None:
        coro.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("voxops.workspace.eventloop.run", interrupted)
        ws.close()
    assert not kept.exists()
    assert server is not None
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{server.url}/v1/auth/me", timeout=2)
    ws.close()


def test_a_run_in_the_place_of_a_frame_says_what_it_has_of_one(ws: vx.Workspace) -> None:
    run = ws.run(vx.plan_retry(failed(ws).tail(3))).wait(60)
    for plan in (vx.plan_retry, vx.plan_update):
        with pytest.raises(vx.errors.PlanError, match=r"run\.failed\(\) for its failed rows, or run\.made\(\)"):
            plan(run)


def test_a_closed_workspace_says_so(world: Sandbox, tmp_path: Path) -> None:
    with vx.connect(sandbox=world, ledger=tmp_path / "ledger.sqlite") as ws:
        plan = vx.plan_retry(failed(ws))
        run = ws.run(plan).wait(60)
    assert "closed" in repr(ws)
    health = lambda: asyncio.run(ws.client.health())  # noqa: E731
    for call in (ws.posts, ws.runs, ws.ledger, ws.reconcile, lambda: ws.run(plan), run.resume, health):
        with pytest.raises(vx.errors.ConfigError, match=r"closed.*vx.connect\(\) again|closed"):
            call()


def test_a_limit_of_failures_stands_and_a_new_run_goes_on(ws: vx.Workspace) -> None:
    with pytest.raises(vx.errors.ConfigError, match="stop_after_failures"):
        ws.run(vx.plan_retry(failed(ws)), stop_after_failures=0)
    plan = vx.plan_retry(failed(ws))
    run = ws.run(plan, stop_after_failures=1).wait()
    sent = run.results()["tries"].sum()
    assert run.resume().wait().results()["tries"].sum() == sent
    before, after = SENTENCES["stopped_after_failures"].split("{failures}")
    assert run.snapshot.note.startswith(before)
    assert run.snapshot.note.endswith(after)
    again = ws.run(plan).wait()
    assert set(again.results()["outcome"]) <= {"succeeded", "failed"}


def test_a_key_that_is_none_is_not_replaced_by_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be that of another workspace."""
    monkeypatch.setenv("VOXBURST_API_KEY", "vb_live_of_production")
    for key in ("", "  ", "\n", b"vb_test_of_staging", ["vb_test_x"], 5):
        with pytest.raises(vx.errors.ConfigError, match="omit it to use VOXBURST_API_KEY") as caught:
            vx.connect(key, url="http://127.0.0.1:9")  # type: ignore[arg-type]
        assert "staging" not in str(caught.value)


DELIVERY_FUNCTIONS = (
    vx.deliveries.stats, vx.deliveries.outages, vx.deliveries.duplicates, vx.deliveries.lost, vx.deliveries.levels, vx.report,
    lambda log: vx.deliveries.about_posts(log, events=vx.webhooks.events([])), vx.plots.delivery_volume, vx.plots.endpoint_heatmap,
)  # fmt: skip
TRIAGED_FUNCTIONS = (
    vx.triage, vx.causes, vx.report, partial(vx.causes, by="week"), partial(vx.causes, against="7D"), vx.plots.causes_by_platform,
)  # fmt: skip


def test_a_column_that_stands_in_a_frame_twice_is_named(ws: vx.Workspace) -> None:
    """As pd.concat(..., axis=1) leaves it; before, pandas complained of something within."""
    log, posts = ws.deliveries(since="2D"), ws.posts(since="30D")
    triaged = vx.triage(vx.targets(posts))
    again = pd.concat([log, log], axis=1)
    for take in DELIVERY_FUNCTIONS:
        with pytest.raises(vx.errors.PlanError, match=r"it has column .* twice.*drop or rename one"):
            take(again)
    for make in TRIAGED_FUNCTIONS:
        with pytest.raises(vx.errors.PlanError, match=r"it has column .* twice.*drop or rename one"):
            make(pd.concat([triaged, triaged], axis=1))
    with pytest.raises(vx.errors.PlanError, match=r"targets\(\) needs a posts frame; it has column .*post_id.* twice"):
        vx.targets(pd.concat([posts, posts[["post_id"]]], axis=1))
    noted = pd.concat([log.assign(note="a"), log[[]].assign(note="b")], axis=1)  # a column that nothing needs
    pd.testing.assert_frame_equal(vx.deliveries.stats(pd.concat([noted, noted])), vx.deliveries.stats(log))


def test_a_report_of_a_triage_that_was_text_says_the_same(ws: vx.Workspace, tmp_path: Path) -> None:
    triaged = failed(ws)
    triaged.to_csv(tmp_path / "t.csv", index=False)
    back = pd.read_csv(tmp_path / "t.csv", dtype=str)
    with pytest.raises(
        vx.errors.PlanError,
        match=r"report\(\) needs a triaged frame; updated_at has dtype str, not times .*pd\.to_datetime",
    ):
        vx.report(back)
    back["updated_at"] = pd.to_datetime(back["updated_at"], utc=True, format="ISO8601")
    assert vx.report(back).headline == vx.report(triaged).headline  # the text "False" is no yes
    counts = ["cause", "count", "retryable"]
    assert vx.causes(back)[counts].to_numpy().tolist() == vx.causes(triaged)[counts].to_numpy().tolist()


def test_a_path_that_begins_with_a_tilde_is_in_the_home_folder(
    world: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, it made a folder of the name ``~`` in the present one, and found no file in the home folder."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    campaign().to_csv(home / "plan.csv", index=False)
    (home / "hooks.jsonl").write_text('{"id": "evt_1", "type": "post.failed", "data": {"id": "post_1"}}\n')
    with vx.connect(sandbox=world, ledger="~/ledger.sqlite") as ws:
        report = vx.report(failed(ws).head(1))
        report.to_markdown("~/report.md")
        report.to_csv("~/tables")
        vx.to_excel("~/book.xlsx", causes=vx.causes(failed(ws)))
        ws.archive("~/history").sync("1D")
        assert len(vx.read_campaign("~/plan.csv")) == 4
        assert len(vx.webhooks.events("~/hooks.jsonl")) == 1
    assert not list(here.iterdir())
    assert {"ledger.sqlite", "report.md", "tables", "book.xlsx", "history"} <= {path.name for path in home.iterdir()}
    with pytest.raises(vx.errors.ConfigError, match="begins with an unknown home folder"):
        vx.read_campaign("~nobody_of_this_name/plan.csv")


def test_a_file_has_the_form_that_its_name_promises(ws: vx.Workspace, tmp_path: Path) -> None:
    """Before, a report in HTML could be called report.pdf, and one in CSV made a folder of the name report.csv."""
    report = vx.report(failed(ws).head(1))
    wrong = {"report.pdf": report.to_html, "report.xlsx": report.to_html, "report.HTML": report.to_markdown}
    for name, write in wrong.items():
        with pytest.raises(vx.errors.ConfigError, match=r"for a file in \w+; let its name end with \.(html|md)"):
            write(tmp_path / name)
    for write_all in (report.to_csv, report.to_parquet):
        with pytest.raises(vx.errors.ConfigError, match=r"folder= takes a folder, .*report\.csv is the name of one"):
            write_all(tmp_path / "report.csv")
    for arguments in ((tmp_path / "fix.xlsx", failed(ws)), (failed(ws), tmp_path / "fix.xlsx")):
        with pytest.raises(
            vx.errors.PlanError, match=r"needs a name for each sheet, such as to_excel\('fix\.xlsx', rows=failed\)"
        ):
            vx.to_excel(*arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("report*")) + list(tmp_path.glob("fix*"))
    for write, name in ((report.to_html, "a.htm"), (report.to_html, "a"), (report.to_markdown, "a.txt")):
        assert write(tmp_path / name).exists()
