"""The commands ``voxops sandbox`` and ``python -m voxburst_sandbox``: serve until stopped."""

from __future__ import annotations

import argparse
import math
import shlex
import signal
import sys
import threading
from pathlib import Path

from voxburst_sandbox.server import Sandbox

__all__ = ["main", "serve"]


def serve(
    *,
    port: int = 0,
    seed: int = 7,
    state: str | Path | None = None,
    speed: float = 1.0,
    rate_limit: int | None = 500,
    posts: int = 500,
    deliveries: int = 4500,
    storage_port: int = 0,
    receiver_port: int = 0,
    now: bool = False,
    tls: str | Path | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, after printing the address and the key.

    Parameters are those of `Sandbox`; `now` is its `real_time`, and `tls` an existing or new folder for the certificate.
    """
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Sandbox(
        port=port, seed=seed, state=state, speed=speed, rate_limit=rate_limit, posts=posts, deliveries=deliveries,
        storage_port=storage_port, receiver_port=receiver_port, real_time=now, tls=tls,
    ) as sandbox:  # fmt: skip
        _print(f"url={sandbox.url} key={sandbox.api_key} workspace={sandbox.workspace_id}")
        if sandbox.certificate is not None:
            _print(f"certificate={shlex.quote(str(sandbox.certificate))}")
        done.wait()


def _print(text: str) -> None:
    """Print a line for whoever started the command."""
    sys.stdout.write(f"sandbox: {text}\n")
    sys.stdout.flush()


def _count(text: str) -> int:
    """A whole number from 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _port(text: str) -> int:
    """The number of a port."""
    if _count(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535, 0 for a free one")
    return int(text)


def _speed(text: str) -> float:
    """A finite number from 0."""
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 <= speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return speed


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m voxburst_sandbox``, which serves like ``voxops sandbox``, on a free port if none is named."""
    parser = argparse.ArgumentParser(
        prog="python -m voxburst_sandbox", description="Serve the VoxBurst API on this machine."
    )
    parser.add_argument("--port", type=_port, default=0, help="port of the API on 127.0.0.1 (default: a free one)")
    parser.add_argument("--seed", type=int, default=7, help="what the campaign follows from (default: 7)")
    parser.add_argument("--state", type=Path, default=None, help="file that keeps the state over restarts")
    parser.add_argument("--speed", type=_speed, default=1.0, help="virtual seconds per real second (default: 1)")
    parser.add_argument(
        "--rate-limit", type=_count, default=500, help="requests a minute, 0 for no limit (default: 500)"
    )
    parser.add_argument("--posts", type=_count, default=500, help="size of the seeded campaign (default: 500)")
    parser.add_argument("--deliveries", type=_count, default=4500, help="webhook deliveries of it (default: 4500)")
    parser.add_argument(
        "--storage-port", type=_port, default=0, help="port of the presigned storage (default: a free one)"
    )
    parser.add_argument(
        "--receiver-port", type=_port, default=0, help="port of the webhook receiver (default: a free one)"
    )
    parser.add_argument("--now", action="store_true", help="this machine's clock instead of a virtual one")
    parser.add_argument(
        "--tls", type=Path, metavar="FOLDER", help="speak https, with a certificate kept in this folder"
    )
    wanted = parser.parse_args(argv)
    try:
        serve(
            port=wanted.port, seed=wanted.seed, state=wanted.state, speed=wanted.speed, posts=wanted.posts,
            deliveries=wanted.deliveries, rate_limit=wanted.rate_limit or None, storage_port=wanted.storage_port,
            receiver_port=wanted.receiver_port, now=wanted.now, tls=wanted.tls,
        )  # fmt: skip
    except OSError as error:
        _print(str(error.strerror or error))
        return 1
    return 0
