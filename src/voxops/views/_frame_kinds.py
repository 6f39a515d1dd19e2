"""The kinds of frame: the columns by which each is recognised, and those that are shown, in the order of reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from voxops.model import Outcome
from voxops.views._palette import OUTCOME, PLATFORM, STATUS, VERDICT, Look

__all__ = [
    "FIRST",
    "LOOKS",
    "MOST",
    "PLANNED",
    "RESULTS",
    "SHEET_TIMES",
    "Kind",
    "Shape",
    "is_deliveries",
    "kind_of",
    "order_of",
    "shape_of",
]

MOST = 10  # columns shown
_YEAR = 34  # pixels of a year
_LEAST, _LEAST_WRAPPED = 130, 190  # minimum pixels of a column without a fixed width
TRIAGED, PLANNED, RESULTS, CAUSES = "triaged targets", "planned rows", "results", "causes"
SHEET_TIMES = ("scheduled_for", "new_scheduled_for")  # text in a sheet
FIRST = {
    TRIAGED: "those with a cause first",
    PLANNED: "those to be sent first",
    RESULTS: "what failed, is unknown or blocked first",
}
_OUTCOMES = {Outcome.FAILED: 0, Outcome.UNKNOWN: 1, Outcome.BLOCKED: 2, Outcome.PENDING: 3}  # order of reading
# Shapes for one kind of frame: narrower where other columns matter more, or with another title.
_PARTICULAR: Mapping[str, Mapping[str, Any]] = {
    CAUSES: {"count": {"title": "targets", "width": 68}},
    PLANNED: {"reason": {"whole": True}},
    TRIAGED: {"content": {"width": 100}, "cause": {"width": 184}},
    RESULTS: {
        "content": {"width": 130},
        "new_content": {"width": 130},
        "accounts": {"width": 140},
        "cause": {"width": 170, "wraps": False},  # why it was planned, not its outcome
    },
}
# Singular, where it takes more than to drop the s.
_ONE = {"posts at risk": "post at risk", "deliveries": "delivery", "figures of posts": "figures of a post"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of frame: its name, the columns by which it is recognised, and those that matter, most first."""

    name: str
    known_by: frozenset[str]
    columns: tuple[str, ...]

    @property
    def one(self) -> str:
        """The name of one row."""
        return _ONE.get(self.name, self.name.removesuffix("s"))


@dataclass(frozen=True, slots=True)
class Shape:
    """How a column is drawn: its title, its width in pixels if fixed, and whether it is shortened in the middle, as ids are.

    Columns without a fixed width share what the others leave. `wraps`: the text takes up to three lines. `whole`: it is never cut,
    since its end says what to do. `days`: times show the day only. `years`: times show their year. `share`: a number from 0 to 1 is
    shown in percent. `address`: host and path are shown, without the scheme.
    """

    title: str
    width: int = 0
    shortened: bool = False
    wraps: bool = False
    whole: bool = False
    days: bool = False
    years: bool = False
    share: bool = False
    address: bool = False

    @property
    def least(self) -> int:
        """Its minimum width in pixels."""
        return self.width or (_LEAST_WRAPPED if self.wraps else _LEAST)


def _kind(name: str, known_by: str, columns: str) -> Kind:
    return Kind(name, frozenset(known_by.split()), tuple(columns.split()))


# The most specific kinds first: a plan of triaged rows is a plan.
KINDS: Sequence[Kind] = (
    _kind(
        RESULTS,
        "outcome eligible settled_at",
        "outcome error_code error_message waiting_for row_id owner platform account_name accounts new_scheduled_for "
        "new_content content post_id event_type url delivery_id cause scheduled_for tries settled_at result_id",
    ),
    _kind(
        PLANNED,
        "eligible reason idempotency_key",
        "eligible reason row_id owner cause platform account_name accounts new_scheduled_for new_content content scheduled_for "
        "event_type url post_id delivery_id attempt",
    ),
    _kind(
        "ledger rows",
        "item outcome idempotency_key first_sent_at",
        "outcome action item platform who last_sent_at reason error_code error_message waiting_for attempt tries settled_at",
    ),
    _kind(
        "runs",
        "action state who succeeded failed",
        "run action campaign state reason created_at succeeded failed blocked unknown pending who note",
    ),
    _kind(
        CAUSES,
        "cause verdict remedy count posts",
        "verdict cause remedy owners count posts accounts platforms first_seen last_seen example",
    ),
    _kind(
        TRIAGED,
        "cause verdict remedy platform",
        "verdict cause remedy owner campaign platform account_name content updated_at post_id",
    ),
    _kind(
        "findings",
        "level code message column",
        "level cell row_id platform column code message",
    ),
    _kind(
        "outages",
        "start recovered_at failed_first lost",
        "url symptom start end recovered_at lost failed_first deliveries failure_rate",
    ),
    _kind(
        "posts at risk",
        "risk why post_id account_status",
        "risk why remedy scheduled_for platform account_name account_status failure_share content post_id",
    ),
    _kind(
        "accounts",
        "risk failure_share next_at checked_at",
        "status risk why remedy verdict platform username failed failure_share next_at works account_id",
    ),
    _kind(
        "figures of posts",
        "post_id impressions engagement_rate",
        "platform impressions reach engagements likes comments shares clicks engagement_rate post_id",
    ),
    _kind(
        "targets",
        "post_id target_id platform",
        "status platform account_name error_code error_message owner campaign content scheduled_for updated_at retry_count "
        "post_id",
    ),
    _kind(
        "events",
        "event_id event_type received verified",
        "event_type status content account_id media_id created_at received verified post_id event_id",
    ),
    _kind(
        "posts",
        "post_id status content created_at",
        "status content targets failed_targets owner campaign tags scheduled_for published_at updated_at post_id",
    ),
    _kind(
        "deliveries",
        "delivery_id event_type",
        "success why event_type url post_id about odds why_post status_code error latency_ms retry_count created_at delivered_at delivery_id",
    ),
    _kind(
        "accounts",
        "account_id username platform",
        "works status verdict remedy platform username check_message scope_message account_id",
    ),
    _kind(
        "webhooks",
        "webhook_id events enabled",
        "enabled url events failure_count last_delivery_at created_at webhook_id",
    ),
    _kind(
        "campaign rows",
        "row_id content accounts scheduled_for",
        "row_id accounts scheduled_for content media tags first_comment",
    ),
)
_OTHER = Kind("rows", frozenset(), ())

