"""Which post a webhook delivery is about: exactly where its event was recorded, else a guess with its odds, else why nobody can say.

The delivery log names no post. What it shows is the kind of event and when it came up, and a post shows when what the event reports
happened to it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from voxops._core.safe import many
from voxops.errors import PlanError
from voxops.frames import need_frame
from voxops.frames.columns import plain_values, refuse_texts_of_lists
from voxops.frames.entries import targets_in
from voxops.frames.values import STRING_DTYPE

__all__ = ["ABOUT_COLUMNS", "about_posts"]

ABOUT_COLUMNS: dict[str, Any] = {
    "post_id": STRING_DTYPE,
    "about": STRING_DTYPE,
    "odds": "Float64",
    "why_post": STRING_DTYPE,
}
# Kind of event -> the times of a post at which it may have come up, and the statuses that a post has after it.
_KINDS: Mapping[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "post.published": (("published_at", "updated_at"), frozenset({"published", "partial", "unpublished", "archived"})),
    "post.partial": (("published_at", "updated_at"), frozenset({"partial"})),
    "post.failed": (("updated_at",), frozenset({"failed"})),
    "post.created": (("created_at",), frozenset()),
    "post.scheduled": (("created_at", "updated_at"), frozenset()),
}
_BEFORE, _AFTER = 2.0, 120.0  # seconds by which an event may come up before and after what it reports
_NEAR = 5.0  # seconds over which a post's weight falls to a third
_NAMED = 10.0  # what a post that the event's words name weighs more, whatever its time
# Weight of the event being about a post that is not among those that were loaded, or that has changed since.
_NONE_OF_THEM = 0.05
_LEAST = 0.2  # odds below which a guess names no post
_IDS = re.compile(r"[A-Za-z0-9_-]{6,64}")
_NOTHING = (None, "unknown", None)


@dataclass(frozen=True, slots=True)
class _Known:
    """When something happened to the posts that an event of one kind may be about, in the order of time.

    Attributes
    ----------
    times : ndarray
        Seconds since 1970.
    posts : ndarray
        Which of `ids` each is of.
    ids : list of str
        The posts, sorted.
    places : dict
        The id of a post or of one of its accounts -> where among `times` it stands.
    """

    times: np.ndarray[Any, Any]
    posts: np.ndarray[Any, Any]
    ids: list[str]
    places: dict[str, list[int]]


def about_posts(
    log: pd.DataFrame, posts: pd.DataFrame | None = None, events: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Say which post each webhook delivery is about, as far as that can be said.

    Parameters
    ----------
    log : pandas.DataFrame
        From ``ws.deliveries``, or rows of it.
    posts : pandas.DataFrame, optional
        From ``ws.posts``, of the same time: what a guess chooses from.
    events : pandas.DataFrame, optional
        From ``vx.events``: what a receiver has recorded.

    Returns
    -------
    pandas.DataFrame
        The rows of `log` with ``post_id`` (string), ``about`` (string: ``recorded``, the event itself names it; ``likely``, a guess by kind,
        time and, where the answer names one, post or account; ``unknown``), ``odds`` (Float64: 1 where it is recorded; of a guess the
        chance that it is right, considering how near in time it and other posts are) and ``why_post`` (string: by what, or why it
        can't be said).

    Raises
    ------
    PlanError
        If neither posts nor events are passed, or a frame lacks columns.

    Examples
    --------
    >>> log = ws.deliveries(since="7D")
    >>> about = vx.about_posts(log, posts=ws.posts(since="30D"))
    >>> set(about["about"]) <= {"recorded", "likely", "unknown"}
    True
    """
    log = need_frame(log, ("delivery_id", "event_type", "created_at"), "about_posts() needs a deliveries frame", "Use ws.deliveries(...).", times=["created_at"])  # fmt: skip
    if posts is None and events is None:
        raise PlanError("about_posts() needs posts=ws.posts(...) to guess from, or events=vx.events(...) to look up")
    if posts is not None:
        needed = ("post_id", "status", "created_at", "updated_at", "published_at", "targets")
        posts = need_frame(
            posts, needed, "about_posts(posts=) needs a posts frame", "Use ws.posts(...).", times=needed[2:5]
        )
    if events is not None:
        need_frame(events, ("event_id", "event_type", "post_id", "delivery_ids"), "about_posts(events=) needs events", "Use vx.events(...).")  # fmt: skip
    recorded = {} if events is None else _recorded(events)
    known = {} if posts is None else {kind: _known(posts, kind) for kind in _KINDS}
    first = None if posts is None or not len(posts) else posts["updated_at"].min()

    @cache  # what was sent in bulk came up at one moment
    def guessed(kind: str, at: Any, names: frozenset[str]) -> tuple[str | None, str, float | None, str]:
        return _guess(known[kind], at, names, kind, first)

    columns = [plain_values(log, name) for name in ("delivery_id", "event_id", "event_type", "response_body", "error")]
    rows = []
    for delivery, event, kind, answer, error, at in zip(*columns, log["created_at"], strict=True):
        said = f"{answer or ''} {error or ''}"
        names = set(_IDS.findall(said))
        hit = next((recorded[one] for one in (delivery, event, *sorted(names)) if one in recorded), None)
        if hit is not None:
            rows.append(hit)
        elif kind not in _KINDS:
            what = str(kind).partition(".")[0]
            why = (
                f"nobody knows when a {kind} comes up" if what == "post" else f"{kind} is about the {what}, not a post"
            )
            rows.append((*_NOTHING, why))
        elif posts is None:
            rows.append((*_NOTHING, "its event was not recorded; pass posts=ws.posts(...) for a guess"))
        else:
            rows.append(guessed(kind, at, frozenset(known[kind].places.keys() & names)))
    values = list(zip(*rows, strict=True)) or [()] * len(ABOUT_COLUMNS)
    return log.assign(
        **{
            name: pd.array(list(some), dtype=dtype)
            for (name, dtype), some in zip(ABOUT_COLUMNS.items(), values, strict=True)
        }
    )


