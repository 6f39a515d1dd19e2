"""Faults as data: which request they hit, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from voxburst_sandbox.draw import fraction

__all__ = ["ACTIONS", "Fault", "FaultBook"]

# Faults that spoil an answer and so strike after the effect, unless they say otherwise.
_SPOILING = frozenset(
    {"truncate", "garbage", "repeat_cursor", "bulk_double_index", "bulk_missing_index", "bulk_unknown_index"}
)
ACTIONS = _SPOILING | {"status", "drop", "delay", "retry_after", "advance", "bulk_partial"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with a request.

    Attributes
    ----------
    action : str
        ``status`` answers `status` with `code`, `details` and `headers`; ``drop`` closes the connection without an answer;
        ``delay`` waits `seconds` (real ones) or until the faults are cleared; ``truncate`` sends half of the answer and
        closes; ``garbage`` sends `body` (``html``, ``json`` of the wrong shape, or ``empty``) with `status` or the true
        status; ``retry_after`` answers 429 and asks for `seconds`; ``advance`` moves the virtual clock by `seconds`;
        ``repeat_cursor`` gives a list's own cursor as its next one; ``bulk_double_index``, ``bulk_missing_index`` and
        ``bulk_unknown_index`` spoil the items of a bulk answer; ``bulk_partial`` creates only the first `items` items and
        then answers `status` with `code`.
    method, path : str
        Which requests: the method or ``*``, and a pattern where ``*`` stands for one segment and ``**`` for any number.
    nth : int or None
        Hit only the nth matching request, counted from 1 and from when the fault was added.
    every : int or None
        Hit every so many-th matching request.
    chance : float or None
        Hit with this probability, drawn by hashing `seed`, the request's idempotency key and the count of its tries.
    times : int or None
        Hit at most so often; None is without limit.
    when : str
        ``before`` the request takes effect, or ``after``; empty is after for what spoils an answer (``truncate``,
        ``garbage``, ``bulk_…``, ``repeat_cursor``) and before for the rest. An injected answer before the effect leaves
        no idempotency key.
    forget_key : bool
        The server does not remember the key of this request, although it took effect: a later one with the same key runs.
    """

    action: str
    method: str = "*"
    path: str = "**"
    nth: int | None = None
    every: int | None = None
    chance: float | None = None
    times: int | None = 1
    when: str = ""
    status: int = 500
    code: str = "INTERNAL_ERROR"
    message: str = "injected by a fault"
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    body: str = "html"
    items: int = 0
    seed: int = 0
    forget_key: bool = False

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"no such fault: {self.action!r}; one of {', '.join(sorted(ACTIONS))}")
        if not self.when:
            object.__setattr__(self, "when", "after" if self.action in _SPOILING else "before")
        if self.when not in ("before", "after"):
            raise ValueError(f"a fault strikes before or after the effect, not {self.when!r}")

    def matches(self, method: str, path: str) -> bool:
        """Whether the request is one of those that count."""
        return self.method in ("*", method) and _pattern(self.path).fullmatch(path) is not None


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """Regular expression of a path pattern."""
    parts = re.split(r"(\*\*|\*)", glob)
    return re.compile("".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts))


class FaultBook:
    """The faults in force, with how often each matched and struck; `cleared` is set when they are dropped."""

    def __init__(self) -> None:
        self.cleared = asyncio.Event()
        self._entries: list[list[Any]] = []  # [fault, matched, struck]
        self._tries: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._entries.append([fault, 0, 0])

    def clear(self) -> None:
        """Drop all faults."""
        self._entries.clear()
        self._tries.clear()
        self.cleared.set()
        self.cleared = asyncio.Event()

    async def hold(self, fault: Fault, cleared: asyncio.Event) -> None:
        """Wait as long as a delay says, or until the faults are dropped; `cleared` is that of when it struck."""
        with suppress(TimeoutError):
            await asyncio.wait_for(cleared.wait(), fault.seconds)

    def shown(self) -> list[dict[str, Any]]:
        """Return the faults with their counts."""
        return [{**asdict(fault), "matched": matched, "struck": struck} for fault, matched, struck in self._entries]

    def strike(self, method: str, path: str, subject: str) -> list[Fault]:
        """Faults that hit this request; every matching fault counts it, whether or not it strikes."""
        if not self._entries:
            return []
        tried = self._tries[subject] = self._tries.get(subject, 0) + 1
        hits = []
        for entry in self._entries:
            fault: Fault = entry[0]
            if not fault.matches(method, path):
                continue
            entry[1] += 1
            if _due(fault, entry[1], entry[2], subject, tried):
                entry[2] += 1
                hits.append(fault)
        return hits


def _due(fault: Fault, matched: int, struck: int, subject: str, tried: int) -> bool:
    """Whether the fault hits its `matched`-th request."""
    if fault.times is not None and struck >= fault.times:
        return False
    if fault.nth is not None:
        return matched == fault.nth
    if fault.every is not None:
        return matched % fault.every == 0
    if fault.chance is not None:
        return fraction(fault.seed, fault.action, fault.path, subject, tried) < fault.chance
    return True
