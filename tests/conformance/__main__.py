"""Try every row of the matrix against a fresh sandbox: ``python -m tests.conformance``; exit status 1 if a row differs."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tests.conformance.bench import bench
from tests.conformance.laws import differences

from voxops.api.matrix import MATRIX, Endpoint


def main(rows: Iterable[Endpoint] = MATRIX) -> int:
    """Print a line for each row and one for all; the exit status."""
    tried = {}
    with bench() as opened:
        for row in rows:
            tried[row] = differences(opened, row)
            print(f"{row.row} {row}: {tried[row] or 'ok'}", flush=True)
    right = sum(not found for found in tried.values())
    print(f"matrix: rows={len(tried)} ok={right}")
    return int(right != len(tried))


if __name__ == "__main__":
    sys.exit(main())
