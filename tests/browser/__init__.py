"""JupyterLab in headless Chromium under test, as a person uses them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.browser.lab import Lab, Notebook, Part, serious
from tests.browser.server import CHROMIUM

__all__ = ["CHROMIUM", "IN_CHROMIUM", "SCREENS", "Lab", "Notebook", "Part", "serious"]

SCREENS = Path(__file__).parents[2] / "build" / "screens"  # pictures for people to look at
IN_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not Path(CHROMIUM).exists() and not os.environ.get("CI"), reason=f"no {CHROMIUM} here; in CI this is a failure"
    ),
]
