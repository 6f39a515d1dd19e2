"""A good citizen of async code: coroutines, cancels that leave nothing behind, attaches that cost nothing."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.background import BackgroundTask
from tests.engine.steps import wait_for
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault, Sandbox
from voxops._support import eventloop
from voxops.errors import Interrupted, NotFoundError, RunNotFound, WaitTooLong
from voxops.run import AwaitableRun
from voxops.workspace import Awaitables


def a_plan(ws: vx.Workspace) -> vx.Plan:
    return vx.plan_retry(vx.triage(vx.targets(ws.posts(status=["failed", "partial"]))))


def sent(sandbox: Sandbox) -> int:
    return len(sandbox.requests(acting=True))


# -- twins -------------------------------------------------------------------------------------------------------------

PAIRS = [
    pytest.param(blocking, awaitable, name, id=f"{blocking.__name__.lower()}.{name}")
    for blocking, awaitable in ((vx.Workspace, Awaitables), (vx.Run, AwaitableRun))
    for name, method in inspect.getmembers(blocking, callable)
    if not name.startswith("_") and name not in {"begin", "end", "left", "notice", "observe", "replan", "tz", "unbegun"}
]


@pytest.mark.parametrize(("blocking", "awaitable", "name"), PAIRS)
def test_every_method_has_a_coroutine_as_its_twin(blocking: type, awaitable: type, name: str) -> None:
    method, twin = getattr(blocking, name), getattr(awaitable, name)
    named = [inspect.signature(each).parameters for each in (method, twin)]
    assert list(named[0].items()) == list(named[1].items())
    is_right = inspect.isasyncgenfunction if name == "events" else inspect.iscoroutinefunction
    assert is_right(twin) and not inspect.iscoroutinefunction(method)
    assert inspect.getdoc(twin)


def test_no_twin_is_without_its_method() -> None:
    for blocking, awaitable in ((vx.Workspace, Awaitables), (vx.Run, AwaitableRun)):
        twins = {name for name, _ in inspect.getmembers(awaitable, callable) if not name.startswith("_")}
        assert {name for name in twins if not callable(getattr(blocking, name))} == set()


def test_tasks_groups_and_background_tasks_take_the_methods(sandbox: Sandbox, ws: vx.Workspace) -> None:
    """Before, a background task called a plain function, and dropped the coroutine that it returned."""
    plan = a_plan(ws)

    async def service() -> tuple[list[int], str]:
        task = asyncio.create_task(ws.aio.posts(limit=3))
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(ws.aio.posts(limit=2)), group.create_task(ws.aio.runs())]
        await BackgroundTask(ws.aio.run, plan, reason="in the background")()
        run = await ws.aio.attach((await ws.aio.runs()).index[0])
        await run
        return [len(await task), *(len(other.result()) for other in others)], run.id

    counted, run = asyncio.run(service())
    assert counted == [3, 2, 0]
    assert sent(sandbox) == plan.cost.acts
    assert ws.runs().loc[run, "reason"] == "in the background"


def test_a_run_is_led_by_its_coroutines(sandbox: Sandbox, ws: vx.Workspace) -> None:
    plan = a_plan(ws)

    async def lead() -> vx.Run:
        with standing_still(ws.client):
            run = await ws.aio.run(plan)
            with pytest.raises(WaitTooLong, match=rf"{run.id} still runs after 0.2 s: \d+ of \d+ rows not settled"):
                await run.aio.wait(0.2, raises=True)
            assert await run.aio.pause() is run
            assert await run.aio.wait(0.2) is run
        assert await run.aio.resume() is run
        await run.aio.wait(60)
        assert not await run.aio.notify({"id": "e", "type": "post.published", "data": {"id": "post_of_nobody"}})
        pd.testing.assert_frame_equal(await run.aio.results(), run.results())
        assert len(await run.aio.failed()) + len(await run.aio.results("succeeded")) == plan.eligible
        assert len(await run.aio.results("blocked")) == len(await run.aio.copies()) == 0
        assert await run.aio.show() is run
        with pytest.raises(TypeError, match="timout"):
            await run.aio.wait(timout=1)  # type: ignore[call-arg]
        return await run.aio.cancel()

    assert asyncio.run(lead()).snapshot.phase == "done"
    assert sent(sandbox) == plan.cost.acts


def test_a_workspace_is_an_async_context_manager(sandbox: Sandbox, tmp_path: Path) -> None:
    async def service() -> vx.Workspace:
        async with await vx.aconnect(sandbox=sandbox, ledger=tmp_path / "ledger.sqlite") as ws:
            assert len(await ws.aio.posts(limit=2)) == 2
        return ws

    with pytest.raises(vx.errors.ConfigError, match="workspace is closed"):
        asyncio.run(service()).posts()


# -- cancelling --------------------------------------------------------------------------------------------------------


def cancelled(work: Any) -> BaseException:
    """Run work that is cancelled; the cancel, which a timeout has as its cause."""
    with pytest.raises((TimeoutError, asyncio.CancelledError)) as stop:
        asyncio.run(work)
    return stop.value.__cause__ or stop.value


def named(stop: BaseException, ws: vx.Workspace) -> str:
    """The run that a note names; it is paused."""
    (run,), (note,) = ws.runs().index, stop.__notes__
    assert f"{run} is paused" in note and f"ws.attach({run!r}).resume()" in note
    assert ws.runs().loc[run, "state"] == "paused"
    return str(run)


def goes_on(run: str, ws: vx.Workspace, sandbox: Sandbox, plan: vx.Plan) -> None:
    """A paused run is resumed, and loses nothing."""
    assert sent(sandbox) == 0
    assert ws.attach(run).wait(1).snapshot.phase == "watching"
    assert sent(sandbox) == 0
    assert ws.attach(run).resume().wait(60).snapshot.phase == "done"
    assert sent(sandbox) == plan.cost.acts


def test_rule_16_a_call_that_is_cancelled_on_a_busy_loop_leaves_a_paused_run(
    sandbox: Sandbox, ws: vx.Workspace
) -> None:
    """Before, the run had begun by then, and sent everything."""
    plan = a_plan(ws)

    async def call() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: wait_for(lambda: len(ws.runs())) or time.sleep(0.5))  # the work ends meanwhile
        async with asyncio.timeout(0.2):
            await ws.aio.run(plan)

    stop = cancelled(call())
    time.sleep(0.5)
    goes_on(named(stop, ws), ws, sandbox, plan)


@pytest.mark.parametrize("how", ["cancelled", "interrupted"])
def test_rule_16_a_call_that_ends_while_it_binds_leaves_a_paused_run(
    sandbox: Sandbox, ws: vx.Workspace, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    plan, begun, runs = a_plan(ws), threading.Event(), type(ws._session.engine.ledger.runs)
    start = runs.start

    def slow(*args: Any, **kwargs: Any) -> None:
        begun.set()
        time.sleep(0.3)  # the transaction goes on
        start(*args, **kwargs)

    async def call() -> None:
        task = asyncio.create_task(ws.aio.run(plan))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        await task

    def pressed(*_: object) -> None:
        begun.wait(60)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(eventloop, "GRACE", 60.0)
        patch.setattr(runs, "start", slow)
        if how == "cancelled":
            stop = cancelled(call())
        else:
            patch.setattr(eventloop._Work, "wait", pressed)
            with pytest.raises(Interrupted) as caught:
                ws.run(plan)
            stop = caught.value.__cause__
    goes_on(named(stop, ws), ws, sandbox, plan)


def test_rule_16_a_call_that_is_cancelled_before_it_binds_leaves_nothing(sandbox: Sandbox, ws: vx.Workspace) -> None:
    plan = a_plan(ws)
    sandbox.add_fault(Fault("delay", method="GET", path="/v1/posts/*", seconds=30, times=None))
    sandbox.add_fault(Fault("delay", method="GET", path="/v1/posts", seconds=30, times=None))

    async def call() -> None:
        await asyncio.wait_for(ws.aio.run(plan), 0.3)

    stop = cancelled(call())
    assert not hasattr(stop, "__notes__")
    sandbox.clear_faults()
    assert len(ws.runs()) == sent(sandbox) == 0


def test_rule_16_an_interrupt_before_a_run_has_begun_leaves_it_paused(
    sandbox: Sandbox, ws: vx.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = a_plan(ws)

    def pressed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="is paused"):
        patch.setattr(vx.Run, "begin", pressed)
        ws.run(plan)
    assert ws.runs()["state"].to_list() == ["paused"]
    goes_on(str(ws.runs().index[0]), ws, sandbox, plan)


def test_rule_16_a_cancelled_attach_or_watch_pauses_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """It may be another process that sends."""
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws, vx.connect(sandbox=sandbox, ledger=ledger) as other:
        with standing_still(ws.client):
            run = ws.run(a_plan(ws))

            async def call(what: Any) -> None:
                loop = asyncio.get_running_loop()
                loop.call_soon(time.sleep, 0.7)  # the work ends meanwhile
                async with asyncio.timeout(0.2):
                    await what

            for what in (lambda: other.aio.attach(run.id), lambda: other.aio.watch(["post_1"] * 0)):
                assert not hasattr(cancelled(call(what())), "__notes__")
            assert not ws._session.engine.ledger.runs.head(run.id).paused
        assert run.wait(60).snapshot.phase == "done"


WAITS = {
    "wait": lambda run: asyncio.to_thread(run.wait, 0.3),
    "aio.wait": lambda run: run.aio.wait(0.3),
    "wait_for": lambda run: asyncio.wait_for(run, 0.3),
    "wait_for aio.wait": lambda run: asyncio.wait_for(run.aio.wait(), 0.3),
    "cancel": lambda run: cancel(run),
    "events": lambda run: asyncio.wait_for(anext(run.aio.events()), 0.3),
}


async def cancel(run: vx.Run) -> None:
    task = asyncio.ensure_future(run)
    await asyncio.sleep(0.3)
    task.cancel()
    await task


@pytest.mark.parametrize("way", WAITS)
def test_rule_16_waiting_never_stops_what_is_waited_for(sandbox: Sandbox, ws: vx.Workspace, way: str) -> None:
    """Before, a timeout of asyncio paused the run, and one of `wait` did not."""
    plan = a_plan(ws)

    async def wait(run: vx.Run) -> None:
        try:
            await WAITS[way](run)
        except (TimeoutError, asyncio.CancelledError) as stop:
            assert not hasattr(stop, "__notes__")

    with standing_still(ws.client):
        run = ws.run(plan)
        asyncio.run(wait(run))
        assert run.running
        time.sleep(0.3)
        assert run.snapshot.phase in {"sending", "watching"}
    assert run.wait(60).snapshot.phase == "done"
    assert sent(sandbox) == plan.cost.acts


INTERRUPTED = """
import asyncio, os, signal, sys, threading, time, voxops as vx
from voxburst_sandbox import Sandbox
from voxops.client import SteppedClock
sandbox = Sandbox(seed=7, speed=0, rate_limit=None, deliveries=10).start()
ws = vx.connect(sandbox=sandbox)
plan = vx.plan_retry(vx.triage(vx.targets(ws.posts(status=["failed", "partial"]))))
before = signal.getsignal(signal.SIGINT)

