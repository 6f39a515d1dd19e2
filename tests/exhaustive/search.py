"""Every history of one or two rows, to a depth: the core and its ledger against a model of the server, in virtual time.

What is real here: planning, binding, the ledger on disk, the loop, and every decision. What is a model: the server, and HTTP
between the two (`tests.exhaustive.model`), because a history must take milliseconds and the same events must give the same
history. The socket, paging and decoding are proved by the other tests, which use the real sandbox.

A history is a sequence of events. Between two events every engine has run until it waits for the network or for time, so all
branching is here. The search goes level by level and plays each history from its start, since a state can't be copied; a state
that was seen before, by a digest of server, ledgers, kernels, requests under way and timers relative to now, is not gone into again.
Every state that is new is also played to its end: the network heals, somebody runs everything all over, and nothing may have
happened twice, and nothing may be lost.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shutil
import sqlite3
import tempfile
import time
from collections import Counter, deque
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

from tests.exhaustive import model
from tests.exhaustive.model import CHANGES, Server, World
from tests.processes import MEMORY

from voxops._support.canonical import fingerprint
from voxops.acts import plan as plans
from voxops.acts.plan import Plan
from voxops.api.limits import SKEW
from voxops.api.reasons import read_reason
from voxops.engine import engine
from voxops.engine.facts import Permission
from voxops.engine.send import Group
from voxops.frames.checks import store
from voxops.ledger.audit import duplicates
from voxops.ledger.ledger import Ledger
from voxops.model import Outcome

FRESH = "fresh.sqlite"

_KNOWN = {}


def _once(asked, make):
    """What was made of this before: planning is pure, so that the same frames give the same plan."""
    if asked not in _KNOWN:
        _KNOWN[asked] = make()
    return _KNOWN[asked]


def _once_of(work):
    """Work that is done once for each object; those live as long as what is known of them."""
    return lambda thing: _once((work, id(thing)), lambda: (thing, work(thing)))[1]


_STORE, _TABLE = _once_of(store), _once_of(Plan._stored_table)


@contextmanager
def universe(case):
    """Make worlds of a case, each in a folder of its own; the same events give the same history."""
    folder = Path(tempfile.mkdtemp(prefix="voxops-exhaustive-", dir=MEMORY))
    fresh = folder / FRESH
    Ledger(fresh).close()
    numbers = itertools.count()
    names = itertools.count()

    def make():
        nonlocal names
        names = itertools.count()
        place = folder / str(next(numbers))
        place.mkdir()
        world = World(place, case)
        open_ledger(world)
        return world

    try:
        with (
            mock.patch("voxops.engine.bind.store", _STORE),
            mock.patch.object(Plan, "_stored_table", _TABLE),
            mock.patch.object(plans, "BULK_POSTS", case.bulk),
            mock.patch.object(engine.secrets, "token_hex", lambda size: f"{next(names):0{2 * size}x}"),
        ):
            yield make
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_ledger(world):
    """Start a kernel on a ledger of its own, which is empty: copied, since making one takes longer than a whole history."""
    shutil.copy(world.folder.parent / FRESH, world.path)
    world.kernel()


def sheet_of(case, what=""):
    """Row -> text of a sheet to be synced; ``up``: the first row was deleted, and the others, which have numbers, have moved up."""
    texts = [f"row {row}" for row in range(case.rows)]
    rows = texts[1:] if what == "up" else texts[: -1 if what == "part" else None]
    return {f"r{number}": text + " mended" * (what == "changed") for number, text in enumerate(rows)}


def planned(world, what="", *, which=0):
    """What there is to do, as a notebook's cell plans it now.

    `what` is another cell than the case's own: ``changed`` (somebody has mended the sheet's texts), ``part`` (the sheet without its last
    row), ``renamed`` (its rows under other names), ``again`` (its rows as their second attempt), ``filtered`` (of each failed post one target), or another act.
    """
    case, server = world.case, world.server
    if case.act == "sync":
        return world.syncs(world.alive[which], sheet_of(case, what)) if world.alive else None
    shown = [(post.id, post.status, post.updated, post.content, post.scheduled) for post in server.posts.values()]
    asked = str((case.act, case.rows, case.soon, case.bulk, case.equal, what))
    act = what if what in CHANGES else case.act
    if act != "create":
        asked = str((asked, world.time, shown, [one.seen for one in server.deliveries.values()]))

    def make():
        if act in CHANGES:
            return world.changes(act)
        if act == "create":
            return world.creates(what)
        return world.redeliveries() if act == "redeliver" else world.retries(filtered=what == "filtered")

    return _once(asked, make)


def ours(world):
    """Posts that were created for rows, the oldest first."""
    return [post for post in world.server.posts.values() if post.born]


# What people do to a post that was created for a row.
HANDS = {
    "edit tags": Server.touch, "write": Server.write, "set time": Server.move, "withdraw": Server.withdraw, "delete": Server.delete,
}  # fmt: skip


def play(world, event):
    """Let one event happen."""
    case, server = world.case, world.server
    kernel = world.alive[event[1]] if len(event) > 1 and event[0] not in {"meet", "wait"} else None
    match event:
        case ("run", which, *what):
            if not what:
                world.struck.clear()
            elif what == ["part"] and case.last and len(world.alive) == 1 and not kernel.busy:
                world.struck.setdefault(f"row {case.rows - 1}", world.time)
            plan = planned(world, *what, which=which)
            if plan is not None:
                kernel.start(kernel.run(plan))
        case ("load",):
            world.loaded = planned(world)
        case ("run loaded", _):
            if world.loaded is not None:
                kernel.start(kernel.run(world.loaded))
        case ("undo", _):
            run = kernel.runs()[-1]
            kernel.paused = False  # the run that undoes is a new one
            kernel.start(kernel.undo(run))
            world.undone |= {f"row {row}" for row in range(case.rows)}
            world.undoing.add((kernel.path, run))
        case ("stuck", _):
            for run in kernel.runs()[-1:]:
                kernel.start(kernel.retry_stuck(run))
        case ("pause", _):
            kernel.paused = True
            kernel.start(kernel.pause())
        case ("resume", _):
            kernel.paused = False
            kernel.drive_all()
        case ("meet", which, fate):
            world.meet(world.open_flights()[which], fate)
        case ("wait", seconds):
            world.advance(seconds)
        case ("night",):
            world.night()
        case ("edit",):
            server.touch(next(iter(server.posts.values())))
        case (name,) if name in HANDS:
            HANDS[name](server, ours(world)[0])
        case ("hold", _):
            kernel.client.open = False
        case ("let go", _):
            kernel.client.open = True
            world.settle()
        case ("kill", _):
            kernel.kill()
        case ("restart",):
            world.kernel().drive_all()
        case ("another",):
            world.kernel()
        case ("other key",):
            world.api_key = "key a" if world.api_key == "key b" else "key b"
        case ("clock", _, seconds):
            # An answer shows the wrong time, until the next one; by how much lists may lag is excepted.
            client, right = kernel.client, world.time - world.elapsed
            most = SKEW / 2 if server.reading.lag else math.inf
            client._offset = right + max(-most, min(most, client._offset - right + seconds))
        case ("load copies", _):
            kernel.start(kernel.copies(kernel.runs()[0]))
        case ("forgive",):  # what two laptops did at the same moment is reported, and no find (rule 19)
            server.violations.clear()
            server.created = Counter(dict.fromkeys(server.created, 1))
            server.rows = Counter(dict.fromkeys(server.rows, 1))
            server.executed.clear()
        case ("doze", _):
            kernel.drowsy = True
        case ("nod", _):
            kernel.sleepy = True
        case ("wake", _):
            kernel.asleep = False
            world.settle()
        case ("other ledger",):
            world._name += 1
            open_ledger(world)
        case ("lose",):
            for kernel in world.alive:
                kernel.kill()
            world.path.unlink()
            world._name += 1
            open_ledger(world)
        case _:
            raise ValueError(event)


def kinds_of(event):
    """What an event is, and which cell it runs, if that is not the case's own."""
    yield event[0]
    if event[0] == "run":
        yield from event[2:]


