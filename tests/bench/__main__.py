"""``python -m tests.bench``: measure, print a table, write ``build/bench.json``.

Peers and floors run in the same turns as ours, on the same material and the same sandbox. What counts are ratios: the median
over the turns of one turn's times, since these share the machine's mood. Nothing here is asserted in a test.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from tests.bench.history import TASKS, write
from tests.bench.jobs import seeded
from tests.bench.makers import write_pages
from tests.bench.measure import ROOT, Line, in_turns, ratio, run_python
from tests.processes import serving

import voxops

MATERIAL, OUT = ROOT / "build" / "bench", ROOT / "build" / "bench.json"
SIZES = {
    "turns": (5, "turns of each candidate"), "posts": (100_000, "posts turned into a frame"), "records": (500_000, "deliveries turned into a frame"),
    "load": (20_000, "posts loaded over HTTP"), "watch": (5_000, "posts watched"), "retries": (5_000, "posts retried"),
    "history": (10_000_000, "deliveries on disk"),
}  # fmt: skip


def frames(options):
    """Records to a typed frame."""
    for kind, count, target in (("posts", options.posts, 2.8), ("deliveries", options.records, 2.2)):
        path = MATERIAL / f"{kind}-{count}.jsonl"
        write_pages(path, kind, count)
        names = {"ours": "frame_ours", "peer": "frame_peer"}
        taken = in_turns({name: (work, str(path), kind) for name, work in names.items()}, options.turns)
        assert {turns[0]["found"] for turns in taken.values()} == {count}
        what = f"{count:,} {kind} to a frame"
        faster, memory = ratio(taken["peer"], taken["ours"]), 100 * ratio(taken["ours"], taken["peer"], "megabytes")
        yield Line("frames", f"{what}: faster than json + json_normalize", faster, "×", (">=", target), taken)
        yield Line("frames", f"{what}: peak memory against json_normalize", memory, "%", ("<=", 60.0))


def loading(options):
    """Loading posts over HTTP, end to end."""
    for latency, near in ((0.0, 1.8), (0.03, 1.2)):
        with serving(seeded, options.load, 0.0, latency) as (url, key):
            names = {"ours": "load_ours", "peer": "load_peer", "floor": "load_floor"}
            candidates = {name: (work, url, key) for name, work in names.items()}
            in_turns(candidates, 1)  # the sandbox encodes each post when it is first asked for
            # without latency a turn lasts half a second, which on a busy machine says little: more of them
            taken = in_turns(candidates, options.turns if latency else 3 * options.turns)
        assert {turns[0]["found"] for turns in taken.values()} == {options.load}
        what = f"{options.load:,} posts over HTTP, {latency * 1000:.0f} ms"
        faster, floor = ratio(taken["peer"], taken["ours"]), ratio(taken["ours"], taken["floor"])
        if latency == 0:
            yield Line("loading", f"{what}: faster than requests + json_normalize", faster, "×", (">=", 1.5))
        yield Line("loading", f"{what}: times bare httpx pages", floor, "×", ("<=", near), taken)


def watching(options):
    """Following posts to their end, on the virtual clock."""
    measured = run_python("jobs", "watching", str(options.watch))
    late, each = measured["known_after_s"] - measured["bound_known_after_s"], f"watching {options.watch:,} posts"
    yield Line("watching", f"{each}: requests per job", measured["per_job"], "", ("<=", 0.1), measured)
    yield Line("watching", f"{each}: last outcome after the bound", late, "s", ("<=", measured["longest_interval_s"]))


def pacing(options):
    """A retry of many posts under a rate limit, on the virtual clock; all calls counted."""
    measured = run_python("jobs", "pacing", str(options.retries))
    share, what = 100 * measured["share_of_ceiling"], f"{options.retries:,} retries under 1,000 a minute"
    yield Line("pacing", f"{what}: share of the ceiling", share, "%", (">=", 97.0), measured)
    yield Line("pacing", f"{what}: refused by 429", measured["refused_429"], "", ("<=", 1.0))


def running(options):
    """What a run over loopback costs its own process, the ledger included."""
    turns = [run_python("jobs", "retries", str(options.retries)) for _ in range(options.turns)]
    assert min(turn["found"] for turn in turns) >= options.retries, "too few failures to retry"
    each = statistics.median(1e3 * turn["processor_s"] / turn["found"] for turn in turns)
    what = f"{options.retries:,} retries over loopback: processor time of a row"
    yield Line("running", what, each, "ms", ("<=", 5.5), {"ours": turns})


def imports(options):
    """Import time."""
    # as pip leaves every package; a checkout is compiled when it is first imported, and not even then if Python was asked not to
    compileall.compile_dir(str(Path(voxops.__file__).parent), quiet=1)
    names = {"ours": "import voxops", "peer": "import pandas, httpx"}
    taken = in_turns({name: ("importing", work) for name, work in names.items()}, max(7, options.turns))
    times = ratio(taken["ours"], taken["peer"])
    yield Line("start", "import voxops, times import pandas, httpx", times, "×", ("<=", 1.3), taken)


def history(options):
    """Delivery statistics over millions of rows on disk."""
    with tempfile.TemporaryDirectory(prefix="voxops-history-") as folder:
        write(Path(folder), options.history, 3)
        megabytes = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet")) / 1e6
        taken = in_turns({task: ("ask", task, folder) for task in TASKS}, options.turns)
    assert taken["archive"][0]["found"] == taken["duckdb"][0]["found"], "the numbers differ"
    what = f"{options.history:,} deliveries by day and endpoint"
    times, faster = ratio(taken["archive"], taken["duckdb"]), ratio(taken["plain"], taken["archive"])
    more = {**taken, "parquet_mb": megabytes}
    yield Line("history", f"{what}: times DuckDB's own answer", times, "×", ("<=", 1.3), more)
    yield Line("history", f"{what}: faster than plain pandas", faster, "×", (">=", 1.0))


PARTS = {part.__name__: part for part in (frames, loading, watching, pacing, running, imports, history)}


def show(lines):
    """The table."""
    rows = [("", "what", "measured", "target", "")]
    for line in lines:
        target = f"{'≥' if line.target[0] == '>=' else '≤'} {line.target[1]:g}"
        value = f"{line.value:,.0f}" if line.value >= 1000 else f"{line.value:.3g}"
        rows.append((line.group, line.what, f"{value} {line.unit}".strip(), target, "met" if line.met else "MISSED"))
    widths = [max(len(row[at]) for row in rows) for at in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS), help="only these parts")
    for name, (count, what) in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=count, help=f"{what} (default: {count:,})")
    options = parser.parse_args()
    began, lines = time.time(), list[Line]()
    for name in options.only:
        print(f"{time.time() - began:6.0f} s  {name} …", file=sys.stderr, flush=True)
        lines += PARTS[name](options)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    packages = {name: version(name) for name in ("pandas", "httpx", "msgspec", "pyarrow", "duckdb", "requests")}
    found = {
        "sizes": vars(options),
        "machine": machine,
        "packages": packages,
        "lines": [asdict(line) | {"met": line.met} for line in lines],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1))
    print(show(lines))
    print(f"\n{time.time() - began:.0f} s; written to {OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