def notes(stop):
    return ["is paused" in note for note in getattr(stop, "__notes__", [])]

async def each(events):
    async for _ in events:
        pass

async def cell(wait):
    # As a notebook's kernel does it: SIGINT cancels the task of the cell.
    task, handler = asyncio.current_task(), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: task.cancel())
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        await wait
    except asyncio.CancelledError as stop:
        print("cell", notes(stop))
    finally:
        signal.signal(signal.SIGINT, handler)

async def script(wait):
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        await wait
    except asyncio.CancelledError as stop:
        print("script", notes(stop))
        raise

with ws.client._clock._turn:
    for way in (cell, script):
        for wait in (lambda run: run.aio.wait(), lambda run: each(run.aio.events())):
            run = ws.run(plan)
            try:
                asyncio.run(way(wait(run)))
            except KeyboardInterrupt:
                print("KeyboardInterrupt")
            while run.snapshot.phase != "paused":
                time.sleep(0.01)
            assert signal.getsignal(signal.SIGINT) is before
    run = ws.run(plan)
    try:
        asyncio.run(asyncio.wait_for(run, 0.2))
    except TimeoutError:  # soon after an interrupt of another wait
        time.sleep(0.5)
        print(run.running, run.snapshot.phase)
"""


def test_rule_16_an_interrupt_that_arrives_as_a_cancel_pauses_the_run() -> None:
    """The difference is the SIGINT that voxops itself has seen."""
    code = [sys.executable, "-W", "error", "-c", INTERRUPTED]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120, check=False)
    said = ["cell [True]"] * 2 + ["script [True]", "KeyboardInterrupt"] * 2 + ["True sending"]
    assert (done.stdout.splitlines(), done.stderr) == (said, "")


# -- attaching ---------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_attached_without_a_request_and_says_so(sandbox: Sandbox, tmp_path: Path) -> None:
    """Before: 453 requests for 100 attaches, of which 87 said *sending*."""
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        done = ws.run(a_plan(ws)).wait(60)
        made = ws.run(vx.plan_create(campaign(ws), key="row_id", campaign="c")).wait(60)
        events, results = list(done.events()), made.results()
    pd.testing.assert_frame_equal(made.results(), results)
    assert len(done.results("failed")) + len(done.results("succeeded")) == len(done.results())
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        again = ws.attach(made.id).wait(60)  # its posts may be there twice, so the list is read
        assert "✓ done" in repr(again)
        pd.testing.assert_frame_equal(again.results(), results)
        assert len(again.made()) == 2
        asked = len(sandbox.requests())
        runs = [ws.attach(done.id) for _ in range(50)]
        assert {(run.snapshot.phase, run.running) for run in runs} == {("done", False)}
        assert all(run.wait(5) is run and "✓ done" in repr(run) for run in runs)
        assert runs[0].snapshot.cells == done.snapshot.cells
        assert list(runs[0].events()) == events
        ws.runs()
        time.sleep(0.5)
        assert len(sandbox.requests()) == asked
        assert runs[0].pause().resume().cancel().wait(60).snapshot.phase == "done"


def test_tasks_that_attach_to_one_open_run_at_once_share_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each began a run of its own, and of ten that looped over one run nine never ended."""
    fault = Fault("status", method="POST", path="/v1/posts/*/retry", status=401, code="UNAUTHORIZED", nth=2)
    sandbox.add_fault(fault)
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        run = ws.run(a_plan(ws)).wait(60)
    sandbox.clear_faults()
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:

        async def follow() -> tuple[int, vx.Run]:
            attached = await ws.aio.attach(run.id)
            return len([event async for event in attached.aio.events()]), attached

        async def all_at_once() -> list[tuple[int, vx.Run]]:
            return await asyncio.gather(*(follow() for _ in range(10)))

        found = asyncio.run(all_at_once())
        settled = len(found[0][1].results(["succeeded", "failed"]))
        assert [count for count, _ in found] == [settled] * 10
        assert len({id(attached) for _, attached in found}) == 1


