"""A real Jupyter kernel under test: cells are queued all at once, and what each answered and showed is collected.

nbclient and nbval send the next cell only after the last has answered, and so never see a cell that the kernel lost. Here
they are sent as *Run All* sends them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from jupyter_client.manager import KernelManager

PATIENCE = 270.0  # seconds after which a cell counts as lost; a test may take 300


@dataclass
class Cell:
    """One queued cell: its answer (None if it was lost) and everything that it sent, in order."""

    code: str
    id: str
    status: str | None = None
    answered_at: float = 0.0
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(m["content"]["text"] for m in self.messages if m["msg_type"] == "stream")

    @property
    def error(self) -> str:
        return next((m["content"]["ename"] for m in self.messages if m["msg_type"] == "error"), "")

    @property
    def traceback(self) -> str:
        return "\n".join(line for m in self.messages if m["msg_type"] == "error" for line in m["content"]["traceback"])

    @property
    def bundles(self) -> list[dict[str, Any]]:
        kinds = {"display_data", "execute_result", "update_display_data"}
        return [m["content"]["data"] for m in self.messages if m["msg_type"] in kinds]


class Kernel:
    """A kernel in a process of its own; a context manager.

    Parameters
    ----------
    folder : Path
        Its working folder, and home of its settings.
    path : Path, optional
        Folder of packages that go before the installed ones.
    """

    def __init__(self, folder: Path, *, path: Path | None = None, **env: str) -> None:
        self._folder = folder
        self._env = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "XDG_DATA_HOME": str(folder / "data"), **env}
        if path is not None:
            self._env["PYTHONPATH"] = str(path)
        # Over sockets with names of their own: of a port that was free a moment ago, another process may have become the owner.
        self._sockets = tempfile.TemporaryDirectory(prefix="vx-")
        self._manager = KernelManager(transport="ipc", ip=f"{self._sockets.name}/kernel")
        self.everything: list[dict[str, Any]] = []  # every message that was published, in order

    def __enter__(self) -> Self:
        self._manager.start_kernel(cwd=str(self._folder), env=self._env)
        self._connect()
        return self

    def __exit__(self, *error: object) -> None:
        self.client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._sockets.cleanup()

    def _connect(self) -> None:
        self.client = self._manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def restart(self) -> None:
        """Kill it without a word, and start it again."""
        self.client.stop_channels()
        self._manager.restart_kernel(now=True)
        self._connect()

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def queue(self, codes: Iterable[str]) -> list[Cell]:
        """Send cells without waiting for any."""
        return [Cell(code, self.client.execute(code)) for code in codes]

    def collect(self, cells: list[Cell], patience: float = PATIENCE) -> list[Cell]:
        """Wait until every cell has answered and been declared idle, or the patience is over."""
        by_id = {cell.id: cell for cell in cells}
        open_shell, open_io = set(by_id), set(by_id)
        end = time.monotonic() + patience
        while (open_shell or open_io) and time.monotonic() < end:
            for message in self._drain(self.client.iopub_channel, 0.02):
                self.everything.append(message)
                parent = message["parent_header"].get("msg_id")
                if parent in by_id:
                    by_id[parent].messages.append(message)
                    if message["content"].get("execution_state") == "idle":
                        open_io.discard(parent)
            for message in self._drain(self.client.shell_channel, 0.02):
                parent = message["parent_header"].get("msg_id")
                if parent in by_id:
                    by_id[parent].status = message["content"]["status"]
                    by_id[parent].answered_at = time.monotonic()
                    open_shell.discard(parent)
        return cells

    @staticmethod
    def _drain(channel: Any, wait: float) -> Iterable[dict[str, Any]]:
        try:
            while True:
                yield channel.get_msg(timeout=wait)
        except queue.Empty:
            return

    def run(self, *codes: str, patience: float = PATIENCE) -> list[Cell]:
        return self.collect(self.queue(codes), patience)

    def do(self, code: str, patience: float = PATIENCE) -> str:
        """Run one cell that must succeed; return what it printed."""
        cell = self.run(code, patience=patience)[0]
        assert cell.status == "ok", f"{cell.status or 'lost'}: {cell.code}\n{cell.traceback or cell.text}"
        return cell.text.strip()

    def published(self, seconds: float) -> list[dict[str, Any]]:
        """Listen for a while, without running anything."""
        heard = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            heard += self._drain(self.client.iopub_channel, 0.05)
        self.everything += heard
        return heard


def ipykernel_6(build: Path) -> Path:
    """A folder with ipykernel 6 in it, fetched once: one wheel that goes before the installed version."""
    folder = build / "ipykernel6"
    if not folder.exists():
        fresh = build / f"ipykernel6.{os.getpid()}"  # moved when it is whole: another process may want it, too
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
        # CI's constraints name the version that is installed; this one stands beside it.
        free = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        subprocess.run([*pip, "--target", str(fresh), "ipykernel==6.31.0"], check=True, timeout=100, env=free)
        with contextlib.suppress(OSError):  # the other one was faster
            fresh.rename(folder)
    return folder
