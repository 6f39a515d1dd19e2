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
from dataclasses import replace
from pathlib import Path

from tests.exhaustive.model import READINGS, Reading
from tests.exhaustive.search import Case, Search

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


def searches() -> dict[str, tuple[Case, int]]:
    """All searches by name, and how deep they go."""
    found: dict[str, tuple[Case, int]] = {}
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
                if (
                    act != "update"
                ):  # without a name, what is computed of a text is another change once that text has changed
                    found[f"{act} ledgers"] = replace(case, ledgers=2), 4
    return found | special()


LAG, LAG_FORGET = READINGS["lag"], READINGS["lag-forget"]
FEW = ("ok", "lost", "unanswered", "500 before", "500 after", "400")


def special() -> dict[str, tuple[Case, int]]:
    """Histories of which there are too many with everything else."""
    rows = Case("create", rows=2, people=False, reading=LAG)
    # Not over a night: what is refused and not remembered is rule 19's.
    asleep = ("run", "part", "other ledger", "meet", "wait", "wake", "kill", "restart")
    two = replace(rows, ledgers=2, only=asleep, more=("part",), fates=("ok", "400", "lost", "500 before", "unanswered"))
    moves = ("run", "meet", "wait", "kill", "restart", "other ledger")
    sync = Case("sync", rows=2, people=False, reading=LAG, more=("part", "up", "still"), only=moves, fates=("ok", "lost", "unanswered", "500 after"),
                opening=(("run", 0), ("meet", 0, "ok"), ("wait", 320.0)), begin=(("run", 0, "up"),))  # fmt: skip
    return {
        "limits": (replace(rows, more=("limits",), fates=(*FEW, "partial", "429 middle", "402 middle")), 4),
        "limits forget": (replace(rows, reading=LAG_FORGET, fates=(*FEW, "partial", "429 middle", "402 middle")), 4),
        "refusals": (replace(rows, fates=("ok", "400", "400 names", "401", "403", "409", "lost", "500 before")), 4),
        "swapped": (replace(rows, reading=Reading(), fates=("ok", "swapped", "lost", "500 before", "unread")), 4),
        "laptops": (two, 5),
        "laptops forget": (replace(two, reading=LAG_FORGET, at_once=False), 5),
        "laptops soon": (replace(two, soon=frozenset({0}), more=()), 5),
        "laptops single": (replace(two, bulk=1), 4),
        # Whoever wakes while the other's call is under way sends at the same moment: overlapping sheets, possible and reported.
        "laptops doze": (replace(two, reading=Reading(), reports=True, opening=(("doze", 0),), fates=("ok",), waits=(60.0, 100.0)), 6),
        "laptops nod": (replace(two, reading=Reading(), reports=True, opening=(("nod", 0),), fates=("ok",), waits=(60.0, 100.0)), 6),
        "reports": (replace(rows, ledgers=2, reports=True, reading=READINGS["ignored"], fates=("ok", "lost", "unanswered", "500 after")), 4),
        "reports lag": (replace(rows, ledgers=2, reports=True, reading=READINGS["lag-ignored"], more=("part",), fates=("ok", "unanswered")), 5),
        "undo": (replace(rows, reading=Reading(), more=("undo",), fates=FEW), 4),
        "undo lag": (replace(rows, more=("undo",), fates=FEW), 4),
        "undo forget": (replace(rows, reading=LAG_FORGET, more=("undo",), fates=FEW), 4),
        "undo single": (replace(rows, reading=Reading(), bulk=1, more=("undo", "pause"), fates=FEW), 4),
        "struck": (replace(rows, reading=Reading(), more=("part", "another"), last=True, fates=FEW), 5),
        "struck forget": (replace(rows, reading=LAG_FORGET, more=("part", "another"), last=True, fates=FEW), 5),
        "renamed": (Case("create", more=("renamed",), reading=LAG, fates=FEW), 4),
        "renamed forget": (Case("create", more=("renamed",), reading=LAG_FORGET, fates=FEW), 4),
        "again": (Case("create", more=("again", "withdraw", "still"), reading=LAG, fates=FEW), 5),
        "people": (Case("create", more=("write", "edit tags", "withdraw"), reading=LAG_FORGET, fates=FEW), 4),
        "people no-list-marks": (Case("create", ledgers=2, more=("write", "withdraw"), reading=READINGS["no-list-marks"], at_once=False, fates=FEW), 5),
        "people no-metadata": (Case("create", more=("write", "edit tags"), reading=READINGS["no-metadata"], fates=FEW), 4),
        "people no-metadata forget": (Case("create", more=("write", "edit tags"), reading=Reading(metadata=False, forget_on_5xx=True), fates=FEW), 4),
        "lose": (Case("create", more=("lose",), people=False, fates=(*FEW, "slow")), 4),
        # Another part of the sheet, or no key after a 500, within two minutes of the loss: possible, and reported.
        "lose two": (replace(rows, reports=True, more=("lose", "part"), fates=(*FEW, "partial", "slow")), 4),
        "lose forget": (Case("create", reports=True, more=("lose",), people=False, reading=LAG_FORGET, fates=(*FEW, "slow")), 4),
        "pause": (replace(rows, reading=Reading(), bulk=1, more=("pause",), fates=FEW), 4),
        "stuck": (Case("retry", more=("stuck", "still"), reading=READINGS["queue"], fates=(*FEW, "slow"), waits=(100.0, 320.0, 700.0)), 5),
        "stuck linger": (Case("retry", more=("stuck", "still"), reading=READINGS["linger"], fates=(*FEW, "slow"), waits=(100.0, 320.0, 700.0)), 5),
        "filtered": (Case("retry", targets=2, more=("filtered",), fates=(*FEW, "slow")), 4),
        "filtered queue": (Case("retry", targets=2, more=("filtered",), reading=READINGS["queue"], fates=(*FEW, "slow")), 5),
        "filtered kernels": (Case("retry", targets=2, kernels=2, more=("filtered",), fates=(*FEW, "slow")), 4),
        # Two laptops at the same moment, of which one retries some of the targets: another request, possible and reported.
        "filtered ledgers": (Case("retry", targets=2, ledgers=2, reports=True, more=("filtered",), people=False, fates=FEW), 4),
        "stale": (Case("update", more=("load", "write", "edit tags", "withdraw"), fates=FEW), 5),
        "stale retry": (Case("retry", more=("load",), fates=FEW), 4),
        "update and cancel": (Case("update", more=("cancel", "still"), last=True, fates=FEW), 5),
        "update and cancel lag": (Case("update", more=("cancel", "still"), reading=LAG_FORGET, fates=FEW), 4),
        "update and cancel kernels": (Case("update", kernels=2, more=("cancel",), fates=FEW), 4),
        "move and update": (Case("move", more=("update", "write"), fates=FEW), 4),
        "move ledgers ignored": (Case("move", ledgers=2, more=("move",), reading=READINGS["ignored"], at_once=False, fates=FEW, runs=1), 5),
        "sync": (replace(sync, reading=Reading()), 4),
        "sync lag": (sync, 4),
        "sync forget": (replace(sync, reading=LAG_FORGET), 4),
        "sync loaded": (replace(sync, more=("part", "load", "still"), only=(*moves, "load", "run loaded")), 5),
        "sync people": (replace(sync, more=("part", "write", "still"), people=True, only=(*moves, "write")), 4),
        "sync ledgers": (replace(sync, reading=READINGS["lag"], ledgers=2, at_once=False), 4),
        # where marks are hidden, once in each ledger
        "move masked": (Case("move", reading=Reading(masked=True), fates=FEW), 4),
        "create and cancel": (replace(rows, rows=1, more=("cancel", "write"), fates=FEW), 5),
        "create and update": (replace(rows, rows=1, more=("update", "cancel"), fates=FEW), 5),
    }  # fmt: skip


