"""What is no such thing is refused by the name of its argument and with what to do; nothing is hidden, repeated or sent."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox

SHEET = pd.DataFrame({
    "row_id": ["r0", "r1", "r2", "r3"], "content": ["Post 0", "Post 1", "Post 2", "Post 3"],
    "accounts": "twitter:@aldercoffee", "scheduled_for": "2026-03-20T10:00:00Z",
})  # fmt: skip


@pytest.fixture(scope="module")
def names():
    """What the calls below are about: a workspace in which nothing changes, and what came out of it."""
    with Sandbox(seed=7, speed=0, rate_limit=None, deliveries=100) as sandbox, vx.connect(sandbox=sandbox) as ws:
        account = next(each.id for each in sandbox.world.accounts.values() if each.status == "active")
        sandbox.plant_post("x", [account], tags=["Spring"], metadata={"owner": "Zoë.K", "campaign": "Launch 7"})
        log, triaged = ws.deliveries(), vx.triage(ws.posts(status=["failed", "partial"]))
        yield {
            "vx": vx, "pd": pd, "asyncio": asyncio, "sandbox": sandbox, "ws": ws,
            "sheet": SHEET, "posts": ws.posts(), "log": log, "triaged": triaged,
            "plan": vx.plan_create(SHEET, key="row_id"), "naive": datetime(2026, 3, 2, 9), "nothing": pd.DataFrame(),
            "retried": ws.run(vx.plan_retry(triaged[triaged["verdict"] == "retry"].head(3))).wait(60),
            "watch": ws.watch(ws.posts(status="published", limit=1)).wait(60),
        }  # fmt: skip


# A call, and what the error names.
REFUSED = """
ws.posts(stauts='failed') => got an unexpected keyword argument 'stauts'
ws.run(None, why='x') => ws.run(plan, reason
asyncio.run(ws.aio.deliveries(sinse='7D')) => got an unexpected keyword argument 'sinse'
ws.attach() => ws.attach(run_id): missing a required argument: 'run_id'
asyncio.run(ws.aio.run()) => ws.run(plan, reason, stop_after_failures): missing
ws.attach('run_1', 'run_2') => ws.attach(run_id): too many positional arguments
ws.posts(status=7) => status=
ws.posts(status='faild') => did you mean 'failed'
ws.posts(platform=['x', None]) => platform=
ws.posts(platform='twiter') => platform='twiter': did you mean 'twitter'
ws.posts(platform='vine') => platform='vine': one of bluesky, facebook
ws.posts(owner='zoë.kk') => owner='zoë.kk': no post has it; did you mean 'Zoë.K'
ws.posts(owner=5) => owner= takes text
ws.posts(tag='sprng') => tag='sprng': no post has it; did you mean 'Spring'
ws.posts(campaign='lanch 7') => did you mean 'Launch 7'
ws.posts(text=' ') => text= is blank
ws.posts(account='acc_nobody') => account=: no account acc_nobody in this workspace
ws.posts(account='@nobody') => no account
ws.posts(account='twitter:@aldercoffeex') => did you mean
ws.posts(account=pd.DataFrame({'account_id': ['a']})) => account=
ws.posts(account=iter([])) => account= takes text or a list of texts
ws.posts(since=[]) => since=
ws.posts(since=nothing) => since=
ws.posts(since='2026-03-01T10:00') => offset
ws.posts(limit=True) => limit=True must be a whole number
ws.posts(limit=1.0) => limit=1.0 must be a whole number
ws.posts(limit=-1) => limit=-1 must be a whole number
ws.deliveries(webhook=7) => webhook=
ws.deliveries(success='no') => success=
ws.deliveries(event_type=b'post.failed') => event_type=
ws.deliveries(event_type='post_failed') => did you mean 'post.failed'
ws.accounts(7) => account=
ws.accounts(check='yes') => check=
ws.check(sheet, ask='no') => ask=
ws.check(sheet, gap='soon') => gap=
ws.check(sheet, most_a_day=0) => most_a_day=
ws.check(sheet, blackout='Christmas') => blackout=
ws.check(sheet, night='22-06') => night=
ws.archive(None) => path=
ws.attach(ws.runs()) => takes the id of a run
ws.attach(7) => takes the id of a run
ws.attach('run_nothing') => ws.runs()
ws.run(nothing) => plan_retry
ws.run(plan, reason=4711) => reason= must be text
ws.run(plan, reason=True) => reason= must be text
ws.run(plan, stop_after_failures=0) => stop_after_failures
ws.watch(None) => ws.watch takes
ws.watch([7]) => ws.watch takes
ws.watch('nonsense') => there is no post 'nonsense'
ws.watch([posts['post_id'][0], 'gone']) => no post 'gone'
ws.watch('img', kind='media') => no media 'img'
watch.failed(stuck='no') => stuck=
watch.wait('5') => timeout=
watch.wait(float('nan')) => timeout=
watch.wait(-1) => timeout=
retried.results('faild') => outcome='faild'; did you mean 'failed'?
retried.results(['failed', 'Blocked']) => outcome='Blocked'; did you mean 'blocked'?
retried.results('live') => outcome='live'; one of blocked, failed, pending, succeeded, unknown
retried.results(3) => outcome= takes text
vx.connect(7) => api_key= is of type int
vx.connect('key', ledger=7) => ledger=
vx.connect('key', url=7) => url=
vx.connect('key', url='http://api.voxburst.io') => https
vx.connect('key', url='api.voxburst.io') => https://
vx.connect('key', url='http://127.0.0.1:9', max_wait='soon') => max_wait='soon'
vx.connect(sandbox=True, url='https://api.example') => omit one of them
vx.connect(sandbox=True, key_retention='') => key_retention=
vx.connect(sandbox=True, key_retention='24') => key_retention=
vx.connect(sandbox=True, key_retention='-3h') => key_retention=
vx.connect(sandbox=True, key_retention=None) => key_retention=
vx.read_campaign(None) => path=
vx.read_campaign(' ') => path=
vx.triage(nothing) => vx.
vx.triage(vx.targets(posts), rules=7) => rules=
vx.targets(nothing) => ws.
vx.plan_create(sheet, key='row_id', campaign=7) => must be text
vx.plan_create(sheet, key=7) => key=
vx.plan_create(sheet, key='rowid') => missing: rowid (did you mean 'row_id'?). key= names the column that tells the rows apart
vx.plan_create(sheet.set_index('row_id'), key='row_id') => use reset_index()
vx.plan_retry(nothing) => vx.
vx.plan_retry(triaged.assign(retryable='maybe')) => must be True or False
vx.plan_retry(retried) => run.failed() for its failed rows, or run.made()
vx.plan_update(retried) => run.failed() for its failed rows, or run.made()
vx.plan_fix(nothing) => vx.
vx.plan_cancel(nothing) => ws.
vx.plan_redeliver(nothing) => ws.
vx.plan_redeliver(log, force='no') => force=
vx.deliveries.stats(log, by=3) => by=
vx.deliveries.stats(log, by='endpont') => by='endpont'; did you mean 'endpoint'
vx.deliveries.stats(log, tz='Mars/Base') => tz='Mars/Base' is not a time zone
vx.deliveries.outages(log, at_least='many') => at_least=
vx.deliveries.outages(log, at_least=True) => at_least=
vx.deliveries.outages(log, gap='x') => gap='x'
vx.deliveries.lost(log, older_than=24) => older_than=24
vx.deliveries.lost(log, now=naive) => now=
vx.plots.delivery_volume(log, tz='Mars/Base') => tz='Mars/Base' is not a time zone
vx.webhooks.verify_signature(b'', '', 7) => secrets=
vx.report() => needs a triaged frame, not None
vx.report(triaged, watch) => report(run=) needs the run of a plan
vx.report(triaged, plan) => Pass what ws.run(plan) returned
vx.report(triaged, 'run_1') => report(run=) needs the run of a plan
vx.report(triaged, after=nothing) => report(after=) needs a targets frame
""".strip().splitlines()


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_no_such_thing_is_refused_by_the_name_of_its_argument(names, row):
    call, _, words = row.partition(" => ")
    sent = len(names["sandbox"].requests(acting=True))
    with pytest.raises((vx.VoxopsError, TypeError)) as caught:
        eval(call, names)
    assert words in str(caught.value)
    assert len(names["sandbox"].requests(acting=True)) == sent


TAKE_A_FRAME = [
    vx.triage, vx.targets, vx.causes, vx.report, *(getattr(vx.deliveries, name) for name in dir(vx.deliveries)),
    *(getattr(vx.plots, name) for name in vx.plots.__all__),
]  # fmt: skip


@pytest.mark.parametrize("function", TAKE_A_FRAME, ids=lambda function: function.__name__)
def test_what_is_no_such_frame(function):
    for passed in (None, [{"post_id": "p"}], pd.Series([1]), pd.DataFrame({"x": [1]})):
        with pytest.raises(vx.errors.PlanError, match=r"need.*(, not |; missing: ).*(vx|ws|run)\."):
            function(passed)


def test_a_sheet_is_the_same_in_every_dtype(ws, sandbox):
    sheet = SHEET.assign(number=range(4), scheduled_for=pd.Timestamp("2026-03-20T10:00:00Z"))
    arrow = sheet.convert_dtypes(dtype_backend="pyarrow")
    forms = [
        sheet, sheet.astype(object), sheet.convert_dtypes(), sheet.astype({"accounts": "category"}), arrow,
        sheet.set_index(["row_id", "number"], drop=False), arrow.set_index(["row_id", "number"], drop=False),
    ]  # fmt: skip
    for form in forms:
        results = ws.run(vx.plan_create(form, key="row_id")).wait().results()
        assert results["outcome"].tolist() == ["succeeded"] * 4
        assert len(sandbox.requests(acting=True)) == 1
    posts = ws.posts(status="scheduled")
    ours = posts[posts["content"].isin(sheet["content"])].astype({"post_id": "string[pyarrow]"})
    withdrawn = ws.run(vx.plan_cancel(ours.set_index(["status", "post_id"], drop=False))).wait().results()
    assert withdrawn["outcome"].tolist() == ["succeeded"] * 4
    assert sandbox.duplicates() == []
