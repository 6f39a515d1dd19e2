"""The sandbox in a process of its own, so that client and server don't share an interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.measure import ROOT

from voxburst_sandbox import Fault, Sandbox


@contextmanager
def serving(*, posts: int, speed: float = 0.0, latency: float = 0.0) -> Iterator[tuple[str, str]]:
    """Serve so many seeded posts without a rate limit; url and key."""
    arguments = json.dumps([posts, speed, latency])
    command = [sys.executable, "-m", "tests.bench.server", arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url, key = json.loads(process.stdout.readline())
        try:
            yield url, key
        finally:
            process.communicate("")


if __name__ == "__main__":
    posts, speed, latency = json.loads(sys.argv[1])
    with Sandbox(posts=posts, deliveries=0, rate_limit=None, speed=speed) as sandbox:
        if latency:
            sandbox.add_fault(Fault("delay", "GET", "/v1/posts", seconds=latency, times=None))
        print(json.dumps([sandbox.url, sandbox.api_key]), flush=True)
        sys.stdin.read()
