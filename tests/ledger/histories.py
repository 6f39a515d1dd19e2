"""Random histories of the new core against the model of the server, far longer than an exhaustive search can go; what breaks is made short.

``python -m tests.ledger.histories [SECONDS] [SEED]`` draws histories of every case for so long and says what it has found.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace

from tests.exhaustive.model import Reading, World
from tests.exhaustive.search import Case, Event, History, events, play, universe, verdict

FEW = ("ok", "ok", "ok", "lost", "unanswered", "500 before", "500 after", "400", "garbled", "slow")
WEIGHTS = {"meet": 6.0, "run": 2.0, "wait": 1.5, "night": 0.3, "kill": 0.6, "delete": 0.3}
READINGS = {
    "assumed": Reading(),
    "forgets the key of a 5xx": Reading(forget_on_5xx=True),
    "ignores keys": Reading(ignore_keys=True),
    "remembers keys for an hour": Reading(retention=3600.0),
    "lists lag a minute and a 5xx leaves no key": Reading(forget_on_5xx=True, lag=60.0),
    "shows no metadata": Reading(metadata=False),
    "stays failed for 3 s": Reading(linger=3.0),
}
ROWS = Case("create", rows=3, runs=4, fates=FEW, bulk=2)
# One laptop, as in a notebook that is run again and again.
ONE = {
    "create": replace(ROWS, kernels=2, more=("part", "still", "doze"), last=True),
    "create one by one": replace(ROWS, bulk=1, kernels=2, more=("withdraw", "still")),
    "retry": Case("retry", rows=2, targets=2, kernels=2, runs=4, more=("filtered", "stuck", "still"), fates=FEW),
    "redeliver": Case("redeliver", rows=2, kernels=2, runs=4, fates=FEW),
    "update": Case("update", rows=2, kernels=2, runs=3, more=("cancel", "load", "write", "still"), fates=FEW),
    "move": Case("move", rows=2, kernels=2, runs=3, more=("move", "write", "still"), fates=FEW),
}
# Two laptops with ledgers of their own; what rule 31 excepts is not drawn.
TWO = {
    "create": replace(ROWS, rows=2, ledgers=2, people=False, more=("still",)),
    "retry": Case("retry", rows=2, ledgers=2, runs=3, people=False, fates=FEW),
    "redeliver": Case("redeliver", rows=2, ledgers=2, runs=3, fates=FEW),
}


def draw(case: Case, rng: random.Random, steps: int) -> tuple[History, list[str]]:
    """A random history, and what is wrong with it."""
    with universe(case) as make:
        world = make()
        past: list[Event] = []
        try:
            _play(world, case, past, ("run", 0))
            for _ in range(steps):
                options = list(events(world, case, tuple(past)))
                if not options or world.server.violations:
                    break
                weights = [WEIGHTS.get(each[0], 1.0) for each in options]
                _play(world, case, past, rng.choices(options, weights)[0])
            return tuple(past), list(world.server.violations) or verdict(world, case)
        except RuntimeError as failure:
            return tuple(past), [str(failure)]
        finally:
            world.close()


def _play(world: World, case: Case, past: list[Event], event: Event) -> None:
    past.append(event)
    play(world, case, event)


def judge(case: Case, history: History) -> list[str]:
    """What is wrong with a history; nothing, where it can't happen."""
    with universe(case) as make:
        world = make()
        past: list[Event] = []
        try:
            for event in history:
                if past and event not in list(events(world, case, tuple(past))):
                    return []
                _play(world, case, past, event)
            return list(world.server.violations) or verdict(world, case)
        except RuntimeError as failure:
            return [str(failure)]
        finally:
            world.close()


def shortened(case: Case, history: History, wrong: list[str]) -> tuple[History, list[str]]:
    """A shorter history that breaks the promise, too: events are left out as long as something is wrong."""
    at = len(history) - 1
    while at > 0:
        tried = (*history[:at], *history[at + 1 :])
        if said := judge(case, tried):
            history, wrong = tried, said
        at -= 1
    return history, wrong


def search(case: Case, seed: int, count: int, steps: int = 25) -> tuple[History, list[str]] | None:
    """The first of so many random histories that breaks the promise, made short; None if none does."""
    rng = random.Random(seed)
    for _ in range(count):
        history, wrong = draw(case, rng, steps)
        if wrong:
            return shortened(case, history, wrong)
    return None


def cases() -> Iterator[tuple[str, Case]]:
    """Each case under each reading that is another world for it."""
    for kind, some in (("one", ONE), ("two", TWO)):
        for name, case in some.items():
            for reading, how in READINGS.items():
                shows = how.metadata and not how.ignore_keys and not how.forget_on_5xx
                if kind == "two" and not shows and name == "create":
                    case = replace(case, at_once=False)
                if not (kind == "two" and not how.metadata):
                    yield f"{kind} {name}: {reading}", replace(case, reading=how)


def main(seconds: float, seed: int) -> int:
    """Search for so long."""
    warnings.simplefilter("ignore", ResourceWarning)
    until, found, count = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        for name, case in cases():
            if time.monotonic() > until:
                break
            hit = search(case, seed, 5)
            count += 5
            if hit is not None:
                found += 1
                print(f"{name}, seed {seed}: {hit[1]}\n    {hit[0]}", flush=True)
        seed += 1
    print(f"{count} histories, {found} that break the promise")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
