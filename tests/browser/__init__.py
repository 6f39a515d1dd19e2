"""JupyterLab and marimo in headless Chromium under test, as a person uses them."""

from __future__ import annotations

from tests.browser.lab import CHROMIUM, Lab, Notebook, serious
from tests.browser.marimo import Marimo

__all__ = ["CHROMIUM", "Lab", "Marimo", "Notebook", "serious"]
