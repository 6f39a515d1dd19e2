"""What there is to follow: a frame, ids, or what an asynchronous call has returned, as handles."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

import pandas as pd

from voxops.client import Handle, Kind
from voxops.errors import ConfigError, NotFoundError, PlanError, ValidationError
from voxops.frames.columns import plain_values

if TYPE_CHECKING:
    from voxops.client import AsyncClient

_TYPED = 20  # ids that are looked at one by one before they are followed
_LISTS = {"post": "posts", "media": "media", "account": "accounts"}
_GROUP = {"post": "platform", "media": "content_type", "account": "platform", "delivery": "event_type"}
# What a deliveries frame knows of a delivery, by its name on the wire.
_DELIVERY = {
    "success": "success", "statusCode": "status_code", "latencyMs": "latency_ms", "retryCount": "retry_count", "error": "error",
    "deliveredAt": "delivered_at",
}  # fmt: skip


def things_of(things: Any, kind: str) -> dict[Handle, str]:
    """What to follow, each with the platform or group that the monitor counts it under.

    Parameters
    ----------
    things : DataFrame, Handle, str or iterable of Handle or str
        A frame needs the column ``post_id``, ``media_id``, ``account_id`` or ``delivery_id``, as `kind` says.
    kind : str
        What ids are; a handle knows its own kind.

    Raises
    ------
    PlanError
        If the frame has no such column.
    ConfigError
        If there is no such kind, or a delivery is named by its id alone.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"kind={kind!r}; ws.watch follows {', '.join(map(repr, get_args(Kind)))}")
    if isinstance(things, pd.DataFrame):
        return _of_frame(things, kind)  # type: ignore[arg-type]
    several = isinstance(things, Iterable) and not isinstance(things, str)
    values = list(things) if several else [things]
    if not all(isinstance(value, str | Handle) for value in values):
        raise ConfigError("ws.watch takes a frame, ids, or what an asynchronous call of ws.client returned")
    if kind == "delivery" and not all(isinstance(value, Handle) for value in values):
        raise ConfigError(
            "a delivery is followed by its row of ws.deliveries() or by its handle; an id alone names no webhook"
        )
    return {value if isinstance(value, Handle) else Handle(value, kind): "" for value in values}  # type: ignore[arg-type]


def _of_frame(frame: pd.DataFrame, kind: Kind) -> dict[Handle, str]:
    """The things of a frame."""
    column = f"{kind}_id"
    wanted = [column, *(["webhook_id"] if kind == "delivery" else [])]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise PlanError(f"the frame has no column {', '.join(missing)}; give ids, or a frame that has it")
    if kind == "post" and "targets" in frame.columns:
        groups = list(map(_platforms, plain_values(frame, "targets")))
    else:
        groups = [str(value or "") for value in plain_values(frame, _GROUP[kind])]
    names = (column, "webhook_id", *_DELIVERY.values())
    found: dict[Handle, str] = {}
    for group, item, webhook, *values in zip(groups, *(plain_values(frame, name) for name in names), strict=True):
        if item is None or (kind == "delivery" and webhook is None):
            continue
        handle = Handle(str(item), kind)
        if kind == "delivery":
            before = {"id": item, **dict(zip(_DELIVERY, values, strict=True))}
            # One that has arrived is not expected to change.
            handle = replace(handle, webhook_id=webhook, before=None if before["success"] else before)
        found[handle] = group
    return found


def _platforms(cell: Any) -> str:
    """The platforms of a post's targets, by which it is counted; ``""`` where a file has made text of them."""
    targets = cell if isinstance(cell, list | tuple) else ()
    return "+".join(sorted({target.platform for target in targets if getattr(target, "platform", None)}))


async def refuse_unknown(client: AsyncClient, things: Collection[Handle]) -> None:
    """Refuse ids that name nothing: a word that was mistyped would be followed, and said to be gone.

    Raises
    ------
    ConfigError
        If one of a few ids, as people type them, is not there.
    """
    typed = [handle for handle in things if handle.kind in _LISTS]
    for handle in typed if len(typed) <= _TYPED else ():
        try:
            await client.request("GET", f"/v1/{_LISTS[handle.kind]}/{quote(handle.id, safe='')}")
        except (NotFoundError, ValidationError):
            raise ConfigError(
                f"there is no {handle.kind} {handle.id[:60]!r} in this workspace; ws.watch takes a frame, ids as ws.posts() shows them, "
                f"or with kind= those of {', '.join(name for name in get_args(Kind) if name != 'post')}"
            ) from None
