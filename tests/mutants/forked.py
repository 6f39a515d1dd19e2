"""A piece of work in a process of its own."""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
from collections.abc import Callable
from typing import Any


def apart() -> None:
    """Begin a process group of its own, which is ended as a whole, and say nothing."""
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)


def in_fork(work: Callable[[], Any], seconds: float) -> Any:
    """Do a piece of work in a process of its own; what it returns, or what became of it: a signal, an error, no end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        apart()
        try:
            said = pickle.dumps(work())
        except BaseException as error:
            said = pickle.dumps(f"{type(error).__name__}: {error}")
        with os.fdopen(writer, "wb") as out:
            out.write(said)
        os._exit(0)
    os.close(writer)
    said, end = b"", time.monotonic() + seconds
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            part = pipe.read(1 << 16)
            if not part:
                break
            said += part
        else:
            said = pickle.dumps("no end")
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return pickle.loads(said) if said else "died"
