"""Limits of answers and lists, each with its unit and source; those of requests are in `fields`."""

from __future__ import annotations

_MEGABYTE = 1024 * 1024

# The batch endpoint: maximum duration of one batch at the API (contract: BATCH-n).
BATCH_SECONDS = 60.0

# Lists: records per page, the maximum for posts and contacts (contract: section 3); assumed for the other lists.
PAGE_RECORDS = 100

# Our own bounds on a server's responses, far beyond what the API sends, so that none fills memory or never ends.
ANSWER_BYTES = 64 * _MEGABYTE  # of one response, decompressed
ANSWER_VALUES = 2_000_000  # of one response: 64 MB of ``{}`` would be two gigabytes of objects
STORAGE_ANSWER_BYTES = _MEGABYTE  # of one response of the storage host
PAGE_TIMES = 100  # a page with so many times the requested records is refused
LIST_PAGES, LIST_RECORDS, LIST_BYTES = 20_000, 2_000_000, 4 * 1024 * _MEGABYTE  # of one list
ADDRESS_CHARACTERS = 16_000  # of one address; load balancers refuse longer ones
