"""JupyterLab in headless Chromium under test, as a person uses it."""

from __future__ import annotations

from tests.browser.lab import CHROMIUM, Lab, Notebook

__all__ = ["CHROMIUM", "Lab", "Notebook"]
