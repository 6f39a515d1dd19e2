"""Redaction of webhook addresses in frames: they often contain passwords, and receivers repeat them in answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from voxops._support.safe import redact_address, redact_addresses

__all__ = ["without_addresses"]

_REDACT: dict[str, Callable[[object], str]] = {
    "url": redact_address, "endpoint": redact_address, "error": redact_addresses, "response_body": redact_addresses,
    "symptom": redact_addresses, "error_message": redact_addresses,
}  # fmt: skip


def without_addresses(frame: pd.DataFrame, columns: Iterable[str] = tuple(_REDACT)) -> pd.DataFrame:
    """Return the frame with these columns redacted, if it has them; values that are no texts stay the same.

    An error message is redacted only in deliveries: a platform's message about the links in a post stays.
    """
    shown: dict[str, Any] = {}
    for name in columns:
        if name in frame.columns and (name != "error_message" or "delivery_id" in frame.columns):
            values = frame[name]
            known = {value: _REDACT[name](value) for value in {each for each in values if isinstance(each, str)}}
            clean = [known[value] if isinstance(value, str) else value for value in values]
            kept = values.dtype if isinstance(values.dtype, pd.StringDtype) else object
            shown[name] = pd.Series(clean, index=frame.index, dtype=kept)
    redacted = frame.assign(**shown)
    redacted.attrs = frame.attrs
    return redacted
