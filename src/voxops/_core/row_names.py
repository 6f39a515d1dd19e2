"""What a row of a sheet is called, in the one form that counts however a file spells it (rule 5)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from voxops._core.text import fold_text
from voxops.errors import PlanError

__all__ = ["row_key"]

_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)[ T]00:00(:00(\.0+)?)?")
_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(?::(\d\d)(?:\.(?=\d)(\d*?)0*)?)?")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)")
_EXACT_FLOAT = 2.0**53  # a float beyond it has lost digits of a whole number


def row_key(value: Any) -> str | None:
    """Return a key column's value as canonical text, None for a missing one (rule 5).

    A whole number is one row however a file spells it: ``1``, ``"1"``, ``1.0`` and ``"1.0"``; so is a day with and without
    midnight, a time without a zone in whatever spelling, and an instant in whatever zone and spelling:
    ``2027-03-01 10:00:00+01:00`` is ``2027-03-01T09:00:00Z``. Letters keep their case, and ``"007"`` stays itself.

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
            # Whole, too: what Excel has stored as a float, pandas may read as a whole number.
            raise PlanError(f"{value!r} is a number that may have lost digits in a file; read the column as text")
        text = _number_text(value)
    text = fold_text(text)
    for pattern in (_WHOLE, _MIDNIGHT):
        found = pattern.fullmatch(text)
        if found:
            text = found.group(1)
    return _local_text(_instant_text(text)) or None


def _local_text(text: str) -> str:
    """A time without a zone as pandas writes it, however a file spells it; any other text as it is."""
    found = _LOCAL.fullmatch(text)
    if found is None:
        return text
    day, minute, second, fraction = found.groups()
    return f"{day} {minute}:{second or '00'}" + (f".{fraction}" if fraction else "")


def _instant_text(text: str) -> str:
    """An instant with its offset as ISO text in UTC, whatever zone a file has kept it in; any other text as it is."""
    if not _INSTANT.fullmatch(text):
        return text
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):  # no day or hour of a calendar
        return text


def _number_text(value: Any) -> str:
    """A number without an exponent and without zeros that say nothing."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:  # a fraction, which has no decimal form of its own
        return str(value)
    if not number.is_finite():
        return str(value)
    return str(int(number)) if number == number.to_integral_value() else str(number.normalize())
