"""The columns of each kind of record, and the conversion of raw JSON values to typed arrays.

The API is read leniently (contract: SCH, VER): either casing, numbers as text, times with or without fractions, errors as object,
string or null. An unreadable value becomes NA, and the caller counts it; nothing here raises because of a server's data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from voxops._support.canonical import well_formed
from voxops.api.error_bodies import read_error
from voxops.api.states import field_name
from voxops.frames.nested import JsonArray, ListArray, Objects
from voxops.frames.times import NAT, stamps, utc

STRING_DTYPE = pd.StringDtype("python")

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})
_INT64 = range(-(2**63), 2**63)
_NUMBER = np.dtype([("value", np.int64), ("missing", np.bool_)])


def to_bool(value: Any) -> bool | None:
    """Read True or False from JSON, a number or text; None for anything else."""
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def error_parts(error: Any) -> tuple[str | None, str | None]:
    """Return code and message of an error in any shape, None for none (contract: 8.1)."""
    said = read_error(error)
    return well_formed(said.code) or None, well_formed(said.message) or None


def _text(value: Any) -> str | None:
    """Return any JSON value as text: numbers in full, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    try:
        return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # a thousand nested lists instead of a text
        return "[…]"


def _only(values: Sequence[Any], *types: type) -> bool:
    """Whether every value has one of these exact types or is None."""
    return set(map(type, values)) <= {*types, type(None)}


def clean_texts(values: Sequence[Any]) -> Sequence[Any]:
    """Return texts, with lone surrogates replaced, which files and other libraries refuse; any other value as text."""
    texts = values if _only(values, str) else [_text(value) for value in values]
    return texts if _is_well_formed(texts) else [None if text is None else well_formed(text) for text in texts]


def _is_well_formed(values: Iterable[Any]) -> bool:
    """Whether UTF-8 can encode all texts among these values."""
    try:
        "".join([value for value in values if type(value) is str]).encode()
    except UnicodeEncodeError:
        return False
    return True


class _Memo(dict[Any, Any]):
    """A cache of converted values: one look-up each, and equal results share one object.

    It stores only texts, since ``1``, ``1.0`` and ``True`` are equal keys, and at most 10,000.
    """

    def __init__(self, make: Callable[[str], str]) -> None:
        super().__init__({None: None})
        self._make = make

    def __missing__(self, value: Any) -> Any:
        text = self._make(well_formed(_text(value) or "")) or None
        if type(value) is str:
            if len(self) > 10_000:
                self.clear()
                self[None] = None
            self[value] = text
        return text

    def clean(self, values: Sequence[Any]) -> Sequence[Any]:
        """Convert each value."""
        try:
            return list(map(self.__getitem__, values))
        except TypeError:  # a list or an object instead of a word
            return [self[_text(value)] for value in values]


def clean_counts(values: Sequence[Any]) -> Sequence[Any]:
    """Read whole numbers, also from text and floats; anything else, or beyond 64 bits, becomes None."""
    if _only(values, int):
        large = list(filter(None, values))
        if not large or (min(large) in _INT64 and max(large) in _INT64):
            return values
    return [_count(value) for value in values]


def _count(value: Any) -> int | None:
    """Read one whole number, rounding a fraction; None for anything else."""
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        value = round(value) if np.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if value in _INT64 else None


def clean_lists(values: Sequence[Any]) -> Sequence[list[Any]]:
    """Return lists with their texts well formed, None as an empty one, and any other value as a list of one."""
    lists = [value if isinstance(value, list) else [] if value is None else [value] for value in values]
    if _is_well_formed(chain.from_iterable(lists)):
        return lists
    return [[well_formed(each) if isinstance(each, str) else each for each in listed] for listed in lists]


def _objects(values: Sequence[Any]) -> Objects:
    """One object per row, never spread over a second axis."""
    return np.fromiter(values, object, len(values))


def _numbers(values: Sequence[Any]) -> Any:
    """Return whole numbers and a mask of missing ones; never as floats, so that 9007199254740993 next to a null stays exact."""
    staged = np.zeros(len(values), _NUMBER)
    if None in values:
        staged["missing"] = [value is None for value in values]
        values = [value or 0 for value in values]
    staged["value"] = values
    return staged


