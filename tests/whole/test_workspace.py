"""The main job through the face, over real HTTP; side effects are counted at the server."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pandas as pd
import pytest
from tests.engine.steps import wait_for
from tests.security.raw import answer, serve
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.client import Answer, Ending


def failed_posts(ws: vx.Workspace) -> pd.DataFrame:
    return vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))


def counts(run: vx.Run) -> dict[str, int]:
    return {str(name): int(count) for name, count in run.results()["outcome"].value_counts().items()}


def test_posts_are_those_that_were_asked_for_and_say_so(ws):
    posts = ws.posts(status="failed", since="30D")
    assert set(posts["status"]) == {"failed"}
    assert posts["created_at"].is_monotonic_decreasing
    assert posts.attrs["complete"] is True
    assert posts.attrs["filters"] == {"status": ["failed"], "since": "30D"}
    assert pd.Timestamp(posts.attrs["fetched_at"]).tzinfo is not None
    both = ws.posts(status=["failed", "partial"])  # one list each, merged
    assert len(both) == len(ws.posts(status="failed")) + len(ws.posts(status="partial"))
    assert both["post_id"].is_unique
    account = ws.accounts()["account_id"].iloc[0]
    mine = ws.posts(account=account)
    assert len(mine) and all(any(t.account_id == account for t in cell) for cell in mine["targets"])
    empty = ws.posts(status="archived")
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, posts.dtypes)
    pd.testing.assert_series_equal(vx.targets(empty).dtypes, vx.targets(posts).dtypes)


def test_a_limit_counts_the_posts_that_were_asked_for_and_tells_whether_there_are_more(ws):
    platforms = ["bluesky", "facebook"]
    everything = ws.posts(platform=platforms)
    assert all(any(t.platform in platforms for t in cell) for cell in everything["targets"])
    some = ws.posts(platform=platforms, limit=100)
    assert len(everything) > 100
    pd.testing.assert_series_equal(some["post_id"], everything["post_id"].head(100))
    assert some.attrs["complete"] is False
    assert ws.posts(platform=platforms, limit=len(everything)).attrs["complete"] is True
    assert ws.posts(limit=100).attrs["complete"] is False, "a page that ends at the limit is not the end of the list"


@pytest.mark.parametrize(("wanted", "sizes"), [
    ({"limit": 2}, ["2"]), ({"limit": 2, "status": ["failed", "partial"]}, ["2", "2"]), ({"limit": 0}, ["1"]),
    ({"limit": 2, "platform": "twitter"}, ["2"]), ({"limit": 120}, ["100", "100"]),
    ({"limit": 2, "text": "e"}, ["100"]), ({"limit": 2, "platform": ["twitter", "threads"]}, ["100"]),
])  # fmt: skip
def test_no_more_posts_are_asked_for_than_the_limit_unless_they_are_filtered_here(ws, sandbox, wanted, sizes):
    ws.posts(limit=1, platform="twitter")  # reads the accounts
    before = len(sandbox.requests())
    posts = ws.posts(**wanted)
    asked = [entry["query"]["limit"] for entry in sandbox.requests()[before:] if entry["path"] == "/v1/posts"]
    assert (asked, len(posts)) == (sizes, wanted["limit"])
    assert posts.attrs["complete"] is False


def test_a_full_page_that_says_nothing_of_more_is_not_complete(ws, sandbox):
    sandbox.set_switches(pagination="none")
    assert ws.posts(limit=2).attrs["complete"] is False
    assert ws.posts(status="archived", limit=2).attrs["complete"] is True


def test_outside_of_asyncio_nothing_is_begun(ws, sandbox):
    """As under trio, which steps coroutines itself."""
    plan = vx.plan_retry(failed_posts(ws))
    before = len(sandbox.requests())
    for begun in (ws.aio.run(plan), ws.aio.posts(), ws.aio.runs(), vx.aconnect(sandbox=sandbox)):
        with pytest.raises(vx.VoxopsError, match=r"outside of asyncio.*trio\.to_thread\.run_sync"):
            begun.send(None)
    ws.webhooks()  # what had been begun would have been sent by now
    assert {entry["path"] for entry in sandbox.requests()[before:]} == {"/v1/webhooks"}
    assert len(ws.runs()) == 0


def test_rule_16_leaving_logs_how_to_go_on_with_each_run_that_was_paused(sandbox, tmp_path, caplog, capsys):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        plan = vx.plan_retry(failed_posts(ws))
        with standing_still(ws.client):
            run = ws.run(plan)
            run.pause()
        run.wait()
        done = ws.run(vx.plan_retry(failed_posts(ws).head(0))).wait()
        with standing_still(ws.client):
            unsent = ws.run(vx.plan_update(ws.posts(status="scheduled"), by="1D", change="later"))
            ws.close()
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(logged) == 2
    for each, said in zip(sorted([run, unsent], key=lambda run: run.id), sorted(logged), strict=True):
        assert f"ws.attach('{each.id}')" in said
    assert done.id not in caplog.text
    assert capsys.readouterr() == ("", "")


class Dripping(httpx.AsyncHTTPTransport):
    """Connections on which the answer to an act comes a byte every two seconds."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if request.method == "POST":
            answer.stream = _Drip(answer.stream)
        return answer


