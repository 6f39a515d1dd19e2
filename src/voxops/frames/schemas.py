"""The columns of each kind of record, and the conversion of raw JSON values to them.

The API is read leniently (contract: SCH, VER): either casing, numbers as text, times with or without fractions, errors as object,
string or null. An unreadable value becomes NA, and the caller counts it; nothing here raises because of a server's data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain, islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pandas as pd
from msgspec.structs import asdict

from voxops._support.canonical import text, well_formed
from voxops.api.error_bodies import ErrorBody, read_error
from voxops.api.states import field_name
from voxops.frames.cells import Json, Target, Targets
from voxops.frames.times import parse_times

STRING_DTYPE = pd.StringDtype("python")
_TRUE, _FALSE = frozenset({"true", "yes", "1", "1.0"}), frozenset({"false", "no", "0", "0.0"})
_NO_ERROR = ErrorBody()
_encode = msgspec.json.Encoder(order="sorted").encode
_INT64 = range(-(2**63), 2**63)


def to_bool(value: Any) -> bool | None:
    """Read True or False from JSON, a number or text; None for anything else."""
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def error_parts(error: Any) -> tuple[str | None, str | None]:
    """Return code and message of an error in any shape, None for none (contract: 8.1)."""
    body = read_error(error)
    return well_formed(body.code) or None, well_formed(body.message) or None


def status_spelling(word: str) -> str:
    """Return the canonical spelling of a status, platform or other word."""
    word = word.strip().lower()
    return "cancelled" if word == "canceled" else word


def _only(values: Sequence[Any], kind: type) -> bool:
    """Whether every value has this exact type or is None."""
    return set(map(type, values)) <= {kind, type(None)}


def _text(value: Any) -> str | None:
    """Return any JSON value as text: numbers in full, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    try:
        return text(value)
    except RecursionError:  # a thousand nested lists instead of a text
        return "[…]"


def clean_texts(values: Sequence[Any]) -> Sequence[Any]:
    """Return texts, with lone surrogates replaced, which files and other libraries refuse; any other value as text."""
    texts = values if _only(values, str) else [_text(value) for value in values]
    try:
        "".join(filter(None, texts)).encode()
    except UnicodeEncodeError:
        return [None if each is None else well_formed(each) for each in texts]
    return texts


def _words(spell: Callable[[str], str]) -> Callable[[Sequence[Any]], list[Any]]:
    """Return the conversion of repeated texts, of which equal ones share one object; an empty one is missing."""

    def clean(values: Sequence[Any]) -> list[Any]:
        texts = values if _only(values, str) else list(map(_text, values))
        spelled = {text: None if text is None else spell(well_formed(text)) or None for text in set(texts)}
        return list(map(spelled.__getitem__, texts))

    return clean


def _counts(values: Sequence[Any]) -> Sequence[Any]:
    """Read whole numbers, also from text and floats; anything else, or beyond 64 bits, becomes None."""
    if _only(values, int):
        numbers = list(filter(None, values))
        if not numbers or (min(numbers) in _INT64 and max(numbers) in _INT64):
            return values
    return list(map(_count, values))


