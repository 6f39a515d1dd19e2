"""Await voxops in async code: coroutines for each method, cancels that leave nothing behind, attaches that cost nothing."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import threading
import time
from typing import Any

import pandas as pd
import pytest
from tests.virtual import standing_still

import voxops as vx
from voxburst_sandbox import Fault
from voxops._support import eventloop
from voxops.errors import Interrupted, NotFoundError, RunNotFound, WaitTooLong
from voxops.run import AwaitableRun
from voxops.workspace import Awaitables

OWN = {"begin", "end", "left", "notice", "observe", "replan", "tz", "unbegun"}  # voxops itself calls these


def methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")} - OWN


@pytest.mark.parametrize(("blocking", "awaitable"), [(vx.Workspace, Awaitables), (vx.Run, AwaitableRun)])
def test_every_method_has_a_coroutine_of_the_same_name_and_arguments(blocking, awaitable):
    assert methods(blocking) == methods(awaitable)
    for name in methods(blocking):
        method, twin = getattr(blocking, name), getattr(awaitable, name)
        assert [*inspect.signature(method).parameters.items()] == [*inspect.signature(twin).parameters.items()], name
        is_right = inspect.isasyncgenfunction if name == "events" else inspect.iscoroutinefunction
        assert is_right(twin) and not inspect.iscoroutinefunction(method), name


def test_a_run_is_led_by_its_coroutines(ws, plan, acts):
    async def lead() -> vx.Run:
        with standing_still(ws.client):
            run = await ws.aio.run(plan, reason="in the background")
            assert await ws.aio.attach(run.id) is run
            assert (await ws.aio.runs()).loc[run.id, "reason"] == "in the background"
            with pytest.raises(WaitTooLong, match=rf"{run.id} still runs after 0.2 s: \d+ of \d+ rows not settled"):
                await run.aio.wait(0.2, raises=True)
            assert await run.aio.pause() is run
            assert await run.aio.wait(0.2) is run
        assert await run.aio.resume() is run
        await run.aio.wait(60)
        assert not await run.aio.notify({"id": "e", "type": "post.published", "data": {"id": "post_of_nobody"}})
        pd.testing.assert_frame_equal(await run.aio.results(), run.results())
        assert len(await run.aio.failed()) + len(await run.aio.results("succeeded")) == plan.eligible
        return await run.aio.cancel()

    assert asyncio.run(lead()).snapshot.phase == "done"
    assert acts() == plan.cost.acts


# -- cancelling --------------------------------------------------------------------------------------------------------


def cancelled(work: Any) -> BaseException:
    """Run work that is cancelled; the cancel, which a timeout has as its cause."""
    with pytest.raises((TimeoutError, asyncio.CancelledError)) as stop:
        asyncio.run(work)
    return stop.value.__cause__ or stop.value


@pytest.mark.parametrize("how", ["cancelled", "interrupted"])
def test_rule_16_a_call_that_ends_while_it_binds_leaves_a_paused_run(ws, plan, acts, monkeypatch, how):
    begun, runs = threading.Event(), type(ws._session.engine.ledger.runs)
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
            stop: Any = cancelled(call())
        else:
            patch.setattr(eventloop._Work, "wait", pressed)
            with pytest.raises(Interrupted) as caught:
                ws.run(plan)
            stop = caught.value.__cause__
    (run,), (note,) = ws.runs().index, stop.__notes__
    assert f"{run} is paused" in note and f"ws.attach({run!r}).resume()" in note
    assert ws.runs().loc[run, "state"] == "paused"
    assert ws.attach(run).wait(1).snapshot.phase == "watching"
    assert acts() == 0
    assert ws.attach(run).resume().wait(60).snapshot.phase == "done"
    assert acts() == plan.cost.acts


def test_rule_16_a_call_that_is_cancelled_before_it_binds_leaves_nothing(sandbox, ws, plan, acts):
    sandbox.add_fault(Fault("delay", method="GET", seconds=30, times=None))

    async def call() -> None:
        await asyncio.wait_for(ws.aio.run(plan), 0.3)

    assert not hasattr(cancelled(call()), "__notes__")
    sandbox.clear_faults()
    assert len(ws.runs()) == acts() == 0


WAITS = {
    "wait": lambda run: asyncio.to_thread(run.wait, 0.3),
    "aio.wait": lambda run: run.aio.wait(0.3),
    "wait_for": lambda run: asyncio.wait_for(run, 0.3),
    "wait_for aio.wait": lambda run: asyncio.wait_for(run.aio.wait(), 0.3),
    "events": lambda run: asyncio.wait_for(anext(run.aio.events()), 0.3),
}


@pytest.mark.parametrize("way", WAITS)
def test_rule_16_waiting_never_stops_what_is_waited_for(ws, plan, acts, way):
    async def wait(run: vx.Run) -> None:
        try:
            await WAITS[way](run)
        except TimeoutError as stop:
            assert not hasattr(stop, "__notes__")

    with standing_still(ws.client):
        run = ws.run(plan)
        asyncio.run(wait(run))
        assert run.running
        time.sleep(0.3)
        assert run.snapshot.phase in {"sending", "watching"}
    assert run.wait(60).snapshot.phase == "done"
    assert acts() == plan.cost.acts


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


def test_rule_16_an_interrupt_that_arrives_as_a_cancel_pauses_the_run():
    """The difference is the SIGINT that voxops itself has seen."""
    code = [sys.executable, "-W", "error", "-c", INTERRUPTED]
    done = subprocess.run(code, capture_output=True, text=True, timeout=120, check=False)
    said = ["cell [True]"] * 2 + ["script [True]", "KeyboardInterrupt"] * 2 + ["True sending"]
    assert (done.stdout.splitlines(), done.stderr) == (said, "")


# -- attaching, and events -----------------------------------------------------------------------------------------------


def test_a_finished_run_is_attached_without_a_request_and_says_so(sandbox, ws, plan, ledger):
    done = ws.run(plan).wait(60)
    events = list(done.events())
    ws.close()
    with vx.connect(sandbox=sandbox, ledger=ledger) as other:
        before = len(sandbox.requests())
        runs = [other.attach(done.id) for _ in range(50)]
        assert {(run.snapshot.phase, run.running) for run in runs} == {("done", False)}
        assert all(run.wait(5) is run and "✓ done" in repr(run) for run in runs)
        assert runs[0].snapshot.cells == done.snapshot.cells
        assert list(runs[0].events()) == events
        pd.testing.assert_frame_equal(runs[0].results(), done.results())
        for name in ("run_0123456789", "nothing_0123456789"):
            with pytest.raises(NotFoundError, match=name) as caught:
                other.attach(name)
            assert (type(caught.value), caught.value.status) == (RunNotFound, 404)
        assert len(sandbox.requests()) == before
        assert runs[0].pause().resume().cancel().wait(60).snapshot.phase == "done"


def test_tasks_that_attach_to_one_open_run_at_once_share_it(sandbox, ws, plan, ledger):
    sandbox.add_fault(Fault("status", path="/v1/posts/*/retry", status=401, code="UNAUTHORIZED", nth=2))
    run = ws.run(plan).wait(60)
    ws.close()
    sandbox.clear_faults()
    with vx.connect(sandbox=sandbox, ledger=ledger) as other:

        async def follow() -> tuple[vx.Run, int]:
            attached = await other.aio.attach(run.id)
            return attached, len([event async for event in attached.aio.events()])

        async def all_at_once() -> set[tuple[vx.Run, int]]:
            return set(await asyncio.gather(*(follow() for _ in range(10))))

        ((attached, events),) = asyncio.run(all_at_once())
        assert events == len(attached.results(["succeeded", "failed"]))


def test_the_events_of_a_run_are_one_for_each_row_and_end_with_it(ws, plan):
    run = ws.run(plan)
    seen = list(run.events())
    assert not run.running
    rows = run.results()[["post_id", "platform", "outcome"]].itertuples(index=False, name=None)
    assert sorted((event.item, event.platform, event.now) for event in seen) == sorted(rows)
    assert [event.at for event in seen] == sorted(event.at for event in seen)
    posts = ws.posts(status="published", limit=2)
    watch = ws.watch(posts)
    assert {(event.item, event.now) for event in watch.events()} == {(post, "published") for post in posts["post_id"]}
