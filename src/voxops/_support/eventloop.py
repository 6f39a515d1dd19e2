"""One event loop for all of voxops: private, on a daemon thread, so that the kernel's own loop is never touched.

Blocking calls use `run`, awaitables `arun`, background work `submit`. All three use the same loop, and so share one client over all
cells, threads and callers. A sync helper on the kernel's loop would lose the cells queued behind it; this one keeps their order, and
an interrupt cancels the request, not only the wait.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import importlib.util
import inspect
import math
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from voxops.errors import ConfigError, Interrupted

T = TypeVar("T")

TICK = 0.2  # seconds between two polls: an idle loop, or a lock that no signal wakes, would never notice an interrupt
GRACE = 2.0  # seconds that an interrupted caller waits for the outcome of the cancelled work
JUST_NOW = GRACE + 1.0  # seconds within which a cancel comes of an interrupt
P = ParamSpec("P")
_LOSES_CELLS = (7, 1)  # from this ipykernel on, nest_asyncio 1.6 silently drops the cells queued behind a blocking one


class _Private:
    """The loop of this process, started when it is first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset, as after a fork: the parent's thread does not exist here, and its lock may never be released."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="voxops-loop", daemon=True)
                self._thread.start()
            return self._loop

    def is_current(self) -> bool:
        """Whether the caller is on the private loop's thread."""
        return threading.current_thread() is self._thread


_private = _Private()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_private.forget)


class _Work(Generic[T]):
    """A coroutine on the private loop, whose outcome can be awaited even after a cancel.

    `left` are the notes of its own cancel: what it leaves behind.
    """

    def __init__(self) -> None:
        self.future: Future[T] = Future()
        self.left: list[str] = []
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False
        self._loop = _private.loop()

    def start(self, coro: Coroutine[Any, Any, T]) -> None:
        """Schedule the coroutine on the loop."""
        self._loop.call_soon_threadsafe(self._begin, coro)

    def _begin(self, coro: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(coro)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        # Only this class has the future, so nobody else can have cancelled it.
        try:
            self.future.set_result(task.result())
        except asyncio.CancelledError as stop:
            self.left = getattr(stop, "__notes__", [])
            self.future.cancel()
            self.future.set_running_or_notify_cancel()
        except BaseException as error:  # noqa: BLE001  it belongs to whoever waits
            self.future.set_exception(error)

    def cancel(self) -> None:
        """Cancel the task on its loop, never before it has begun."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        """Cancel the task after its first step, which may be a pause, and only once, because a second cancel would interrupt its cleanup."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._loop.call_soon(self._task.cancel)

    def wait(self, tick: Callable[[], object]) -> T:
        """Block until the outcome, and return or raise it; call `tick` regularly until then."""
        while not futures.wait({self.future}, TICK).done:
            tick()
        return self.future.result()

    def stop(self) -> None:
        """Cancel, and wait a short grace for the outcome, so that "interrupted" does not mean "still sending"."""
        while not self.future.done():
            try:
                self.cancel()
                break
            except KeyboardInterrupt:  # a repeated Ctrl-C interrupts this, too
                continue
        futures.wait({self.future}, GRACE)


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    """Pass interrupts (SIGINT) to a handler within the block."""
    before = signal.getsignal(signal.SIGINT)
    # None: not installed by Python, so it can't be restored. Ignored: interrupts are not wanted.
    if threading.current_thread() is not threading.main_thread() or before in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, before)


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Observe the interrupts within the block, and pass each on; yields a function that returns whether one has just arrived.

    A notebook's kernel and asyncio make a cancel of the awaiting task out of one, which looks like any other cancel.
    """
    seen, before = [-math.inf], signal.getsignal(signal.SIGINT)

    def see(number: int, frame: Any) -> None:
        seen[0] = time.monotonic()
        (before if callable(before) else signal.default_int_handler)(number, frame)

    with _handled_by(see):
        yield lambda: seen[0] > time.monotonic() - JUST_NOW


def run(coro: Coroutine[Any, Any, T], tick: Callable[[], object] = lambda: None) -> T:
    """Run a coroutine on the private loop and wait for it, whatever loop runs in the calling thread.

    Parameters
    ----------
    coro : coroutine
        What to do.
    tick : callable
        Called a few times a second in the calling thread.

    Returns
    -------
    object
        What it returns.

    Raises
    ------
    RuntimeError
        If called from the private loop, which would deadlock.
    KeyboardInterrupt
        If interrupted; the coroutine was cancelled, and had a short time to end.
    """
    try:
        if _private.is_current():
            raise RuntimeError(
                "this code runs in voxops's own event loop, where a blocking call would deadlock; await the same method of ws.aio"
            )
        if in_loop() and kernel_shell() is None:  # a notebook's own loop is meant to wait for the cell
            _warn_once()
    except (RuntimeError, Warning):
        coro.close()
        raise
    work: _Work[T] = _Work()
    try:
        # In an async cell the kernel turns Ctrl-C into a cancel of the cell's task, which the loop never sees while we block it.
        with _handled_by(signal.default_int_handler):
            work.start(coro)
            return work.wait(tick)
    except BaseException as stop:
        work.stop()
        _note(stop, work.left)
        raise


@functools.cache
def _warn_once() -> None:
    # The level of the caller of a blocking method.
    text = "a blocking call of voxops holds up the event loop that runs here; await the same method of ws.aio instead"
    warnings.warn(text, stacklevel=4)


def in_loop() -> bool:
    """Whether an event loop of asyncio runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def refuse_outside(coro: Coroutine[Any, Any, Any], instead: str) -> None:
    """Raise ConfigError if no event loop of asyncio runs in this thread, as under trio; the coroutine is not begun."""
    if not in_loop():
        coro.close()
        raise ConfigError(f"this is awaited outside of asyncio, which voxops needs; under trio {instead}")


