"""Watching and pacing: requests counted at the server, time taken from its virtual clock; and what a run costs its process."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise

import httpx
import pandas as pd
from tests.bench.measure import measured
from tests.processes import serving
from tests.virtual import workspace

import voxops as vx
from voxburst_sandbox import Fault, Sandbox, Switches

LIMIT = 1000  # requests a minute
ENDS = ("target.publish", "target.fail")


@contextmanager
def seeded(posts, speed, latency=0.0):
    """Serve so many seeded posts without a rate limit; url and key."""
    with Sandbox(posts=posts, deliveries=0, rate_limit=None, speed=speed) as sandbox:
        if latency:
            sandbox.add_fault(Fault("delay", "GET", "/v1/posts", seconds=latency, times=None))
        yield sandbox.url, sandbox.api_key


def watching(count):
    """Publish so many posts at once and follow them until each has ended."""
    switches = Switches(publish_on_create=True)
    with Sandbox(rate_limit=None, empty=True, switches=switches) as sandbox, workspace(sandbox) as ws:
        posts = _publish(sandbox, ws, count)
        before = len(sandbox.requests())
        run = ws.watch(posts)
        run.wait()
        requests = sandbox.requests()[before:]
        ended = {}
        for effect in sandbox.effects():
            if effect["kind"] in ENDS:
                ended[effect["post"]] = max(_at(effect), ended.get(effect["post"], _at(effect)))
        results = run.results()
    assert (results["outcome"] != "pending").all()
    # our own rounds: the instants at which the list of those in flight was read from its beginning
    lists = [each for each in requests if each["query"].get("status") == "publishing"]
    rounds = sorted({_at(each) for each in lists if "cursor" not in each["query"]})
    flying = [sum(end > at for end in ended.values()) for at in rounds]
    last = max(ended.values())
    following = next((at for at in rounds if at >= last), rounds[-1])
    return {
        "posts": len(posts), "requests": len(requests), "per_job": len(requests) / len(posts), "rounds": len(rounds),
        "bound": sum(math.ceil(each / 100) for each in flying), "polling_each": sum(flying) + len(posts),
        "known_after_s": (results["settled_at"].max() - pd.Timestamp(last)).total_seconds(),
        "bound_known_after_s": (following - last).total_seconds(),
        "longest_interval_s": max(((b - a).total_seconds() for a, b in pairwise(rounds)), default=0.0),
    }  # fmt: skip


def _publish(sandbox, ws, count):
    """Create posts that publish at once."""
    accounts = ws.accounts()
    publishes = (accounts["status"] == "active") & (accounts["platform"] != "instagram")  # without media
    active = list(accounts.loc[publishes, "account_id"])
    posts = []
    with httpx.Client(base_url=sandbox.url, headers={"Authorization": f"Bearer {sandbox.api_key}"}, timeout=60) as http:
        for start in range(0, count, 50):
            items = [
                {"content": f"post {n}", "accountIds": [active[n % len(active)]]}
                for n in range(start, min(count, start + 50))
            ]
            results = http.post("/v1/posts/bulk", json={"posts": items}).json()["results"]
            posts += [result["postId"] for result in results]
    assert len(posts) == count
    return posts


def pacing(count):
    """Retry so many posts under a rate limit; every call counts, watching included."""
    with Sandbox(rate_limit=LIMIT, posts=count * 8, deliveries=0) as sandbox, workspace(sandbox) as ws:
        plan = _retry_of(ws, count)
        sandbox.advance(60.0 - sandbox.now().timestamp() % 60.0)  # what loading has cost belongs to another window
        before = len(sandbox.requests())
        ws.run(plan).wait()
        requests = sandbox.requests()[before:]
    acts = [at for at, each in enumerate(requests) if each["acting"]]
    sending = requests[: acts[-1] + 1]  # from the first read of the run to its last act
    # Windows are whole minutes: the calls of all full ones, and the part of the last that was needed.
    per_minute = Counter(_at(each).replace(second=0, microsecond=0) for each in sending)
    full = sorted(per_minute)[:-1]
    return {
        "retries": len(acts), "requests": len(requests), "refused_429": sum(each["status"] == 429 for each in requests),
        "share_of_ceiling": sum(per_minute[minute] for minute in full) / (LIMIT * len(full)) if full else 1.0,
    }  # fmt: skip


def retries(count):
    """Retry so many posts over loopback without a limit, the server in a process of its own."""
    with (
        serving(seeded, count * 8, 1.0) as (url, key),
        tempfile.TemporaryDirectory() as folder,
        vx.connect(key, url=url, ledger=f"{folder}/ledger.sqlite") as ws,
    ):
        plan = _retry_of(ws, count)
        return measured(lambda: len(ws.run(plan).wait().results()))


def _retry_of(ws, count):
    """A plan that retries so many posts, whatever their cause."""
    triaged = vx.triage(vx.targets(ws.posts(status=["failed", "partial"])))
    triaged["retryable"] = True
    plan = vx.plan_retry(triaged)
    eligible = plan.frame[plan.frame["eligible"]]["post_id"].drop_duplicates().head(count)
    return vx.plan_retry(triaged[triaged["post_id"].isin(eligible)])


def _at(entry):
    """When something happened, in virtual time."""
    return datetime.fromisoformat(entry["at"])


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*map(int, sys.argv[2:]))))