def campaign(ws: vx.Workspace) -> pd.DataFrame:
    account = ws.accounts().query("status == 'active' and platform == 'linkedin'")["account_id"].iloc[0]
    rows = {"row_id": ["a", "b"], "content": ["one text", "another text"]}
    return pd.DataFrame(rows).assign(accounts=account, scheduled_for="2026-04-01T09:00:00Z")


def test_rule_19_a_finished_run_says_which_duplicates_there_are(sandbox: Sandbox, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    with vx.connect(sandbox=sandbox, ledger=ledger) as ws:
        run = ws.run(vx.plan_create(campaign(ws), key="row_id", campaign="c")).wait(60)
        post = next(each for each in sandbox.world.posts.values() if each.content == "one text")
        sandbox.plant_post(
            "one text", [target.account_id for target in post.targets], status="scheduled",
            scheduledFor="2026-04-01T09:00:00Z", metadata=dict(post.metadata),
        )  # fmt: skip
        attached = ws.attach(run.id).wait(60)
        assert attached.snapshot.phase == "blocked"
        assert "duplicates: run.copies()" in attached.snapshot.note


def test_an_unknown_run_is_not_found_without_a_request(sandbox: Sandbox, ws: vx.Workspace) -> None:
    """Before, it was the error of a damaged ledger."""
    asked = len(sandbox.requests())
    for name in ("run_0123456789", "nothing_0123456789"):
        with pytest.raises(RunNotFound) as caught:
            ws.attach(name)
        assert isinstance(caught.value, NotFoundError) and not isinstance(caught.value, vx.errors.LedgerError)
        assert name in str(caught.value) and caught.value.status == 404
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), again.status) == (RunNotFound, str(caught.value), 404)
    assert len(sandbox.requests()) == asked


# -- events ------------------------------------------------------------------------------------------------------------


def test_the_events_of_a_run_are_one_for_each_row_and_end_with_it(sandbox: Sandbox, ws: vx.Workspace) -> None:
    run = ws.run(a_plan(ws))
    seen = list(run.events())
    results = run.results()
    assert not run.running
    assert len(seen) == len(results)
    rows = results[["post_id", "platform", "outcome"]].itertuples(index=False, name=None)
    assert {(each.item, each.platform, each.now) for each in seen} == set(rows)
    assert [each.at for each in seen] == sorted(each.at for each in seen)

    async def again() -> list[Any]:
        return [event async for event in run.aio.events()]

    assert asyncio.run(again()) == seen
    posts = ws.posts(status="published", limit=2)
    watch = ws.watch(posts)
    assert {(event.item, event.now) for event in watch.events()} == {(post, "published") for post in posts["post_id"]}


def test_events_come_while_the_run_goes_on(sandbox: Sandbox, ws: vx.Workspace) -> None:
    with standing_still(ws.client):
        run = ws.run(a_plan(ws))
    first = next(iter(run.events()))
    assert first.now in {"succeeded", "failed"}
    run.wait(60)
