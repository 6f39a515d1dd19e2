"""What `make proof` searches, and the processes that do it."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from tests.chaos.model import Reading
from tests.exhaustive.protections import REMOVALS, control, counterexample
from tests.exhaustive.search import Case, Found, search

DEPTH = int(os.environ.get("DEPTH", "6"))
JOBS = int(os.environ.get("JOBS", "2"))
ASSUMED = "as assumed"
READINGS = {
    ASSUMED: Reading(),
    "a 5xx leaves no key": Reading(forget_on_5xx=True),
    "keys are ignored": Reading(ignore_keys=True),
    "keys are kept for an hour": Reading(retention=3600.0),
    "still failed for 3 s": Reading(linger=3.0),
    "lists lag a minute and a 5xx leaves no key": Reading(lag=60.0, forget_on_5xx=True),
    "no metadata": Reading(metadata=False),
}
DEEPEST = {ASSUMED, "a 5xx leaves no key", "keys are ignored"}  # the others go one event less deep
# Readings that are another world for this act; a delivery has no metadata that could be missing.
OF_ACT = {
    "create": [name for name in READINGS if name != "still failed for 3 s"],
    "retry": [name for name in READINGS if name not in {"lists lag a minute and a 5xx leaves no key", "no metadata"}],
    "redeliver": [ASSUMED, "a 5xx leaves no key", "keys are ignored", "keys are kept for an hour"],
}


@dataclass(frozen=True)
class Search:
    """One search: its universe, how deep, and its name."""

    name: str
    case: Case
    depth: int


def searches() -> list[Search]:
    """All searches, the long ones first; readings that hurt most go deepest."""
    found = []
    for act, names in OF_ACT.items():
        for name in names:
            case, less = Case(act, reading=READINGS[name]), int(name not in DEEPEST)
            keeps = not (case.reading.ignore_keys or case.reading.forget_on_5xx)
            shows = case.reading.metadata  # a second ledger knows creates by their marks
            two = replace(case, rows=2, kernels=2, ledgers=2 if shows else 1, at_once=keeps)
            found.append(Search(f"{act}, one row, {name}", case, DEPTH - less))
            found.append(Search(f"{act}, two rows, kernels and ledgers, {name}", two, DEPTH - 2 - less))
            if name == ASSUMED:
                kernels, ledgers = replace(case, kernels=2), replace(case, ledgers=2)
                found.append(Search(f"{act}, one row, two kernels, {name}", kernels, DEPTH - 2))
                found.append(Search(f"{act}, one row, two ledgers, {name}", ledgers, DEPTH - 2))
    return sorted(found, key=lambda one: -one.depth)


def begin() -> None:
    """Killed kernels leave what they had open, as killed kernels do."""
    warnings.simplefilter("ignore", ResourceWarning)


def perform(wanted: Search) -> tuple[Search, Found, float]:
    """Search, in a process of its own."""
    begun = time.monotonic()
    return wanted, search(wanted.case, wanted.depth), time.monotonic() - begun


def pool() -> ProcessPoolExecutor:
    """Processes that share nothing with this one."""
    return ProcessPoolExecutor(JOBS, mp_context=multiprocessing.get_context("spawn"), initializer=begin)


def without(number: int) -> tuple[Found, Found]:
    """Search without a protection, and with it."""
    return counterexample(REMOVALS[number]), control(REMOVALS[number])
