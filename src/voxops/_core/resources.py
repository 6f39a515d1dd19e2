"""What a workspace owns, and closes with itself."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Resources"]


@dataclass
class Resources:
    """What a workspace owns and closes with itself.

    `sandbox` is the embedded API, None where there is none of our own; `archive` what loads stand on, if on any; `forgets` says
    that the ledger ends with the workspace.
    """

    stack: ExitStack = field(default_factory=ExitStack)
    sandbox: Any = None
    archive: Any = None
    forgets: bool = False
    _removal: weakref.finalize[..., Resources] | None = field(default=None, init=False, repr=False)

    def temporary_ledger(self) -> Path:
        """A ledger in a folder that is removed with the workspace."""
        self.forgets = True
        folder = Path(tempfile.mkdtemp(prefix="voxops-"))
        self._removal = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        # That is for a workspace that nobody closes and nobody has any more. At the interpreter's exit it would come before the
        # workspace is closed, while requests are under way; closing removes the folder then.
        self._removal.atexit = False
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder / "ledger.sqlite"

    def disown(self) -> None:
        """Leave everything to the process that this one was forked from; its end must close nothing there."""
        if self._removal is not None:
            self._removal.detach()
        self.stack.pop_all()
