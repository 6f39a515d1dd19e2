"""What the API promises and what is assumed of it, each once.

`matrix` is the table of all writes and the policy that follows from it, `limits` what the API allows in numbers, `assumptions` what
the contract leaves open, `errors` how an error body reads, `names` how fields and accounts are spelled, `states` a post as it was read,
`evidence` whether a try has ended, `windows` how long something is waited for or believed. The policy, error bodies and names are
imported from here, the rest from its module.
"""

from __future__ import annotations

from voxops.api.errors import ErrorBody, read_answer, read_error
from voxops.api.matrix import (
    MATRIX,
    Endpoint,
    Resend,
    completed_by,
    find,
    is_outcome,
    may_resend,
    must_read_items,
    polled,
)
from voxops.api.names import account_spelling, field_name

__all__ = [
    "MATRIX",
    "Endpoint",
    "ErrorBody",
    "Resend",
    "account_spelling",
    "completed_by",
    "field_name",
    "find",
    "is_outcome",
    "may_resend",
    "must_read_items",
    "polled",
    "read_answer",
    "read_error",
]
