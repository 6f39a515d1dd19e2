"""The face: what is promised is there and nothing else, it is documented, and importing it is light."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import voxops as vx
from voxops.archive import Archive
from voxops.model import (
    IN_FLIGHT_STATUSES,
    TERMINAL_STATUSES,
    WAITING_STATUSES,
    Outcome,
    OutcomeName,
    PostStatus,
    Verdict,
    VerdictName,
)

LISTED = {
    "voxops": (vx, "AsyncClient Plan Rule Run VoxopsError Workspace aconnect allow_nested_loops causes columns "
               "connect copies deliveries errors "
               "matrix plan_cancel plan_create plan_fix plan_redeliver plan_retry plan_sync plan_update plots "
               "read_campaign report "
               "targets to_excel triage view webhooks"),
    "deliveries": (vx.deliveries, "duplicates lost outages stats"),
    "webhooks": (vx.webhooks, "WebhookEvent parse_event verify_signature"),
    "plots": (vx.plots, "causes_by_platform delivery_volume endpoint_heatmap latency_bands"),
    "archive": (Archive(Path("nowhere")), "deliveries files posts sql sync"),
}  # fmt: skip
PLAN = "action blocked campaign canary cost eligible frame"
RUN = "aio cancel copies events failed id made notify pause plan results resume running show snapshot to_mend wait"
WORKSPACE = (
    "accounts aio archive attach campaigns check client close deliveries id ledger name panel plan posts reconcile run runs "
    "sandbox settings upload watch webhooks"
)


@pytest.mark.parametrize(("thing", "names"), LISTED.values(), ids=LISTED)
def test_what_is_listed_is_there_and_nothing_else(thing, names):
    assert sorted(dir(thing)) == sorted(names.split())
    for name in names.split():
        assert getattr(thing, name) is not None
    with pytest.raises(AttributeError, match="plan_retrry"):
        _ = thing.plan_retrry


def public(thing: object) -> str:
    return " ".join(name for name in dir(thing) if not name.startswith("_"))


def test_what_calls_return_offers_what_is_promised_and_nothing_else(sandbox):
    with vx.connect(sandbox=sandbox) as ws:
        plan = vx.plan_update(ws.posts(status="scheduled").head(1), by="1D", change="later")
        reports = vx.report(ws.deliveries(since="2D")), vx.report(vx.triage(ws.posts(status="failed")))
        promised = [WORKSPACE, PLAN, RUN, "frames to_csv to_excel to_html", "frames tickets to_csv to_excel to_html"]
        assert [public(each) for each in (ws, plan, ws.run(plan).wait(60), *reports)] == promised
    assert inspect.signature(vx.aconnect) == inspect.signature(vx.connect)


def test_each_public_name_is_documented_and_in_one_line_of_the_package_s_docstring():
    assert sorted(re.findall(r"^`(\w+)` +\S", vx.__doc__ or "", re.MULTILINE)) == vx.__all__
    things = [getattr(vx, name) for name in vx.__all__]
    assert [
        each for each in things if callable(each) and len((inspect.getdoc(each) or "").partition("\n")[0]) <= 10
    ] == []


def test_aconnect_works_on_any_loop_and_its_workspace_is_closed_there(sandbox, tmp_path):
    async def service():
        beats = []

        async def beat():
            while True:
                beats.append(await asyncio.sleep(0.001))

        heart = asyncio.create_task(beat())
        settings = {"ledger": tmp_path / "l.sqlite", "owner_field": "owner"}
        async with await vx.aconnect(sandbox.api_key, url=sandbox.url, **settings) as ws:
            posts = await ws.aio.posts(limit=2)
        heart.cancel()
        assert len(beats) > 3, "the loop of the service was never blocked"
        assert posts["owner"].notna().all()
        with pytest.raises(vx.errors.ConfigError, match="workspace is closed"):
            await ws.aio.posts()

    asyncio.run(service())
    with pytest.raises(vx.errors.ConfigError, match="omit one of them"):
        asyncio.run(vx.aconnect("key", sandbox=True))


HEAVY = {
    "voxops": "matplotlib ipywidgets IPython starlette uvicorn voxburst_sandbox pyarrow.parquet duckdb nest_asyncio",
    "voxops.workspace, voxops.run": "ipywidgets anywidget voxops.views.panel",
}


@pytest.mark.parametrize("imported", HEAVY)
def test_importing_loads_nothing_heavy(imported):
    code = f"import sys, {imported}\nprint(*set({HEAVY[imported].split()}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_errors_form_one_tree():
    errors = {name: getattr(vx.errors, name) for name in vx.errors.__all__}
    assert all(issubclass(error, vx.VoxopsError) for name, error in errors.items() if name.endswith("Error"))
    assert {name for name, error in errors.items() if issubclass(error, vx.errors.ApiError)} == {
        "ApiError", "AuthError", "RateLimitError", "WaitTooLong", "NotFoundError", "RunNotFound", "ConflictError",
        "ValidationError", "ServerError",
    }  # fmt: skip


def test_help_shows_a_method_as_it_is_called(sandbox):
    with vx.connect(sandbox=sandbox) as ws:
        for owner in (ws, ws.aio):
            text = pydoc.render_doc(owner.posts, renderer=pydoc.plaintext)
            assert "status, platform, account : str or list of str, optional" in text
            assert all(repr(status) in text for status in get_args(PostStatus)), "an editor completes them"
            assert "since: str | datetime.datetime | datetime.timedelta | None = None" in text
            for method in (owner.posts, owner.deliveries, owner.accounts, owner.upload, owner.run):
                text = pydoc.render_doc(method, renderer=pydoc.plaintext)
                assert not re.search(r"Words|When\b|Loader\.|Session|voxops\.loading", text)
                assert inspect.signature(method) == inspect.signature(getattr(ws, method.__name__))


def test_what_may_be_passed_is_what_there_is_and_help_lists_it():
    assert {*get_args(PostStatus)} == {"all", *WAITING_STATUSES, *IN_FLIGHT_STATUSES, *TERMINAL_STATUSES}
    assert get_args(OutcomeName) == tuple(Outcome)
    assert get_args(VerdictName) == tuple(Verdict)
    for thing, names in ((vx.Run.results, OutcomeName), (vx.triage, VerdictName), (vx.Rule, VerdictName)):
        text = " ".join(pydoc.render_doc(thing, renderer=pydoc.plaintext).replace("|", "").split())
        assert all(name in text for name in get_args(names))
