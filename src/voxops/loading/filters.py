"""What an analyst filters by: read, checked, and applied to the rows that came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from voxops._core.arguments import list_of_text
from voxops.errors import ConfigError
from voxops.model import IN_FLIGHT_STATUSES, TERMINAL_STATUSES, WAITING_STATUSES

__all__ = ["Words", "asked_for", "said", "stamp", "statuses", "words"]

Words = str | Sequence[str] | None


def words(name: str, value: Words) -> list[str]:
    """One word or several, in lower case."""
    return [text.lower() for text in list_of_text(name, value)]


def statuses(value: Words) -> list[str]:
    """Post statuses; ``all`` is every one, and a slip of the pen is not taken for a status that the API has invented since."""
    known = [*TERMINAL_STATUSES, *IN_FLIGHT_STATUSES, *WAITING_STATUSES]
    found = words("status", value)
    for status in found:
        from difflib import get_close_matches  # only a mistake needs it

        near = get_close_matches(status, known, n=1, cutoff=0.8)
        if status not in known and near:
            raise ConfigError(f"status={status!r}: did you mean {near[0]!r}?")
    return [] if "all" in found else found


def stamp(when: datetime) -> str:
    """A time as the API takes it."""
    return when.isoformat().replace("+00:00", "Z")


def said(value: Any) -> Any:
    """A filter as JSON."""
    return value if isinstance(value, str | int | list | bool) else str(value)


def asked_for(
    posts: pd.DataFrame, statuses: Sequence[str], platforms: Sequence[str], accounts: Sequence[str]
) -> pd.Series:
    """Which posts have one of these statuses, platforms and accounts; an empty list stands for any."""
    fits = pd.Series(data=True, index=posts.index)
    if statuses:
        fits &= posts["status"].isin(statuses)
    if platforms:
        fits &= any_target(posts["targets"], "platform", platforms)
    if accounts:
        fits &= any_target(posts["targets"], "account_id", accounts)
    return fits


def any_target(cells: pd.Series, field: str, wanted: Sequence[str]) -> pd.Series:
    """Which posts have a target with one of these values."""
    names = set(wanted)
    return pd.Series(
        [any(getattr(target, field) in names for target in cell or ()) for cell in cells], index=cells.index, dtype=bool
    )
