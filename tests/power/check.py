"""Power cuts: a real run is traced, and at each cut what is on disk must open and hold every key that had been sent as sent.

A cut lies at each acting send, when its first byte is about to leave, where the run has said something, and between any two changes
of the disk. At each, one image
has the synced bytes alone, and some more have what was not synced lost or torn as drawn (seeded). In each image

- the ledger opens, and every key that was sent before stands in it as sent, accepted, unknown or settled, never as not sent;
- an outcome that stands in it is the one that the run ended with, and outcomes that had been said are in it;
- the archive opens, a sync may go on in it, every file of it can be read, it holds nothing that is not in it at the end, and what had
  been said to be in it is.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq
from tests.power import trace
from tests.power.disk import Disk, Inode
from tests.processes import MEMORY

from voxops.archive.store import SCHEMA, Store
from voxops.errors import VoxopsError
from voxops.ledger.ledger import Ledger
from voxops.ledger.requests import NOW

ROOT = Path(__file__).resolve().parents[2]
LEDGER = PurePosixPath("data/ledgers/ledger.sqlite")
ARCHIVE = PurePosixPath("history/archive")
CONTENT = (b"of the campaign", b"failed 1", b"rate limit reached")  # of rows; stands in no other file than ours
_ACT = re.compile(
    rb"^(?:POST|PATCH|PUT|DELETE) \S+ HTTP/1\.1\r\n.*?\r\nidempotency-key: *(\S+)\r\n", re.DOTALL | re.IGNORECASE
)
_WRITES = {"write", "pwrite64"}
_SYNCS = {"fsync", "fdatasync"}


@dataclass
class Power:
    """What was cut, and what was lost by it."""

    cuts: int = 0
    torn: int = 0
    sends: int = 0
    words: int = 0
    lost: list[str] = field(default_factory=list)
    spilled: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was lost, and something was tried."""
        return bool(self.sends and self.words and self.torn) and not self.lost and not self.spilled


@dataclass(frozen=True)
class Moment:
    """Between two system calls: what has happened by then."""

    at_send: bool
    at_word: bool
    sent: frozenset[str]
    said: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class End:
    """What the run ended with."""

    outcomes: dict[tuple[str, int], str]
    archived: dict[str, set[str]] = field(default_factory=dict)


Judge = Callable[[Path, Moment, End], Iterator[str]]


def replay(output: Path, root: PurePosixPath, spilled: list[str]) -> Iterator[tuple[Moment, Disk]]:
    """Play a trace; yields at every acting send, before it leaves, and after every change of the disk."""
    disk = Disk(root)
    open_files: dict[int, Inode] = {}
    offsets: dict[int, int] = {}
    syncing: dict[int, tuple[Inode, tuple[int, int]]] = {}
    sent: set[str] = set()
    said: list[dict[str, Any]] = []
    for call in trace.calls(output):
        name = call.name
        changed = at_word = False
        if name in {"sendto", "sendmsg"} | _WRITES and call.begins and call.shown.startswith("TCP"):
            found = _ACT.match(b"".join(call.texts))
            if found:
                yield Moment(True, False, frozenset(sent), tuple(said)), disk
                sent.add(found[1].decode())
            continue
        if call.begins and not call.ends and name not in _WRITES | _SYNCS:
            continue  # what it has done is known when it ends
        if call.ends and (call.result is None or call.result < 0):
            syncing.pop(call.thread, None)
            continue
        paths = [PurePosixPath(text.decode()) for text in call.texts] if name not in _WRITES else []
        if name in {"openat", "open", "creat"}:
            assert call.result is not None
            open_files.pop(call.result, None)
            inside = disk.holds(paths[0])
            if inside:
                inode = disk.find(paths[0])
                if inode is None:
                    inode, changed = disk.make(paths[0]), True
                if "O_TRUNC" in call.args:
                    inode.truncate(0)
                    changed = True
                open_files[call.result], offsets[call.result] = inode, 0
        elif name == "close":
            open_files.pop(call.fd, None)
        elif name in _WRITES:
            _refuse_spills(call, disk, spilled)
            inode = open_files.get(call.fd)
            if inode is None:
                if disk.holds(PurePosixPath(call.shown)):
                    raise LookupError(f"{call.name} to {call.shown}, which was never opened")
                continue
            (data,) = call.texts
            if call.begins:
                if name == "pwrite64":
                    offset = call.last
                else:
                    offset, offsets[call.fd] = offsets[call.fd], offsets[call.fd] + len(data)
                inode.write(offset, data)
                changed = True
                if call.shown == str(root / "said"):
                    said.append(json.loads(data))
                    at_word = True
        elif name == "lseek":
            if call.fd in open_files:
                assert call.result is not None
                offsets[call.fd] = call.result
        elif name == "ftruncate":
            if call.fd in open_files:
                open_files[call.fd].truncate(call.last)
                changed = True
        elif name in _SYNCS:
            if call.fd in open_files:
                inode = open_files[call.fd]
                if call.begins:
                    syncing[call.thread] = inode, inode.begin_sync()
                if call.ends:
                    begun, mark = syncing.pop(call.thread)
                    begun.end_sync(mark)
                    changed = True
        elif name in {"mkdir", "mkdirat"}:
            if disk.holds(paths[0]):
                disk.make(paths[0], folder=True)
                changed = True
        elif name in {"unlink", "unlinkat"}:
            if disk.holds(paths[0]):
                disk.remove(paths[0])
                changed = True
        elif name in {"rename", "renameat", "renameat2"}:
            if disk.holds(paths[1]):
                disk.move(*paths)
                changed = True
        elif any(disk.holds(path) for path in paths) or call.shown.startswith(str(root)):
            raise NotImplementedError(f"{name}({call.args[:200]} changes the disk in a way that is not played")
        if changed:
            yield Moment(False, at_word, frozenset(sent), tuple(said)), disk


