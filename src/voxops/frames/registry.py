"""The registry of columns: what each column of a frame is called, means and looks like, and which matter in which kind of frame.

Views, panels, reports, plans, Excel heads, ``vx.columns`` and the glossary come from it. A new column is one entry; a new kind of frame
is one entry with its columns in the order of reading, the code and the message of a failure first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd

from voxops.frames.meanings import MEANINGS
from voxops.frames.palette import OUTCOME, PLATFORM, STATUS, VERDICT, Look

LOOKS: Mapping[str, Mapping[str, Look]] = {
    "outcome": OUTCOME,
    "platform": PLATFORM,
    "status": STATUS,
    "verdict": VERDICT,
}
_ONE = {"posts at risk": "post at risk", "deliveries": "delivery", "figures of posts": "figures of a post"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name, title : str
        Name in the frame, and title for people.
    meaning, unit : str
        What it is, in one sentence, and the unit of its numbers.
    kind : str
        ``word`` (of a small vocabulary), ``text``, ``id``, ``time``, ``day``, ``number``, ``share`` (0 to 1, shown in percent), ``flag``,
        ``list``, ``address`` (of a webhook, which may contain a secret) or ``link``.
    width : int
        Pixels; columns without a width share what the others leave.
    facet : bool
        Whether panels filter by its values.
    look : str
        The palette of its words.
    """

    name: str
    title: str
    meaning: str = ""
    unit: str = ""
    kind: str = "text"
    width: int = 0
    facet: bool = False
    look: str = ""

    @property
    def right(self) -> bool:
        """Whether it is aligned right."""
        return self.kind in {"number", "share"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of frame: its name, the columns by which it is recognised, and those that matter, most first.

    `order` is the column by which rows that need no action come last, and `first` says so.
    """

    name: str
    known_by: frozenset[str]
    columns: tuple[str, ...]
    order: str = ""
    first: str = ""

    @property
    def one(self) -> str:
        """The name of one row."""
        return _ONE.get(self.name, self.name.removesuffix("s"))


# name: (title, kind, width, facet, look); what is not here follows from the name and the dtype.
_DRAWN: Mapping[str, tuple[str, str, int, bool, str]] = {
    "about": ("about", "word", 70, False, ""),
    "account_id": ("account id", "id", 112, True, ""),
    "account_name": ("account", "text", 120, False, ""),
    "account_status": ("account", "word", 92, False, "status"),
    "accounts": ("accounts", "list", 140, False, ""),
    "act": ("act", "word", 92, False, ""),
    "action": ("act", "word", 76, True, ""),
    "after": ("after", "text", 0, False, ""),
    "before": ("before", "text", 0, False, ""),
    "campaign": ("campaign", "word", 110, True, ""),
    "cause": ("cause", "text", 0, True, ""),
    "cell": ("cell", "word", 60, False, ""),
    "code": ("code", "word", 176, False, ""),
    "column": ("column", "word", 116, False, ""),
    "content": ("text", "text", 0, False, ""),
    "delivered_by_1": ("by attempt 1", "share", 96, False, ""),
    "delivered_by_2": ("by attempt 2", "share", 96, False, ""),
    "delivered_by_3": ("by attempt 3", "share", 96, False, ""),
    "eligible": ("sent", "flag", 44, False, ""),
    "error_code": ("error", "word", 168, False, ""),
    "error_message": ("message", "text", 0, False, ""),
    "event_type": ("event", "word", 130, True, ""),
    "failure_rate": ("failing", "share", 64, False, ""),
    "failure_share": ("failing", "share", 64, False, ""),
    "failed": ("failed", "number", 58, False, ""),
    "failed_targets": ("failed", "number", 58, False, ""),
    "idempotency_key": ("key", "id", 112, False, ""),
    "latency_ms": ("ms", "number", 60, False, ""),
    "level": ("level", "word", 72, False, ""),
    "message": ("message", "text", 0, False, ""),
    "new_content": ("new text", "text", 0, False, ""),
    "new_scheduled_for": ("new time", "time", 128, False, ""),
    "note": ("note", "text", 0, False, ""),
    "odds": ("odds", "share", 60, False, ""),
    "outcome": ("outcome", "word", 108, True, "outcome"),
    "owner": ("owner", "word", 80, True, ""),
    "platform": ("platform", "word", 104, True, "platform"),
    "reason": ("reason", "text", 0, False, ""),
    "remedy": ("what to do", "text", 0, False, ""),
    "request": ("request", "word", 150, False, ""),
    "retry_count": ("retries", "number", 62, False, ""),
    "risk": ("risk", "word", 84, False, ""),
    "scheduled_for": ("scheduled", "time", 128, False, ""),
    "scope_message": ("scope message", "text", 0, False, ""),
    "state": ("state", "word", 84, True, ""),
    "status": ("status", "word", 120, True, "status"),
    "status_code": ("HTTP", "number", 52, True, ""),
    "success": ("success", "flag", 76, True, ""),
    "success_rate": ("success rate", "share", 104, False, ""),
    "tags": ("tags", "list", 110, False, ""),
    "targets": ("platforms", "list", 140, False, ""),
    "updated_at": ("changed", "time", 128, False, ""),
    "url": ("address", "address", 252, True, ""),
    "verdict": ("verdict", "word", 148, True, "verdict"),
    "waiting_for": ("waits for", "text", 0, False, ""),
    "what": ("what", "word", 0, False, "verdict"),
    "who": ("who", "word", 96, True, ""),
    "why": ("why", "text", 0, False, ""),
    "why_post": ("by what", "text", 0, False, ""),
    "withdrawn": ("withdrawn", "word", 96, False, ""),
}
_DAYS = frozenset({"day", "week"})  # columns of counts by day or week
_IDS = frozenset({"item", "run", "example", "idempotency_key"})


def _kind(name: str, known_by: str, columns: str, order: str = "", first: str = "") -> Kind:
    return Kind(name, frozenset(known_by.split()), tuple(columns.split()), order, first)


# The most specific kinds first: a plan of triaged rows is a plan.
KINDS: tuple[Kind, ...] = (
    _kind(
        "rows that did not go",
        "outcome why eligible idempotency_key",
        "outcome why row_id accounts scheduled_for content",
    ),
    _kind(
        "results",
        "outcome eligible settled_at",
        "outcome error_code error_message waiting_for withdrawn row_id owner platform account_name accounts new_scheduled_for new_content "
        "content post_id event_type url delivery_id cause scheduled_for tries settled_at result_id",
        "outcome",
        "what failed, is unknown or blocked first",
    ),
    _kind(
        "planned rows",
        "eligible reason idempotency_key",
        "eligible reason row_id owner cause platform account_name accounts new_scheduled_for new_content content scheduled_for "
        "event_type url post_id delivery_id attempt",
        "eligible",
        "those to be sent first",
    ),
    _kind(
        "ledger rows",
        "item outcome idempotency_key first_sent_at",
        "outcome error_code error_message waiting_for action item platform who last_sent_at reason attempt tries settled_at",
    ),
    _kind(
        "runs",
        "action state who succeeded failed",
        "run action state succeeded failed pending unknown blocked withdrawn reason who created_at campaign note",
    ),
    _kind(
        "causes",
        "cause verdict remedy count posts",
        "verdict cause remedy count posts owners accounts platforms first_seen last_seen example",
    ),
    _kind(
        "triaged targets",
        "cause verdict remedy platform",
        "verdict cause remedy owner campaign platform account_name content updated_at post_id",
        "cause",
        "those with a cause first",
    ),
    _kind(
        "causes by week", "change cause verdict rows last_week", "change cause verdict rows last_week before last_seen"
    ),
    _kind("findings", "level code message column", "level code message row_id platform column cell"),
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
        "status error_code error_message platform account_name owner campaign content scheduled_for updated_at retry_count post_id",
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
        "success why status_code error event_type url post_id about odds why_post latency_ms retry_count created_at delivered_at delivery_id",
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
OTHER_ROWS = Kind("rows", frozenset(), ())
# Where a name means something else in one kind of frame: (kind, column) -> what differs.
_PARTICULAR: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("causes", "count"): {"title": "targets"},
    ("runs", "withdrawn"): {"kind": "number", "width": 82},
    ("runs", "reason"): {"title": "reason given"},
}


def kind_of(frame: pd.DataFrame) -> Kind:
    """Return the kind of a frame by its columns: a filter, a file or a merge may have lost its attrs."""
    names = set(map(str, frame.columns))
    return next((kind for kind in KINDS if kind.known_by <= names), OTHER_ROWS)


def is_deliveries(frame: pd.DataFrame) -> bool:
    """Whether the rows are webhook deliveries, also in a plan or in the results of a run."""
    return {"delivery_id", "event_type"} <= set(map(str, frame.columns))


def column_of(name: object, values: pd.Series[Any] | None = None, kind: Kind = OTHER_ROWS) -> Column:
    """Return how a column is drawn: by its entry, else by its name and dtype."""
    found = column_named(str(name), kind.name)
    dtype = None if values is None else values.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        day = found.name in _DAYS
        return (
            found
            if found.kind in {"time", "day"}
            else replace(found, kind="day" if day else "time", width=92 if day else 128)
        )
    if values is not None and found.kind in {"text", "list"} and not found.width:
        if pd.api.types.is_bool_dtype(values):
            return replace(found, kind="flag", width=_short(found.title))
        if pd.api.types.is_numeric_dtype(values):
            return replace(found, kind="number", width=_short(found.title))
    if values is not None and found.kind == "list" and pd.api.types.is_numeric_dtype(values):  # a count, not a list
        return replace(found, kind="number", title=found.name.replace("_", " "), width=_short(found.title))
    if values is not None and found.kind in {"time", "number", "share"} and pd.api.types.is_object_dtype(values):
        return replace(
            found, kind="text", width=212 if found.kind == "time" else found.width
        )  # text of a sheet, with its offset
    return found


@cache
def column_named(name: str, kind: str = "") -> Column:
    """Return a column by its name, in this kind of frame."""
    title, what, width, facet, look = _DRAWN.get(name, ("", "", 0, False, ""))
    plain = name.replace("_", " ").removesuffix(" at")
    if not what:
        is_id = name.endswith("_id") or name in _IDS
        what, width, title = ("id", 112, plain.removesuffix(" id")) if is_id else ("text", 0, plain)
    said, meaning, unit = MEANINGS.get(f"{kind}.{name}") or MEANINGS.get(name) or ("", "", "")
    found = Column(name, title or said or plain, meaning, unit, what, width, facet, look)
    return replace(found, **_PARTICULAR.get((kind, name), {}))


def _short(title: str) -> int:
    """Return the width of a column of short values by its title."""
    return 34 + 8 * min(len(title), 14)


def columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Explain the columns of a frame.

    Parameters
    ----------
    frame : pandas.DataFrame
        Any frame of voxops.

    Returns
    -------
    pandas.DataFrame
        One row per column, in the frame's order, indexed by ``column`` (string): ``title meaning unit dtype`` (string). ``meaning`` is NA
        for a column that voxops does not know, such as the analyst's own.

    Examples
    --------
    >>> vx.columns(posts).loc["post_id", "meaning"]
    'The id of the post.'
    """
    kind = kind_of(frame)
    rows = []
    for name, dtype in frame.dtypes.items():
        found = column_named(str(name), kind.name)
        rows.append(
            {
                "column": str(name),
                "title": found.title,
                "meaning": found.meaning or None,
                "unit": found.unit or None,
                "dtype": str(dtype),
            }
        )
    names = ["column", "title", "meaning", "unit", "dtype"]
    return pd.DataFrame(rows, columns=names).astype("string").set_index("column")
