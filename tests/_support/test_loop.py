"""The private loop: blocking, awaitable and submitted work, interrupts, forks; in processes of their own where signals fly."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from concurrent import futures

import pytest

import voxops
from voxops._support import eventloop
from voxops.errors import ConfigError


async def where() -> tuple[str, int]:
    await asyncio.sleep(0)
    return threading.current_thread().name, id(asyncio.get_running_loop())


async def fail() -> None:
    raise ZeroDivisionError("the work's own error")


# Seconds: instant calls take less on the slowest machine, and a wait in vain takes longer.
AT_ONCE = 20.0
LONG = 100.0


def script(body: str) -> subprocess.CompletedProcess[str]:
    """Run a script of its own, with the loop and without the rest of the package; every warning is an error there."""
    bare = f"package = types.ModuleType('voxops')\npackage.__path__ = {voxops.__path__!r}\nsys.modules['voxops'] = package\n"
    head = f"import asyncio, os, signal, sys, threading, time, types\n{bare}from voxops._support import eventloop\n"
    head += f"AT_ONCE, LONG = {AT_ONCE}, {LONG}\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", head + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def test_all_three_ways_lead_to_one_loop_on_one_daemon_thread():
    seen = {eventloop.run(where()), asyncio.run(eventloop.arun(where())), eventloop.submit(where()).result(LONG)}
    ((name, _),) = seen
    assert name == "voxops-loop"
    assert next(thread for thread in threading.enumerate() if thread.name == name).daemon


async def in_loop(times: int) -> list[str]:
    """The warnings of that many blocking calls inside a running loop, which goes on."""
    before = asyncio.get_running_loop()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(times):
            assert eventloop.run(where())[1] != id(before)
    await asyncio.sleep(0)
    assert asyncio.get_running_loop() is before
    return [str(one.message) for one in said]


def test_a_blocking_call_inside_a_running_loop_warns_once_and_names_aio():
    eventloop._warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as said:
        eventloop.run(where())
    assert said == [], "no loop runs here"
    (text,) = asyncio.run(in_loop(3))
    assert "await the same method of ws.aio" in text


def test_what_is_refused_begins_nothing():
    eventloop._warn_once.cache_clear()
    begun = []

    async def work() -> None:
        begun.append(1)

    async def main() -> None:
        with pytest.raises(UserWarning, match=r"ws\.aio"):  # a warning is an error here
            eventloop.run(work())

    asyncio.run(main())
    with pytest.raises(ConfigError, match="trio"):  # whose loop is not asyncio's
        eventloop.arun(work()).send(None)
    eventloop.run(where())  # the loop's later work
    assert begun == []


def test_in_a_notebook_s_kernel_it_does_not_warn(monkeypatch):
    eventloop._warn_once.cache_clear()
    monkeypatch.setattr(eventloop, "kernel_shell", object)
    assert asyncio.run(in_loop(2)) == []


@pytest.mark.parametrize("way", [
    eventloop.run, lambda coro: asyncio.run(eventloop.arun(coro)), lambda coro: eventloop.submit(coro).result(LONG),
])  # fmt: skip
def test_errors_come_through(way):
    with pytest.raises(ZeroDivisionError, match="the work's own error"):
        way(fail())
    with pytest.raises(TimeoutError):
        way(asyncio.wait_for(asyncio.sleep(LONG), 0.01))


def test_work_that_cancels_itself_says_so():
    async def gives_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(futures.CancelledError):
        eventloop.run(gives_up())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(eventloop.arun(gives_up()))


def test_a_blocking_call_on_the_private_loop_is_refused_and_an_awaitable_is_not():
    async def inner() -> tuple[str, int]:
        with pytest.raises(RuntimeError, match="would deadlock"):
            eventloop.run(where())
        assert eventloop.submit(where()) is not None
        return await eventloop.arun(where())

    assert eventloop.run(inner())[0] == "voxops-loop"


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancelling_an_awaited_call_cancels_the_work_and_waits_for_its_end(stubborn, monkeypatch):
    monkeypatch.setattr(eventloop, "GRACE", LONG)
    log: list[str] = []

    async def work() -> str:
        log.append("begun")
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            log.append("ended")
            if stubborn:
                raise ZeroDivisionError from None
            raise
        return "too late"

    async def caller() -> float:
        task = asyncio.create_task(eventloop.arun(work()))
        while not log:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    assert asyncio.run(caller()) < AT_ONCE
    assert log == ["begun", "ended"]


def test_work_that_will_not_end_does_not_hold_an_interrupted_caller(monkeypatch):
    monkeypatch.setattr(eventloop, "GRACE", 0.1)
    over = threading.Event()

    async def work() -> None:
        while not over.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue

    async def caller() -> None:
        await asyncio.wait_for(eventloop.arun(work()), 0.1)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(caller())
    assert time.monotonic() - began < AT_ONCE
    over.set()


def test_what_is_cancelled_at_once_has_had_its_first_step_and_is_cancelled_once():
    """It may be a pause, which must not be undone by a second interrupt."""
    log: list[str] = []

    async def work() -> None:
        log.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            log.append("ended in peace")
            raise

    posted = threading.Event()
    one: eventloop._Work[None] = eventloop._Work()
    one._loop.call_soon_threadsafe(posted.wait)  # so that the loop finds all of it together
    one.start(work())
    one.cancel()
    one.cancel()
    posted.set()
    one.stop()
    assert one.future.cancelled()
    assert log == ["begun", "ended in peace"]


def test_cancelling_a_submitted_future_cancels_the_work():
    begun, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            cancelled.set()

    future = eventloop.submit(work())
    assert begun.wait(AT_ONCE)
    assert future.cancel() and cancelled.wait(AT_ONCE)


def test_the_signal_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        eventloop.run(fail())
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("way", ["a cell", "an async cell", "an awaited call"])
def test_an_interrupt_cancels_the_work_at_once(way):
    """In an async cell the kernel turns SIGINT into "cancel the cell's task", which a loop that is blocked never sees."""
    done = script(
        f"""
    log = []
    eventloop.GRACE = LONG
    eventloop.kernel_shell = object  # as in a notebook
    async def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            log.append("request cancelled")
            raise
    async def again():
        return "alive"
    async def cell():
        task = asyncio.current_task()
        signal.signal(signal.SIGINT, lambda *_: task.cancel())
        await eventloop.arun(work()) if {way == "an awaited call"} else eventloop.run(work())
    began = time.monotonic()
    loop = asyncio.new_event_loop()
    try:
        eventloop.run(work()) if {way == "a cell"} else loop.run_until_complete(cell())
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        print(type(error).__name__, log, time.monotonic() - began < AT_ONCE)
    loop.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(eventloop.run(again()))
    """
    )
    kind = "CancelledError" if way == "an awaited call" else "KeyboardInterrupt"
    assert done.stdout.splitlines() == [f"{kind} ['request cancelled'] True", "alive"], done.stderr


def test_an_ignored_interrupt_stays_ignored_and_other_threads_set_no_handler():
    done = script(
        """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    async def work():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.3)
        return "unmoved"
    print(eventloop.run(work()))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    async def fine():
        return "fine"
    thread = threading.Thread(target=lambda: print(eventloop.run(fine())))
    thread.start()
    thread.join()
    """
    )
    assert done.stdout.splitlines() == ["unmoved", "fine"], done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_gets_a_loop_of_its_own():
    done = script(
        """
    import warnings
    warnings.simplefilter("ignore")  # 3.12 warns of forking beside threads, which is what is tried here
    async def who():
        return os.getpid()
    parent = eventloop.run(who())
    eventloop._private._lock.acquire()  # held by another thread at the moment of the fork
    child = os.fork()
    if child == 0:
        print(eventloop.run(who()) == os.getpid() != parent, flush=True)
        os._exit(0)
    eventloop._private._lock.release()
    os.waitpid(child, 0)
    print(eventloop.run(who()) == parent)
    """
    )
    assert done.stdout.splitlines() == ["True", "True"], done.stderr


def test_the_process_ends_while_work_goes_on():
    done = script(
        """
    async def forever():
        while True:
            await asyncio.sleep(0.01)
    eventloop.submit(forever())
    time.sleep(0.1)
    print("end")
    """
    )
    assert done.returncode == 0 and done.stdout == "end\n" and done.stderr == ""
