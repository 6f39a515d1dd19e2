"""A chaos run: two senders, each a process, against a server in another, whose lists lag and which forgets keys; kills and faults.

What was expected is fixed from the plans before the first send, and what happened comes from the server's record alone. Kills that
fall between the server's receipt of a request and the sender's commit of its outcome are sought: the server holds a request up, and
whoever sent it is killed while the record shows it without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.chaos import sender, world
from tests.chaos import server as servers
from tests.chaos.count import LAG, Count, Thing, broken, count, expected, happened, sender_of
from tests.chaos.rig import loaded, logs_of
from tests.processes import MEMORY, Process, serving

from voxburst_sandbox import API_KEY, Fault, Remote
from voxops import targets, triage
from voxops.client import AsyncClient

LOOKS = 0.1  # real seconds between two looks at how far the work is


@dataclass(frozen=True)
class Config:
    """What a run is made of; times are real seconds.

    `pace` is how long the server takes over each act, so that there is always one to be killed in flight. `speed` is low, since an engine
    counts on it that a server goes on for a minute at the most with a request that nobody waits for, also on a busy machine.
    """

    items: int = 5_000
    kills: int = 100
    in_flight: float = 0.5  # share of the kills that must fall between the server's receipt and the sender's commit
    seed: int = 1
    ledgers: int = 2  # 1: the senders share it, as two kernels on one computer
    speed: float = 20.0  # virtual seconds per real one
    timeout: float = 1.0
    pace: float = 0.1
    seconds: float = 400.0  # at the most


class Chaos:
    """One run, from the first process to the last, and how it went; `line` is its last word.

    `never` maps what happened twice although the promise says never to why; `unreported` are creates that happened twice, and no ledger
    says so.
    """

    count: Count
    never: dict[Thing, str]
    unreported: list[Thing]

    def __init__(self, config, folder):
        self.config = config
        self.folder = folder
        self.rng = random.Random(config.seed)
        self.kills = self.in_flight = self.rushed = 0
        self.problems = []
        self._effects = self._done = 0  # of the server's record, as far as it was read: entries, things that happened
        self._since = dict.fromkeys("ab", 0)  # requests that the server had received when a sender was started

    @property
    def line(self):
        """The one line to read."""
        found = self.count
        return (
            f"chaos: items={self.config.items} effects={found.effects} expected={found.expected} "
            f"at_the_same_moment={len(found.duplicates) - len(self.never)} duplicates={len(self.never)} lost={len(found.lost)} "
            f"unreported={len(self.unreported)} unknown={self.unknown} kills={self.kills} in_flight_kills={self.in_flight} "
            f"ledgers={self.config.ledgers} faults={self.faults}"
        )

    @property
    def holds(self):
        """Whether the promise was kept, and the run was what it should be."""
        return not (self.never or self.count.strays or self.count.lost or self.unreported or self.problems)

    def run(self):
        """Run and count."""
        config, began = self.config, time.monotonic()
        setting = {
            "seed": config.seed,
            "speed": config.speed,
            "posts": max(1, round(config.items * 0.12)),  # two of three have two targets
            "deliveries": round(config.items * 0.1),
            "scheduled": round(config.items * 0.1),
            "switches": {"list_lag_seconds": LAG, "forget_key_on_5xx": True},
        }
        with serving(servers.chaos, setting) as facts, contextlib.closing(Remote(facts["url"])) as remote:
            asyncio.run(self._save(facts))
            wanted = set().union(*map(expected, sender.plans(self.folder)))
            remote.add_fault(*self._faults())
            self._drive(remote, facts["url"], len(wanted), began + config.seconds)
            remote.advance(600)
            for name in "ab":  # what the other one has made meanwhile is in the lists
                self._start(name, facts["url"], began + config.seconds, reads=True).join()
            self._count(remote, facts["owners"], wanted)
        self.seconds = time.monotonic() - began

    def _count(self, remote, owners, wanted):
        rows = [row for name in "ab" for row in sender.states(self.folder, name, self.config.ledgers)]
        unknown, pending, reported = (
            {thing for outcome, thing, _ in rows if outcome == kind} for kind in ("unknown", "pending", "reported")
        )
        self.unknown = len(unknown)
        requests, effects = {entry["seq"]: entry for entry in remote.requests(acting=True)}, remote.effects()
        self.count = found = count(wanted, effects, owners, unsettled=unknown | pending)
        done = {thing: [] for thing in found.duplicates}
        for thing, effect in happened(effects, owners):
            if thing in done:
                done[thing].append(effect)
        why = {thing: broken(thing, some, requests, ledgers=self.config.ledgers) for thing, some in done.items()}
        self.never = {thing: said for thing, said in why.items() if said is not None}
        self.unreported = [thing for thing in found.duplicates if thing[0] == "create" and thing not in reported]
        # With a ledger of its own, a sender is right to leave alone what the other has changed.
        for kind in ("unknown", "pending", *(("blocked",) if self.config.ledgers == 1 else ())):
            if some := [row for row in rows if row[0] == kind]:
                self.problems.append(f"{len(some)} rows are {kind}, such as {some[:3]}")
        if self.kills != self.config.kills or self.in_flight < self.config.in_flight * self.kills:
            self.problems.append(f"{self.in_flight} of {self.kills} kills fell in flight")
        for thing in [*self.never, *self.unreported][:5]:
            told = [(effect["at"], requests[effect["request"]]) for effect in done[thing]]
            self.problems.append(f"{thing}: {self.never.get(thing, 'nobody reported it')}: {told}")
        self.problems += [
            f"{kind}: {some[:5]}" for kind, some in (("strays", found.strays), ("lost", found.lost)) if some
        ]
        self.faults = sum(fault["struck"] for fault in remote.faults() if fault["seconds"] != self.config.pace)

    async def _save(self, facts):
        """Load what is to be acted on, as an analyst does, and save it for the senders."""
        async with AsyncClient(API_KEY, url=facts["url"]) as client:
            failed, scheduled = [
                await loaded(client, "posts", [("/v1/posts", {"status": status})]) for status in ("failed", "scheduled")
            ]
            hooks = [hook["id"] async for page in client.pages("/v1/webhooks", {}) for hook in page.records]
            deliveries = await loaded(client, "deliveries", logs_of(hooks))
        triaged = triage(targets(failed))
        rows = self.config.items - len(triaged) - len(deliveries) - len(scheduled)
        frames = triaged, deliveries, world.campaign(facts["accounts"], rows), scheduled
        for name, frame in zip(sender.FRAMES, frames, strict=True):
            frame.to_pickle(self.folder / f"{name}.pickle")

    def _faults(self):
        """What goes wrong by itself, drawn by the seed."""
        late = self.config.timeout + 0.4
        acts = [
            {"action": "status", "status": 503, "code": "SERVICE_UNAVAILABLE", "chance": 0.02},
            {"action": "status", "status": 500, "when": "after", "chance": 0.02},
            {"action": "status", "status": 502, "code": "", "when": "after", "chance": 0.005}, {"action": "drop", "chance": 0.015},
            {"action": "drop", "when": "after", "chance": 0.015}, {"action": "truncate", "chance": 0.01},
            *({"action": "garbage", "body": body, "chance": 0.005} for body in ("html", "json", "empty")), {"action": "delay", "seconds": late, "chance": 0.004},
            {"action": "delay", "seconds": late, "when": "after", "chance": 0.004}, {"action": "retry_after", "seconds": 5, "chance": 0.005},
        ]  # fmt: skip
        bulk = [
            {"action": "bulk_partial", "items": 20, "chance": 0.06}, {"action": "bulk_double_index", "chance": 0.06},
            {"action": "bulk_missing_index", "chance": 0.06}, {"action": "bulk_unknown_index", "chance": 0.06},
            {"action": "drop", "when": "after", "chance": 0.1}, {"action": "status", "status": 500, "when": "after", "chance": 0.1},
        ]  # fmt: skip
        reads = [{"action": "status", "status": 503, "chance": 0.005}, {"action": "drop", "chance": 0.005}]
        paced = [{"action": "delay", "seconds": self.config.pace}]
        places = (("POST", "/v1/**", acts), ("PATCH", "/v1/posts/*", acts), ("POST", "/v1/posts/bulk", bulk))
        places += (("GET", "/v1/**", reads), ("POST", "/v1/**", paced))
        kinds = [(method, path, kind) for method, path, some in places for kind in some]
        return [
            Fault(method=method, path=path, times=None, seed=self.config.seed * 1000 + number, **kind)
            for number, (method, path, kind) in enumerate(kinds)
        ]

    # -- the senders ------------------------------------------------------------------------------------------------

    def _start(self, name, url, until, *, again=False, reads=False):
        """Start a sender, or one that only `reads`; each has a name of its own for the server, so that the record tells them apart."""
        if name == "b":
            url = url.replace("127.0.0.1", "localhost")
        left = until - time.monotonic()
        wanted = {**asdict(self.config), "name": name, "url": url, "folder": self.folder, "again": again, "reads": reads, "seconds": left}  # fmt: skip
        return Process(sender.main, wanted)

    def _drive(self, remote, url, total, until):
        """Let the senders work, and kill as the work goes on: three of four in flight, the others at any instant."""
        senders = {name: self._start(name, url, until, again=True) for name in "ab"}
        try:
            while any(one.running for one in senders.values()):
                if time.monotonic() > until:
                    self.problems.append("the senders did not end in time")
                    return
                if self.kills < self.config.kills:
                    fresh = remote.effects(since=self._effects)
                    self._effects += len(fresh)
                    self._done += len(happened(fresh, {}))
                    if self._done >= total * (self.kills + 1) / (self.config.kills + 2):
                        self._kill(self.kills % 4 != 3, remote, url, until, senders)
                time.sleep(LOOKS)
            for name, one in senders.items():
                if one.code:
                    said = sender.errors(self.folder, name).read_text("utf-8")[-2000:]
                    self.problems.append(f"sender {name} ended with {one.code}: {said}")
            self.rushed = self.config.kills - self.kills
        finally:
            for one in senders.values():
                one.kill()

    def _kill(self, sought, remote, url, until, senders):
        """Kill a sender and start it again: all over, or taking up its runs."""
        held = next(filter(None, (self._held(remote) for _ in range(5))), None) if sought else None
        name = self.rng.choice("ab") if held is None else sender_of(held)
        senders[name].kill()
        self.kills += 1
        path = sender.ledger_path(self.folder, name, self.config.ledgers)
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=1)) as ledger:
            sent = {key for (key,) in ledger.execute("SELECT key FROM calls WHERE state = 'sent'")}
        received = remote.requests(since=self._since[name], acting=True)
        self.in_flight += any(entry["key"] in sent and sender_of(entry) == name for entry in received)
        self._since[name] = remote.state()["counts"]["requests"]
        senders[name] = self._start(name, url, until, again=self.kills % 10 == 0)

    def _held(self, remote):
        """An act that the server holds up and has not answered; None if none comes, or another fault answers it at once."""
        seen = remote.state()["counts"]["requests"]
        when, seconds = self.rng.choice(["before", "after"]), self.config.timeout * 0.9
        remote.add_fault(Fault(action="delay", method="POST", path="/v1/**", when=when, seconds=seconds, times=2))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for entry in remote.requests(since=seen, acting=True):
                # Held up by the pace alone, it may be answered before its sender is dead.
                if not entry["ended"] and entry["fault"].count("delay") > 1:
                    return entry
            time.sleep(0.01)
        return None


def run(config):
    """Run chaos in a folder of its own; once more at a slower server where a busy machine came too late to kill."""
    for pace in (config.pace, config.pace * 3):
        with tempfile.TemporaryDirectory(prefix="voxops-chaos-", dir=MEMORY) as folder:
            chaos = Chaos(replace(config, pace=pace), Path(folder))
            chaos.run()
        if not chaos.rushed or chaos.never or chaos.count.lost:
            break
    return chaos