class _Drip(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            for byte in piece:
                yield bytes([byte])
                await asyncio.sleep(2)

    async def aclose(self) -> None:
        await self._stream.aclose()


def test_a_run_whose_answers_drip_is_paused_in_two_seconds_and_recorded(tmp_path):
    sheet = pd.DataFrame({"row_id": ["first", "a", "b", "c"], "content": ["none", "one", "two", "three"]})
    with Sandbox(empty=True, speed=1) as sandbox:
        with vx.connect(
            sandbox=sandbox, ledger=tmp_path / "ledger.sqlite"
        ) as ws:  # whose post shows that lists carry marks
            sheet["accounts"] = (
                ws.accounts().query("status == 'active' and platform == 'twitter'")["account_id"].iloc[0]
            )
            sheet["scheduled_for"] = (pd.Timestamp(ws.client.now()) + pd.Timedelta("1D")).isoformat()
            ws.run(vx.plan_create(sheet.head(1), key="row_id", campaign="spring")).wait(60)
        with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite", timeout=8, transport=Dripping()) as ws:
            run = ws.run(vx.plan_create(sheet.tail(3), key="row_id", campaign="spring"))
            wait_for(lambda: len(sandbox.effects("post.create")) > 1)
            began = time.monotonic()
            run.pause()
            assert time.monotonic() - began < 6
            assert run.snapshot.in_flight == ("a", "b", "c")
            assert run.snapshot.note == "Still in flight: a, b, c; recorded when answered"
            run.wait(60)  # the deadline ends the request, and reading settles it
            assert run.snapshot.in_flight == ()
            assert counts(run) == {"succeeded": 3}
            assert len(sandbox.requests(acting=True)) == 2
            assert len(sandbox.effects("post.create")) == 4


def test_a_retry_is_planned_run_watched_and_counted(sandbox, ws):
    plan = vx.plan_retry(failed_posts(ws))
    assert not sandbox.requests(acting=True)  # planning sends nothing
    run = ws.run(plan, reason="test").wait()
    results = run.results()
    assert len(results) == plan.eligible
    assert sum(counts(run).values()) == plan.eligible
    assert counts(run)["succeeded"] > plan.eligible / 2
    assert set(results["outcome"]) <= {"succeeded", "failed"}
    assert len(sandbox.requests(acting=True)) == plan.cost.acts
    published = {(each["post"], each["platform"]) for each in sandbox.effects("target.publish")}
    succeeded = results[results["outcome"] == "succeeded"]
    assert {(row.post_id, row.platform) for row in succeeded.itertuples()} <= published
    assert sandbox.duplicates() == []
    trail = ws.ledger()
    assert set(trail["reason"]) == {"test"}
    assert trail["who"].notna().all()
    assert set(trail["idempotency_key"]) == set(results["idempotency_key"])
    assert (trail["first_sent_at"] <= trail["settled_at"]).all()
    assert set(results["status_before"].dropna()) <= {"failed"} and "status_before" not in run.failed()


def test_a_plan_run_again_here_or_in_a_new_workspace_acts_once(sandbox, tmp_path):
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        plan = vx.plan_retry(failed_posts(ws))
        outcomes = [ws.run(plan).wait().results()["outcome"].tolist() for _ in range(2)]
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        outcomes.append(ws.run(plan).wait().results()["outcome"].tolist())
        assert len(ws.runs()) == 3
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert len(sandbox.requests(acting=True)) == plan.cost.acts


def test_what_fails_again_can_be_retried_again_under_a_new_key(sandbox, ws):
    first = ws.run(vx.plan_retry(failed_posts(ws))).wait()
    again = first.failed()
    plan = vx.plan_retry(again)
    assert plan.eligible
    assert set(plan.frame.loc[plan.frame["eligible"], "attempt"]) == {1}, "a new failure starts at one in every ledger"
    acts = len(sandbox.requests(acting=True))
    second = ws.run(plan).wait()
    assert len(sandbox.requests(acting=True)) == acts + plan.cost.acts
    assert not set(second.results()["idempotency_key"]) & set(first.results()["idempotency_key"])
    assert sandbox.duplicates() == []


def test_a_resume_while_a_pause_waits_for_what_is_under_way_counts(sandbox, ws):
    sandbox.add_fault(Fault("delay", "POST", "/v1/posts/*/retry", seconds=60, times=None))
    plan = vx.plan_retry(failed_posts(ws))
    run = ws.run(plan)
    wait_for(lambda: sandbox.faults()[-1]["struck"])
    with ThreadPoolExecutor(1) as pool:
        pausing = pool.submit(run.pause)
        wait_for(lambda: run.snapshot.phase == "paused")
        run.resume()
        sandbox.clear_faults()
        pausing.result()
    run.wait()
    assert set(run.results()["outcome"]) <= {"succeeded", "failed"}
    assert len(sandbox.requests(acting=True)) == plan.cost.acts


def test_cancel_gives_up_what_was_never_sent(sandbox, ws):
    plan = vx.plan_retry(failed_posts(ws))
    with standing_still(ws.client):
        run = ws.run(plan).cancel()
    run.wait()
    sent = len(sandbox.requests(acting=True))
    assert sent < plan.cost.acts
    for held in (run, run.resume().wait(), ws.attach(run.id).wait()):
        assert "■ cancelled" in repr(held)
        assert ws.runs().loc[run.id, "state"] == "cancelled"
    assert not eventloop.run(run.end())  # nothing to go on with
    assert len(sandbox.requests(acting=True)) == sent
    assert "cancelled" in set(run.results("blocked")["reason_code"])
    follow_up = ws.run(vx.plan_retry(failed_posts(ws))).wait()  # nothing is lost: what was given up can be planned anew
    assert set(follow_up.results()["outcome"]) <= {"succeeded", "failed"}
    assert sandbox.duplicates() == []


def test_a_campaign_is_created_once_and_what_was_mended_is_added(sandbox, ws):
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    rows = [{"row_id": str(n), "content": f"Post number {n}"} for n in range(70)]
    campaign = pd.DataFrame(rows).assign(accounts=account, scheduled_for="2026-03-20T10:00:00+01:00", force=True)
    campaign.loc[3, "content"] = None
    campaign.loc[4, "scheduled_for"] = "2026-03-20 10:00"
    campaign.loc[5, "accounts"] = "acc_unknown"
    for _ in range(2):
        run = ws.run(vx.plan_create(campaign, key="row_id")).wait()
        assert counts(run) == {"succeeded": 67, "failed": 1}
        assert len(sandbox.requests(acting=True)) == 2
    mended = run.failed().assign(accounts=account)
    assert counts(ws.run(vx.plan_create(mended, key="row_id")).wait()) == {"succeeded": 1}
    assert ws.runs().loc[run.id, ["failed", "mended"]].to_list() == [1, 1], "a later run has brought it to success"
    assert len(sandbox.effects("post.create")) == 68
    assert sandbox.duplicates() == []


def test_runs_count_the_posts_that_were_withdrawn_since(ws):
    account = ws.accounts().query("status == 'active'")["account_id"].iloc[0]
    sheet = pd.DataFrame({"row_id": ["a", "b"], "content": ["one", "two"], "accounts": account})
    run = ws.run(vx.plan_create(sheet.assign(scheduled_for="2026-04-01T09:00:00Z"), key="row_id")).wait()
    assert counts(ws.run(vx.plan_cancel(run)).wait()) == {"succeeded": 2}
    assert ws.runs().loc[run.id, ["succeeded", "withdrawn"]].to_list() == [2, 2]


def test_the_client_of_a_workspace_is_at_work_on_many_loops_at_once(sandbox, ws):
    posts = ws.posts(status="failed")["post_id"].tolist()[:6]

    async def job() -> list[str]:
        return [record["id"] for record in await asyncio.gather(*map(ws.client.posts.get, posts))]

    with ThreadPoolExecutor(4) as threads:
        assert [found.result() for found in [threads.submit(asyncio.run, job()) for _ in range(4)]] == [posts] * 4


def test_an_act_of_the_client_is_awaited_and_watched(sandbox, ws):
    post = ws.posts(status="failed")["post_id"].iloc[0]

    async def job() -> tuple[Answer, Ending]:
        answer = await ws.client.posts.retry(post)
        return answer, await ws.client.wait(answer)

    answer, ending = asyncio.run(job())
    assert ending.outcome in {"succeeded", "failed"}
    assert ws.watch(answer).wait().results()["outcome"].tolist() == [ending.outcome]
    assert len(sandbox.requests(acting=True)) == 1


def test_a_run_in_which_all_was_held_is_no_success(ws):
    triaged = failed_posts(ws)
    run = ws.run(vx.plan_retry(triaged[triaged["verdict"] == "fix content"].head(1))).wait(60)
    for said in (repr(run), run._repr_html_()):
        assert "○ nothing was sent" in said and "1 · fix content: " in said
        assert "✓ done" not in said
    assert "✓ done" in repr(ws.run(vx.plan_retry(triaged.head(0))).wait(60)), "nothing was blocked"
    assert "○ nothing was sent" in repr(ws.attach(run.id).wait(60))


def test_a_workspace_shows_itself_without_its_key(sandbox, ws, tmp_path):
    shown = ws._repr_html_()
    for part in ("Alder Coffee", sandbox.url, str(tmp_path / "ledger.sqlite"), "rate limit"):
        assert part in shown
    assert sandbox.api_key not in shown
    assert repr(sandbox) == f"<Sandbox {sandbox.url}>"
    assert repr(Sandbox(empty=True)) == "<Sandbox (not started)>"
    assert repr(ws.aio) == f"<Awaitables of {sandbox.url}>"
    ws.name = "<script>alert(1)</script>"
    assert "<script" not in ws._repr_html_()
    assert "ledger.sqlite, no run in it yet<" in ws._repr_html_(), "a typo in the path starts an empty ledger"
    ws.run(vx.plan_retry(failed_posts(ws))).wait()
    assert "ledger.sqlite, 1 run in it<" in ws._repr_html_()


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, "VOXBURST_API_URL"), (404, "VOXBURST_API_URL"), (302, "Redirects are not followed"), (502, "a web page")],
)
def test_a_wrong_address_is_said_at_once(sandbox, tmp_path, status, said):
    sandbox.add_fault(Fault("garbage", path="/v1/auth/me", body="html", status=status, times=None))
    with pytest.raises(vx.errors.ConfigError, match=said):
        vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite")