@dataclass(frozen=True, slots=True)
class Kind:
    """The conversion of a column.

    Attributes
    ----------
    name : str
        One word.
    clean : callable
        Raw JSON values -> uniform ones.
    stage : callable
        Uniform values -> a compact NumPy array, which can be concatenated.
    finish : callable
        That array -> the column.
    missing : callable or None
        That array -> which of its values are missing; None for kinds that read any value and so lose none.
    """

    name: str
    clean: Callable[[Sequence[Any]], Sequence[Any]]
    stage: Callable[[Sequence[Any]], Any]
    finish: Callable[[Any], Any]
    missing: Callable[[Any], Any] | None = None

    def array(self, values: Sequence[Any]) -> Any:
        """Return uniform values as a column."""
        return self.finish(self.stage(values))


def status_spelling(text: str) -> str:
    """Return the canonical spelling of a status, platform or other word."""
    word = text.strip().lower()
    return "cancelled" if word == "canceled" else word


def _strings(staged: Objects) -> Any:
    return pd.array(staged, dtype=STRING_DTYPE)


TEXT = Kind("text", clean_texts, _objects, _strings)
LABEL = Kind("label", _Memo(str).clean, _objects, _strings)
WORD = Kind("word", _Memo(status_spelling).clean, _objects, _strings)
CODE = Kind("code", _Memo(lambda text: text.strip().upper()).clean, _objects, _strings)
COUNT = Kind(
    "count", clean_counts, _numbers,
    lambda staged: pd.arrays.IntegerArray(staged["value"].copy(), staged["missing"].copy()), itemgetter("missing"),
)  # fmt: skip
# True, False and None as 1, 0 and -1.
FLAG = Kind(
    "flag", lambda values: values if _only(values, bool) else list(map(to_bool, values)),
    lambda values: np.array([-1 if value is None else value for value in values] if None in values else values, np.int8),
    lambda staged: pd.arrays.BooleanArray(staged == 1, staged < 0), lambda staged: staged < 0,
)  # fmt: skip
TIME = Kind("time", list, stamps, lambda staged: utc(staged).array, lambda staged: staged == NAT)
# As tuples until the frame is made: the garbage collector would look through a hundred thousand lists again and again.
LIST = Kind(
    "list", clean_lists, lambda values: _objects(list(map(tuple, values))),
    lambda staged: ListArray(_objects(list(map(list, staged)))),
)  # fmt: skip
JSON = Kind("json", list, _objects, JsonArray)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its kind, and the fields it is read from; the first with a value wins.

    A field is named as `field_name` spells it: any spelling on the wire matches. A dot reaches into an object: ``post.id``.
    A name with a leading underscore is read for other columns, and is not in the frame.
    """

    name: str
    kind: Kind
    fields: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Whether it is in the frame."""
        return not self.name.startswith("_")


def _table(*rows: tuple[Any, ...]) -> tuple[Column, ...]:
    """Build a schema from rows ``(column, kind, "field otherField")``; a column without fields is read from that of its name."""
    return tuple(
        Column(name, kind, tuple(map(field_name, (fields or [name])[0].split()))) for name, kind, *fields in rows
    )


