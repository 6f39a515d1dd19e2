"""The face: what is promised is there, and importing it is light."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import voxops as vx
from voxburst_sandbox import Sandbox
from voxops.archive import Archive

PROMISED = [
    "connect", "aconnect", "targets", "triage", "plan_retry", "plan_fix", "plan_update", "plan_cancel", "plan_create", "plan_redeliver", "read_campaign",
    "deliveries", "webhooks", "errors", "report", "compare", "matrix", "allow_nested_loops", "AsyncClient", "VoxopsError", "PostFields",
]  # fmt: skip


@pytest.mark.parametrize("name", PROMISED)
def test_promised_names_are_public(name: str) -> None:
    assert name in vx.__all__
    assert getattr(vx, name) is not None


def test_all_is_sorted_and_complete() -> None:
    assert vx.__all__ == sorted(vx.__all__)
    assert dir(vx) == vx.__all__
    for name in vx.__all__:
        assert getattr(vx, name) is not None


def test_the_docstring_names_each_public_name_in_one_line() -> None:
    assert sorted(re.findall(r"^`(\w+)` +\S", vx.__doc__ or "", re.MULTILINE)) == vx.__all__


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (vx.deliveries, "about_posts duplicates finish levels lost merge outages partial stats"),
        (vx.webhooks, "Payload WebhookEvent events join_events parse_event verify_signature"),
    ],
)
def test_a_namespace_shows_its_public_names_alone(module: ModuleType, names: str) -> None:
    assert dir(module) == module.__all__ == names.split()
    functions = [name for name in names.split() if inspect.isfunction(getattr(module, name))]
    assert functions
    assert [getattr(module, name).__name__ for name in functions] == functions


def test_an_archive_shows_its_public_names_alone(tmp_path: Path) -> None:
    names = "path sync posts deliveries targets stats levels causes sql files"
    assert dir(Archive(tmp_path)) == sorted(names.split())


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="plan_retrry"):
        vx.plan_retrry


@pytest.mark.parametrize(
    "name", [n for n in vx.__all__ if inspect.isfunction(getattr(vx, n)) or inspect.isclass(getattr(vx, n))]
)
def test_public_names_are_documented(name: str) -> None:
    doc = inspect.getdoc(getattr(vx, name))
    assert doc and len(doc.splitlines()[0]) > 10


METHODS = {
    "posts", "deliveries", "accounts", "webhooks", "analytics", "at_risk", "check", "run", "runs", "attach", "watch", "reconcile", "ledger",
    "archive", "close",
}  # fmt: skip
LOCAL = {"runs", "ledger", "archive", "panel"}  # which wait for nothing


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_a_workspace_offers_what_is_promised_and_its_coroutines_are_the_same(sandbox: Sandbox) -> None:
    with vx.connect(sandbox=sandbox) as ws:
        methods = METHODS | {"panel"}
        assert public(ws) == methods | {"aio", "client", "id", "name", "plan", "settings", "sandbox"}
        assert public(ws.aio) == methods - LOCAL
        for method in methods - LOCAL:
            blocking, awaitable = getattr(vx.Workspace, method), getattr(type(ws.aio), method)
            assert inspect.signature(blocking) == inspect.signature(awaitable)
            assert method == "close" or inspect.getdoc(blocking) == inspect.getdoc(awaitable)


def test_aconnect_takes_what_connect_takes() -> None:
    assert inspect.signature(vx.aconnect) == inspect.signature(vx.connect)


def test_aconnect_works_on_any_loop_and_its_workspace_is_closed_there(sandbox: Sandbox, tmp_path: Path) -> None:
    async def service() -> tuple[int, bool]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.001)

        heart = asyncio.create_task(beat())
        ws = await vx.aconnect(sandbox.api_key, url=sandbox.url, ledger=tmp_path / "l.sqlite", owner_field="owner")
        posts = await ws.aio.posts(limit=2)
        await ws.aio.close()
        heart.cancel()
        with pytest.raises(vx.errors.ConfigError, match="this workspace is closed"):
            await ws.aio.posts()
        return beats, posts["owner"].notna().all()

    beats, owned = asyncio.run(service())
    assert beats > 3, "the loop of the service was never blocked"
    assert owned
    with pytest.raises(vx.errors.ConfigError, match="omit one of them"):
        asyncio.run(vx.aconnect("key", sandbox=True))


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, voxops\n"
        "heavy = {'matplotlib', 'ipywidgets', 'IPython', 'starlette', 'uvicorn', 'voxburst_sandbox', 'pyarrow.parquet', 'duckdb', 'nest_asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_is_typed() -> None:
    assert (Path(vx.__file__).parent / "py.typed").exists()


def test_matrix_is_a_frame_of_39_rows() -> None:
    frame = vx.matrix()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 39


def test_completion_offers_what_is_public() -> None:
    assert dir(vx.plots) == sorted(vx.plots.__all__)


RUN = [
    "id",
    "plan",
    "snapshot",
    "running",
    "wait",
    "results",
    "failed",
    "blocked",
    "copies",
    "made",
    "verify",
    "pause",
    "resume",
    "cancel",
    "follow",
    "notify",
    "show",
]
PLAN = ["action", "campaign", "canary", "cost", "eligible", "frame", "held"]


def test_a_plan_and_a_run_offer_what_is_promised_and_nothing_else(sandbox: Sandbox) -> None:
    ws = vx.connect(sandbox=sandbox)
    plan = vx.plan_update(ws.posts(status="scheduled").head(1), by="1D", change="later")
    assert dir(plan) == PLAN
    run = ws.run(plan).wait(60)
    assert sorted(name for name in dir(run) if not name.startswith("_")) == sorted(RUN)
    for thing, names in ((plan, PLAN), (run, RUN)):
        assert all(hasattr(thing, name) for name in names)
    ws.close()


def test_a_report_offers_what_makes_sense_for_its_subject() -> None:
    log = pd.DataFrame(
        {"delivery_id": ["del_1"], "webhook_id": ["wh_1"], "event_type": ["post.failed"], "url": ["https://a"]}
    )
    log = log.assign(success=True, status_code=200, latency_ms=5, retry_count=0, error=None, response_body=None)
    log = log.assign(**dict.fromkeys(("created_at", "delivered_at"), pd.Timestamp("2026-03-01", tz="UTC")))
    target = {"post_id": "post_1", "platform": "x", "account_id": "acc_1", "status": "failed", "error_code": None}
    target |= {"error_message": "no", "post_status": "failed", "updated_at": pd.Timestamp("2026-03-01", tz="UTC")}
    forms = ["to_csv", "to_excel", "to_html", "to_markdown", "to_parquet", "to_text"]
    assert dir(vx.report(log)) == ["frames", *forms]
    assert dir(vx.report(vx.triage(pd.DataFrame([target])))) == ["frames", "tickets", *forms]


def test_the_figures_are_these() -> None:
    assert " ".join(dir(vx.plots)) == (
        "before_after cause_weeks causes_by_platform delivery_delay delivery_volume endpoint_heatmap error_budgets latency_bands "
        "outage_bands outcomes_by_platform performance schedule_calendar"
    )


def test_a_workspace_has_the_panels_and_importing_it_loads_no_widget() -> None:
    assert "panel" in dir(vx.Workspace)
    code = "import sys, voxops.workspace, voxops.run\nprint({'ipywidgets', 'anywidget', 'voxops.views.panel'} & set(sys.modules) or 'none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


def test_help_is_headed_by_what_it_is_about() -> None:
    assert vx.matrix.__name__ == "matrix"
    assert len(str(inspect.signature(vx.report))) < 500


def test_errors_form_one_tree() -> None:
    named = [getattr(vx.errors, name) for name in vx.errors.__all__ if name.endswith("Error")]
    assert named
    assert all(issubclass(error, vx.VoxopsError) for error in named)
    api = {
        vx.errors.AuthError,
        vx.errors.RateLimitError,
        vx.errors.NotFoundError,
        vx.errors.ConflictError,
        vx.errors.ValidationError,
        vx.errors.ServerError,
    }
    assert all(issubclass(error, vx.errors.ApiError) for error in api)
