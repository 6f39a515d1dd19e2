"""The notebook in which this process is the kernel, and how a plan and a frame of causes show themselves in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar


class Displayed:
    """Base of what a notebook cell shows as ``vx.view`` does: by the views, which are loaded at the first display."""

    _view: ClassVar[staticmethod[[Any], Any]]  # set by the package

    def _repr_html_(self) -> str:
        return str(self._view(self)._repr_html_())


def kernel_shell() -> Any:
    """Return IPython's shell in a notebook's kernel, else None; this does not import IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


def running_cell() -> int | None:
    """Return the number of the running notebook cell, None outside a kernel."""
    shell = kernel_shell()
    return None if shell is None else int(shell.execution_count)


def publish(bundle: Mapping[str, Any], display_id: str, update: bool) -> None:
    """Show a MIME bundle in the running cell, or replace it; outside a kernel nothing is shown."""
    if (shell := kernel_shell()) is not None:
        shell.display_pub.publish(data=bundle, metadata={}, transient={"display_id": display_id}, update=update)
