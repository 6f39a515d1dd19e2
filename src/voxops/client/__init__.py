"""The API as an async client: `AsyncClient` and the types that its calls return.

One module per step, outermost first: `methods` makes a method of each row of the table `voxops.api.endpoints`. `client` looks up the
matrix, waits for the rate limiter in `pace`, sends, and sends again where it may. `pages` reads lists, `upload` sends files.
`request` is what is sent, `transport` the network, `answer` what came back, and what follows an asynchronous job.
"""

from __future__ import annotations

from voxops._support.clocks import SteppedClock, SystemClock
from voxops.client.answer import Answer, Ending, Followed, Kind, Polled, read_record
from voxops.client.client import AsyncClient, environment
from voxops.client.pages import Listing, Page, prefetch
from voxops.client.request import is_loopback
from voxops.client.secret import Secret

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
    "environment",
    "is_loopback",
    "prefetch",
    "read_record",
]
