"""Frames of webhooks as they may be shown: their addresses often are passwords, and receivers repeat them in what they answer."""

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
    """Return the frame with these of its columns redacted, as far as it has them; what is no text stays as it is.

    An error message is redacted where it is a delivery's; what a platform says of a post's own links stays.
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