def events(world, past):
    """What may happen next."""
    only = set(world.case.only)
    for event in _events(world, past):
        if not only or only.intersection(kinds_of(event)):
            yield event


def _events(world, past):
    case, flights, alive, more = world.case, world.open_flights(), world.alive, set(world.case.more)
    kinds = {kind for event in past for kind in kinds_of(event)}
    live = [post for post in ours(world) if post.is_live]
    for which, kernel in enumerate(alive):
        if kernel.asleep:
            if not flights or case.ledgers == 1:  # else two laptops send at the same moment (rule 19)
                yield ("wake", which)
            continue
        # The cell is run a second time, whether or not the first goes on; where that is to be undone, once before and once after.
        again = case.runs if "undo" not in more else 1 + ("undo" in kinds)
        if past.count(("run", which)) < again:
            yield ("run", which)
        alone = not flights and not any(other.busy and not other.asleep for other in alive if other is not kernel)
        alone = alone and ("wait" in kinds or not any(other.asleep for other in alive))
        alone = alone and not any(world.time - post.created < case.reading.lag for post in ours(world))
        mends = case.act in {"create", "sync"} and case.people and "changed" not in kinds
        if mends and (alone or case.ledgers == 1):  # else see rule 19
            yield ("run", which, "changed")
        for what in sorted(more & {"part", "up", "renamed", "again", "filtered", "cancel", "update", "move"}):
            # Two overlapping sheets on two laptops at the same moment are rule 19's.
            meets = what in {"part", "up", "renamed"} and case.ledgers > 1 and not alone
            if past.count(("run", which, what)) < 1 + (what == "move") and not meets:
                yield ("run", which, what)
        for name in ("undo", "stuck", "load copies"):
            if name in more and name not in kinds and kernel.runs():
                yield (name, which)
        if world.loaded is not None and ("run loaded", which) not in past:
            yield ("run loaded", which)
        if "pause" in more and kernel.busy and ("pause", which) not in past:
            yield ("pause", which)
        if "pause" in more and ("pause", which) in past and ("resume", which) not in past:
            yield ("resume", which)
        if not kernel.client.open:
            yield ("let go", which)
        if kernel.busy:
            yield ("kill", which)
            if case.kernels > 1 or "doze" in more:
                if not kernel.drowsy:
                    yield ("doze", which)
                if "nod" in more and not kernel.sleepy:
                    yield ("nod", which)
    for which in range(min(2, len(flights))):
        for fate in case.may_meet:
            yield ("meet", which, fate)
    moving = bool(flights) or any(kernel.busy for kernel in alive) or bool(world.server.events)
    if (moving or "still" in more) and past[-1][0] not in {"wait", "night"}:  # two in a row are one that is longer
        yield from (("wait", seconds) for seconds in case.waits)
        if moving:
            yield ("night",)
    ledgers = world._name + 1
    if len(alive) < case.kernels + case.ledgers - 1 and (past[-1][0] == "kill" or case.kernels > 1):
        yield ("restart",)
        if "another" in more:
            yield ("another",)
    if ledgers < case.ledgers and (case.at_once or not moving):
        yield ("other ledger",)
    yield from ((name,) for name in ("other key", "lose", "load") if name in more and name not in kinds)
    still = not any(kernel.busy for kernel in alive) and not flights
    # Beside what moves in another ledger an edit is rule 19's.
    if case.act == "retry" and case.people and ("edit",) not in past and (still or case.ledgers == 1):
        yield ("edit",)
    # What happens while the withdrawal of duplicates is in flight can't be prevented.
    beside = "load copies" in kinds and (flights or "run loaded" in kinds)
    if case.people and live and "delete" not in kinds and case.act == "create" and not beside:
        yield ("delete",)
    yield from ((name,) for name in HANDS if name in more and live and name not in kinds)


