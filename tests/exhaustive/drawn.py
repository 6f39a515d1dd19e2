"""Random histories against the model of the server, far longer than a search can go; what breaks the promise is made short."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from tests.exhaustive.model import READINGS, Reading, World
from tests.exhaustive.search import Case, Event, History, events, play, universe, wrong_in

FEW = ("ok", "ok", "ok", "lost", "unanswered", "500 before", "500 after", "400", "garbled", "slow")
WEIGHTS = {
    "meet": 6.0, "run": 2.0, "wait": 1.5, "night": 0.3, "kill": 0.6, "delete": 0.3, "hold": 0.4, "clock": 0.06, "other key": 0.2,
}  # fmt: skip
DRAWN = ("assumed", "forget", "ignored", "hour", "lag-forget", "no-metadata", "linger")
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
# Two laptops with ledgers of their own; what rule 19 excepts is not drawn.
TWO = {
    "create": replace(ROWS, rows=2, ledgers=2, people=False, more=("still",)),
    "retry": Case("retry", rows=2, ledgers=2, runs=3, people=False, fates=FEW),
    "redeliver": Case("redeliver", rows=2, ledgers=2, runs=3, fates=FEW),
}


def cases() -> Iterator[tuple[str, Case]]:
    """Each case under each reading that is another world for it."""
    for reading in DRAWN:
        how = READINGS[reading]
        for name, case in ONE.items():
            yield f"one {name}: {reading}", replace(case, reading=how)
        for name, case in TWO.items() if how.metadata else ():  # by which a second ledger knows creates
            yield f"two {name}: {reading}", replace(case, reading=how, at_once=_keeps(how))


def _keeps(how: Reading) -> bool:
    """Whether the server keeps keys, so that the same call may be sent at any time."""
    return not (how.ignore_keys or how.forget_on_5xx) and how.retention > 3600.0


def may_happen(world: World, case: Case, past: list[Event]) -> list[Event]:
    """What may happen next: what the exhaustive search knows, and what it leaves out for its number."""
    if not past:
        return [("run", 0)]
    found = list(events(world, case, tuple(past)))
    for which, kernel in enumerate(world.alive):
        if kernel.client.open and kernel.busy and case.ledgers == 1:
            found.append(("hold", which))  # the rate limit holds its requests back
        if _keeps(case.reading):  # else only time tells that a request has ended
            found += [("clock", which, seconds) for seconds in (-600.0, -40.0, 40.0, 600.0, 86_400.0)]
    return found if case.ledgers > 1 else [*found, ("other key",)]


def played(case: Case, choices: Iterator[Event | random.Random]) -> tuple[History, list[str]]:
    """A history, each event drawn or given, and what is wrong with it; nothing is, where a given one can't happen."""
    with universe(case) as make:
        world, past = make(), list[Event]()
        try:
            for choice in choices:
                options = may_happen(world, case, past)
                if not options or world.server.violations:
                    break
                if isinstance(choice, random.Random):
                    choice = choice.choices(options, [WEIGHTS.get(each[0], 1.0) for each in options])[0]
                elif choice not in options:
                    return tuple(past), []
                past.append(choice)
                play(world, case, choice)
            return tuple(past), wrong_in(world, case)
        except RuntimeError as failure:
            return tuple(past), [str(failure)]
        finally:
            world.close()


def shortened(case: Case, history: History, wrong: list[str]) -> tuple[History, list[str]]:
    """A shorter history that breaks the promise, too: events are left out as long as something is wrong."""
    for at in range(len(history) - 1, 0, -1):
        tried, said = played(case, iter((*history[:at], *history[at + 1 :])))
        if said:
            history, wrong = tried, said
    return history, wrong


def search(case: Case, seed: int, count: int, steps: int = 26) -> tuple[History, list[str]] | None:
    """The first of so many random histories that breaks the promise, made short; None if none does."""
    rng = random.Random(seed)
    for _ in range(count):
        history, wrong = played(case, iter([rng] * steps))
        if wrong:
            return shortened(case, history, wrong)
    return None
