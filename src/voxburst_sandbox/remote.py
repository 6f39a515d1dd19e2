"""The verbs of a sandbox over its control calls, from this process or any other."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from voxburst_sandbox.faults import Fault
from voxburst_sandbox.switches import Switches

__all__ = ["API_KEY", "SECOND_API_KEY", "Person", "Remote"]

API_KEY = "vb_test_sandbox"
# A second key of the same workspace, with separate idempotency keys.
SECOND_API_KEY = "vb_test_second"


class Person:
    """Somebody at work in the web page; what they do is no request, and on record as effects ``person.…``.

    Each method raises ValueError where the post's status does not allow it. Those that make a copy return its id.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def _act(self, act: str, post_id: str, **more: Any) -> str:
        """Do one thing to a post; the id of the post, or of the copy."""
        return str(self._call("POST", "person", {"act": act, "post": post_id, **more})["post"])

    def edit(
        self,
        post_id: str,
        *,
        tags: Iterable[str] | None = None,
        content: str | None = None,
        scheduled_for: str | None = None,
    ) -> None:
        """Change tags, text or time (ISO 8601 with an offset) of a post; `updatedAt` moves."""
        wanted = None if tags is None else list(tags)
        self._act("edit", post_id, tags=wanted, content=content, scheduledFor=scheduled_for)

    def delete(self, post_id: str) -> None:
        """Delete a post, whatever its status."""
        self._act("delete", post_id)

    def withdraw(self, post_id: str) -> None:
        """Cancel a post that has not gone out."""
        self._act("withdraw", post_id)

    def unpublish(self, post_id: str) -> None:
        """Take a published post down."""
        self._act("unpublish", post_id)

    def duplicate(self, post_id: str) -> str:
        """Make a draft of a post, its metadata (and so its mark) copied."""
        return self._act("duplicate", post_id)

    def post_copy(self, post_id: str, *, scheduled_for: str | None = None) -> str:
        """Post a copy, its metadata copied: at `scheduled_for`, else the post's own time if that is to come, else now."""
        return self._act("post_copy", post_id, scheduledFor=scheduled_for)

    def submit(self, post_id: str) -> None:
        """Send a draft or scheduled post for approval: it is ``pending_approval``."""
        self._act("submit", post_id)

    def approve(self, post_id: str) -> None:
        """Approve a post: ``scheduled`` if it has a time, else ``approved``."""
        self._act("approve", post_id)

    def reject(self, post_id: str) -> None:
        """Send a post back to its author: a draft again."""
        self._act("reject", post_id)

    def backdate(self, post_id: str, *, days: float) -> None:
        """Let a post be as old as if it had been made so many days earlier."""
        self._act("backdate", post_id, days=days)


