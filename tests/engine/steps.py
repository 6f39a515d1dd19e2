"""Paths of acts, and faults that hit them."""

from voxburst_sandbox import Fault

RETRY, BULK, REDELIVER = "/v1/posts/*/retry", "/v1/posts/bulk", "/v1/webhooks/*/deliveries/*/retry"
HOUR = 3600.0


def failing(*actions, path="/v1/**", **where):
    """Faults that hit the same acting requests."""
    return [Fault(method="POST", path=path, **{**where, **action}) for action in actions]