_SHAPES: Mapping[str, Shape] = {
    "about": Shape("about", 70),
    "account_id": Shape("account id", 112, shortened=True),
    "account_name": Shape("account", 106),
    "account_status": Shape("status", 84),
    "campaign": Shape("campaign", 110),
    "cause": Shape("cause", wraps=True),
    "cell": Shape("cell", 60),
    "code": Shape("code", 176),
    "column": Shape("column", 116),
    "content": Shape("text"),
    **{f"delivered_by_{most}": Shape(f"by attempt {most}", 96, share=True) for most in (1, 2, 3)},
    "eligible": Shape("sent", 44),
    "error_code": Shape("error", 176),
    "error_message": Shape("message", wraps=True),
    "event_type": Shape("event", 120),
    "failure_rate": Shape("failing", 64, share=True),
    "failure_share": Shape("failing", 64, share=True),
    "failed_targets": Shape("failed", 52),
    "latency_ms": Shape("ms", 60),
    "level": Shape("level", 72),
    "message": Shape("message", wraps=True),
    "new_content": Shape("new text"),
    "new_scheduled_for": Shape("new time", 108),
    "note": Shape("note", wraps=True),
    "odds": Shape("odds", 52),
    "outcome": Shape("outcome", 108),
    "owner": Shape("owner", 76),
    "platform": Shape("platform", 96),
    "reason": Shape("reason", wraps=True),
    "remedy": Shape("remedy", wraps=True),
    "retry_count": Shape("retries", 66),
    "risk": Shape("risk", 84),
    "scheduled_for": Shape("scheduled", 108),
    "scope_message": Shape("scope message", wraps=True),
    "status": Shape("status", 110),
    "status_code": Shape("HTTP", 52),
    "success": Shape("success", 76),
    "success_rate": Shape("success rate", 104, share=True),
    "targets": Shape("platforms"),
    "updated_at": Shape("changed", 108),
    "url": Shape("address", 252, address=True),
    "verdict": Shape("verdict", 148),
    "waiting_for": Shape("waits for", wraps=True, whole=True),
    "why": Shape("why", wraps=True),
    "why_post": Shape("by what", wraps=True),
}
_DAYS = frozenset({"day", "week"})  # columns of counts by day or week
LOOKS: Mapping[str, Mapping[str, Look]] = {
    "outcome": OUTCOME,
    "platform": PLATFORM,
    "status": STATUS,
    "verdict": VERDICT,
}


def kind_of(frame: pd.DataFrame) -> Kind:
    """Return the kind of a frame by its columns: a filter, a file or a merge may have lost its attrs."""
    names = set(map(str, frame.columns))
    return next((kind for kind in KINDS if kind.known_by <= names), _OTHER)


def is_deliveries(frame: pd.DataFrame) -> bool:
    """Whether the rows are webhook deliveries, also in a plan or in the results of a run."""
    return {"delivery_id", "event_type"} <= set(map(str, frame.columns))


def order_of(kind: Kind, frame: pd.DataFrame) -> np.ndarray[Any, Any] | None:
    """Return the row positions in the order of reading; None for the frame's own order.

    Rows that need no action come last: they would push the others off the page.
    """
    if kind.name == TRIAGED:
        rank: pd.Series[Any] = frame["cause"].isna()
    elif kind.name == PLANNED:
        rank = ~frame["eligible"].astype(bool)
    elif kind.name == RESULTS:
        rank = frame["outcome"].astype(object).map(_OUTCOMES).fillna(len(_OUTCOMES))
    else:
        return None
    return np.argsort(rank.to_numpy("int64"), kind="stable")


def shape_of(column: object, values: pd.Series[Any], kind: Kind = _OTHER, *, years: bool = False) -> Shape:
    """Return how a column is drawn in a frame of this kind; `years` if its times must show the year."""
    shape = replace(_shape(str(column), values), **_PARTICULAR.get(kind.name, {}).get(str(column), {}))
    return replace(shape, width=shape.width + _YEAR, years=True) if years and shape.width and not shape.days else shape


def _shape(name: str, values: pd.Series[Any]) -> Shape:
    """Return how a column is drawn in any kind of frame."""
    number = pd.api.types.is_numeric_dtype(values)
    if name == "scheduled_for" and not isinstance(values.dtype, pd.DatetimeTZDtype):
        return Shape("scheduled", 212)  # text of a sheet, with its offset
    known = _SHAPES.get(name)
    if known is not None and not (number and name == "targets"):  # a count, not a list
        return known
    title = name.replace("_", " ").removesuffix(" at")
    if name.endswith("_id") or name in {"item", "run"}:
        return Shape(title.removesuffix(" id"), 112, shortened=True)
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return Shape(title, 92 if name in _DAYS else 108, days=name in _DAYS)
    short = number or pd.api.types.is_bool_dtype(values)
    return Shape(title, 30 + 8 * min(len(title), 12) if short else 0)
