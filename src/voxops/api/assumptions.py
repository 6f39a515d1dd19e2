"""What voxops assumes where the published contract is silent or contradicts itself; each in this one place.

A correction is one edit here. The sandbox is written by the same list, with a switch for every other reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

# The API's address. Sources write it with ``/v1`` and without; both are taken.
DEFAULT_URL = "https://api.voxburst.io"

# How long the server remembers an idempotency key, and how many seconds earlier it counts as forgotten.
KEY_RETENTION = "24h"
KEY_EARLY = 3600.0

# The two statuses that leave no key, with 409 only as IDEMPOTENCY_IN_PROGRESS: nothing was decided. Any other 4xx leaves one, and
# so does every request that took effect, whatever status went out; a 5xx without effect leaves none. So these may be sent again
# under their key.
UNDECIDED = {409: "IDEMPOTENCY_IN_PROGRESS", 429: ""}

# The query that a webhook's delivery history takes; newest first.
DELIVERIES_QUERY = {"since": "from", "until": "to", "event_type": "eventType", "success": "success", "limit": "limit"}


def deliveries_path(webhook_id: str) -> str:
    """Return where a webhook's delivery history is; the id is one segment, whatever it holds."""
    return f"/v1/webhooks/{quote(webhook_id, safe='')}/deliveries"


# 4xx answers of a webhook's receiver that may be others next time: a time-out, too early, too many. What the API itself answers to a
# try is judged elsewhere, and more strictly (rules 16 and 17).
MAY_PASS = frozenset({408, 425, 429})

# The version token of an update is the post's `updatedAt`, sent in this header; a stale one is answered by 409 CONFLICT.
VERSION_HEADER = "If-Match"

# A bulk request answers 201 when all were created, 207 when some were, 422 when none was; its items are read in every case.
BULK_READ_STATUSES = frozenset({200, 201, 207, 422})

# A post without a time is kept as a draft, but sources differ on that, so `saveAsDraft` is sent with it.
DRAFT_FLAG_SENT = True

# Where the browser goes back to after connecting an account: the clients' name for it.
CONNECT_RETURN = "callbackUrl"

# Names of the lists in the bodies of the bulk media calls, and of the file of an import, none of which were seen.
BULK_PRESIGN_LIST = "files"
BULK_VIDEO_LIST = "videos"
BULK_VALIDATE_LIST = "mediaIds"
DRIVE_FILE = "fileId"

# Names under which a presigned upload may come: those of the first presign, and what a renewal might call them.
PRESIGN_NAMES: Mapping[str, tuple[str, ...]] = {
    "url": ("uploadUrl", "url", "presignedUrl"),
    "headers": ("uploadHeaders", "headers"),
    "expires": ("expiresAt",),
    "id": ("mediaId", "id"),
}


def polled_status(kind: str, record: Mapping[str, Any]) -> str:
    """Return how far an asynchronous job is, in lower case; ``""`` where the record does not say.

    Parameters
    ----------
    kind : str
        ``post`` (its ``status``), ``account`` (a backfill: ``backfill.status``) or ``media``: ``metadata.importStatus`` of an
        import that has not ended, else ``status``.
    record : mapping
        The post, account or media as the API sent it.
    """
    status = record.get("status")
    if kind == "account":
        backfill = record.get("backfill")
        status = backfill.get("status") if isinstance(backfill, Mapping) else None
    elif kind == "media":
        metadata = record.get("metadata")
        imported = metadata.get("importStatus") if isinstance(metadata, Mapping) else None
        # The record of an import stays pending until its file has come.
        if imported is not None and str(status).lower() == "pending":
            status = imported
    return "" if status is None else str(status).lower()
