"""Every window of time in which something is waited for or believed, in seconds, each with its reason; there is no other.

Ledger time is the local clock, never behind what the ledger has seen; server time comes from the API's ``Date`` header.
"""

from __future__ import annotations

from datetime import timedelta

__all__ = [
    "CLEARED_FOR",
    "CLOCKS_DIFFER",
    "COUNT_SETTLES_AFTER",
    "FIRST_LOOK",
    "FRESH_FOR",
    "LEASE",
    "LIST_DISORDER",
    "LONGEST_LOOK",
    "LONGEST_REST",
    "LOOKBACK",
    "NO_EVIDENCE_AFTER",
    "PER_PAGE",
    "PROOF_AFTER",
    "QUIET_ANSWERED",
    "QUIET_UNANSWERED",
    "SERVER_RETRIES_FOR",
    "SKEW",
    "STUCK_AFTER",
    "WATCH_FOR",
    "WATCH_LOOKS",
]

# -- leases and clearances, in ledger time

LEASE = 90.0  # for which a sender keeps an operation to itself; longer than any request takes (rule 21)
# For which a reading clears an operation for sending: what it showed may have changed after a long wait for the rate limit, or a
# night in which the laptop slept (rule 8).
CLEARED_FOR = 120.0
FRESH_FOR = 60.0  # after which what a planned operation is about is read again before it is sent (rule 1)

# -- server time

CLOCKS_DIFFER = 5.0  # by which server time, given in whole seconds, may seem to go back
SKEW = 300.0  # by which two clocks of the server may differ (rule 14)

# -- after a try, before reading says something (rule 11)

# What is queued shows within seconds of the API's answer, but a request that nobody has answered may still be executed for as long
# as servers and their gateways let requests live.
QUIET_ANSWERED, QUIET_UNANSWERED = 6.0, 60.0
PROOF_AFTER = 300.0  # before absence proves anything (rule 14)

# -- after a try, before an end is believed (rule 18)

# For which a retry count that has reached what the reply promised may still stand beside the old status: it may rise when the try
# is queued.
COUNT_SETTLES_AFTER = 30.0
NO_EVIDENCE_AFTER = (
    300.0  # from which on "looks as before" is said: the API publishes within minutes or not at all (contract: PLAY)
)
STUCK_AFTER = timedelta(minutes=10)  # after which what is on its way counts as stuck (contract: PLAY; rules 3 and 18)
SERVER_RETRIES_FOR = timedelta(hours=1)  # for which the API may still retry a delivery by itself (rule 19)

# -- looking again

FIRST_LOOK = 2.0  # until the first look; the API publishes within seconds when all is well (contract: MEDIAFLOW)
LONGEST_LOOK = 30.0  # between two looks at the most
PER_PAGE = 2.0  # between two looks for each page that a look takes
LONGEST_REST = 120.0  # for which a list is left alone at the most, if somebody waits for it
WATCH_FOR = 1800.0  # of watching, after which what has not ended is left pending (contract: PLAY)
WATCH_LOOKS = 64  # looks of a run without any change, about as long
LIST_DISORDER = timedelta(seconds=5)  # by which a post may stand too early in a list that is newest first
LOOKBACK = 30 * 86_400.0  # how far a new ledger looks back for creates that no longer wait to go out (rule 13)
