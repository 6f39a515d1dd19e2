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

from tests.exhaustive.model import Reading
from tests.exhaustive.search import Case, Search

SECONDS = float(os.environ.get("PART", "520"))
KEPT = Path(os.environ.get("FOLDER", Path(tempfile.gettempdir()) / "voxops-searches"))
READINGS = {
    "assumed": Reading(),
    "forget": Reading(forget_on_5xx=True),
    "ignored": Reading(ignore_keys=True),
    "hour": Reading(retention=3600.0),
    "linger": Reading(linger=3.0),
    "queue": Reading(linger=600.0),
    "lag": Reading(lag=60.0),
    "lag-forget": Reading(lag=60.0, forget_on_5xx=True),
    "lag-ignored": Reading(lag=60.0, ignore_keys=True),
    "no-list-marks": Reading(list_metadata=False),
    "no-metadata": Reading(metadata=False),
    "bare": Reading(metadata=False, texts=False),
    "clock-stops": Reading(clock_stops=True),
}
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
                found[f"{act} ledgers"] = replace(case, ledgers=2), 4
    return found | special()


def special() -> dict[str, tuple[Case, int]]:
    """Histories of which there are too many with everything else."""
    return {}


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
    until, wrong = time.monotonic() + SECONDS, 0
    for name in names:
        case, deep = known[name]
        one, begun = kept(name, depth or deep, case), time.monotonic()
        one.go(until - begun)
        one.save(KEPT / f"{name.replace(' ', '_')}.pickle")
        report(name, one, time.monotonic() - begun)
        wrong += len(one.wrong)
        if time.monotonic() > until:
            break
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
