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
    idle: bool = False
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
        self.manager = KernelManager(transport="ipc", ip=f"{self._sockets.name}/kernel")
        self.everything: list[dict[str, Any]] = []  # every message that was published, in order

    def __enter__(self) -> Self:
        self.manager.start_kernel(cwd=str(self._folder), env=self._env)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        return self

    def __exit__(self, *error: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self._sockets.cleanup()

    def queue(self, codes: Iterable[str]) -> list[Cell]:
        """Send cells without waiting for any."""
        return [Cell(code, self.client.execute(code)) for code in codes]

    def collect(self, cells: list[Cell], patience: float = PATIENCE) -> list[Cell]:
        """Wait until every cell has answered and been declared idle, or the patience is over."""
        by_id = {cell.id: cell for cell in cells}
        end = time.monotonic() + patience
        while not all(cell.status and cell.idle for cell in cells) and time.monotonic() < end:
            self.everything += (heard := self._drain(self.client.iopub_channel))
            for message in heard:
                if cell := by_id.get(message["parent_header"].get("msg_id")):
                    cell.messages.append(message)
                    cell.idle |= message["content"].get("execution_state") == "idle"
            for message in self._drain(self.client.shell_channel):
                if cell := by_id.get(message["parent_header"].get("msg_id")):
                    cell.status, cell.answered_at = message["content"]["status"], time.monotonic()
        return cells

    @staticmethod
    def _drain(channel: Any) -> list[dict[str, Any]]:
        heard = []
        with contextlib.suppress(queue.Empty):
            while True:
                heard.append(channel.get_msg(timeout=0.02))
        return heard

    def run(self, *codes: str, patience: float = PATIENCE) -> list[Cell]:
        return self.collect(self.queue(codes), patience)

    def do(self, code: str, patience: float = PATIENCE) -> str:
        """Run one cell that must succeed; return what it printed."""
        cell = self.run(code, patience=patience)[0]
        assert cell.status == "ok", f"{cell.status or 'lost'}: {cell.code}\n{cell.traceback or cell.text}"
        return cell.text.strip()

    def listen(self, seconds: float) -> None:
        """Listen for a while, without running anything."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.everything += self._drain(self.client.iopub_channel)


def ipykernel_6(build: Path) -> Path:
    """A folder with ipykernel 6 in it, fetched once: one wheel that goes before the installed version."""
    folder = build / "ipykernel6"
    if not folder.exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
        # CI's constraints name the version that is installed; this one stands beside it.
        free = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        subprocess.run([*pip, "--target", str(folder), "ipykernel==6.31.0"], check=True, timeout=100, env=free)
    return folder