class Remote:
    """A running sandbox, controlled over HTTP.

    Parameters
    ----------
    url : str
        Its address, without ``/v1``.
    trust : path or None
        The certificate of a sandbox that speaks https.
    """

    def __init__(self, url: str = "", *, trust: str | Path | None = None) -> None:
        self._url = url.rstrip("/")
        verify = True if trust is None else ssl.create_default_context(cafile=trust)
        self._http = httpx.Client(trust_env=False, timeout=60, verify=verify)
        self.api_key = API_KEY
        self.second_api_key = SECOND_API_KEY
        self.person = Person(self._control)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url or '(not started)'}>"

    @property
    def url(self) -> str:
        """Address of the API, without ``/v1``; RuntimeError while there is none."""
        if not self._url:
            raise RuntimeError(
                "the sandbox is not started, so it has no address; start it first: with Sandbox() as sb: ..., or Sandbox().start()"
            )
        return self._url

    def _control(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One control call; ValueError with the sandbox's words if it refuses."""
        params = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items()}
        wanted = {name: value for name, value in params.items() if value is not None}
        answer = self._http.request(method, f"{self.url}/_sandbox/{path}", params=wanted, json=body)
        if answer.status_code == 400:
            raise ValueError(answer.json()["error"])
        answer.raise_for_status()
        return answer.json()

    def close(self) -> None:
        """Close the connection to the control calls; the sandbox runs on."""
        self._http.close()

    def answers(self) -> bool:
        """Whether a sandbox answers here."""
        try:
            return "workspaceId" in self.state()
        except (httpx.HTTPError, ValueError, TypeError):
            return False

    def state(self) -> dict[str, Any]:
        """Seed, clock, workspace, counts."""
        return dict(self._control("GET", "state"))

    @property
    def workspace_id(self) -> str:
        """Name of the workspace."""
        return str(self.state()["workspaceId"])

    @property
    def storage_url(self) -> str:
        """Address of the presigned storage."""
        return str(self.state()["storageUrl"])

    @property
    def receiver_url(self) -> str:
        """Address of the built-in webhook receiver."""
        return str(self.state()["receiverUrl"])

    def now(self) -> datetime:
        """Return the virtual time."""
        return datetime.fromisoformat(self.state()["now"])

    def advance(self, seconds: float) -> datetime:
        """Move the virtual clock forward; everything due meanwhile has happened on return."""
        return datetime.fromisoformat(self._control("POST", "advance", {"seconds": seconds})["now"])

    def set_speed(self, speed: float) -> None:
        """Virtual seconds per real second from now on; 0 stands still."""
        self._control("POST", "speed", {"speed": speed})

    def add_fault(self, *faults: Fault) -> None:
        """Put faults in force."""
        self._control("POST", "faults", [asdict(fault) for fault in faults])

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults in force, with how often each `matched` and `struck`."""
        return list(self._control("GET", "faults"))

    def clear_faults(self) -> None:
        """Drop all faults."""
        self._control("DELETE", "faults")

    def requests(self, since: int = 0, *, acting: bool | None = None) -> list[dict[str, Any]]:
        """Return requests received, after number `since`; only those that act, or only the others, if asked."""
        return list(self._control("GET", "requests", since=since, acting=acting))

    def effects(self, kind: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """Side effects that happened, after number `since`."""
        return list(self._control("GET", "effects", kind=kind, since=since))

    def duplicates(self) -> list[dict[str, Any]]:
        """Side effects that happened twice for one logical thing."""
        return list(self._control("GET", "duplicates"))

    def received(self, since: int = 0) -> list[dict[str, Any]]:
        """Say what the built-in webhook receiver got."""
        return list(self._control("GET", "received", since=since))

    def receiver(self, **behaviour: Any) -> None:
        """How the built-in receiver answers: `host status latency_ms body times`; nothing drops all rules."""
        self._control("POST", "receiver", behaviour)

    def authorize(self, state: str) -> dict[str, str]:
        """Play the person who agrees to connect an account; `code` and `state`, as their browser would bring them back."""
        return dict(self._control("GET", "oauth/authorize", state=state))

    def touch(self, post_id: str) -> None:
        """Let somebody edit a post's tags in the dashboard, so that its `updatedAt` moves and nothing else."""
        self._control("POST", "touch", {"post": post_id})

    def plant_post(self, content: str, account_ids: Iterable[str], **fields: Any) -> str:
        """Put a post into the workspace as if it had always been there, and return its id; no effect, no event.

        Parameters
        ----------
        content : str
            Its text.
        account_ids : iterable of str
            Accounts of this workspace.
        **fields
            `status` (default ``draft``), `daysOld`, `scheduledFor`, `tags`, `metadata`.
        """
        body = {"content": content, "accountIds": list(account_ids), **fields}
        return str(self._control("POST", "posts", body)["post"])

    @property
    def switches(self) -> Switches:
        """The present readings of the contract."""
        return Switches().changed(self._control("GET", "switches"))

    def set_switches(self, **changes: Any) -> Switches:
        """Read the contract differently from now on."""
        shown: Mapping[str, Any] = self._control("PATCH", "switches", changes)
        return Switches().changed(shown)

    def reset(self, *, empty: bool = False) -> None:
        """Go back to the seeded beginning: records, clock, logs, faults."""
        self._control("POST", "reset", {"empty": empty})