def test_a_relative_ledger_is_the_one_that_was_meant_when_the_workspace_was_made(sandbox, tmp_path, monkeypatch):
    """Also where the identity is known only after the notebook has changed its folder."""
    (tmp_path / "data").mkdir()
    for outage in (True, False):
        monkeypatch.chdir(tmp_path)
        if outage:
            sandbox.add_fault(Fault("status", method="GET", path="/v1/auth/me", status=503, times=6))
        with vx.connect(sandbox=sandbox, ledger="ledger.sqlite") as ws:
            monkeypatch.chdir("data")
            posts = ws.posts(status="scheduled").head(1)
            posts = posts.assign(new_content="first" if outage else "second")
            counted = counts(ws.run(vx.plan_update(posts)).wait())
            assert counted == ({"succeeded": 1} if outage else {"blocked": 1})
    assert [path.name for path in (tmp_path / "data").iterdir()] == []
    assert len(sandbox.effects("post.update")) == 1


def test_an_identity_that_was_not_shown_is_asked_for_again(sandbox, tmp_path):
    sandbox.set_switches(no_identity=True)
    with vx.connect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
        plan = vx.plan_retry(failed_posts(ws))
        with pytest.raises(vx.errors.LedgerError, match="identity"):
            ws.run(plan)
        assert "nothing can be run" in ws._repr_html_()
        sandbox.set_switches(no_identity=False)
        assert counts(ws.run(plan).wait())
        assert ws.name == "Alder Coffee"
        assert len(ws.ledger()) == plan.eligible


