"""The assumptions of voxops where the published contract is silent or contradicts itself.

A correction is one edit here. The sandbox follows the same list, with a switch for every alternative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

# The API's address. Sources write it with ``/v1`` and without; both are accepted.
DEFAULT_URL = "https://api.voxburst.io"

# How long the server remembers an idempotency key, and how many seconds earlier it counts as forgotten.
KEY_RETENTION = "24h"
KEY_EARLY = 3600.0

# After these statuses the server stores no key (409 only as IDEMPOTENCY_IN_PROGRESS), so the request may be resent under its key. Any
# other 4xx stores the key, and so does every request that took effect, whatever its status; a 5xx without effect does not.
UNDECIDED = {409: "IDEMPOTENCY_IN_PROGRESS", 429: ""}

# A webhook's delivery history, newest first, and the query that it takes: names in Python and in the API.
DELIVERIES_PATH = "/v1/webhooks/:id/deliveries"
DELIVERIES_QUERY = "since=from until=to event_type=eventType success"


def deliveries_path(webhook_id: str) -> str:
    """Return the path of a webhook's delivery history; the id is quoted as one segment."""
    return DELIVERIES_PATH.replace(":id", quote(webhook_id, safe=""))


# 4xx responses of a webhook's receiver that may pass: a timeout, too early, too many. The API's own responses are judged elsewhere,
# and more strictly (rule 12).
MAY_PASS = frozenset({408, 425, 429})

# The version token of an update is the post's `updatedAt`, sent in this header; a stale one is answered by 409 CONFLICT.
VERSION_HEADER = "If-Match"

# A bulk request returns 201 if all were created, 207 if some were, 422 if none was; its items are read in every case.
BULK_READ_STATUSES = frozenset({200, 201, 207, 422})

# A post without a time is kept as a draft, but sources differ on that, so `saveAsDraft` is sent with it.
DRAFT_FLAG_SENT = True

# The clients' name for the address to which the browser returns after connecting an account.
CONNECT_RETURN = "callbackUrl"

# Names of the lists in the bodies of the bulk media calls, and of the file of an import; none is documented.
BULK_PRESIGN_LIST = "files"
BULK_VIDEO_LIST = "videos"
BULK_VALIDATE_LIST = "mediaIds"
DRIVE_FILE = "fileId"

# Possible names of a presigned upload: those of the first presign, and likely ones of a renewal.
PRESIGN_NAMES: Mapping[str, tuple[str, ...]] = {
    "url": ("uploadUrl", "url", "presignedUrl"),
    "headers": ("uploadHeaders", "headers"),
    "expires": ("expiresAt",),
    "id": ("mediaId", "id"),
}


def polled_status(kind: str, record: Mapping[str, Any]) -> str:
    """Return the status of an asynchronous job in lower case; ``""`` if the record has none.

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
        # The record of an import stays pending until its file has arrived.
        if imported is not None and str(status).lower() == "pending":
            status = imported
    return "" if status is None else str(status).lower()