def _refuse_spills(call: trace.Call, disk: Disk, spilled: list[str]) -> None:
    """Row data belongs into the ledger and the archive, nowhere else."""
    outside = call.begins and call.shown.startswith("/") and not disk.holds(PurePosixPath(call.shown))
    if outside and any(content in call.texts[0] for content in CONTENT):
        spilled.append(call.shown)


def cut(
    folder: Path, *, rows: int, posts: int, every: int, images: int, seed: int = 1, pragmas: Sequence[str] = ()
) -> Power:
    """Trace a run and cut it."""
    root, output = folder / "disk", folder / "trace"
    root.mkdir()
    wanted = {"folder": str(root), "rows": rows, "posts": posts, "pragmas": list(pragmas)}
    trace.record([sys.executable, "-m", "tests.power.subject", json.dumps(wanted)], output, cwd=ROOT, seconds=300)
    power, end = Power(), _end_of(root)
    rng = random.Random(seed)
    place = PurePosixPath(root)
    for number, (moment, disk) in enumerate(replay(output, place, power.spilled)):
        power.sends += moment.at_send
        power.words += moment.at_word
        if not moment.at_send and not moment.at_word and number % every:
            continue
        power.cuts += 1
        for image in range(1 + images):
            power.torn += image > 0
            where = f"cut {number}, image {image}"
            power.lost += [f"{where}: {problem}" for problem in _judge(disk, rng if image else None, moment, end)]
    return power


def _end_of(root: Path) -> End:
    """What stands on disk when all has ended in order."""
    with closing(Ledger(root / LEDGER)) as ledger:
        return End(_outcomes(ledger), _archived(Store(root / ARCHIVE)))


def _outcomes(ledger: Ledger) -> dict[tuple[str, int], str]:
    """Outcome of every request that is settled."""
    rows = ledger.query("SELECT identity, attempt, outcome FROM requests WHERE outcome <> ''")
    return {(str(identity), int(attempt)): str(outcome) for identity, attempt, outcome in rows}


def _archived(store: Store) -> dict[str, set[str]]:
    """Ids of what an archive holds."""
    found = {}
    for kind in SCHEMA:
        column = "delivery_id" if kind == "deliveries" else "post_id"
        tables = [pq.ParquetFile(path).read([column]) for path in store.files(kind).values()]
        found[kind] = {str(value) for table in tables for value in table[column].to_pylist()}
    return found


def _judge(disk: Disk, rng: random.Random | None, moment: Moment, end: End) -> Iterator[str]:
    """What is wrong with one image of the disk."""
    image = Path(tempfile.mkdtemp(prefix="voxops-power-", dir=MEMORY))
    try:
        disk.restore(image, rng)
        for judge in (_judge_ledger, _judge_archive):
            try:
                yield from judge(image, moment, end)
            except (VoxopsError, sqlite3.Error, OSError, ValueError) as error:
                yield f"{judge.__name__.removeprefix('_judge_')}: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(image)


def _judge_ledger(image: Path, moment: Moment, end: End) -> Iterator[str]:
    """The ledger opens, knows every key that was sent, and says nothing that is not so."""
    path = image / LEDGER
    if not path.exists():
        if moment.sent:
            yield f"there is no ledger, and {len(moment.sent)} keys were sent"
        return
    with closing(Ledger(path)) as ledger:
        known = {str(key): int(tries) for key, tries in ledger.query("SELECT key, tries FROM calls")}
        for key in sorted(moment.sent):
            if known.get(key, 0) < 1:
                yield f"the key {key[:8]} was sent, and is {'never sent' if key in known else 'unknown to the ledger'}"
        for (identity, attempt), outcome in _outcomes(ledger).items():
            if outcome != (ended := end.outcomes.get((identity, attempt))):
                yield f"attempt {attempt} at {identity[:8]} is {outcome}, and ended as {ended}"
        for one in moment.said:
            if "run" not in one:
                continue
            rows = ledger.query(
                f"""SELECT {NOW} FROM run_rows JOIN requests ON requests.id = request LEFT JOIN calls ON calls.id = requests.call
                    WHERE run = ? ORDER BY row""",
                one["run"],
            )
            if (now := [str(outcome) for (outcome,) in rows]) != one["outcomes"]:
                yield f"what was said of run {one['run']} is not in the ledger: {one['outcomes']} became {now}"
        yield from (
            f"call {call.id} does not fit its hash"
            for call in ledger.calls.open()
            if not ledger.calls.is_unharmed(call)
        )
        for (request,) in ledger.query("SELECT id FROM requests"):
            if not ledger.requests.are_unharmed([request]):
                yield f"request {request} does not fit its hash"


def _judge_archive(image: Path, moment: Moment, end: End) -> Iterator[str]:
    """The archive opens, can go on, and holds what it said it holds."""
    synced = [one["synced"] for one in moment.said if "synced" in one]
    if not (image / ARCHIVE).exists():
        if synced:
            yield "there is no archive, and a sync had ended"
        return
    store = Store(image / ARCHIVE)
    store.state()
    with store.writing():
        held = _archived(store)
    for kind, ids in held.items():
        if ids - end.archived[kind]:
            yield f"{kind} of the archive that it never held: {sorted(ids - end.archived[kind])[:3]}"
    if synced and len(held["posts"]) < synced[-1]:
        yield f"{synced[-1]} posts had been synced, and {len(held['posts'])} are there"