def script(code: str, logged: str = "") -> str:
    """What a script prints; what it logs on stderr has this in it, and is nothing else."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert logged in done.stderr and bool(logged) == bool(done.stderr)
    return done.stdout


def test_a_script_that_ends_in_a_run_has_its_ledger_until_the_workspace_is_closed():
    code = (
        "from pathlib import Path\nimport voxops as vx\n"
        "ws = vx.connect(sandbox=True)\n"
        "run = ws.run(vx.plan_retry(vx.triage(vx.targets(ws.posts(status='failed')))))\n"
        "place, close = Path(ws._ledger.path), vx.Workspace.close\n"
        "def closed(self):\n"
        "    print(place.exists())\n    close(self)\n    print(place.parent.exists())\n"
        "vx.Workspace.close = closed\n"
    )
    assert script(code) == "True\nFalse\n"


SHEET = (
    "import gc, sys, pandas as pd, voxops as vx\n"
    "from voxburst_sandbox import Fault, Sandbox\n"
    "sb = Sandbox(posts=0, deliveries=0, rate_limit=None).start()\n"
    "sb.add_fault(Fault('delay', method='POST', path='/v1/posts', seconds=0.05, times=None))\n"
    "def plan(ws, count):\n"
    "    account = ws.accounts().query('platform == \"facebook\"')['account_id'].iloc[0]\n"
    "    row = {'accounts': account, 'scheduled_for': '2026-04-01T09:00:00Z'}\n"
    "    sheet = pd.DataFrame([{'row_id': n, 'content': f'text {n}', **row} for n in range(count)])\n"
    "    return vx.plan_create(sheet, key='row_id', campaign='c', one_by_one=True)\n"
)


def test_a_run_keeps_its_workspace_where_the_cell_that_connects_is_run_again():
    code = (
        "ws = vx.connect(sandbox=sb)\nrun = ws.run(plan(ws, 60))\n"
        "ws = vx.connect(sandbox=sb)\ngc.collect()\n"
        "run.wait(60)\nprint(len(sb.effects('post.create')), run.results()['outcome'].unique().tolist())\n"
    )
    assert script(SHEET + code) == "60 ['succeeded']\n"


@pytest.mark.parametrize(
    ("configured", "logged"),
    [
        ("", ""),
        ("import logging\nlogging.basicConfig()\n", " of 400 rows not settled; connect again: ws.attach('run_"),
    ],
)
def test_rule_16_a_run_of_a_workspace_that_nobody_holds_is_ended_with_the_interpreter(tmp_path, configured, logged):
    code = (
        f"def go():\n    ws = vx.connect(sandbox=sb, ledger={str(tmp_path / 'ledger.sqlite')!r})\n"
        "    ws.run(plan(ws, 400))\ngo()\ngc.collect()\n"
    )
    assert script(configured + SHEET + code, logged) == "", "a library prints nothing"


def test_a_run_whose_ledger_has_gone_says_that_it_sends_nothing_more(sandbox, tmp_path):
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        plan = vx.plan_retry(failed_posts(ws))
        with standing_still(ws.client):
            run = ws.run(plan)
            ledger.unlink()
        with pytest.raises(vx.errors.LedgerError):
            run.wait(60)
        assert not run.running
        assert run.snapshot.phase == "stopped"
        assert "ledger" in run.snapshot.note
        assert "sending" not in repr(run).splitlines()[0]


def test_rule_16_an_interrupt_while_a_run_is_shown_pauses_it_and_names_it(sandbox, ws, monkeypatch):

    def pressed(_: object) -> None:
        raise KeyboardInterrupt

    plan = vx.plan_retry(failed_posts(ws))
    with monkeypatch.context() as patch, standing_still(ws.client), pytest.raises(KeyboardInterrupt) as stop:
        patch.setattr(vx.Run, "show", pressed)
        ws.run(plan)
    run = ws.attach(ws.runs().index[0])
    assert f"ws.attach('{run.id}').resume()" in str(stop.value)
    run.wait()
    acts = len(sandbox.requests(acting=True))
    assert acts < plan.cost.acts
    assert set(run.resume().wait().results()["outcome"]) <= {"succeeded", "failed"}
    assert len(sandbox.requests(acting=True)) == plan.cost.acts


def test_records_without_an_id_are_no_copies_of_each_other(tmp_path):
    """The first of two records with one id counts; two without an id are two."""
    post = {"status": "failed", "createdAt": "2026-03-02T09:00:00Z", "platforms": ["twitter"]}
    delivery = {"success": False, "statusCode": 500, "createdAt": "2026-03-02T09:00:00Z"}
    pages: dict[str, list[dict[str, object]]] = {
        "/v1/posts": [{"id": "p1", **post}, {"id": "p1", **post}, post, {"id": None, **post}],
        "/v1/webhooks": [{"id": "w1", "url": "https://e.example/x"}],
        "/v1/webhooks/w1/deliveries": [{"id": "d1", **delivery}, delivery, {"id": "d1", **delivery}, delivery],
    }

    def handler(head: bytes, _: bytes) -> Iterator[bytes]:
        found = pages.get(head.split()[1].decode().partition("?")[0])
        yield answer(json.dumps({"workspaceId": "ws_1"} if found is None else {"data": found}).encode())

    with serve(handler) as server, vx.connect("vb_test_key", url=server.url, ledger=tmp_path / "l") as ws:
        assert ws.posts()["post_id"].fillna("-").to_list() == ["p1", "-", "-"]
        log = ws.deliveries()
    assert (len(log), vx.deliveries.stats(log)["failed"].to_list()) == (3, [3])


def test_a_plan_of_nothing_is_a_run_that_has_ended(ws):
    failed = failed_posts(ws)
    real = ws.run(vx.plan_retry(failed)).wait(60)
    published = failed.assign(status="published").astype({"status": "string"})
    for plan in (vx.plan_retry(failed.head(0)), vx.plan_retry(published)):
        run = ws.run(plan).wait(5)
        assert not run.running
        assert run.results().dtypes.astype(str).to_dict() == real.results().dtypes.astype(str).to_dict()
        for table in (run.results(), run.failed(), run.results("blocked"), run.copies()):
            assert len(table) == 0
        assert run.pause().resume().cancel().wait().snapshot.phase == "done"
        pd.testing.assert_frame_equal(run.plan.frame, plan.frame, check_dtype=False)
        assert "retry 0 rows" in repr(run) and "retry 0 rows" in run._repr_html_()
        assert vx.plan_retry(run.failed()).eligible == 0, "the next cell goes on"
        assert len(vx.report(failed, run=run).frames["results"]) == 0
    assert ws.runs().index.to_list() == [real.id], "runs without a row are not listed"


def test_results_of_some_outcomes_are_those_rows_alone(ws, sandbox):
    posts = ws.posts(status="scheduled").head(6)
    sandbox.add_fault(Fault("status", method="PATCH", path="/v1/posts/*", status=400, code="VALIDATION_ERROR", times=2))
    sandbox.touch(posts["post_id"].iloc[0])
    run = ws.run(vx.plan_update(posts.assign(new_content="fresh coffee"))).wait(60)
    rows = run.results().groupby("outcome")["post_id"].agg(set).to_dict()
    assert rows.keys() == {"blocked", "failed", "succeeded"}
    assert set(run.results("failed")["post_id"]) == rows["failed"]
    assert set(run.results(["failed", "blocked"])["post_id"]) == rows["failed"] | rows["blocked"]
    assert run.results("pending").dtypes.to_dict() == run.results().dtypes.to_dict()
    assert len(run.results("pending")) == len(run.results([])) == 0


def test_a_working_folder_that_is_gone_is_said(sandbox, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(vx.errors.ConfigError, match="no longer exists"):
        vx.connect(sandbox=sandbox, ledger="ledger.sqlite")
