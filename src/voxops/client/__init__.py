"""The API as an async client: `AsyncClient` and the types that its calls take and return.

One module per step, outermost first: `groups` has the typed methods, which `_methods` makes from the table `voxops.api.endpoints`.
`_client` looks up the matrix, waits for the rate limiter in `_pace` and sends; `_retries` decides whether a call is sent again.
`_pages` reads lists; `_transport` is the network and `_reply` the answer.
"""

from __future__ import annotations

from voxops._support.clocks import SteppedClock, SystemClock
from voxops.api.fields import PostFields
from voxops.client._address import is_loopback
from voxops.client._client import AsyncClient
from voxops.client._handles import Ending, Followed, Handle, Kind, read_record
from voxops.client._pages import Listing, Page, prefetch
from voxops.client._reply import Reply
from voxops.client._secret import Secret
from voxops.client._upload import Presigned, Progress, Uploaded

__all__ = [
    "AsyncClient",
    "Ending",
    "Followed",
    "Handle",
    "Kind",
    "Listing",
    "Page",
    "PostFields",
    "Presigned",
    "Progress",
    "Reply",
    "Secret",
    "SteppedClock",
    "SystemClock",
    "Uploaded",
    "is_loopback",
    "prefetch",
    "read_record",
]
