"""The command ``voxops sandbox``: serve until it is stopped."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from voxops.sandbox.server import Sandbox

__all__ = ["main", "serve"]


def serve(
    *,
    port: int = 0,
    seed: int = 7,
    state: str | Path | None = None,
    speed: float = 1.0,
    rate_limit: int | None = 500,
    posts: int = 500,
) -> None:
    """Serve until SIGTERM or SIGINT, after printing the address and the key."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Sandbox(port=port, seed=seed, state=state, speed=speed, rate_limit=rate_limit, posts=posts) as sandbox:
        _print(f"url={sandbox.url} key={sandbox.api_key} workspace={sandbox.workspace_id}")
        done.wait()


def _print(text: str) -> None:
    """Print a line for whoever started the command."""
    sys.stdout.write(f"sandbox: {text}\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """Run the command ``voxops sandbox``."""
    parser = argparse.ArgumentParser(prog="voxops sandbox", description="Serve the VoxBurst API on this machine.")
    parser.add_argument("--port", type=int, default=0, help="port of the API on 127.0.0.1 (default: a free one)")
    parser.add_argument("--seed", type=int, default=7, help="what the campaign follows from (default: 7)")
    parser.add_argument("--state", type=Path, default=None, help="file that keeps the state over restarts")
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds per real second (default: 1)")
    parser.add_argument("--rate-limit", type=int, default=500, help="requests a minute, 0 for no limit (default: 500)")
    parser.add_argument("--posts", type=int, default=500, help="size of the seeded campaign (default: 500)")
    wanted = parser.parse_args(argv)
    try:
        serve(
            port=wanted.port, seed=wanted.seed, state=wanted.state, speed=wanted.speed, posts=wanted.posts,
            rate_limit=wanted.rate_limit or None,
        )  # fmt: skip
    except OSError as error:
        _print(str(error.strerror or error))
        return 1
    return 0
