"""Searches by name, each in parts: ``python -m tests.exhaustive NAME [DEPTH]`` goes on where its last part ended.

PART is how many seconds a part takes at the most, FOLDER where searches are kept between parts. Without a name all are listed; several names
are searched one after the other, each to its end, as far as the time allows.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.exhaustive.model import IGNORED, LAG, LAG_FORGET, PLAIN, QUEUED, READINGS, Case, Reading
from tests.exhaustive.search import Search

SECONDS = float(os.environ.get("PART", "520"))
NOT_DONE = 3  # exit status: nothing is wrong so far, and the next call goes on
KEPT = Path(os.environ.get("FOLDER", Path(tempfile.gettempdir()) / "voxops-searches"))
# Readings that are another world for this act; a delivery has no metadata that could be missing.
OF_ACT = {
    "create": [name for name in READINGS if name not in {"linger", "queue"}],
    "retry": ["assumed", "forget", "ignored", "hour", "linger", "queue", "clock-stops"],
    "redeliver": ["assumed", "forget", "ignored", "hour"],
    "update": ["assumed", "forget", "ignored", "lag-forget", "no-list-marks", "no-metadata"],
    "move": ["assumed", "ignored", "lag-ignored", "no-metadata"],
    "cancel": ["assumed", "forget", "ignored", "lag-forget"],
}


def searches():
    """All searches by name, and how deep they go."""
    found = {}
    for act, names in OF_ACT.items():
        for name in names:
            case = Case(act, reading=READINGS[name])
            keeps = not (case.reading.ignore_keys or case.reading.forget_on_5xx)
            shows = case.reading.metadata and case.reading.list_metadata  # a second ledger knows creates by their marks
            two = replace(case, rows=2, kernels=2, ledgers=2 if shows else 1, at_once=keeps)
            found[f"{act} {name}"] = case, 4
            found[f"{act} two {name}"] = two, 3
            if name == "assumed":
                found[f"{act} kernels"] = replace(case, kernels=2), 4
                if act != "update":
                    # Without a name, what is computed of a text is another change once that text has changed.
                    found[f"{act} ledgers"] = replace(case, ledgers=2), 4
    return found | special()


FEW = ("ok", "lost", "unanswered", "500 before", "500 after", "400")
SLOW = (*FEW, "slow")


def _one(act, *more, **how):
    """A case with further events, and few fates."""
    return Case(act, more=more, **{"fates": FEW, **how})


def special():
    """Histories of which there are too many with everything else."""
    rows = _one("create", rows=2, people=False, reading=LAG)
    # Not over a night: what is refused and not remembered is rule 19's.
    asleep = ("run", "part", "other ledger", "meet", "wait", "wake", "kill", "restart")
    two = replace(rows, ledgers=2, only=asleep, more=("part",), fates=("ok", "400", "lost", "500 before", "unanswered"))
    moves = ("run", "meet", "wait", "kill", "restart", "other ledger")
    sync = _one("sync", "part", "up", "still", rows=2, people=False, reading=LAG, only=moves, fates=("ok", "lost", "unanswered", "500 after"),
                opening="run 0; meet 0 ok; wait 320.0", begin="run 0 up")  # fmt: skip
    asleep_first = replace(two, reading=PLAIN, reports=True, opening="doze 0", fates=("ok",), waits=(60.0, 100.0))
    undo, struck = replace(rows, more=("undo",)), replace(rows, more=("part", "another"), last=True)
    stuck = _one("retry", "stuck", "still", reading=QUEUED, fates=SLOW, waits=(100.0, 320.0, 700.0))
    filtered = _one("retry", "filtered", targets=2, fates=SLOW)
    found = {
        "limits": replace(rows, fates=(*FEW, "partial", "429 middle", "402 middle")),
        "limits forget": replace(rows, reading=LAG_FORGET, fates=(*FEW, "partial", "429 middle", "402 middle")),
        "refusals": replace(rows, fates=("ok", "400", "400 names", "401", "403", "409", "lost", "500 before")),
        "swapped": replace(rows, reading=PLAIN, fates=("ok", "swapped", "lost", "500 before", "unread")),
        "laptops": (two, 5),
        "laptops forget": (replace(two, reading=LAG_FORGET, at_once=False), 5),
        "laptops soon": (replace(two, soon=frozenset({0}), more=()), 5),
        "laptops single": replace(two, bulk=1),
        # Whoever wakes while the other's call is under way sends at the same moment: overlapping sheets, possible and reported.
        "laptops doze": (asleep_first, 6),
        "laptops nod": (replace(asleep_first, opening="nod 0"), 6),
        "reports": replace(rows, ledgers=2, reports=True, reading=IGNORED, fates=("ok", "lost", "unanswered", "500 after")),
        "reports lag": (replace(rows, ledgers=2, reports=True, reading=READINGS["lag-ignored"], more=("part",), fates=("ok", "unanswered")), 5),
        "undo": replace(undo, reading=PLAIN),
        "undo lag": undo,
        "undo forget": replace(undo, reading=LAG_FORGET),
        "undo single": replace(rows, reading=PLAIN, bulk=1, more=("undo", "pause")),
        "struck": (replace(struck, reading=PLAIN), 5),
        "struck forget": (replace(struck, reading=LAG_FORGET), 5),
        "renamed": _one("create", "renamed", reading=LAG),
        "renamed forget": _one("create", "renamed", reading=LAG_FORGET),
        "again": (_one("create", "again", "withdraw", "still", reading=LAG), 5),
        "people": _one("create", "write", "edit tags", "withdraw", reading=LAG_FORGET),
        "people no-list-marks": (_one("create", "write", "withdraw", ledgers=2, reading=READINGS["no-list-marks"], at_once=False), 5),
        "people no-metadata": _one("create", "write", "edit tags", reading=READINGS["no-metadata"]),
        "people no-metadata forget": _one("create", "write", "edit tags", reading=Reading(metadata=False, forget_on_5xx=True)),
        "lose": _one("create", "lose", people=False, fates=SLOW),
        # Another part of the sheet, or no key after a 500, within two minutes of the loss: possible, and reported.
        "lose two": replace(rows, reports=True, more=("lose", "part"), fates=(*FEW, "partial", "slow")),
        "lose forget": _one("create", "lose", reports=True, people=False, reading=LAG_FORGET, fates=SLOW),
        "pause": replace(rows, reading=PLAIN, bulk=1, more=("pause",)),
        "stuck": (stuck, 5),
        "stuck linger": (replace(stuck, reading=READINGS["linger"]), 5),
        "filtered": filtered,
        "filtered queue": (replace(filtered, reading=QUEUED), 5),
        "filtered kernels": replace(filtered, kernels=2),
        # Two laptops at the same moment, of which one retries some of the targets: another request, possible and reported.
        "filtered ledgers": replace(filtered, ledgers=2, reports=True, people=False, fates=FEW),
        "stale": (_one("update", "load", "write", "edit tags", "withdraw"), 5),
        "stale retry": _one("retry", "load"),
        "update and cancel": (_one("update", "cancel", "still", last=True), 5),
        "update and cancel lag": _one("update", "cancel", "still", reading=LAG_FORGET),
        "update and cancel kernels": _one("update", "cancel", kernels=2),
        "move and update": _one("move", "update", "write"),
        "move ledgers ignored": (_one("move", "move", ledgers=2, reading=IGNORED, at_once=False, runs=1), 5),
        "sync": replace(sync, reading=PLAIN),
        "sync lag": sync,
        "sync forget": replace(sync, reading=LAG_FORGET),
        "sync loaded": (replace(sync, more=("part", "load", "still"), only=(*moves, "load", "run loaded")), 5),
        "sync people": replace(sync, more=("part", "write", "still"), people=True, only=(*moves, "write")),
        "sync ledgers": replace(sync, reading=LAG, ledgers=2, at_once=False),
        # where marks are hidden, once in each ledger
        "move masked": Case("move", reading=Reading(masked=True), fates=FEW),
        "create and cancel": (replace(rows, rows=1, more=("cancel", "write")), 5),
        "create and update": (replace(rows, rows=1, more=("update", "cancel")), 5),
    }  # fmt: skip
    return {name: one if isinstance(one, tuple) else (one, 4) for name, one in found.items()}


def kept(path, depth, case):
    """The search as its last part has left it."""
    if path.exists():
        found = pickle.loads(path.read_bytes())
        if found.case == case:
            found.depth = depth
            return found
    return Search(case, depth, stops=False)


def report(name, one, seconds):
    """Say what a search has found."""
    state = "done" if one.done else f"at {one.at} of {len(one.level)} of length {one.length}"
    print(
        f"{name}: {one.histories} histories, {len(one.seen)} states, depth {min(one.length, one.depth)}, {state}, "
        f"{len(one.wrong)} violations, {seconds:.0f} s",
        flush=True,
    )
    told = Counter()
    for history, problems in one.wrong:
        told[problems] += 1
        if told[problems] <= 2:
            print(f"    WRONG {problems}\n          {history}")
    for problems, count in told.items():
        if count > 2:
            print(f"    {count} times {problems}")
    for code, history in one.told.items():
        print(f"    {code}: {history}")


def main():
    """Search what is named, for as long as a part lasts."""
    warnings.simplefilter("ignore", ResourceWarning)
    known = searches()
    names = [name for name in sys.argv[1:] if not name.isdigit()]
    depth = next((int(name) for name in sys.argv[1:] if name.isdigit()), 0)
    if not names:
        print("\n".join(f"{name}: depth {deep}, {case}" for name, (case, deep) in known.items()))
        return 0
    KEPT.mkdir(exist_ok=True)
    until, wrong, done = time.monotonic() + SECONDS, 0, 0
    for name in names:
        case, deep = known[name]
        path, begun = KEPT / f"{name.replace(' ', '_')}.pickle", time.monotonic()
        one = kept(path, depth or deep, case)
        one.go(until - begun)
        path.write_bytes(pickle.dumps(one))
        report(name, one, time.monotonic() - begun)
        wrong += len(one.wrong)
        done += one.done
        if time.monotonic() > until:
            break
    return 1 if wrong else 0 if done == len(names) else NOT_DONE


if __name__ == "__main__":
    sys.exit(main())