def digest(world):
    """What decides about everything to come: equal digests, equal futures."""
    now, elapsed = world.time, world.elapsed
    server = world.server

    def ago(at):
        return round(now - at, 2)

    state = [
        [
            (
                p.id, p.content, p.born, p.hand, p.moved, p.scheduled, str(p.metadata), p.status, p.jobs, p.outcomes, ago(p.created),
                ago(p.updated), [ago(at) for at, _ in p.seen if now - at < 2 * server.reading.lag],
            )
            for p in (*server.posts.values(), *server.gone)
        ],
        [(name, one.queued, sorted(map(str, one.seen.items()))) for name, one in server.deliveries.items()],
        sorted((*name, ago(known[0]), str(known[1:])) for name, known in server.stored.items()),
        sorted(map(str, server.running)), sorted(server.created.items()), sorted(server.executed.items()),
        sorted(round(event[0] - now, 2) for event in server.events),
        sorted(round(timer[0] - elapsed, 2) for timer in world.timers if not timer[2].done()),
        [(f.path, f.key, str(f.body), f.stage, f.waited, f.changed, sorted(f.ended), ago(f.sent)) for f in world.open_flights()],
        [_of_kernel(kernel) for kernel in world.alive],
        id(world.loaded), sorted(world.undone), sorted(world.struck), world.api_key,
    ]  # fmt: skip
    if world.case.soon:
        state.append(round(now - model.START, 2))
    # Those whose kernels are dead, too: somebody may go on with them.
    for path in sorted(world.folder.glob("*.sqlite")):
        state += [path.name, *_of_ledger(path, ago)]
    return hashlib.blake2b(json.dumps(state, default=str).encode(), digest_size=12).hexdigest()


