"""``voxops matrix --check``: whether client and server do what the capability matrix says, row by row.

`try_rows` tries everything that the cells of a row imply against a sandbox, whose own record says what happened; `read_rows` only
reads, so that it may be pointed at any server; `compare_spec` reads a published description. `cases` says how each row is called,
`laws` what must hold, `bench` where.
"""

from __future__ import annotations

from voxops.conformance.cases import CASES, Bench, Case
from voxops.conformance.laws import LAWS, Finding, Law, check, compare_spec, read_rows, summary, try_row, try_rows

__all__ = [
    "CASES",
    "LAWS",
    "Bench",
    "Case",
    "Finding",
    "Law",
    "check",
    "compare_spec",
    "read_rows",
    "summary",
    "try_row",
    "try_rows",
]