def _count(value: Any) -> int | None:
    """Read one whole number, rounding a fraction; None for anything else."""
    try:
        if isinstance(value, str):
            value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
        number = round(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if isinstance(value, bool) or number not in _INT64 else number


def _lists(values: Sequence[Any]) -> list[tuple[str | None, ...]]:
    """Return lists of texts as tuples; None as an empty one, and any other value as one of one entry."""
    lists = [value if isinstance(value, list) else [] if value is None else [value] for value in values]
    entries = iter(clean_texts(list(chain.from_iterable(lists))))
    return [tuple(islice(entries, len(some))) for some in lists]


def objects(cells: Iterable[Any]) -> Any:
    """Return cells as a column, one object each."""
    values = cells if isinstance(cells, list) else list(cells)
    return pd.arrays.NumpyExtensionArray(np.fromiter(values, object, len(values)))


class Kind(NamedTuple):
    """The conversion of a column: raw JSON values to plain ones, and these to an array; `parsed` values may be unreadable.

    A kind with a `cell` is packed as bytes first, of which each becomes a cell.
    """

    name: str
    clean: Callable[[Sequence[Any]], Sequence[Any]]
    array: Callable[[Sequence[Any]], Any]
    parsed: bool = False
    cell: type[Json] | None = None
    pack: Callable[[Sequence[Any]], Any] | None = None


def _strings(values: Sequence[Any]) -> Any:
    return pd.array(values, dtype=STRING_DTYPE)


def _cells(cell: type[Json], packed: Iterable[Any]) -> Any:
    return objects(value if value is None else cell(value) for value in packed)


def _targets(groups: Iterable[Sequence[Target]]) -> list[bytes]:
    return list(map(_encode, groups))


def _json(values: Sequence[Any]) -> list[bytes | None]:
    try:
        return [None if value is None else _encode(value) for value in values]
    except (RecursionError, TypeError, UnicodeEncodeError, OverflowError):  # a cell that needs more care
        return list(map(Json.of, values))


TEXT = Kind("text", clean_texts, _strings)
LABEL = Kind("label", _words(str), _strings)
WORD = Kind("word", _words(status_spelling), _strings)
CODE = Kind("code", _words(lambda word: word.strip().upper()), _strings)
COUNT = Kind("count", _counts, lambda values: pd.array(values, dtype="Int64"), parsed=True)
FLAG = Kind(
    "flag", lambda values: values if _only(values, bool) else list(map(to_bool, values)),
    lambda values: pd.array(values, dtype="boolean"), parsed=True,
)  # fmt: skip
TIME = Kind(
    "time", lambda values: clean_texts([value if type(value) is str else None for value in values]),
    lambda values: parse_times(values).array, parsed=True,
)  # fmt: skip
LIST = Kind("list", _lists, objects)
JSON = Kind("json", list, lambda values: _cells(Json, _json(values)), cell=Json, pack=_json)
TARGETS = Kind("targets", list, lambda groups: _cells(Targets, _targets(groups)), cell=Targets, pack=_targets)


class Column(NamedTuple):
    """One column: its name, its kind, and the fields it is read from; the first with a value wins.

    A field is named as `field_name` spells it: any spelling on the wire matches. A dot reaches into an object: ``post.id``.
    A name with a leading underscore is read for other columns, and is not in the frame.
    """

    name: str
    kind: Kind
    paths: tuple[tuple[str, str, str], ...]

    @property
    def shown(self) -> bool:
        """Whether it is in the frame."""
        return not self.name.startswith("_")


def _table(*rows: tuple[Any, ...]) -> tuple[Column, ...]:
    """Build a schema from rows ``(column, kind, "field otherField")``; a column without fields is read from that of its name."""
    return tuple(
        Column(name, kind, tuple(field_name(field).partition(".") for field in (fields or [name])[0].split()))
        for name, kind, *fields in rows
    )


# Columns with "" for their fields are computed from others: see `_DERIVED`.
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
        ("targets", TARGETS, "platforms targets"),
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
        ("status", WORD),
        ("scope_status", WORD, "scopeHealth.status"),
        ("scope_message", TEXT, "scopeHealth.message scopeHealth.reason"),
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


def pull(records: Sequence[Mapping[str, Any]], schema: Sequence[Column]) -> dict[str, Sequence[Any]]:
    """Return the raw values of each column: per record its first field, in any spelling, that is not null."""
    spelled: dict[str, list[str]] = {}
    for name in sorted(set().union(*records), key=str):
        spelled.setdefault(field_name(str(name)), []).append(name)
    places = {
        column.name: [(name, inner) for outer, _, inner in column.paths for name in spelled.get(outer, ())]
        for column in schema
    }
    sent = _sent(records, list({name: None for some in places.values() for name, _ in some}))
    raw: dict[str, Sequence[Any]] = {}
    for column, names in places.items():
        found = [[_inside(value, inner) for value in sent[name]] if inner else sent[name] for name, inner in names]
        raw[column] = reduce(first_of, found) if found else (None,) * len(records)
    return raw


def _sent(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Return each named field of all records, in one pass if every record has every field, as usual."""
    try:
        rows = map(itemgetter(*names, *names[:1]), records)  # of a single name it would return no tuple
        return dict(zip(names, zip(*rows, strict=True), strict=False))
    except (KeyError, TypeError):
        return {name: [record.get(name) for record in records] for name in names}


def first_of(values: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """Return each value, or the other one where it is None."""
    return [other if value is None else value for value, other in zip(values, others, strict=True)]


def _inside(value: Any, field: str) -> Any:
    """Return a field of a nested object, in any spelling; None without an object."""
    names = value if isinstance(value, Mapping) else {}
    return next((value[name] for name in names if field_name(str(name)) == field), None)


def read(kind: str, records: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """Return raw and plain values of each column of a kind; times stay as sent, ``targets`` are lists of `Target`."""
    if "data" in set().union(*records):
        records = list(map(_bare, records))
    raw = pull(records, SCHEMAS[kind])
    plain: dict[str, Any] = {column.name: column.kind.clean(raw[column.name]) for column in SCHEMAS[kind]}
    return raw, plain | _DERIVED.get(kind, dict)(plain)


def records_of(kind: str, ids: Collection[str], records: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the records of a page with one of these ids, by id, so that only they are decoded."""
    column = SCHEMAS[kind][0]
    names = column.kind.clean(pull(list(map(_bare, records)), [column])[column.name])
    return {name: record for name, record in zip(names, records, strict=True) if name in ids}


def _bare(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Remove the envelope ``{"data": {…}}`` of a single object."""
    inner = record.get("data")
    return inner if isinstance(inner, Mapping) and "id" not in record else record


def read_targets(entries: Sequence[Any]) -> list[Target]:
    """Read entries of ``platforms`` as targets; a bare name is a platform (contract: POST-1)."""
    records = entries if set(map(type, entries)) == {dict} else list(map(_entry, entries))
    raw = pull(records, TARGET)
    plain = {column.name: column.kind.clean(raw[column.name]) for column in TARGET}
    # The error, if a target has no code and message of its own; most targets have no error.
    errors = [_NO_ERROR if error is None else read_error(error) for error in plain.pop("_error")]
    plain["error_code"] = first_of(plain["error_code"], CODE.clean([error.code for error in errors]))
    messages = clean_texts([error.message or None for error in errors])
    plain["error_message"] = first_of(plain["error_message"], messages)
    return list(map(Target, *(plain[name] for name in Target.__struct_fields__)))


def _entry(entry: Any) -> Mapping[str, Any]:
    """Read an entry of ``platforms`` that is no plain dict: a target, or a bare name."""
    if isinstance(entry, Target):
        return asdict(entry)
    return entry if isinstance(entry, Mapping) else {"platform": entry}


def entries_of(cell: Any) -> list[Any]:
    """Return a post's platforms as a list, also from a map of platform to state, or from a single name."""
    if isinstance(cell, Mapping):
        return [{"platform": name, **(state if isinstance(state, Mapping) else {})} for name, state in cell.items()]
    return [cell] if isinstance(cell, str) else list(cell) if isinstance(cell, Iterable) else []


_status = attrgetter("status")


def _of_posts(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the targets of each post, and how many failed, unknown if platforms are left out."""
    cells = plain["targets"]
    groups = cells if set(map(type, cells)) == {list} else list(map(entries_of, cells))
    flat = iter(read_targets(list(chain.from_iterable(groups))))
    targets = [list(islice(flat, len(group))) for group in groups]
    failed = [list(map(_status, some)).count("failed") for some in targets]
    known = [None if cell is None else count for cell, count in zip(cells, failed, strict=True)]
    return {"targets": targets, "failed_targets": known}


def _of_deliveries(plain: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the column ``error`` as one line, ``CODE: message`` for an object."""
    lines = plain["_error"]
    if not _only(lines, str):
        lines = [line if type(line) is str else ": ".join(filter(None, error_parts(line))) for line in lines]
    return {"error": [line or None for line in clean_texts(lines)]}


def _of_bulk_results(plain: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return the columns of an item's first error, and its status if an old server sends ``success`` instead (contract: BATCH-o)."""
    parts = list(map(error_parts, plain["errors"]))
    words = [None if ok is None else "created" if ok else "failed" for ok in plain["_success"]]
    return {
        "status": first_of(plain["status"], words),
        "error_code": CODE.clean([code for code, _ in parts]),
        "error_message": [message for _, message in parts],
    }


_DERIVED: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "posts": _of_posts, "deliveries": _of_deliveries, "bulk_results": _of_bulk_results,
}  # fmt: skip