def _recorded(events: pd.DataFrame) -> dict[str, tuple[str | None, str, float | None, str]]:
    """What recorded events say, by the ids of their deliveries and their own."""
    found: dict[str, tuple[str | None, str, float | None, str]] = {}
    refuse_texts_of_lists(events, "delivery_ids")
    columns = [plain_values(events, name) for name in ("event_id", "event_type", "post_id", "delivery_ids")]
    for event, kind, post, deliveries in zip(*columns, strict=True):
        said = (
            (post, "recorded", 1.0, f"event {event} names it")
            if post
            else (*_NOTHING, f"event {event}, a {kind}, names no post")
        )
        found |= {one: said for one in (event, *(deliveries or ())) if one}
    return found


def _known(posts: pd.DataFrame, kind: str) -> _Known:
    """The posts that an event of this kind may be about."""
    names, statuses = _KINDS[kind]
    fits = posts[posts["status"].isin(list(statuses))] if statuses else posts
    entries: set[tuple[float, str, frozenset[str]]] = set()
    accounts = [frozenset(filter(None, targets_in(cell).column("account_id"))) for cell in fits["targets"]]
    for name in names:
        for at, post, owners in zip(fits[name], fits["post_id"], accounts, strict=True):
            if not pd.isna(at) and not pd.isna(post):
                entries.add((at.timestamp(), str(post), owners))
    ordered = sorted(entries, key=lambda entry: entry[:2])
    ids = sorted({post for _, post, _ in ordered})
    number = {post: place for place, post in enumerate(ids)}
    places: dict[str, list[int]] = {}
    for place, (_, post, owners) in enumerate(ordered):
        for one in {post, *owners}:
            places.setdefault(one, []).append(place)
    times = np.array([at for at, _, _ in ordered], dtype=float)
    return _Known(times, np.array([number[post] for _, post, _ in ordered], dtype=int), ids, places)


def _guess(
    known: _Known, at: Any, names: frozenset[str], kind: str, first: Any
) -> tuple[str | None, str, float | None, str]:
    """The post that a delivery is likeliest about, and its odds against the others that are near in time."""
    if pd.isna(at):
        return (*_NOTHING, "the delivery shows no time")
    moment = at.timestamp()
    start, end = np.searchsorted(known.times, [moment - _AFTER, moment + _BEFORE])
    if start == end:
        early = first is not None and not pd.isna(first) and moment < first.timestamp()
        why = f"no loaded post shows a {kind} at that time; it may have changed since"
        return (*_NOTHING, "it is older than the posts that were loaded" if early else why)
    each = np.exp(-np.abs(moment - known.times[start:end]) / _NEAR)
    mine = [known.places[name] for name in names]
    places = {place for some in mine for place in some[bisect_left(some, start) : bisect_left(some, end)]}
    named = [place - start for place in sorted(places)]
    each[named] += _NAMED
    near, post = np.unique(known.posts[start:end], return_inverse=True)
    weights = np.zeros(len(near))
    np.maximum.at(weights, post, each)
    best = int(weights.argmax())
    odds = float(weights[best] / (weights.sum() + _NONE_OF_THEM))
    if odds < _LEAST and len(near) == 1:
        return (*_NOTHING, "one post is near in time, but not near enough to be taken for it")
    if odds < _LEAST:
        return (*_NOTHING, f"{len(near)} posts fit alike, by kind and time; nobody can say which")
    by = "kind, time and what the answer names" if named else "kind and time"
    others = f", against {many(len(near) - 1, 'other')}" if len(near) > 1 else ""
    return known.ids[near[best]], "likely", round(odds, 3), f"a guess by {by}{others}"
