"""What is asked of the API for a row of a campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxops.acts import keys
from voxops.sheets.rules import platforms_of, utc_text

__all__ = ["body_of"]

_FILMS = (".mp4", ".mov", ".m4v", ".webm", ".avi")


def body_of(row: Mapping[str, Any], campaign: str, label: str, attempt: int, *, alone: bool) -> dict[str, Any]:
    """What is asked for a row; optional parts are left out where the sheet has none.

    Parameters
    ----------
    row : mapping
        Of ``sheets.rules.sheet_rows``.
    campaign, label : str
        Whose row it is, and its name.
    attempt : int
        Which attempt at it.
    alone : bool
        Whether it is a request of its own: Instagram needs a content type there (contract: 8.1), and items of a batch have none.
    """
    body: dict[str, Any] = {
        "content": str(row["content"]),
        "accountIds": row["accounts"],
        "scheduledFor": utc_text(row["scheduled_for"]),
        "metadata": {
            "voxopsOp": keys.mark(campaign, label, attempt),
            "voxopsRow": keys.row_mark(campaign, label),
            "voxopsCampaign": keys.campaign_mark(campaign),
        },
    }
    if row["media"]:
        body["media"] = row["media"]
    if row["tags"]:
        body["tags"] = row["tags"]
    if row["first_comment"] is not None and str(row["first_comment"]).strip():
        body["firstComment"] = str(row["first_comment"])
    if row["content_type"] is not None and str(row["content_type"]).strip():
        body["contentType"] = str(row["content_type"]).strip().upper()
    elif alone and "instagram" in platforms_of(row["accounts"]):
        body["contentType"] = _content_type(row["media"])
    return body


def _content_type(media: Sequence[str]) -> str:
    """What kind of post these media make."""
    if len(media) > 1:
        return "CAROUSEL"
    return "VIDEO" if media[0].lower().partition("?")[0].endswith(_FILMS) else "IMAGE"
