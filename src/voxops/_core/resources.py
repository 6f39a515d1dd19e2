"""What a workspace owns, and closes with itself."""

from __future__ import annotations

import tempfile
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

    def temporary_ledger(self) -> Path:
        """A ledger in a folder that is removed with the workspace."""
        self.forgets = True
        return Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="voxops-"))) / "ledger.sqlite"