_RUN = re.compile(r"run_[0-9a-f]+")
_SKIPPED = {
    "runs": "frame, note, created, reason, who", "requests": "created, settled, item", "calls": "body", "meta": "",
}  # fmt: skip


def _of_ledger(path, ago):
    """The rows of a ledger; runs by their order, times by their age."""
    runs = {}

    def told(value):
        if isinstance(value, float) and value > 1e9:
            return ago(value)
        if isinstance(value, bytes):
            return hashlib.blake2b(value, digest_size=8).hexdigest()
        text = str(value)
        return _RUN.sub(lambda hit: runs.setdefault(hit[0], f"run {len(runs)}"), text) if "run_" in text else text

    with closing(sqlite3.connect(path)) as db:
        for (run,) in db.execute("SELECT id FROM runs ORDER BY rowid"):
            runs[run] = f"run {len(runs)}"
        for (table,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall():
            if table == "meta":
                for name, value in db.execute("SELECT name, value FROM meta WHERE name <> 'salt' ORDER BY name"):
                    at = float(value) if value[:1].isdigit() and "T" not in value else None
                    at = model.datetime.fromisoformat(value).timestamp() if "T" in value else at
                    yield name, value if at is None or at < 1e9 else ago(at)
                continue
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(name for name in columns if name not in _SKIPPED.get(table, "").split(", "))
            for row in db.execute(f"SELECT {kept} FROM {table}"):
                yield table, [told(value) for value in row]


def _of_kernel(kernel):
    """What a kernel remembers."""
    world, engine_, loop = kernel.world, kernel.engine, kernel.engine.loop
    now, elapsed, readings = engine_.shared.now, kernel.monotonic(), kernel.engine.shared.readings

    def moment(one):
        return None if one is None else (round(now - one.at, 2), round(elapsed - one.elapsed, 2))

    runs = {run: number for number, run in enumerate(kernel.runs())}
    reader = engine_.reads.reader
    opened = loop._open
    return [
        kernel.path.name, kernel.asleep, kernel.sleepy, kernel.drowsy, kernel.busy, kernel.client.open,
        round(kernel.client._offset - world.time + elapsed, 2),
        [round(elapsed - min(each, elapsed + 1) if each != float("-inf") else -1.0, 2) for each in reader.created.walk],
        moment(readings.listed), moment(readings.walked), round(now - readings.since, 2), sorted((name, one and (one.status, one.updated_at, one.content)) for name, one in readings.window.items()), readings.foreign_mark, readings.read_singly,
        sorted((name, str(one), moment(at)) for name, (one, at) in readings.subjects.items()),
        sorted((call, round(elapsed - over, 2)) for (call, _), over in readings._over.items() if call in opened.calls),
        [
            (name, _plain(value, now))
            for name, value in sorted((vars(loop) | vars(opened)).items())
            if isinstance(value, set) and name not in _OF_EVENTS
        ],
        sorted(engine_.shared.tries.items()), sorted((one.id, one.state, one.tries) for one in opened.calls.values()),
        sorted((round(at - now, 2), what, str(thing) if what != "group" else str(thing[1].ids)) for at, _, (what, thing) in loop._due),
        len(loop._unread), min(opened._looks, 20), round(max(opened._next_poll - elapsed, -1.0), 2),
        len(loop._senders), sorted(loop._readers), sorted(loop._notified),
        [
            (runs.get(one.run), [(name, _plain(value, now)) for name, value in vars(one).items() if name not in _OF_EVENTS])
            for one in loop._passes.values()
        ],
    ]  # fmt: skip


# What decides nothing, and what can't be compared.
_OF_EVENTS = {"_senders", "run", "transitions", "idle", "done", "acts", "failure"}


def _plain(value, now):
    """What a kernel remembers, as text; times by their age."""
    if isinstance(value, float) and value > 1e9:
        return round(now - value, 2)
    if isinstance(value, list | tuple | set | frozenset | deque):
        return sorted(str(_plain(each, now)) for each in value)
    if isinstance(value, dict):
        return sorted((str(name), str(_plain(each, now))) for name, each in value.items())
    if isinstance(value, Group | Permission):
        return [_plain(each, now) for name, each in vars(value).items() if name not in {"run", "act"}]
    return str(value)


def replay(make, history):
    """A world in which a history has happened."""
    world = make()
    for event in (*in_events(world.case.opening), *history):
        play(world, event)
    return world


def in_events(words):
    """A history from its words, as `in_words` writes them."""
    return tuple(_event(each) for each in words.split("; ") if each)


def _event(words):
    name, number, rest = re.fullmatch(r"(\D+?)(?: ([\d.]+)(?: (.+))?)?", words).groups()
    return name, *([json.loads(number)] if number else []), *([rest] if rest else [])


def in_words(history):
    """A history in words."""
    return "; ".join(" ".join(map(str, event)) for event in history)


def verdict(world):
    """Play a world to its end, where every ledger has somebody who goes on with it, and say what is wrong with it."""
    case = world.case
    for path in sorted(world.folder.glob("*.sqlite")):
        if all(kernel.path != path for kernel in world.alive):
            world.kernel(path)
    world.heal()
    return [
        *lost(world),
        *(["a cell never ends"] if world.hangs else []),
        *(unlike(world) if case.act == "sync" else ()),
        *(unreported(world) if case.reports else world.server.violations),
        *(said for kernel in world.alive for said in kernel.broken()),
    ]


def unlike(world):
    """What the server shows otherwise than the sheet, once its owner has loaded and synced it until nothing is left to send.

    What a person has changed or withdrawn stays, and so does what another ledger has withdrawn.
    """
    if world._name or any(post.hand for post in ours(world)) or world.server.deleted:
        return
    for _ in range(5):
        world.advance(700.0)
        plan = planned(world)
        if plan is None or not plan.eligible:
            break
        world.alive[0].start(world.alive[0].run(plan))
        world.go_on()
    live = Counter(post.content for post in ours(world) if post.is_live)
    if live != Counter(sheet_of(world.case).values()):
        yield f"the sheet is not shown, but {dict(live)}"


def wrong_in(world, *, unsettled=True):
    """What is wrong with a world: what was done twice and, where that counts, what is left open or said wrongly at its end."""
    said = ([] if world.case.reports else list(world.server.violations)) or verdict(world)
    return said if unsettled else list(world.server.violations)


def unreported(world):
    """Rows for an attempt at which there are two live posts, and no ledger tells of it (rule 19)."""
    told = {request.item.row_mark for kernel in world.alive for request, _ in duplicates(kernel.ledger)}
    posts = Counter((post.metadata["voxopsRow"], post.metadata["voxopsOp"]) for post in ours(world) if post.is_live)
    return [
        f"a row was created {count} times, and nobody is told"
        for (row, _), count in posts.items()
        if count > 1 and row not in told
    ]


def judged(case, history, *, unsettled=True):
    """What is wrong with a history."""
    with universe(case) as make:
        try:
            with closing(replay(make, history)) as world:
                return wrong_in(world, unsettled=unsettled)
        except RuntimeError as failure:
            return [str(failure)]


def lost(world):
    """What a ledger says and is not so: created and not there, failed and there, or left open where the API shows what there is."""
    problems = []
    case, server, reading = world.case, world.server, world.server.reading
    ledgers = {kernel.path: kernel.ledger for kernel in world.alive}
    alone = len(ledgers) == 1 and not world._name  # what a lost ledger has sent may arrive later
    # After a 500 that the server repeats under its key, what somebody has deleted can't be distinguished from what was never created.
    settles = (
        reading.metadata and reading.list_metadata and not (reading.masked or reading.ignore_keys or server.deleted)
    )
    for ledger in ledgers.values():
        latest = ledger.requests.latest(
            [fingerprint("create", "", f"{prefix}{row}") for row in range(case.rows) for prefix in "rs"]
        )
        for request in latest.values():
            content = str((request.item.body or {})["content"])
            there, post = server.created[content], server.posts.get(request.result_id or "")
            has_it = post is not None and post.born == content
            succeeded = request.outcome is Outcome.SUCCEEDED
            if succeeded and not (there or request.item.mark in server.deleted or has_it):
                problems.append(f"{content} is said to exist and does not")
            renamed = sum(each.item.body == request.item.body for each in latest.values()) > 1
            if request.outcome is Outcome.FAILED and there and alone and not renamed:
                problems.append(f"{content} is said to have failed and exists")
            if succeeded and post is not None and not has_it:
                problems.append(f"{content} is said to be {post.id}, which is {post.born}")
            if (
                request.outcome in {Outcome.PENDING, Outcome.UNKNOWN}
                and settles
                and (request.call is not None or not case.last)
            ):
                problems.append(f"{content} is left {request.outcome} ({request.reason or 'for no reason'})")
        unsent = "" if not case.last else " AND (blocked OR call IS NOT NULL)"  # nobody has resumed the others
        question = f"SELECT subject, act, blocked, reason FROM requests WHERE outcome = ''{unsent} AND act IN ('update', 'cancel') AND subject LIKE 'post:%'"
        for subject, act, is_blocked, why in ledger.query(question) if settles else ():
            code = getattr(read_reason(why), "code", "no reason") if why else "no reason"
            if not is_blocked or code == "subject_unknown":
                problems.append(f"{subject} is left by {act}: {code}")
        question = """SELECT subject, platform, act, item FROM requests WHERE outcome = 'succeeded' AND subject NOT LIKE 'row:%'"""
        for subject, platform, act, item in ledger.query(question):
            problems += [] if case.act == "sync" else _not_so(world, subject, platform, act, json.loads(item))
    if case.begin.startswith("load copies"):
        problems += [
            f"the duplicate of {post.born} was withdrawn, and nothing of it is live"
            for post in ours(world)
            if not any(other.is_live for other in ours(world) if other.born == post.born)
        ]
    if settles:
        # What the API has refused to withdraw is told as failed.
        refused = {
            subject.partition("::")[2]
            for ledger in ledgers.values()
            for (subject,) in ledger.query("SELECT subject FROM requests WHERE act = 'cancel' AND outcome = 'failed'")
        }
        problems += [
            f"{post.born} is live, and was to be withdrawn with its run"
            for post in ours(world)
            if post.born in world.undone and post.is_live and post.shown == "scheduled" and post.id not in refused
        ]
    return problems


def _not_so(world, subject, platform, act, item):
    """What an act is said to have done, and has not."""
    server = world.server
    kind, _, name = subject.partition(":")
    name = name.lstrip(":")
    if kind == "delivery" and not server.deliveries[name.rpartition(":")[2]].seen["success"]:
        yield f"{name} is said to be delivered and is not"
    post = server.posts.get(name)
    if kind != "post" or post is None:
        return
    if act in {"retry", "fix"} and post.status[int(platform[1:])] != "published":
        yield f"{name} is said to be published and is not"
    if act == "cancel" and post.shown != "cancelled":
        yield f"{name} is said to be withdrawn and is not"
    body = item["body"] or {}
    if act == "update" and "scheduledFor" in body and not post.moved:
        yield f"{name} is said to be moved and is not"
    if act == "update" and "content" in body and "+" not in post.content and not post.hand:
        yield f"{name} is said to be changed and is not"


def blocked(world):
    """Codes of why rows are blocked or left open at the end, over all ledgers."""
    found = Counter()
    for kernel in world.alive:
        rows = kernel.ledger.query(
            """SELECT act, blocked, coalesce(nullif(run_rows.reason, ''), requests.reason) AS why FROM run_rows JOIN requests ON requests.id = request
               WHERE (outcome = '' OR run_rows.reason <> '')"""
        )
        for act, is_blocked, why in rows:
            said = read_reason(why) if why else "no reason"
            found[f"{act} {'blocked' if is_blocked else 'open'} {getattr(said, 'code', said)}"] += 1
    return found


class Search:
    """A search that may be interrupted and taken up again."""

    def __init__(self, case, depth, *, unsettled=True, stops=True):
        self.case, self.depth, self.unsettled, self.stops = case, depth, unsettled, stops
        self.histories = 0
        self.level = [in_events(case.begin)]
        self.length = len(self.level[0])
        self.seen = set()
        self.at = 0
        self.following = []
        self.wrong = []
        self.told = {}  # why rows were blocked or left open at the end -> the shortest history

    @property
    def done(self):
        return self.length > self.depth or (self.stops and bool(self.wrong))

    def go(self, seconds=float("inf")):
        """Search for so long; whether it is done."""
        until = time.monotonic() + seconds
        with universe(self.case) as make:
            while not self.done and time.monotonic() < until:
                if self.at >= len(self.level):
                    self.length, self.level, self.following, self.at = self.length + 1, self.following, [], 0
                    continue
                history, self.at = self.level[self.at], self.at + 1
                self._look(make, history)
        return self.done

    def _look(self, make, history):
        self.histories += 1
        branches = []
        try:
            world = replay(make, history)
        except RuntimeError as failure:
            self.wrong.append((history, (str(failure),)))
            return
        try:
            mark = digest(world)
            if mark in self.seen:
                return
            self.seen.add(mark)
            branches = [(*history, event) for event in events(world, history)]
            ends = self.case.reports or not world.server.violations
            wrong = wrong_in(world, unsettled=self.unsettled)
            for code in blocked(world) if ends else ():
                self.told.setdefault(code, history)
        except RuntimeError as failure:
            wrong = [str(failure)]
        finally:
            world.close()
            shutil.rmtree(world.folder, ignore_errors=True)
        if wrong:
            self.wrong.append((history, tuple(dict.fromkeys(wrong))))
        else:
            self.following += branches


def search(case, depth, *, unsettled=True):
    """Play every history of so many events; ends at the first, and so shortest, that breaks the promise."""
    one = Search(case, depth, unsettled=unsettled)
    one.go()
    return one