def kept(name: str, depth: int, case: Case) -> Search:
    """The search as its last part has left it."""
    path = KEPT / f"{name.replace(' ', '_')}.pickle"
    if path.exists():
        found: Search = pickle.loads(path.read_bytes())
        if found.case == case:
            found.depth = depth
            return found
    return Search(case, depth, stops=False)


def report(name: str, one: Search, seconds: float) -> None:
    """Say what a search has found."""
    state = "done" if one.done else f"at {one.at} of {len(one.level)} of length {one.length}"
    print(
        f"{name}: {one.histories} histories, {len(one.seen)} states, depth {min(one.length, one.depth)}, {state}, "
        f"{len(one.wrong)} violations, {seconds:.0f} s",
        flush=True,
    )
    told: dict[tuple[str, ...], int] = {}
    for history, problems in one.wrong:
        told[problems] = told.get(problems, 0) + 1
        if told[problems] <= 2:
            print(f"    WRONG {problems}\n          {history}")
    for problems, count in told.items():
        if count > 2:
            print(f"    {count} times {problems}")
    for code, history in one.told.items():
        print(f"    {code}: {history}")


def main() -> int:
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
        one, begun = kept(name, depth or deep, case), time.monotonic()
        one.go(until - begun)
        one.save(KEPT / f"{name.replace(' ', '_')}.pickle")
        report(name, one, time.monotonic() - begun)
        wrong += len(one.wrong)
        done += one.done
        if time.monotonic() > until:
            break
    return 1 if wrong else 0 if done == len(names) else NOT_DONE


if __name__ == "__main__":
    sys.exit(main())
