"""Buttons, pressed as a page does."""

from __future__ import annotations

import threading

from tests.virtual import until


def press(button):
    """Press a button, and wait for its thread."""
    button.click()
    until(lambda: not any(thread.name == "voxops-button" for thread in threading.enumerate()))
