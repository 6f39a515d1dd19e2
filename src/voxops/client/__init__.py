"""The API as an async client: `AsyncClient` and the words it speaks in.

One module per step: `_transport` sends, `_reply` reads, `_pace` waits, `_pages` turns pages, `_client` ties them; `posts`,
`accounts`, `media`, `webhooks` and `uploads` are thin typed methods; `assumptions` names what the contract leaves open.
"""

from __future__ import annotations

from voxops.client._client import AsyncClient, Permit
from voxops.client._clock import ScaledClock, SystemClock
from voxops.client._fields import UNSET, PostFields
from voxops.client._handles import Handle
from voxops.client._pages import Page
from voxops.client._reply import Reply

__all__ = ["UNSET", "AsyncClient", "Handle", "Page", "Permit", "PostFields", "Reply", "ScaledClock", "SystemClock"]
