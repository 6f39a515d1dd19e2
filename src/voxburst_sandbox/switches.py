"""Switches, one for each place where the contract is silent or contradicts itself; and faults.

Most defaults give a client less to rely on; the others are the more dangerous reading.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import Any, Literal, get_type_hints

import msgspec

from voxburst_sandbox.store import fraction


@dataclass(frozen=True, slots=True)
class Switches:
    """How the sandbox reads the contract.

    Attributes
    ----------
    ignore_keys : bool
        Idempotency keys are accepted and forgotten: every request runs.
    forget_key_on_5xx : bool
        An answer of 500 or more leaves no key, although the request took effect.
    key_retention_seconds : int
        How long a key is remembered, in virtual seconds.
    workspace_keys : bool
        Idempotency keys are shared by all API keys; by default each API key has its own.
    listed_retry_counts, listed_target_ids : bool
        Listed posts show ``retryCount`` and ``postPlatformId`` too (the richer reading).
    no_retry_counts, no_target_ids, no_metadata : bool
        No answer ever shows them.
    no_listed_metadata : bool
        Lists show no metadata, single reads do.
    empty_listed_metadata : bool
        Lists show an empty object for it.
    list_lag_seconds : float
        Lists show the posts as they were so many virtual seconds ago; single reads are current.
    single_reads_lag : bool
        Single reads lag as the lists do: what was just created is not found.
    date_ahead_seconds : float
        The ``Date`` header is ahead of the clock by so much; nothing else is.
    linger_failed_seconds : float
        A retried or fixed post keeps its old status and `updatedAt` for so many virtual seconds after the 202; its retry
        count rises immediately.
    queue_hold_seconds : float
        After the 202 to a retry, fix or publish nothing at all shows for so many virtual seconds: neither status nor retry
        count nor `updatedAt`.
    string_errors : bool
        ``platforms[].error`` is a string.
    uppercase_status : bool
        Enums in answers are upper case.
    publish_on_create : bool
        A post with neither ``scheduledFor`` nor ``saveAsDraft`` is published immediately, the more dangerous reading; False
        keeps it as a draft.
    legacy : bool
        Names of earlier versions are read: ``platforms scheduledAt draft mediaIds overrides`` of a post, ``offset`` of a list.
        By default they are refused by name.
    pagination : str
        ``both``, ``snake``, ``camel`` or ``none``: spelling of the pagination object.
    accounts_envelope, webhooks_envelope : str
        Name of the list in the answer; ``data`` comes with a pagination object, any other name without. ``both``: the list
        under ``data`` and under the name of its path.
    wrapped_objects : bool
        Single objects come as ``{data: {…}}``.
    error_shape : str
        ``envelope``, ``string`` (``{error: "…"}``), ``pair`` (``{error: CODE, message}``) or ``toplevel`` (``{code, message}``).
    validation_status : int
        400 or 422.
    forbidden_code : str
        ``AUTHORIZATION_ERROR`` or the old ``FORBIDDEN``.
    bulk_status : str
        ``by_result``: 201 if all were created, else 207. ``refuses``: the same, but 422 with an error beside the results
        where none was created. ``200``, ``201``, ``207``, ``422``: whatever the results.
    bulk_refuses_whole : bool
        One bad item refuses the whole bulk with a 4xx that names it, instead of a result per item.
    delete_204 : bool
        Deletes answer 204 without a body.
    media_lowercase : bool
        Media statuses in lower case, as clients compare them; False shows them in upper case.
    validate_both_cases : bool
        The validation map holds each platform in both cases.
    webhook_flag : str
        Webhooks show ``active``, ``enabled`` or ``both``.
    event_shape : str
        Data of events about posts: ``newest``, ``middle``, ``first`` (platforms as words, partial results as
        ``post.partial``) or ``oldest`` (one event per platform).
    event_envelope : str
        ``docs`` (``{id, type, createdAt, data}``) or ``sdk`` (``{event, timestamp, data}``).
    silent_webhooks : bool
        Events make no deliveries, for loads where they would only cost time.
    no_identity : bool
        ``GET /v1/auth/me`` answers 404.
    record_bodies : bool
        The record of requests shows each body as text, `sent`.
    failure_rate : float
        Share of first publications that fail for a temporary reason.
    failure_rates : mapping
        Platform to error code to share of publications that fail with it, instead of `failure_rate`; a platform that is not
        named never fails.
    recovery_rate : float
        Share of retried temporary failures that succeed.
    publish_seconds : tuple of float
        Least and longest time from queue to result, in virtual seconds.
    """

    ignore_keys: bool = False
    forget_key_on_5xx: bool = False
    key_retention_seconds: int = 86_400
    workspace_keys: bool = False
    listed_retry_counts: bool = False
    listed_target_ids: bool = False
    no_retry_counts: bool = False
    no_target_ids: bool = False
    no_metadata: bool = False
    no_listed_metadata: bool = False
    empty_listed_metadata: bool = False
    list_lag_seconds: float = 0.0
    single_reads_lag: bool = False
    date_ahead_seconds: float = 0.0
    linger_failed_seconds: float = 0.0
    queue_hold_seconds: float = 0.0
    string_errors: bool = False
    uppercase_status: bool = False
    publish_on_create: bool = True
    legacy: bool = False
    pagination: Literal["both", "snake", "camel", "none"] = "both"
    accounts_envelope: str = "data"
    webhooks_envelope: str = "both"
    wrapped_objects: bool = False
    error_shape: Literal["envelope", "string", "pair", "toplevel"] = "envelope"
    validation_status: Literal[400, 422] = 400
    forbidden_code: Literal["AUTHORIZATION_ERROR", "FORBIDDEN"] = "AUTHORIZATION_ERROR"
    bulk_status: Literal["by_result", "refuses", "200", "201", "207", "422"] = "by_result"
    bulk_refuses_whole: bool = False
    delete_204: bool = False
    media_lowercase: bool = True
    validate_both_cases: bool = False
    webhook_flag: Literal["both", "active", "enabled"] = "both"
    event_shape: Literal["newest", "middle", "first", "oldest"] = "newest"
    event_envelope: Literal["docs", "sdk"] = "docs"
    silent_webhooks: bool = False
    no_identity: bool = False
    record_bodies: bool = False
    failure_rate: float = 0.06
    recovery_rate: float = 0.85
    failure_rates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    publish_seconds: tuple[float, float] = (5.0, 60.0)

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """Return the same switches with some changed; ValueError for an unknown name or a value that is not of its type."""
        types, values = {each.name: each.type for each in fields(self)}, {}
        for name, value in changes.items():
            if name not in types:
                near = get_close_matches(name, types, 1)
                raise ValueError(
                    f"no such switch: {name}; "
                    + (f"did you mean {near[0]}?" if near else "docs/reference/generated/switches.md names them")
                )
            try:
                values[name] = msgspec.convert(value, _types()[name], strict=False)
                fits = not isinstance(values[name], float) or isfinite(values[name])
            except msgspec.ValidationError:
                fits = False
            if not fits:
                raise ValueError(f"the switch {name} is of type {types[name]}, not {value!r}")
        return replace(self, **values)

    @staticmethod
    def setting(text: str) -> tuple[str, Any]:
        """Return the name and the value of ``NAME=VALUE``, a list or an object in JSON; ValueError as `changed`."""
        name, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"{text!r} is not NAME=VALUE")
        try:
            read = msgspec.json.decode(value) if value.startswith(("[", "{")) else value
        except msgspec.DecodeError as error:
            raise ValueError(f"the switch {name}: {value!r} is not JSON: {error}") from None
        return name, getattr(Switches().changed({name: read}), name)


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Switches)


# Faults that corrupt an answer and so strike after the effect, unless `when` says otherwise.
_CORRUPTING = frozenset(
    {"truncate", "garbage", "repeat_cursor", "bulk_double_index", "bulk_missing_index", "bulk_unknown_index"}
)
ACTIONS = _CORRUPTING | {"status", "drop", "delay", "retry_after", "advance", "bulk_partial"}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with a request.

    Attributes
    ----------
    action : str
        What goes wrong:

        - ``status`` answers `status` with `code`, `details` and `headers`.
        - ``drop`` closes the connection without an answer.
        - ``delay`` waits `seconds` (real ones) or until the faults are cleared.
        - ``truncate`` sends half of the answer and closes.
        - ``garbage`` sends `body` (``html``, ``json`` of the wrong shape, or ``empty``) with `status` or the true status.
        - ``retry_after`` answers 429 and asks for `seconds`.
        - ``advance`` moves the virtual clock by `seconds`.
        - ``repeat_cursor`` gives a list's own cursor as its next one.
        - ``bulk_double_index``, ``bulk_missing_index`` and ``bulk_unknown_index`` corrupt the items of a bulk answer.
        - ``bulk_partial`` creates only the first `items` items and then answers `status` with `code`.
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
        ``before`` the request takes effect, or ``after``; empty is after for what corrupts an answer (``truncate``,
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
            object.__setattr__(self, "when", "after" if self.action in _CORRUPTING else "before")
        if self.when not in ("before", "after"):
            raise ValueError(f"a fault strikes before or after the effect, not {self.when!r}")

    def matches(self, method: str, path: str) -> bool:
        """Whether the request is one of those that count."""
        return self.method in ("*", method) and _pattern(self.path).fullmatch(path) is not None


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """Return a path pattern as a regular expression."""
    parts = re.split(r"(\*\*|\*)", glob)
    return re.compile("".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts))


class FaultBook:
    """The faults in force, with how often each matched and struck; `cleared` is set when they are dropped."""

    def __init__(self) -> None:
        self.cleared = asyncio.Event()
        self._entries: list[list[Any]] = []  # [fault, matched, struck]
        self._tries: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._entries.append([fault, 0, 0])

    def clear(self) -> None:
        """Drop all faults."""
        self._entries.clear()
        self._tries.clear()
        self.cleared.set()
        self.cleared = asyncio.Event()

    async def hold(self, fault: Fault, cleared: asyncio.Event) -> None:
        """Wait for the seconds of a delay, or until the faults that were in force when it struck are dropped."""
        with suppress(TimeoutError):
            await asyncio.wait_for(cleared.wait(), fault.seconds)

    def shown(self) -> list[dict[str, Any]]:
        """Return the faults with their counts."""
        return [{**asdict(fault), "matched": matched, "struck": struck} for fault, matched, struck in self._entries]

    def strike(self, method: str, path: str, subject: str) -> list[Fault]:
        """Return the faults that hit this request; every matching fault counts it, whether or not it strikes."""
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
