"""The API as an async client: `AsyncClient` and the types that its calls return.

One module per step, outermost first: `methods` makes a method of each row of the table `voxops.api.endpoints`. `_client` looks up the
matrix, waits for the rate limiter in `_pace` and sends; `_retries` decides whether a call is sent again. `_pages` reads lists, `_jobs`
follows what is asynchronous, `_upload` sends files; `_transport` is the network and `_answer` what came back.
"""

from __future__ import annotations

from voxops._support.clocks import SteppedClock, SystemClock
from voxops.client._address import is_loopback
from voxops.client._answer import Answer, Kind, Polled
from voxops.client._client import AsyncClient
from voxops.client._jobs import Ending, Followed, read_record
from voxops.client._pages import Listing, Page, prefetch
from voxops.client._secret import Secret

__all__ = [
    "Answer",
    "AsyncClient",
    "Ending",
    "Followed",
    "Kind",
    "Listing",
    "Page",
    "Polled",
    "Secret",
    "SteppedClock",
    "SystemClock",
    "is_loopback",
    "prefetch",
    "read_record",
]
