"""The cell of a notebook that is running."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["running_cell"]


def running_cell() -> int | None:
    """Number of the notebook cell that is running, None outside a kernel; IPython is not loaded for the question."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return int(shell.execution_count) if hasattr(shell, "kernel") else None