# Columns with "" for their fields are computed from others: see `typed`.
SCHEMAS: Mapping[str, tuple[Column, ...]] = {
    "posts": _table(
        ("post_id", TEXT, "id postId"),
        ("status", WORD),
        ("content", TEXT, "content text"),
        ("content_type", WORD),
        ("scheduled_for", TIME, "scheduledFor scheduledAt"),
        ("published_at", TIME),
        ("created_at", TIME),
        ("updated_at", TIME),
        ("targets", JSON, "platforms targets"),
        ("failed_targets", COUNT, ""),
        ("tags", LIST),
        ("metadata", JSON),
        ("workspace_id", LABEL),
    ),
    "deliveries": _table(
        ("delivery_id", TEXT, "id deliveryId"),
        ("webhook_id", LABEL),
        ("event_type", LABEL, "eventType event type"),
        ("url", LABEL),
        ("success", FLAG),
        ("status_code", COUNT),
        ("latency_ms", COUNT),
        ("retry_count", COUNT),
        ("error", TEXT, ""),
        ("response_body", TEXT),
        ("created_at", TIME),
        ("delivered_at", TIME),
        ("_error", JSON),
    ),
    "accounts": _table(
        ("account_id", TEXT, "id accountId"),
        ("platform", WORD),
        ("username", TEXT),
        ("display_name", TEXT),
        ("account_type", WORD),
        ("status", WORD),
        ("followers", COUNT),
        ("connected_at", TIME),
        ("scope_status", WORD, "scopeHealth.status"),
        ("scope_message", TEXT, "scopeHealth.message scopeHealth.reason"),
        ("avatar_url", TEXT),
        ("workspace_id", LABEL),
    ),
    "webhooks": _table(
        ("webhook_id", TEXT, "id webhookId"),
        ("url", TEXT),
        ("events", LIST),
        ("enabled", FLAG, "enabled active"),
        ("failure_count", COUNT),
        ("last_delivery_at", TIME),
        ("created_at", TIME),
    ),
    "bulk_results": _table(
        ("index", COUNT),
        ("status", WORD),
        ("post_id", TEXT, "postId post.id"),
        ("error_code", CODE, ""),
        ("error_message", TEXT, ""),
        ("error_field", LABEL, ""),
        ("errors", JSON, "errors error"),
        ("_success", FLAG),
    ),
}
# One entry of a post's ``platforms``; lists may omit retry counts and target ids.
TARGET = _table(
    ("target_id", TEXT, "postPlatformId id targetId"),
    ("platform", WORD),
    ("account_id", LABEL, "accountId account.id"),
    ("account_name", LABEL, "accountName account.username"),
    ("status", WORD),
    ("error_code", CODE),
    ("error_message", TEXT),
    ("retry_count", COUNT),
    ("platform_post_id", TEXT),
    ("platform_post_url", TEXT),
    ("published_at", TIME),
    ("_error", JSON, "error errors"),
)


def spellings(records: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Canonical field -> its spellings in these records."""
    spelled: dict[str, list[str]] = {}
    for name in sorted(set().union(*records), key=str):
        spelled.setdefault(field_name(str(name)), []).append(name)
    return spelled


def pull(
    records: Sequence[Mapping[str, Any]], spelled: Mapping[str, list[str]], schema: Sequence[Column]
) -> dict[str, Sequence[Any]]:
    """Return the raw values of each column: per record its first field, in any spelling, that is not null."""
    wanted = {
        column.name: [
            (name, field.partition(".")[2])
            for field in column.fields
            for name in spelled.get(field.partition(".")[0], ())
        ]
        for column in schema
    }
    grid = _grid(records, sorted({name for names in wanted.values() for name, _ in names}, key=str))
    nothing = (None,) * len(records)
    return {column: _first_of(grid, names, nothing) for column, names in wanted.items()}


def _grid(records: Sequence[Mapping[str, Any]], names: list[str]) -> dict[str, Sequence[Any]]:
    """Return each named field of all records, in one pass if every record has every field, as usual."""
    if len(names) > 1:
        try:
            return dict(zip(names, zip(*map(itemgetter(*names), records), strict=True), strict=True))
        except KeyError:
            pass
    return {name: [record.get(name) for record in records] for name in names}


def _first_of(grid: Mapping[str, Sequence[Any]], names: list[tuple[str, str]], nothing: Sequence[Any]) -> Sequence[Any]:
    """Merge the fields of one column; the first value wins."""
    merged = nothing
    for name, inner in names:
        found = [_inside(value, inner) for value in grid[name]] if inner else grid[name]
        merged = (
            found
            if merged is nothing
            else [new if old is None else old for old, new in zip(merged, found, strict=True)]
        )
    return merged


def _inside(value: Any, field: str) -> Any:
    """Return a field of a nested object, in any spelling; None without an object."""
    if not isinstance(value, Mapping):
        return None
    return next((inner for name, inner in value.items() if field_name(str(name)) == field), None)
