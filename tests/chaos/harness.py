"""A chaos run: two senders on one ledger, each a process, against a server in another, with faults, kills and jumps of the clock.

``expected`` is fixed from the plans before the first send, ``effects`` come from the server's record alone; neither reads the
ledger. Kills that fall between the server's receipt of a request and the sender's commit of its outcome are sought: the server
holds a request up, and whoever sent it is killed while the record shows it without an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos import sender, world
from tests.chaos import server as servers
from tests.chaos.count import Count, Thing, count, expected, happened, story
from tests.processes import MEMORY, Process, serving

from voxburst_sandbox import API_KEY, Fault, Remote
from voxops.analysis.triage import triage
from voxops.api.timing import CLOCKS_DIFFER
from voxops.client import AsyncClient
from voxops.frames.records import Columns, targets

LOOKS = 0.1  # real seconds between two looks at how far the work is
JUMP = 26 * 3600.0  # seconds; past any server's memory for keys
QUIET = 5  # looks in a row at which the server must be idle before the clock jumps
IDLE_WITHIN = 60.0  # real seconds


@dataclass(frozen=True)
class Reading:
    """A reading of the contract that hurts: how the server is switched, and what may then be left unknown.

    Engines count on it that a server goes on for a minute at the most with a request that nobody waits for. Where no key
    protects, time must not run so fast that a busy machine makes that untrue: `slower` divides the speed. Where keys do not
    protect, or lists lag, two ledgers that act at the same moment may collide (`collides`, rule 19): each collision must then be
    reported by one of them.
    """

    switches: dict[str, Any] = field(default_factory=dict)
    retention: float = 86_400.0
    unknown: bool = False
    jumps: int = 2
    slower: float = 1.0
    collides: bool = False


READINGS = {
    "default": Reading(), "forgets": Reading({"forget_key_on_5xx": True}, slower=2.0, collides=True),
    "ignores": Reading({"ignore_keys": True}, slower=2.0, collides=True),
    "hour": Reading({"key_retention_seconds": 3600}, retention=3600.0),
    "bare": Reading({"no_retry_counts": True, "no_target_ids": True, "no_metadata": True}, unknown=True),
    "lingers": Reading({"linger_failed_seconds": 3.0}),
    "strings": Reading({"string_errors": True, "error_shape": "string"}, unknown=True), "lags": Reading({"list_lag_seconds": 20.0}),
    "lags a minute": Reading({"list_lag_seconds": 60.0, "single_reads_lag": True}),
    "lags and forgets": Reading({"list_lag_seconds": 20.0, "forget_key_on_5xx": True}, slower=2.0, collides=True),
    "holds": Reading({"queue_hold_seconds": 600.0}, unknown=True),
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """What a run is made of. Times are real seconds, unless they are said to be virtual.

    `pace` is how long the server takes over each act, so that there is always one to be killed in flight.
    """

    items: int = 10_000
    kills: int = 20
    in_flight: float = 0.5  # share of the kills that must fall between the server's receipt and the sender's commit
    seed: int = 1
    reading: str = "default"
    ledgers: int = 1  # 2: each sender has its own, as on two laptops
    speed: float = 30.0  # virtual seconds per real one
    timeout: float = 1.0
    suspended: float = 3.0  # real seconds
    pace: float = 0.1
    seconds: float = 420.0  # after which the senders are asked to end


@dataclass(frozen=True)
class Report:
    """How a run went; `line` is its last word.

    `unfinished` are things that were not reached, and that nobody takes for done, where the senders did not end in time.
    """

    config: Config
    count: Count
    unknown: int
    unfinished: int
    collided: tuple[Thing, ...]
    unreported: tuple[Thing, ...]
    kills: int
    in_flight: int
    faults: int
    seconds: float
    problems: tuple[str, ...]

    @property
    def line(self) -> str:
        """The one line to read."""
        found = self.count
        apart = f" overlapping={len(found.overlapping)}" if found.overlapping else ""
        apart += f" unfinished={self.unfinished}" if self.unfinished else ""
        apart += f" collided={len(self.collided)}" if self.collided else ""
        return (
            f"chaos: items={self.config.items} effects={found.effects} expected={found.expected} "
            f"duplicates={self.duplicates} lost={len(found.lost)} unknown={self.unknown} "
            f"kills={self.kills} in_flight_kills={self.in_flight} senders=2 ledgers={self.config.ledgers} "
            f"faults={self.faults}{apart} unreported={len(self.unreported)}"
        )

    @property
    def duplicates(self) -> int:
        """What happened twice, or was never asked for, though it could be prevented."""
        return len(self.count.duplicates) - len(self.collided) + len(self.count.strays)

    @property
    def holds(self) -> bool:
        """Whether the promise was kept, and the run was what it should be."""
        return not (self.duplicates or self.count.lost or self.unreported or self.problems)


class Chaos:
    """One run, from the first process to the last."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.reading = READINGS[config.reading]
        self.speed = config.speed / self.reading.slower
        self.rng = random.Random(config.seed)
        self.kills = self.in_flight = 0
        self.problems: list[str] = []
        self.cut_off = False  # the senders did not end in time
        self.rushed = 0  # strikes for which the work was done too soon
        self._effects = self._done = 0  # of the server's record, as far as it was read: entries, things that happened
        self._since = dict.fromkeys("ab", 0)  # requests that the server had received when a sender was started
        targets = round(config.items * 0.3)
        self.posts = max(1, round(targets * 3 / 5))  # two of three have two targets
        self.deliveries = round(config.items * 0.3)
        self.scheduled = round(config.items * 0.1)

    def run(self) -> Report:
        """Run and count."""
        began = time.monotonic()
        with serving(servers.chaos, self._server()) as facts, contextlib.closing(Remote(facts["url"])) as remote:
            return self._report(remote, facts, began)

    def _server(self) -> dict[str, Any]:
        """How the server is set up."""
        config = self.config
        return {
            "seed": config.seed,
            "speed": self.speed,
            "posts": self.posts,
            "deliveries": self.deliveries,
            "scheduled": self.scheduled,
            "switches": self.reading.switches,
        }

    def _report(self, remote: Remote, facts: dict[str, Any], began: float) -> Report:
        """Load, plan, let the senders work, count."""
        asyncio.run(self._save(facts))
        sender.never_slept(self.folder)
        wanted = set().union(*map(expected, sender.plans(self.folder)))
        if len(wanted) != self.config.items:
            self.problems.append(f"{len(wanted)} things are planned")
        remote.add_fault(*self._faults())
        self._drive(remote, facts, len(wanted))
        states = self._states()
        remote.advance(600)
        unknown, pending, reported = (
            {thing for thing, _ in states[kind]} for kind in ("unknown", "pending", "reported")
        )
        unsettled = unknown | pending if self.reading.unknown else unknown
        unfinished: set[Thing] = set()
        if self.cut_off:  # what nobody takes for done was not reached
            told = {thing for kind in ("succeeded", "failed", "blocked") for thing, _ in states[kind]}
            unfinished = wanted - told - unsettled
        requests, effects = remote.requests(acting=True), remote.effects()
        overlap = requests if self.reading.switches.get("ignore_keys") else ()
        found = count(wanted, effects, facts["owners"], unsettled=unsettled | unfinished, requests=overlap)
        unfinished -= {thing for thing, _ in happened(effects, facts["owners"])}
        collides = self.config.ledgers == 2 and self.reading.collides
        unreported = tuple(thing for thing in found.duplicates if thing not in reported)
        self._judge(found, states)
        self.problems += [story(thing, effects, requests, facts["owners"]) for thing in found.duplicates[:5]]
        if unreported:
            self.problems.append(f"nobody reported {unreported[:5]}")
        struck = sum(fault["struck"] for fault in remote.faults() if fault["seconds"] != self.config.pace)
        return Report(
            config=self.config,
            count=found,
            unknown=len(unknown),
            unfinished=len(unfinished),
            collided=tuple(found.duplicates) if collides else (),
            unreported=unreported,
            kills=self.kills,
            in_flight=self.in_flight,
            faults=struck,
            seconds=time.monotonic() - began,
            problems=tuple(self.problems),
        )

    async def _save(self, facts: dict[str, Any]) -> None:
        """Load what is to be acted on, as an analyst does, and save it for the senders."""
        async with AsyncClient(API_KEY, url=facts["url"]) as client:
            posts, waiting, deliveries = Columns("posts"), Columns("posts"), Columns("deliveries")
            for columns, status in ((posts, "failed"), (waiting, "scheduled")):
                async for page in client.pages("/v1/posts", {"status": status, "limit": 100}):
                    columns.extend(page.records)
            async for hooks in client.pages("/v1/webhooks", {}):
                for hook in hooks.records:
                    async for page in client.pages(f"/v1/webhooks/{hook['id']}/deliveries", {"limit": 100}):
                        deliveries.extend(page.records)
            fetched = client.now().isoformat()
        triaged = triage(targets(posts.frame(fetched_at=fetched)))
        triaged = triaged.assign(retryable=True)  # errors that are mere strings have no code that a rule would know
        log = deliveries.frame(fetched_at=fetched)
        scheduled = waiting.frame(fetched_at=fetched)
        rows = world.campaign(facts["accounts"], self.config.items - len(triaged) - len(log) - len(scheduled))
        saved = {"triaged": triaged, "deliveries": log, "campaign": rows, "scheduled": scheduled}
        for name, frame in saved.items():
            frame.to_pickle(self.folder / f"{name}.pickle")

    def _faults(self) -> list[Fault]:
        """What goes wrong by itself, drawn by the seed."""
        late = self.config.timeout + 0.4
        acts: list[dict[str, Any]] = [
            {"action": "status", "status": 503, "code": "SERVICE_UNAVAILABLE", "chance": 0.02},
            {"action": "status", "status": 500, "when": "after", "chance": 0.02},
            {"action": "status", "status": 502, "code": "", "when": "after", "chance": 0.005}, {"action": "drop", "chance": 0.015},
            {"action": "drop", "when": "after", "chance": 0.015}, {"action": "truncate", "chance": 0.01},
            {"action": "garbage", "body": "html", "chance": 0.005}, {"action": "garbage", "body": "json", "chance": 0.005},
            {"action": "garbage", "body": "empty", "chance": 0.005}, {"action": "delay", "seconds": late, "chance": 0.004},
            {"action": "delay", "seconds": late, "when": "after", "chance": 0.004},
        ]  # fmt: skip
        bulk = [
            {"action": "bulk_partial", "items": 20, "chance": 0.06}, {"action": "bulk_double_index", "chance": 0.06},
            {"action": "bulk_missing_index", "chance": 0.06}, {"action": "bulk_unknown_index", "chance": 0.06},
            {"action": "drop", "when": "after", "chance": 0.1}, {"action": "status", "status": 500, "when": "after", "chance": 0.1},
        ]  # fmt: skip
        reads = [{"action": "status", "status": 503, "chance": 0.005}, {"action": "drop", "chance": 0.005}]
        made: list[Fault] = []
        for method, path, kinds in (
            ("POST", "/v1/**", acts),
            ("PATCH", "/v1/posts/*", acts),
            ("POST", "/v1/posts/bulk", bulk),
            ("GET", "/v1/**", reads),
        ):
            for kind in kinds:
                seed = self.config.seed * 1000 + len(made)
                made.append(Fault(method=method, path=path, times=None, seed=seed, **kind))
        if self.config.pace:
            made.append(Fault(method="POST", path="/v1/**", times=None, action="delay", seconds=self.config.pace))
        return made

    # -- the senders ------------------------------------------------------------------------------------------------

    def _start(self, name: str, url: str, *, again: bool) -> Process:
        """Start a sender; each reaches the server under a name of its own, so that the record tells them apart."""
        config = self.config
        return Process(
            sender.main,
            {
                "name": name,
                "url": url if name == "a" else url.replace("127.0.0.1", "localhost"),
                "api_key": API_KEY,
                "folder": str(self.folder),
                "speed": self.speed,
                "timeout": config.timeout,
                "ledgers": config.ledgers,
                "retention": self.reading.retention,
                # Storms may refuse each request of the last row for longer than a pass or two try.
                "patience": 1 if self.reading.unknown else 4,
                "again": again,
                "anew": not self.reading.unknown,
                "seconds": config.seconds,
            },
        )

    def _drive(self, remote: Remote, facts: dict[str, Any], total: int) -> None:
        """Let the senders work, and strike as the work goes on."""
        senders = {name: self._start(name, facts["url"], again=True) for name in "ab"}
        strikes = list(self._strikes())
        deadline = time.monotonic() + self.config.seconds + 60
        try:
            while any(one.running for one in senders.values()):
                if time.monotonic() > deadline:
                    self.problems.append("the senders did not end in time")
                    self.cut_off = True
                    return
                if strikes and self._progress(remote) >= strikes[0][0] * total:
                    self._strike(strikes.pop(0)[1], remote, facts["url"], senders)
                time.sleep(LOOKS)
            for name, one in senders.items():
                if one.code:
                    said = sender.errors(self.folder, name).read_text("utf-8")[-2000:]
                    self.problems.append(f"sender {name} ended with {one.code}: {said}")
            self.rushed = len(strikes)
            if strikes:
                self.problems.append(f"the work was done before {len(strikes)} strikes")
        finally:
            for one in senders.values():
                one.kill()

    def _strikes(self) -> Iterator[tuple[float, str]]:
        """When strikes fall, as shares of the work, and what they are."""
        kills = [(n + 1) / (self.config.kills + 2) for n in range(self.config.kills)]
        # Three of four are sought in flight; the others fall at any instant.
        named = [(at, "kill" if n % 4 == 3 else "kill in flight") for n, at in enumerate(kills)]
        others = ["suspend", "storm", "suspend", "storm", *["jump"] * self.reading.jumps]
        named += [((n + 0.6) / (len(others) + 1), what) for n, what in enumerate(others)]
        return iter(sorted(named))

    def _progress(self, remote: Remote) -> int:
        """How much has happened; only what is new is read."""
        fresh = remote.effects(since=self._effects)
        self._effects += len(fresh)
        self._done += len(happened(fresh, {}))
        return self._done

    def _strike(self, what: str, remote: Remote, url: str, senders: dict[str, Process]) -> None:
        """Do one thing to a sender, the network or the clock."""
        if what == "jump":
            self._jump(remote, senders)
        elif what == "storm":
            # Short enough beside the work that it does not outlast it: two storms at once may refuse each request of the last row.
            times = min(40, max(1, self.config.items // 10))
            remote.add_fault(Fault(action="retry_after", method="POST", path="/v1/**", seconds=5, every=2, times=times))
        elif what == "suspend":
            name = self.rng.choice("ab")
            senders[name].signal(signal.SIGSTOP)
            time.sleep(self.config.suspended)
            senders[name].signal(signal.SIGCONT)
        elif what == "kill in flight":
            self._kill_in_flight(remote, url, senders)
        else:
            self._kill(self.rng.choice("ab"), remote, url, senders)

    def _jump(self, remote: Remote, senders: dict[str, Process]) -> None:
        """Let a day pass in an instant, in which the senders sleep and the server is idle.

        Else a request that is under way at that instant would execute for a day, which no server does: what is read meanwhile would
        prove that it had no effect, wrongly. Nor may a sender stand between the commit of a call and its request, which it may
        have begun to write. The senders' clocks count the day, as a laptop's does: what they have read or cleared before is a day old.
        """

        def signal_all(number: signal.Signals) -> None:
            for one in senders.values():
                one.signal(number)

        signal_all(signal.SIGSTOP)
        end, quiet = time.monotonic() + IDLE_WITHIN, 0
        while time.monotonic() < end and quiet < QUIET:
            requests = remote.requests(acting=True)
            if any(self._midway(name, requests) for name in senders):
                quiet = 0
                signal_all(signal.SIGCONT)
                time.sleep(0.05)
                signal_all(signal.SIGSTOP)
            else:
                # What was written just before may not have been read yet: each answer here is a turn of the server.
                quiet = 0 if any(map(_executing, requests)) else quiet + 1
            time.sleep(0.02)
        if quiet < QUIET:
            self.problems.append("the server was never idle, so that no day could pass")
        else:
            sender.sleep(self.folder, JUMP)
            remote.advance(JUMP)
        signal_all(signal.SIGCONT)

    def _kill(self, name: str, remote: Remote, url: str, senders: dict[str, Process]) -> None:
        """Kill a sender and start it again: all over, or taking up its runs."""
        senders[name].kill()
        self.kills += 1
        received = remote.requests(since=self._since[name], acting=True)
        sent = self._sent(name)
        self.in_flight += any(entry["key"] in sent and _sender(entry) == name for entry in received)
        self._since[name] = remote.state()["counts"]["requests"]
        senders[name] = self._start(name, url, again=self.kills % 3 == 0)

    def _midway(self, name: str, requests: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a sender that is stopped stands between the commit of a call and its request, or holds its ledger locked."""
        try:
            return _unwritten(self._calls(name), requests)
        except sqlite3.OperationalError:
            return True

    def _sent(self, name: str) -> set[str]:
        """Keys of what a sender's ledger knows as sent, and of no end to it."""
        return set(self._calls(name))

    def _calls(self, name: str) -> dict[str, float]:
        """The same, with the server's time of the commit."""
        path = sender.ledger_path(self.folder, name, self.config.ledgers)
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=1)) as ledger:
            return dict(ledger.execute("SELECT key, last_sent FROM calls WHERE state = 'sent'"))

    def _kill_in_flight(self, remote: Remote, url: str, senders: dict[str, Process]) -> None:
        """Let the server hold an act up, and kill its sender before the answer."""
        held = None
        for _ in range(5):
            held = held or self._held(remote)
        self._kill(self.rng.choice("ab") if held is None else _sender(held), remote, url, senders)

    def _held(self, remote: Remote) -> dict[str, Any] | None:
        """An act that the server has and has not answered; None if none comes, or another fault answers it at once."""
        seen = remote.state()["counts"]["requests"]
        when = self.rng.choice(["before", "after"])
        seconds = self.config.timeout * 0.9
        remote.add_fault(Fault(action="delay", method="POST", path="/v1/**", when=when, seconds=seconds, times=2))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for entry in remote.requests(since=seen, acting=True):
                # Held up by the pace alone, it may be answered before its sender is dead.
                if _open(entry) and entry["fault"].count("delay") > bool(self.config.pace):
                    return entry
            time.sleep(0.01)
        return None

    # -- the end ----------------------------------------------------------------------------------------------------

    def _states(self) -> dict[str, list[Any]]:
        """What the ledgers say in the end."""
        both = [sender.states(self.folder, name, self.config.ledgers) for name in "ab"]
        return {kind: [row for each in both for row in each[kind]] for kind in both[0]}

    def _judge(self, found: Count, states: dict[str, list[Any]]) -> None:
        """What is wrong apart from the count."""
        if states["unknown"] and not self.reading.unknown:
            self.problems.append(f"{len(states['unknown'])} rows are unknown, such as {states['unknown'][:3]}")
        # With a ledger of its own, a sender is right to leave alone what the other has changed.
        for kind in ("pending", "blocked") if self.config.ledgers == 1 else ():
            if states[kind] and not self.reading.unknown:
                self.problems.append(f"{len(states[kind])} rows are {kind}, such as {states[kind][:3]}")
        if self.kills != self.config.kills or self.in_flight < self.config.in_flight * self.kills:
            self.problems.append(f"{self.in_flight} of {self.kills} kills fell in flight")
        # Where nobody could prevent them, what counts is whether duplicates were reported.
        apart = self.config.ledgers == 2 and self.reading.collides
        for kind, things in (
            ("duplicates", () if apart else found.duplicates),
            ("strays", found.strays),
            ("lost", found.lost),
        ):
            if things:
                self.problems.append(f"{kind}: {things[:5]}")


def _unwritten(calls: Mapping[str, float], requests: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a committed call has not led to a request yet; a server's time may seem to be some seconds behind."""
    came = {entry["key"]: datetime.fromisoformat(entry["at"]).timestamp() for entry in requests}
    return any(came.get(key, 0.0) < committed - CLOCKS_DIFFER for key, committed in calls.items())


def _executing(entry: dict[str, Any]) -> bool:
    """Whether the server has a request and has neither answered it nor cut it off."""
    return not entry["ended"]


def _open(entry: dict[str, Any]) -> bool:
    """Whether the server holds a request up just now and has not answered it."""
    return _executing(entry) and "delay" in entry["fault"]


def _sender(entry: dict[str, Any]) -> str:
    """Who sent a request."""
    return "b" if entry["host"].startswith("localhost") else "a"


def run(config: Config) -> Report:
    """Run chaos in a folder of its own; once more at a slower server where a busy machine came too late to strike."""
    for pace in (config.pace, config.pace * 3):
        with tempfile.TemporaryDirectory(prefix="voxops-chaos-", dir=MEMORY) as folder:
            chaos = Chaos(replace(config, pace=pace), Path(folder))
            report = chaos.run()
        if not chaos.rushed or report.duplicates or report.count.lost:
            break
    return report
