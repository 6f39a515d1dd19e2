"""The API as an async client: `AsyncClient` and the types that its calls take and return.

One module per step, outermost first: `posts`, `accounts`, `media`, `webhooks`, `uploads` and `analytics` are thin typed methods.
`_client` looks up the matrix, waits for the rate limiter in `_pace` and sends; `_retries` decides whether a call is sent again.
`_pages` reads lists; `_transport` is the network and `_reply` the answer.
"""

from __future__ import annotations

from voxops.client._address import is_loopback
from voxops.client._client import AsyncClient, Permit
from voxops.client._clock import SteppedClock, SystemClock
from voxops.client._fields import UNSET, PostFields
from voxops.client._handles import Ending, Handle, Kind, how_far, noted
from voxops.client._pages import Page, prefetch
from voxops.client._reply import Reply
from voxops.client._secret import Secret
from voxops.client._upload import Presigned, Progress, Uploaded
from voxops.client.names import AccountNames, account_names

__all__ = [
    "UNSET",
    "AccountNames",
    "AsyncClient",
    "Ending",
    "Handle",
    "Kind",
    "Page",
    "Permit",
    "PostFields",
    "Presigned",
    "Progress",
    "Reply",
    "Secret",
    "SteppedClock",
    "SystemClock",
    "Uploaded",
    "account_names",
    "how_far",
    "is_loopback",
    "noted",
    "prefetch",
]
