"""The palette: one colour, glyph and order for each word in all displays.

The colours are Okabe and Ito's, which people with any of the common colour-vision deficiencies can tell apart, plus
greys that are visible on white and on black. A word or a glyph always says what a colour says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from voxops.model import Outcome, Verdict

_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
_BLUE, _VERMILLION, _PURPLE = "#0072B2", "#D55E00", "#CC79A7"
_INK, _GREY, _PALE = "#646464", "#8C8C8C", "#C8C8C8"


class Look(NamedTuple):
    """A colour as ``#rrggbb``, and a glyph."""

    colour: str
    glyph: str


OTHER = Look(_GREY, "·")  # for values without a look

OUTCOME: Mapping[str, Look] = {
    Outcome.SUCCEEDED: Look(_GREEN, "✓"),
    Outcome.FAILED: Look(_VERMILLION, "✗"),
    Outcome.PENDING: Look(_SKY, "…"),
    Outcome.UNKNOWN: Look(_PURPLE, "?"),
    Outcome.BLOCKED: Look(_ORANGE, "⊘"),
}

VERDICT: Mapping[str, Look] = {
    Verdict.RETRY: Look(_BLUE, "↻"),
    Verdict.WAIT: Look(_SKY, "…"),
    Verdict.FIX_CONTENT: Look(_ORANGE, "✎"),
    Verdict.FIX_MEDIA: Look(_YELLOW, "▣"),
    Verdict.RECONNECT: Look(_VERMILLION, "⇄"),
    Verdict.UPGRADE: Look(_PURPLE, "↑"),
    Verdict.SUPPORT: Look(_INK, "?"),
    Verdict.NOTHING: Look(_PALE, "–"),
}

# Statuses of posts, of their platforms, and of accounts.
STATUS = {
    "published": Look(_GREEN, "✓"),
    "partial": Look(_ORANGE, "◐"),
    "failed": Look(_VERMILLION, "✗"),
    "publishing": Look(_SKY, "…"),
    "pending": Look(_SKY, "…"),
    "scheduled": Look(_BLUE, "◷"),
    "approved": Look(_BLUE, "◷"),
    "pending_approval": Look(_YELLOW, "◔"),
    "draft": Look(_GREY, "✎"),
    "cancelled": Look(_PALE, "⊘"),
    "unpublished": Look(_PALE, "⊘"),
    "archived": Look(_PALE, "⊘"),
    # and those of accounts
    "active": Look(_GREEN, "✓"),
    "expired": Look(_VERMILLION, "✗"),
    "error": Look(_VERMILLION, "✗"),
    "disconnected": Look(_PALE, "⊘"),
}

# Nobody can tell fifteen colours apart: the commonest platforms have a colour, the rest share the grey.
PLATFORM = {
    "linkedin": Look(_BLUE, "●"),
    "twitter": Look(_INK, "●"),
    "instagram": Look(_PURPLE, "●"),
    "facebook": Look(_SKY, "●"),
    "bluesky": Look(_GREEN, "●"),
    "threads": Look(_ORANGE, "●"),
    "youtube": Look(_VERMILLION, "●"),
    "tiktok": Look(_YELLOW, "●"),
}


def look(table: Mapping[str, Look], value: object) -> Look:
    """Return the look of a value, by its lower-case text; `OTHER` for values without a look."""
    return table.get(str(value).lower(), OTHER)
