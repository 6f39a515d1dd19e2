"""``make mutants``: break each decision of the files that allow sending, joining or settling; a test must turn red.

FILES chooses files, all by default; MINUTES bounds the time; MOST bounds the tests that are asked about one mutant, for a first pass;
AGAIN=1 runs those that survived once more, with other tests or after one was written.
What was run before on the same text of a function is not run again: results are kept in ``tests/mutants/results.json``, per file,
function and digest, and are written after each function, so that the command can be stopped at any time, and be run on several files
at once. What the control has shown is kept in ``build/mutants``, per file of tests.
"""

from __future__ import annotations

import os
import sys

from tests.mutants.files import FILES
from tests.mutants.run import report, run

NOT_DONE = 3  # exit status: no mutant survives so far, and the next call goes on


def main() -> int:
    """Run as the environment says."""
    chosen = os.environ.get("FILES", "").split() or list(FILES)
    strangers = [name for name in chosen if name not in FILES]
    if strangers:
        print(f"FILES={' '.join(strangers)}; some of {', '.join(FILES)}")
        return 2
    minutes, most = float(os.environ.get("MINUTES", "1e6")), int(os.environ.get("MOST", "0")) or None
    run(chosen, seconds=minutes * 60, again=bool(os.environ.get("AGAIN")), most=most)
    total = report(chosen)
    for survivor in total.survivors:
        print(f"survives: {survivor}")
    for name, number in total.not_run.items():
        print(f"not run: {name}: {number} mutants")
    print(total.line)
    return 1 if total.survivors else NOT_DONE if total.not_run else 0


if __name__ == "__main__":
    sys.exit(main())
