"""The built-in webhook receiver: where the seeded webhooks' ``*.example`` hosts lead."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from voxburst_sandbox.clock import iso
from voxburst_sandbox.draw import fraction
from voxburst_sandbox.hooks import CLAIMED_LATENCY
from voxburst_sandbox.world import World

__all__ = ["Receiver", "latency_ms"]

_TROUBLE_RATE = 0.015


def latency_ms(*parts: object) -> int:
    """How long a receiver takes: mostly 40 to 200 ms, with a long tail."""
    draw = fraction("latency", *parts)
    return int(38 + 90 * draw + 400 * draw**8 + 2600 * draw**60)


class Receiver:
    """Answers webhooks, now and then badly, and writes down what it got.

    Rules (control call ``receiver``) change the answer: ``{host, status, latency_ms, body, times}``, the latest first.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._tries: Counter[str] = Counter()
        self._counted = 0

    async def endpoint(self, request: Request) -> Response:
        """Take one event."""
        world, body = self._world, await request.body()
        host = request.headers.get("host", "").partition(":")[0]
        delivery = request.headers.get("x-voxburst-delivery-id", "")
        tries = self._tries_before(delivery)
        status, claimed, text = self._answer(host, delivery, tries)
        headers = {name: value for name, value in request.headers.items() if name.startswith("x-voxburst")}
        world.received.note(
            host=host, path=request.url.path, delivery=delivery, headers=headers, body=body.decode(), status=status,
            at=iso(world.now()),
        )  # fmt: skip
        return Response(
            text or self._receipt(body), status, {CLAIMED_LATENCY: str(claimed)}, media_type="application/json"
        )

    def _tries_before(self, delivery: str) -> int:
        """How often this delivery came before; the count follows the record, which a reset empties."""
        if self._counted > len(self._world.received):
            self._tries.clear()
            self._counted = 0
        for entry in self._world.received[self._counted :]:
            self._tries[entry["delivery"]] += 1
        self._counted = len(self._world.received)
        return self._tries[delivery]

    def _answer(self, host: str, delivery: str, tries: int) -> tuple[int, int, str]:
        """Status, claimed latency and body, by the first rule that fits, else by draw."""
        claimed = latency_ms(self._world.seed, delivery, tries)
        for rule in self._world.receiver_rules:
            if rule.get("host") in (None, host) and rule.get("times", 1) != 0:
                if "times" in rule:
                    rule["times"] -= 1
                return _ruled(rule, claimed)
        if fraction(self._world.seed, "receiver", delivery, tries) < _TROUBLE_RATE:
            return 503, claimed * 4, '{"error":"try again later"}'
        return 200, claimed, ""

    @staticmethod
    def _receipt(body: bytes) -> str:
        """The body of a receiver that took the event: the event's id."""
        try:
            event = msgspec.json.decode(body).get("id")
        except (ValueError, RecursionError, AttributeError):
            event = None
        return msgspec.json.encode({"received": event}).decode()


def _ruled(rule: dict[str, Any], claimed: int) -> tuple[int, int, str]:
    """Return the answer that a rule gives."""
    return int(rule.get("status", 200)), int(rule.get("latency_ms", claimed)), str(rule.get("body", ""))
