"""The search for the API key in an exception: every frame under it, with all that its variables hold."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from os import sep
from typing import Any

MARK = "Qz7mXk4RtW9pLs2VbN6yHc3J"
KEY = f"vb_live_{MARK}"
LIBRARIES = {"httpx", "httpcore", "h11", "anyio", "voxops"}
DEEPEST = 6


def pieces(text):
    """Every eight characters of the secret part that a text holds."""
    return [MARK[at : at + 8] for at in range(len(MARK) - 7) if MARK[at : at + 8] in text]


def inside(thing, seen, depth=0):
    """What a thing and all that it holds print as; `seen` holds what was looked at before, and so keeps it alive."""
    if depth > DEEPEST or id(thing) in seen:
        return
    seen[id(thing)] = thing
    with suppress(Exception):  # what can't be printed shows nothing
        yield repr(thing)
    held: Iterable[Any] = ()
    if isinstance(thing, bytes | bytearray):
        yield thing.decode("latin-1")
    elif isinstance(thing, dict):
        held = chain(thing, thing.values())
    elif isinstance(thing, list | tuple | set | frozenset):
        held = thing
    elif type(thing).__module__.partition(".")[0] in LIBRARIES and not isinstance(thing, BaseException):
        slots = chain.from_iterable(getattr(kind, "__slots__", ()) for kind in type(thing).__mro__)
        names = {*getattr(thing, "__dict__", ()), *slots} - {"_held"}  # the key's own hiding place
        held = (each for name in names if not callable(each := getattr(thing, name, None)))
    for each in held:
        yield from inside(each, seen, depth + 1)


def frames(error):
    """The frames of an exception and of all that lie under it, those of the test left out."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        step = one.__traceback__
        while step is not None:
            if f"{sep}tests{sep}" not in step.tb_frame.f_code.co_filename:
                yield step.tb_frame
            step = step.tb_next


def leaks(error, count):
    """Where an exception shows a piece of the key."""
    count["exceptions"] += 1
    seen: dict[int, Any] = {}
    found = [text for text in (str(error), repr(error), repr(vars(error)), repr(error.args)) if pieces(text)]
    for frame in frames(error):
        count["frames"] += 1
        for name, value in frame.f_locals.items():
            for text in inside(value, seen):
                if pieces(text):
                    found.append(f"{frame.f_code.co_qualname}: {name} = {text[:80]}")
    return found
