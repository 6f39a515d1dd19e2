"""The methods of a session as those of who holds it: as blocking calls, as awaitables, and with what they return shown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from voxops._core import eventloop
from voxops._core.arguments import did_you_mean
from voxops._core.bound import paused
from voxops.errors import Interrupted

__all__ = ["awaitable", "blocking", "showing"]

P = ParamSpec("P")
T = TypeVar("T")


class _Shown(Protocol):
    """A run, which shows itself in the running cell."""

    id: str

    def show(self) -> Any:
        """Show it; returns itself."""

    def pause(self) -> Any:
        """Send nothing more."""


S = TypeVar("S", bound=_Shown)


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    """A method of the session as a blocking call."""

    @functools.wraps(method)
    def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> T:
        _check_arguments(method, args, kwargs)
        return eventloop.run(method(self._session.usable(), *args, **kwargs))

    return cast("Callable[Concatenate[Any, P], T]", call)


def showing(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, S]]) -> Callable[Concatenate[Any, P], S]:
    """A method of the session as a blocking call that shows what it returns in the cell."""

    @functools.wraps(method)
    def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> S:
        _check_arguments(method, args, kwargs)
        session, begun = self._session.usable(), list[S]()

        async def begin() -> None:
            begun.append(await method(session, *args, **kwargs))

        try:
            eventloop.run(begin())
            return cast("S", begun[0].show())
        except KeyboardInterrupt as stop:
            if not begun:
                raise
            # It would go on sending, and nobody would have it in hand.
            begun[0].pause()
            raise Interrupted(paused(begun[0].id)) from stop

    return cast("Callable[Concatenate[Any, P], S]", call)


def awaitable(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Any, P], Awaitable[T]]:
    """A method of the session as an awaitable for any event loop."""

    @functools.wraps(method)
    def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        _check_arguments(method, args, kwargs)
        return eventloop.arun(method(self._session.usable(), *args, **kwargs))

    return cast("Callable[Concatenate[Any, P], Awaitable[T]]", call)


def _check_arguments(method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Name a mistyped, a missing or a surplus argument as what it is, in the words of the caller."""
    signature = inspect.signature(method)
    known = [each for each in signature.parameters if each != "self"]
    for name in kwargs:
        if name not in known:
            raise TypeError(
                f"ws.{method.__name__}() has no argument {name!r}; {did_you_mean(name, known) if known else 'it takes none'}"
            )
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise TypeError(f"ws.{method.__name__}({', '.join(known)}): {error}") from None