async def arun(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the private loop and await it from any other; cancelling the caller cancels it.

    Parameters
    ----------
    coro : coroutine
        What to do.

    Returns
    -------
    object
        What it returns.

    Raises
    ------
    ConfigError
        If no event loop of asyncio runs in this thread, as under trio; nothing was begun.
    """
    if _private.is_current():
        return await coro
    refuse_outside(coro, "call the blocking method in a thread, such as await trio.to_thread.run_sync(ws.posts)")
    work: _Work[T] = _Work()
    work.start(coro)
    done = asyncio.wrap_future(work.future)
    try:
        while not done.done():
            await asyncio.wait({done}, timeout=TICK)
    except BaseException as stop:
        work.cancel()
        await asyncio.wait({done}, timeout=GRACE)
        if done.done() and not done.cancelled():
            done.exception()  # retrieved, and useless to a cancelled caller
        _note(stop, work.left)
        raise
    return done.result()


def _note(stop: BaseException, left: Iterable[str]) -> None:
    """Add to an interrupt or cancel what the work has left behind."""
    for note in left:
        stop.add_note(note)


def submit(coro: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine on the private loop and return immediately; cancelling the future cancels it.

    Parameters
    ----------
    coro : coroutine
        What to do.

    Returns
    -------
    concurrent.futures.Future
        Its outcome.
    """
    return asyncio.run_coroutine_threadsafe(coro, _private.loop())


async def all_or_none(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines concurrently and return their results in order; the first error, such as a refused key, cancels the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def blocking(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], wait: Callable[[Coroutine[Any, Any, T]], T] = run
) -> Callable[Concatenate[Any, P], T]:
    """A coroutine method as a blocking call; `wait` waits for it."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return wait(_call(method, self, args, kwargs))

    return call


def awaitable(
    method: Callable[Concatenate[Any, P], T], *, here: bool = False
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """The twin of a blocking method, for any event loop.

    A method that asks only the ledger is called in a thread; with `here`, immediately.
    """
    work: Any = inspect.unwrap(method)

    @functools.wraps(method)
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if here:
            return method(self._owner, *args, **kwargs)
        if inspect.iscoroutinefunction(work):
            done: T = await arun(_call(work, self._owner, args, kwargs))
            return done
        return await arun(asyncio.to_thread(method, self._owner, *args, **kwargs))

    return call


def showing(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """A method that returns a run as a blocking call, which begins the run and shows it in the cell.

    A run begins only once its caller has it, so that a cancelled call leaves none that sends (rule 16).
    """

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        got: list[Any] = []
        try:
            run(_keep(got, method, self, args, kwargs))
            begun: T = got[0].begin().show()
            return begun
        except KeyboardInterrupt as stop:
            why = got[0].left() if got else "; ".join(getattr(stop, "__notes__", ()))
            if not why:
                raise
            if got:
                got[0].pause()
            raise Interrupted(why) from stop

    return call


def beginning(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """The twin of a `showing` method, for any event loop; it shows nothing."""
    work: Any = inspect.unwrap(method)

    @functools.wraps(method)
    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        got: list[Any] = []
        try:
            await arun(_keep(got, work, self._owner, args, kwargs))
        except BaseException as stop:
            _note(stop, filter(None, (each.left() for each in got)))
            raise
        begun: T = got[0].begin()
        return begun

    return call


async def _keep(got: list[T], method: Callable[..., Coroutine[Any, Any, T]], *call: Any) -> None:
    """Keep the result of a call even if its caller was cancelled before it came."""
    got.append(await _call(method, *call))


def _call(
    method: Callable[..., Coroutine[Any, Any, T]], self: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Coroutine[Any, Any, T]:
    """Call a method of a workspace or run; the error about a wrong argument names the public method."""
    noun, signature = self._noun, inspect.signature(method)
    known = [each for each in signature.parameters if each != "self"]
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{noun}.{method.__name__}({', '.join(known)}): {error}") from None
    return method(self._doer(), *args, **kwargs)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which finds nothing in records and columns and takes a third of their time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def allow_nested_loops() -> str:
    """Let *your own* code call ``asyncio.run`` and ``run_until_complete`` inside a cell.

    Returns
    -------
    str
        The applied package: ``"nest_asyncio2"`` if it is importable, else ``"nest_asyncio"``.

    Raises
    ------
    ConfigError
        If neither package is installed, or ``nest_asyncio`` would be applied to ipykernel 7.1 or newer, where it silently loses
        queued cells. Also if it was applied there already, which can't be undone.

    Examples
    --------
    >>> vx.allow_nested_loops()  # doctest: +SKIP
    """
    try:
        loses = tuple(map(int, version("ipykernel").split(".")[:2])) >= _LOSES_CELLS
    except PackageNotFoundError:
        loses = False
    patched_by_old = getattr(asyncio, "_nest_patched", False) and not getattr(asyncio, "_nest_asyncio2", False)
    if patched_by_old and loses:
        raise ConfigError(
            "nest_asyncio has been applied in this kernel already, and with ipykernel 7.1 or newer it loses the cells queued "
            "behind a blocking one. Take nest_asyncio.apply() out of the notebook and restart the kernel."
        )
    name = next((each for each in ("nest_asyncio2", "nest_asyncio") if importlib.util.find_spec(each)), None)
    if loses and name != "nest_asyncio2":
        raise ConfigError(
            "nest_asyncio loses cells that are queued behind a blocking one with ipykernel 7.1 or newer; "
            "install nest_asyncio2 and call this again. voxops' own calls need neither."
        )
    if name is None:
        raise ConfigError(
            "neither nest_asyncio2 nor nest_asyncio is installed; install nest_asyncio2 and call this again"
        )
    importlib.import_module(name).apply()
    return name


def kernel_shell() -> Any:
    """Return IPython's shell in a notebook's kernel, else None; this does not import IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


def running_cell() -> int | None:
    """Return the number of the running notebook cell, None outside a kernel."""
    shell = kernel_shell()
    return None if shell is None else int(shell.execution_count)


def publish(bundle: Mapping[str, Any], display_id: str, update: bool) -> None:
    """Show a MIME bundle in the running cell, or replace it; outside a kernel nothing is shown."""
    if (shell := kernel_shell()) is not None:
        shell.display_pub.publish(data=bundle, metadata={}, transient={"display_id": display_id}, update=update)
