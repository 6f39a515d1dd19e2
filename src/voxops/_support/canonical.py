"""One canonical form of texts, times, JSON and row keys."""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import msgspec

from voxops.errors import PlanError

_SELECTORS = re.compile("[\ufe00-\ufe0f]")


def fold_text(text: str) -> str:
    """Return text in Unicode's composed form, without invisible characters and outer blanks (rule 5)."""
    if text.isascii():  # is composed and visible
        return text.strip()
    visible = "".join(char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char) != "Cf")
    return visible.strip()


def as_kept(text: str) -> str:
    """Return one form for all in which a server may store a text: composed, plain line ends, no outer blanks."""
    return unicodedata.normalize("NFC", "\n".join(text.splitlines())).strip()


def as_read(text: str) -> str:
    """Return a text as readers perceive it (rule 17).

    Case is folded, blanks and line ends become one blank, and variation selectors are dropped, because keyboards and servers differ
    in them.
    """
    return " ".join(fold_text(_SELECTORS.sub("", text)).split())


FIRST_YEAR, END_YEAR = 1000, 9000

# ``datetime.fromisoformat`` reads 17.45 as 17:00 and 0.45 seconds; people mean a quarter to six.
_FRACTION_OF_NO_SECOND = re.compile(r"(?<!\d\d:\d\d:\d\d)(?<!\D\d{6})[.,]")


def in_calendar(when: datetime) -> bool:
    """Whether a time lies well within the calendar; programs write the years 1 and 9999 for never.

    In those years some zones lack hours, and the margin of a plot would leave the calendar.
    """
    return FIRST_YEAR <= when.year < END_YEAR


def read_iso(text: str) -> datetime:
    """Read an ISO time; only seconds may have fractions.

    Raises
    ------
    ValueError
        If it is no ISO text, or has a dot or a comma where minutes should be, such as ``2026-03-20 17.45``.
    """
    if _FRACTION_OF_NO_SECOND.search(text):
        raise ValueError(f"{text!r} has a dot or a comma instead of a colon")
    return datetime.fromisoformat(text)


def typed_time(text: str) -> datetime:
    """Read the time of a schedule, as `read_iso`; ValueError also at an end of the calendar."""
    when = read_iso(text)
    if not in_calendar(when):
        raise ValueError(f"{text!r} is at the end of the calendar")
    return when


_dumps = partial(json.dumps, sort_keys=True, separators=(",", ":"))


def encode(value: Any) -> str:
    """Write JSON with sorted keys and no spaces; types unknown to JSON, such as times, become text."""
    try:
        return msgspec.json.encode(value, order="sorted", enc_hook=str).decode()
    except (UnicodeEncodeError, OverflowError):  # half an emoji, cut by a spreadsheet; a number of more than 64 bits
        return _dumps(value, default=str)


def json_text(value: Any) -> str | None:
    """Return a value as JSON, None as None."""
    return None if value is None else encode(value)


def text(value: Any) -> str:
    """Return a text unchanged, anything else as JSON."""
    return value if isinstance(value, str) else encode(value)


def is_well_formed(text: str) -> bool:
    """Whether UTF-8 can encode a text: it has no lone surrogate."""
    return well_formed(text) == text


def well_formed(text: str) -> str:
    """Return text that UTF-8 can encode: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def decode(data: str | bytes) -> Any:
    """Read JSON leniently: NaN and infinities, lone surrogates and a byte order mark are accepted.

    Whole numbers stay exact, up to Python's 4,300 digits.

    Raises
    ------
    ValueError
        If it is not JSON, nested too deeply, or has a longer number.
    """
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass  # the slower reader may take it
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value, which is hashed and sent: keys sorted, no spaces, UTF-8.

    Raises
    ------
    ValueError
        If the value contains NaN or an infinity, which JSON lacks.
    """
    try:
        return _dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        # A lone surrogate (half an emoji, cut by a spreadsheet) has no UTF-8 form; escaped, it is still the same text.
        return _dumps(value, allow_nan=False).encode()


def fingerprint(*parts: Any) -> str:
    """Return 32 hexadecimal digits that identify these parts in this order."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()[:32]


_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[ T]00:00(:00(\.0+)?)?")
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(?::(\d\d)(?:\.(?=\d)(\d*?)0*)?)?")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)")
_EXACT_FLOAT = 2.0**53  # larger floats have lost digits of a whole number


def row_key(value: Any) -> str | None:
    """Return a key column's value as canonical text, None for a missing one (rule 5).

    All spellings of a whole number are one key: ``1``, ``"1"``, ``1.0`` and ``"1.0"``. So are a day with and without midnight, a
    time without a zone in any spelling, and an instant in any zone: ``2027-03-01 10:00:00+01:00`` is ``2027-03-01T09:00:00Z``.
    Letters keep their case, and ``"007"`` stays as it is.

    Raises
    ------
    PlanError
        If it is a number that may have lost digits: a file has read a long id as a number.
    """
    if (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or type(value).__name__ in {"NAType", "NaTType"}
    ):
        return None
    text = str(value)
    if not isinstance(value, bool | str) and hasattr(value, "__float__"):
        if isinstance(value, float | int) and _EXACT_FLOAT <= abs(value) < math.inf:
            # Integers, too: pandas may read a float of Excel as an integer.
            raise PlanError(f"{value!r} is a number that may have lost digits in a file; read the column as text")
        text = _number_text(value)
    text = fold_text(text)
    if found := _WHOLE.fullmatch(text) or _MIDNIGHT.fullmatch(text):
        return found[1]
    if found := _LOCAL.fullmatch(text):  # as pandas writes it
        day, minute, second, fraction = found.groups()
        return f"{day} {minute}:{second or '00'}" + (f".{fraction}" if fraction else "")
    if _INSTANT.fullmatch(text):
        with suppress(ValueError, OverflowError):  # not a valid date or time
            return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    return text or None


def _number_text(value: Any) -> str:
    """Write a number without an exponent and without redundant zeros."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:  # a fraction, which has no decimal form of its own
        return str(value)
    if not number.is_finite():
        return str(value)
    return str(int(number)) if number == number.to_integral_value() else str(number.normalize())
