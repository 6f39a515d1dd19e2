"""A real Jupyter kernel under test, driven the way a browser drives it: all cells queued at once."""

from __future__ import annotations

from tests.kernel.driver import Cell, Kernel, ipykernel_6

__all__ = ["Cell", "Kernel", "ipykernel_6"]
